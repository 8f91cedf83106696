//! What happens to containers, told to the events.

use std::collections::BTreeMap;

use super::model::Container;
use crate::Engine;

impl Engine {
    /// An event of a container: its labels, image and name are attributes, `more` beside them.
    pub(crate) fn container_event(&self, container: &Container, action: &str, more: &[(&str, String)]) {
        let record = container.record();
        let mut attributes: BTreeMap<String, String> = record.config.labels.clone().unwrap_or_default();
        if !record.config.image.is_empty() {
            attributes.insert("image".to_owned(), record.config.image.clone());
        }
        attributes.insert("name".to_owned(), record.name.clone());
        attributes.extend(more.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        self.events.emit("container", action, &container.id, attributes);
    }
}
