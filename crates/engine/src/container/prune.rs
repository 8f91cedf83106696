//! Removing stopped containers.

use std::collections::BTreeMap;

use api::*;
use jiff::Timestamp;

use crate::Engine;
use crate::blocking::blocking;
use crate::error::Result;
use crate::images::{labels_match, until};

impl Engine {
    pub async fn container_prune(&self, filters: Filters) -> Result<ContainerPruneResponse> {
        filters.validate(&["label", "label!", "until"])?;
        let until = until(&filters)?;
        let mut deleted = Vec::new();
        let mut reclaimed = 0;
        for container in self.containers.all() {
            let record = container.record();
            let young =
                until.is_some_and(|until| record.created.parse::<Timestamp>().is_ok_and(|made| made > until));
            if container.status().is_up() || young || !labels_match(&filters, record.config.labels.as_ref()) {
                continue;
            }
            let store = self.store.clone();
            let size = blocking(move || Ok(store.size_rw(&record.rootfs)?)).await.unwrap_or(0);
            match self.container_remove(&container.id, ContainerRemoveQuery::default()).await {
                Ok(()) => {
                    deleted.push(container.id.clone());
                    reclaimed += size;
                }
                // Started or removed by somebody meanwhile.
                Err(error) => tracing::warn!(container = container.id, %error, "cannot prune container"),
            }
        }
        let attributes = BTreeMap::from([("reclaimed".to_owned(), reclaimed.to_string())]);
        self.events.emit("container", "prune", "", attributes);
        Ok(ContainerPruneResponse {
            containers_deleted: Some(deleted).filter(|deleted| !deleted.is_empty()),
            space_reclaimed: reclaimed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::status::{Run, Status};
    use crate::testing::{container, world};

    #[test]
    fn what_is_down_goes_unless_a_filter_keeps_it() {
        world(async |engine| {
            for name in ["done", "kept", "runs"] {
                let made = container(engine, name, |record| {
                    record.config.labels = Some([("name".to_owned(), name.to_owned())].into());
                });
                if name == "runs" {
                    let run = Run { pid: i32::MAX, start_ticks: 1 };
                    made.change(|life| life.status = Status::Running(run));
                }
            }
            let done = engine.containers.find("done").unwrap().id.clone();
            let prune =
                async |filters: &str| engine.container_prune(Filters::parse(filters).unwrap()).await.unwrap();
            assert_eq!(prune(r#"{"until":["2020-01-01"]}"#).await.containers_deleted, None);
            assert_eq!(prune(r#"{"label!":["name=kept"]}"#).await.containers_deleted, Some(vec![done]));
            assert_eq!(engine.containers.all().len(), 2);
            assert!(engine.container_prune(Filters::parse(r#"{"color":["red"]}"#).unwrap()).await.is_err());
        });
    }
}
