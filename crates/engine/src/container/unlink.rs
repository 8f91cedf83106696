//! Names that links give: a container linked as `db` by `web` is `/web/db` too, until `docker rm --link web/db`.

use std::collections::BTreeMap;

use super::record::Record;
use crate::Engine;
use crate::blocking::blocking;
use crate::error::{Error, Result};
use crate::networks::links;

impl Engine {
    /// The names that links give, by the id of who got them.
    pub(crate) fn link_names(&self) -> BTreeMap<String, Vec<String>> {
        let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for container in self.containers.all() {
            let record = container.record();
            for (other, alias) in links::of(&record).iter().map(|link| links::parse(link)) {
                if let Ok(other) = self.containers.find(other) {
                    names.entry(other.id.clone()).or_default().push(format!("/{}/{alias}", record.name));
                }
            }
        }
        names
    }

    /// Takes a link away, named as `parent/alias`. Both containers stay.
    pub(crate) async fn unlink(&self, name: &str) -> Result<()> {
        let Some((parent, alias)) = name.trim_start_matches('/').split_once('/') else {
            self.containers.find(name)?;
            return Err(Error::conflict("Conflict, cannot remove the default link name of the container"));
        };
        let container = self.containers.find(parent).map_err(|_| {
            Error::not_found(format!("Cannot get parent /{parent} for link name /{parent}/{alias}"))
        })?;
        let _turn = self.turn(&container).await;
        let old = container.record();
        let mut record = Record::clone(&old);
        let links = record.host.links.get_or_insert_default();
        links.retain(|link| links::parse(link).1 != alias);
        if links.len() == old.host.links.as_deref().unwrap_or_default().len() {
            return Err(Error::not_found(format!("No such container: {name}")));
        }
        let (folder, written) = (container.folder.clone(), record.clone());
        blocking(move || written.write(&folder)).await?;
        container.set_record(record);
        Ok(())
    }
}
