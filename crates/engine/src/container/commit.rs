//! A container's changes as a new image (moby `daemon/commit.go`).

use std::sync::Arc;

use ::image::{Digest, History, ImageConfig, Platform, Reference};
use api::*;
use jiff::Timestamp;
use store::Store;

use super::create::merge::merge;
use super::record::Record;
use super::status::Status;
use crate::Engine;
use crate::blocking::blocking;
use crate::error::{Error, Result};
use crate::images::repository_and_tag;

/// What a container has and an image has not: whose terminal and name it was says nothing about the next container.
const CONTAINERS_OWN: [&str; 10] = [
    "Hostname",
    "Domainname",
    "AttachStdin",
    "AttachStdout",
    "AttachStderr",
    "Tty",
    "OpenStdin",
    "StdinOnce",
    "Image",
    "MacAddress",
];
/// Of older engines' images: what they were made by, which is not what this one is made by.
const STALE: [&str; 5] = ["container", "container_config", "docker_version", "id", "parent"];

impl Engine {
    pub async fn commit(&self, query: CommitQuery, config: Option<ContainerConfig>) -> Result<IdResponse> {
        let container = self.containers.find(&query.container)?;
        let name = repository_and_tag(&query.repo, &query.tag)?;
        let refuse = |what: &str| {
            Err(Error::conflict(format!("You cannot commit container {} which is {what}", container.id)))
        };
        match container.status() {
            Status::Dead => return refuse("Dead"),
            Status::Removing => return refuse("being removed"),
            _ => {}
        }
        let record = container.record();
        let config = new_config(&record, config, &query.changes)?;
        let pauses = query.pause.unwrap_or(true) && matches!(container.status(), Status::Running(_));
        // Ended by itself meanwhile: then it stands still, too.
        let paused = pauses && self.container_pause(&container.id).await.is_ok();
        let plan = Commit {
            store: self.store.clone(),
            record: Arc::clone(&record),
            config,
            author: query.author,
            comment: query.comment.clone(),
            name: name.clone(),
        };
        let made = blocking(move || plan.execute()).await;
        if paused && let Err(error) = self.container_unpause(&container.id).await {
            tracing::warn!(container = container.id, %error, "a container stays paused after its commit");
        }
        let id = made?;
        // The container runs again meanwhile.
        let store = self.store.clone();
        blocking(move || Ok(store.flush()?)).await?;
        let shown = name.as_ref().map(Reference::familiar).unwrap_or_default();
        if !shown.is_empty() {
            self.image_event("tag", &id, &shown);
        }
        let attributes = [("comment", query.comment), ("imageID", id.to_string()), ("imageRef", shown)];
        self.container_event(&container, "commit", &attributes);
        Ok(IdResponse { id: id.to_string() })
    }
}

/// The image's configuration: what the client sends, or the container's, with the changes applied; where it says nothing,
/// the container's counts.
fn new_config(
    record: &Record,
    asked: Option<ContainerConfig>,
    changes: &[String],
) -> Result<::image::ContainerConfig> {
    let own = as_image(&record.config)?;
    let mut config = match &asked {
        Some(config) => as_image(config)?,
        None => own.clone(),
    };
    // One parameter may hold several lines.
    for change in changes.iter().flat_map(|change| change.lines()).filter(|change| !change.trim().is_empty())
    {
        config.apply_change(change).map_err(|error| Error::invalid(error.to_string()))?;
    }
    let mut merged = as_container(&config)?;
    merge(&mut merged, &own);
    as_image(&merged)
}

/// Both types are Docker's JSON.
fn convert<From: serde::Serialize, To: serde::de::DeserializeOwned>(config: &From) -> Result<To> {
    serde_json::to_value(config)
        .and_then(serde_json::from_value)
        .map_err(|error| Error::host("convert a container's configuration", error))
}

fn as_image(config: &ContainerConfig) -> Result<::image::ContainerConfig> {
    let mut config: ::image::ContainerConfig = convert(config)?;
    config.extra.retain(|key, _| !CONTAINERS_OWN.contains(&key.as_str()));
    Ok(config)
}

fn as_container(config: &::image::ContainerConfig) -> Result<ContainerConfig> {
    convert(config)
}

/// A commit, decided.
struct Commit {
    store: Store,
    record: Arc<Record>,
    config: ::image::ContainerConfig,
    author: String,
    comment: String,
    name: Option<Reference>,
}

impl Commit {
    fn execute(self) -> Result<Digest> {
        let _lease = self.store.lease();
        let parent: Option<Digest> = match self.record.image_id.as_str() {
            "" => None,
            id => Some(id.parse().map_err(|error| Error::host("read the container's image", error))?),
        };
        let (mut image, mut layers) = match &parent {
            Some(id) => {
                // An image for another platform than its name stands for has no entry of its own.
                let own = self.record.manifest.as_ref().and_then(|manifest| manifest.digest.parse().ok());
                let manifest = match own {
                    Some(manifest) => manifest,
                    None => self.store.image_by_id(id)?.manifest,
                };
                (ImageConfig::clone(&*self.store.config(id)?), self.store.manifest(&manifest)?.layers.clone())
            }
            None => {
                let platform = Platform::host();
                let blank = ImageConfig {
                    architecture: platform.architecture,
                    variant: platform.variant,
                    os: platform.os,
                    ..ImageConfig::default()
                };
                (blank, Vec::new())
            }
        };
        let below = image.chain_ids().pop();
        let changed = self.store.commit_layer(&self.record.rootfs, below.as_ref())?;
        let empty_layer = changed.is_none();
        if let Some((layer, diff_id)) = changed {
            image.rootfs.diff_ids.push(diff_id);
            layers.push(layer);
        }
        let created = Some(Timestamp::now().to_string());
        let command = self.record.config.cmd.as_ref().map(|words| words.join(" ")).unwrap_or_default();
        image.created.clone_from(&created);
        image.author.clone_from(&self.author);
        image.config = Some(self.config);
        image.extra.retain(|key, _| !STALE.contains(&key.as_str()));
        image.history.push(History {
            created,
            author: self.author,
            created_by: command,
            comment: self.comment,
            empty_layer,
        });
        Ok(self.store.create_image(&image, layers, parent.as_ref(), self.name.as_ref())?.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::model::Container;
    use crate::testing::{self, world};

    /// A container that has one more file than its image.
    fn web(engine: &Engine) -> Arc<Container> {
        let changes = ["CMD [\"serve\"]", "ENV A=1", "LABEL l=image"];
        let image = testing::image(engine, "app", &[("etc/conf", "image")], &changes);
        let web = testing::container_on(engine, "web", &image, |record| {
            let own = r#"{"Hostname":"box","Tty":true,"Image":"app","Cmd":["sh","-c","x"],"Env":["A=1","B=2"],"Labels":{"l":"mine"}}"#;
            record.config = serde_json::from_str(own).unwrap();
        });
        std::fs::write(web.folder.join("upper/new"), "container").unwrap();
        web
    }

    fn query(change: impl FnOnce(&mut CommitQuery)) -> CommitQuery {
        let mut query = CommitQuery { container: "web".into(), ..Default::default() };
        change(&mut query);
        query
    }

    #[test]
    fn an_image_of_a_container_has_its_files_and_its_configuration() {
        world(async |engine| {
            let web = web(engine);
            let made = engine.commit(
                query(|query| {
                    query.repo = "made".into();
                    query.author = "me".into();
                    query.comment = "why".into();
                    query.changes = vec!["ENV C=3".into(), "EXPOSE 80\nUSER app".into()];
                }),
                None,
            );
            let id = made.await.unwrap().id;
            let store = &engine.store;
            let image = store.image("made:latest").unwrap();
            assert_eq!(image.id.to_string(), id);
            assert_eq!(image.parent.unwrap().to_string(), web.record().image_id);
            let config = store.config(&image.id).unwrap();
            let last = config.history.last().unwrap();
            assert_eq!(
                (last.created_by.as_str(), last.comment.as_str(), last.author.as_str()),
                ("sh -c x", "why", "me")
            );
            assert_eq!(
                (config.author.as_str(), config.rootfs.diff_ids.len(), config.history.len()),
                ("me", 2, 2)
            );
            let inner = config.config.as_ref().unwrap();
            assert_eq!(inner.env.as_deref().unwrap(), ["A=1", "B=2", "C=3"]);
            assert_eq!((inner.user.as_str(), inner.labels.as_ref().unwrap()["l"].as_str()), ("app", "mine"));
            assert!(inner.exposed_ports.as_ref().unwrap().contains_key("80/tcp"));
            assert!(inner.extra.is_empty(), "{:?}", inner.extra);
            let mut files: Vec<_> =
                store.list_files(&image.id, "/").unwrap().into_iter().map(|file| file.path).collect();
            files.sort();
            assert_eq!(files, [std::path::PathBuf::from("/etc"), "/new".into()]);
        });
    }

    #[test]
    fn a_configuration_sent_by_the_client_wins_where_it_says_something() {
        let record = Record::new(
            "id".into(),
            "web".into(),
            String::new(),
            String::new(),
            "linux".into(),
            serde_json::from_str(r#"{"Cmd":["sh"],"Env":["A=1"],"User":"app","StopSignal":"SIGQUIT"}"#)
                .unwrap(),
            Default::default(),
            store::Rootfs::Directory("/".into()),
        );
        let check = |asked: Option<&str>, changes: &[&str], expected: &str| {
            let asked = asked.map(|json| serde_json::from_str(json).unwrap());
            let changes: Vec<String> = changes.iter().map(|change| (*change).to_owned()).collect();
            let config = new_config(&record, asked, &changes).unwrap();
            let expected: ::image::ContainerConfig = serde_json::from_str(expected).unwrap();
            assert_eq!(config, expected);
        };
        check(None, &[], r#"{"Cmd":["sh"],"Env":["A=1"],"User":"app","StopSignal":"SIGQUIT"}"#);
        check(
            Some(r#"{"User":"other","Env":["A=2"]}"#),
            &["CMD [\"x\"]"],
            r#"{"Cmd":["x"],"Env":["A=2"],"User":"other","StopSignal":"SIGQUIT"}"#,
        );
        check(
            None,
            &["ENTRYPOINT [\"/e\"]"],
            r#"{"Entrypoint":["/e"],"Env":["A=1"],"User":"app","StopSignal":"SIGQUIT"}"#,
        );
        let error = new_config(&record, None, &["RUN x".to_owned()]).unwrap_err();
        assert_eq!(
            (error.kind, error.message.as_str()),
            (ErrorKind::InvalidParameter, "RUN is not a valid change command")
        );
    }

    #[test]
    fn a_container_without_changes_adds_no_layer() {
        world(async |engine| {
            let web = web(engine);
            std::fs::remove_file(web.folder.join("upper/new")).unwrap();
            let id = engine.commit(query(|_| {}), None).await.unwrap().id;
            let config = engine.store.config(&id.parse().unwrap()).unwrap();
            assert_eq!((config.rootfs.diff_ids.len(), config.history.last().unwrap().empty_layer), (1, true));
            let error = engine.commit(query(|query| query.repo = "UPPER".into()), None).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::InvalidParameter);
        });
    }
}
