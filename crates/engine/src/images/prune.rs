//! `docker image prune`.

use std::collections::BTreeMap;

use api::*;
use jiff::Timestamp;
use store::Deleted;

use super::list::until;
use super::references;
use super::remove::{Removal, item};
use crate::Engine;
use crate::blocking::blocking;
use crate::error::Result;

const FILTERS: [&str; 4] = ["dangling", "label", "label!", "until"];

impl Engine {
    pub async fn image_prune(&self, filters: Filters) -> Result<ImagePruneResponse> {
        filters.validate(&FILTERS)?;
        let dangling_only = filters.boolean("dangling", true)?;
        let until = until(&filters)?;
        let store = self.store.clone();
        let (candidates, sizes) = blocking(move || {
            let mut candidates = Vec::new();
            let mut sizes = BTreeMap::new();
            for record in store.images()? {
                let config = store.config(&record.id)?;
                for chain in config.chain_ids() {
                    let size = store.layer(&chain).map_or(0, |layer| layer.size);
                    sizes.insert(chain, size);
                }
                let labels = config.config.as_ref().and_then(|config| config.labels.as_ref());
                let intermediate =
                    references(&record).next().is_none() && !store.children(&record.id)?.is_empty();
                let young =
                    until.is_some_and(|until| record.created.unwrap_or(Timestamp::UNIX_EPOCH) > until);
                if intermediate
                    || young
                    || (dangling_only && !record.is_dangling())
                    || !labels_match(&filters, labels)
                {
                    continue;
                }
                candidates.push(record);
            }
            Ok((candidates, sizes))
        })
        .await?;

        let mut removed: Vec<Deleted> = Vec::new();
        for record in candidates {
            let mut names: Vec<String> = references(&record).map(|name| name.to_string()).collect();
            if names.is_empty() {
                names.push(record.id.to_string());
            }
            for name in names {
                let removal = Removal {
                    store: self.store.clone(),
                    uses: self.container_uses(),
                    force: false,
                    prune: true,
                };
                // In use, or gone with the name before: not this command's business.
                match self.remove_and_tell(removal, name).await {
                    Ok(done) => removed.extend(done),
                    Err(error) => tracing::debug!(%error, "image is not pruned"),
                }
            }
        }
        let gone = |done: &Deleted| match done {
            Deleted::Deleted(digest) => sizes.get(digest).copied().unwrap_or(0),
            Deleted::Untagged(_) => 0,
        };
        let reclaimed: u64 = removed.iter().map(gone).sum();
        let attributes = BTreeMap::from([("reclaimed".to_owned(), reclaimed.to_string())]);
        self.events.emit("image", "prune", "", attributes);
        let deleted: Vec<ImageDeleteResponseItem> = removed.iter().map(item).collect();
        Ok(ImagePruneResponse {
            images_deleted: Some(deleted).filter(|deleted| !deleted.is_empty()),
            space_reclaimed: reclaimed,
        })
    }
}

/// `label=` must all be there, none of `label!=` may.
pub(crate) fn labels_match(filters: &Filters, labels: Option<&BTreeMap<String, String>>) -> bool {
    filters.matches_labels("label", labels)
        && !filters.get("label!").any(|unwanted| filters::has_label(labels, unwanted))
}
