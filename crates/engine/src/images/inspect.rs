//! `docker inspect` and `docker history` of an image.

use std::collections::BTreeMap;

use ::image::{Digest, ImageConfig as Config, Reference};
use api::*;
use jiff::Timestamp;
use store::{ImageRecord, Store};

use super::list::{descriptor, manifests};
use super::{image_for, platform};
use crate::Engine;
use crate::blocking::blocking;
use crate::error::{Error, Result};

/// Go's zero time.
const NEVER: &str = "0001-01-01T00:00:00Z";

impl Engine {
    pub async fn image_inspect(&self, name: &str, query: ImageInspectQuery) -> Result<ImageInspect> {
        let (store, name, uses) = (self.store.clone(), name.to_owned(), self.container_uses());
        blocking(move || {
            let mut record = image_for(&store, &name, platform(&query.platform)?.as_ref())?;
            if query.packed {
                record = store.packed_image(&record)?;
            }
            let config = store.config(&record.id)?;
            let mut answer = inspect(&store, &record, &config)?;
            if query.manifests {
                answer.manifests = Some(manifests(&store, &record, &config, &uses)?);
            }
            Ok(answer)
        })
        .await
    }

    pub async fn image_history(
        &self,
        name: &str,
        query: ImagePlatformQuery,
    ) -> Result<Vec<ImageHistoryResponseItem>> {
        let (store, name) = (self.store.clone(), name.to_owned());
        blocking(move || {
            let record = image_for(&store, &name, platform(&query.platform)?.as_ref())?;
            history(&store, &record)
        })
        .await
    }
}

fn inspect(store: &Store, record: &ImageRecord, config: &Config) -> Result<ImageInspect> {
    let familiar = |names: &[Reference]| Some(names.iter().map(Reference::familiar).collect());
    let text =
        |key: &str| config.extra.get(key).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
    Ok(ImageInspect {
        id: record.id.to_string(),
        repo_tags: familiar(&record.names),
        repo_digests: familiar(&record.repo_digests),
        parent: record.parent.as_ref().map(Digest::to_string).unwrap_or_default(),
        comment: config.history.last().map(|step| step.comment.clone()).unwrap_or_default(),
        created: config.created.clone().unwrap_or_default(),
        container: text("container"),
        container_config: None,
        docker_version: text("docker_version"),
        author: config.author.clone(),
        config: Some(config.config.as_ref().map(run_config).unwrap_or_default()),
        architecture: config.architecture.clone(),
        variant: config.variant.clone(),
        os: config.os.clone(),
        os_version: config.os_version.clone(),
        size: record.size.try_into().unwrap_or(i64::MAX),
        virtual_size: 0,
        graph_driver: graph_driver(store, &record.id)?,
        root_fs: ImageRootFs {
            typ: config.rootfs.kind.clone(),
            layers: Some(config.rootfs.diff_ids.iter().map(Digest::to_string).collect()),
        },
        metadata: ImageMetadata {
            last_tag_time: record.last_tagged.map_or_else(|| NEVER.to_owned(), |time| time.to_string()),
        },
        descriptor: Some(descriptor(&record.target)),
        manifests: None,
    })
}

/// Where overlayfs finds the image: what Docker's overlay2 driver shows.
fn graph_driver(store: &Store, id: &Digest) -> Result<DriverData> {
    let paths: Vec<String> = store.chain_paths(id)?.iter().map(|path| path.display().to_string()).collect();
    let mut data = BTreeMap::new();
    if let Some((top, below)) = paths.split_first() {
        data.insert("UpperDir".to_owned(), top.clone());
        if !below.is_empty() {
            data.insert("LowerDir".to_owned(), below.join(":"));
        }
    }
    Ok(DriverData { data: Some(data), name: "overlay2".to_owned() })
}

/// The run configuration on the wire.
pub(crate) fn run_config(config: &::image::ContainerConfig) -> ImageConfig {
    let set = |names: &Option<BTreeMap<String, ::image::Empty>>| -> Option<Set> {
        names.as_ref().map(|names| names.keys().map(|name| (name.clone(), EmptyObject {})).collect())
    };
    ImageConfig {
        user: config.user.clone(),
        exposed_ports: set(&config.exposed_ports),
        env: config.env.clone(),
        cmd: config.cmd.clone().map(StrSlice),
        healthcheck: config.healthcheck.as_ref().map(|check| HealthConfig {
            test: check.test.clone(),
            interval: check.interval,
            timeout: check.timeout,
            start_period: check.start_period,
            start_interval: check.start_interval,
            retries: check.retries,
        }),
        args_escaped: config.args_escaped,
        volumes: set(&config.volumes),
        working_dir: config.working_dir.clone(),
        entrypoint: config.entrypoint.clone().map(StrSlice),
        on_build: config.on_build.clone(),
        labels: config.labels.clone(),
        stop_signal: config.stop_signal.clone(),
        shell: config.shell.clone().map(StrSlice),
        ..ImageConfig::default()
    }
}

fn history(store: &Store, record: &ImageRecord) -> Result<Vec<ImageHistoryResponseItem>> {
    let config = store.config(&record.id)?;
    let mut chains = config.chain_ids().into_iter();
    let mut steps = Vec::new();
    for step in &config.history {
        let size = match step.empty_layer {
            true => 0,
            false => {
                let chain = chains.next();
                let chain =
                    chain.ok_or_else(|| Error::internal("too many non-empty layers in History section"))?;
                store.layer(&chain).map_or(0, |layer| layer.size)
            }
        };
        let created: Option<Timestamp> = step.created.as_ref().and_then(|text| text.parse().ok());
        steps.push(ImageHistoryResponseItem {
            comment: step.comment.clone(),
            created: created.map_or(0, Timestamp::as_second),
            created_by: step.created_by.clone(),
            id: "<missing>".to_owned(),
            size: size.try_into().unwrap_or(i64::MAX),
            tags: None,
        });
    }
    steps.reverse();
    // The steps that are images of their own: this one, and those it was committed or built from here.
    let mut current = Some(record.clone());
    for step in &mut steps {
        let Some(record) = current.take() else { break };
        step.id = record.id.to_string();
        step.tags = Some(record.names.iter().map(Reference::familiar).collect::<Vec<_>>())
            .filter(|tags| !tags.is_empty());
        current = record.parent.and_then(|parent| store.image(&parent.to_string()).ok());
    }
    Ok(steps)
}
