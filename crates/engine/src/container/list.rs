//! `docker ps`: which containers, in which order, and what is shown of each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ::image::Digest;
use api::*;
use jiff::Timestamp;

use super::inspect::network_settings;
use super::model::Container;
use super::record::Record;
use super::status::{Life, parse_time};
use super::{create::ports, spec};
use crate::Engine;
use crate::blocking::blocking;
use crate::error::{Error, Result};
use crate::pattern;

const FILTERS: &[&str] = &[
    "ancestor",
    "before",
    "exited",
    "expose",
    "health",
    "id",
    "is-task",
    "isolation",
    "label",
    "name",
    "network",
    "publish",
    "since",
    "status",
    "volume",
];
const STATUSES: &[&str] = &["created", "restarting", "running", "removing", "paused", "exited", "dead"];
const HEALTH: &[&str] = &["none", "starting", "healthy", "unhealthy"];

impl Engine {
    pub async fn container_list(&self, query: ContainerListQuery) -> Result<Vec<ContainerSummary>> {
        let engine = self.arc()?;
        blocking(move || engine.list(&query)).await
    }

    fn list(&self, query: &ContainerListQuery) -> Result<Vec<ContainerSummary>> {
        let filter = Filter::new(self, &query.filters)?;
        let mut all: Vec<(Arc<Container>, Arc<Record>)> = self
            .containers
            .all()
            .into_iter()
            .map(|container| (container.clone(), container.record()))
            .collect();
        all.sort_by(|(_, a), (_, b)| b.created.cmp(&a.created).then_with(|| a.id.cmp(&b.id)));
        let any_state = query.all || query.limit > 0 || filter.names_a_state();
        let limit = usize::try_from(query.limit).ok().filter(|limit| *limit > 0).unwrap_or(usize::MAX);
        let now = Timestamp::now();
        let mut link_names = self.link_names();
        let mut list = Vec::new();
        for (container, record) in all {
            let life = container.life();
            if list.len() >= limit {
                break;
            }
            if (any_state || life.status.is_up()) && filter.accepts(self, &record, &life)? {
                let mut summary = self.summary(&container, &record, &life, now, query.size);
                summary
                    .names
                    .get_or_insert_default()
                    .extend(link_names.remove(&record.id).unwrap_or_default());
                list.push(summary);
            }
        }
        Ok(list)
    }

    fn summary(
        &self,
        container: &Container,
        record: &Record,
        life: &Life,
        now: Timestamp,
        size: bool,
    ) -> ContainerSummary {
        let settings = network_settings(self, container, record, life);
        let (size_rw, size_root_fs) = if size { self.sizes(record).unwrap_or((0, 0)) } else { (0, 0) };
        ContainerSummary {
            id: record.id.clone(),
            names: Some(vec![format!("/{}", record.name)]),
            image: self.shown_image(record),
            image_id: record.image_id.clone(),
            image_manifest_descriptor: record.manifest.clone(),
            command: command_line(record),
            created: parse_time(&record.created).map_or(0, |time| time.as_second()),
            ports: Some(shown_ports(&settings)),
            size_rw,
            size_root_fs,
            labels: Some(record.config.labels.clone().unwrap_or_default()),
            state: life.status.name().to_owned(),
            status: life.text(now),
            host_config: ContainerSummaryHostConfig {
                network_mode: record.host.network_mode.clone(),
                annotations: record.host.annotations.clone(),
            },
            network_settings: Some(ContainerSummaryNetworkSettings { networks: settings.networks }),
            mounts: Some(record.mounts.iter().map(|mount| mount.wire()).collect()),
        }
    }

    /// The image as it was asked for, or its id once that name means another image.
    fn shown_image(&self, record: &Record) -> String {
        let asked = &record.config.image;
        match self.store.image(asked) {
            Ok(image) if image.id.to_string() == record.image_id => asked.clone(),
            _ if record.image_id.is_empty() => asked.clone(),
            _ => record.image_id.clone(),
        }
    }

    /// Bytes of a container's own files, and with its image's.
    pub(crate) fn sizes(&self, record: &Record) -> Result<(i64, i64)> {
        let own = i64::try_from(self.store.size_rw(&record.rootfs)?).unwrap_or(i64::MAX);
        let id = record.image_id.parse::<Digest>();
        let image = id.ok().and_then(|id| self.store.image_by_id(&id).ok()).map_or(0, |image| image.size);
        Ok((own, own.saturating_add(i64::try_from(image).unwrap_or(i64::MAX))))
    }
}

/// As `ps` prints it: words with spaces in quotes.
fn command_line(record: &Record) -> String {
    let words = spec::command(&record.config);
    let words: Vec<String> = words
        .into_iter()
        .enumerate()
        .map(|(at, word)| match at > 0 && word.contains(' ') {
            true => format!("'{word}'"),
            false => word,
        })
        .collect();
    words.join(" ")
}

fn shown_ports(settings: &NetworkSettings) -> Vec<Port> {
    let mut list = Vec::new();
    for (key, bindings) in settings.ports.iter().flatten() {
        let Ok((private_port, proto)) = ports::container_port(key) else { continue };
        let port = Port { private_port, typ: proto.name().to_owned(), ..Port::default() };
        match bindings {
            Some(bindings) if !bindings.is_empty() => list.extend(bindings.iter().map(|binding| Port {
                ip: binding.host_ip.clone(),
                public_port: binding.host_port.parse().unwrap_or(0),
                ..port.clone()
            })),
            _ => list.push(port),
        }
    }
    list
}

/// The filters, with what they name looked up.
struct Filter<'a> {
    filters: &'a Filters,
    exited: Vec<i64>,
    before: Option<String>,
    since: Option<String>,
    /// Image ids; None when the filter is not given.
    ancestors: Option<BTreeSet<String>>,
    ports: BTreeMap<&'static str, Vec<(u16, u16, String)>>,
}

impl<'a> Filter<'a> {
    fn new(engine: &Engine, filters: &'a Filters) -> Result<Self> {
        filters.validate(FILTERS)?;
        let invalid = |key: &str, value: &str| Error::invalid(format!("invalid filter '{key}={value}'"));
        let exited = filters
            .get("exited")
            .map(|text| text.parse().map_err(|_| invalid("exited", text)))
            .collect::<Result<_>>()?;
        for (key, known) in [("status", STATUSES), ("health", HEALTH)] {
            if let Some(value) = filters.get(key).find(|value| !known.contains(value)) {
                return Err(invalid(key, value));
            }
        }
        filters.boolean("is-task", false)?;
        let created = |key: &str| -> Result<Option<String>> {
            let references =
                filters.get(key).map(|name| Ok(engine.containers.find(name)?.record().created.clone()));
            let times = references.collect::<Result<Vec<_>>>()?;
            Ok(if key == "before" { times.into_iter().min() } else { times.into_iter().max() })
        };
        let mut port_filters = BTreeMap::new();
        for key in ["publish", "expose"] {
            let parsed = filters.get(key).map(|text| port_range(text).ok_or_else(|| invalid(key, text)));
            port_filters.insert(key, parsed.collect::<Result<Vec<_>>>()?);
        }
        Ok(Self {
            exited,
            before: created("before")?,
            since: created("since")?,
            ancestors: ancestors(engine, filters),
            ports: port_filters,
            filters,
        })
    }

    /// A filter that speaks of containers that do not run shows them.
    fn names_a_state(&self) -> bool {
        self.filters.contains("status")
            || !self.exited.is_empty()
            || self.before.is_some()
            || self.since.is_some()
    }

    fn accepts(&self, engine: &Engine, record: &Record, life: &Life) -> Result<bool> {
        let filters = self.filters;
        let health = life.health.as_ref().map_or("none", |health| health.status.as_str());
        let exit_matches = self.exited.is_empty()
            || (!life.status.is_up() && life.finished.is_some() && self.exited.contains(&life.exit_code));
        let plain = filters.matches_any("id", |id| record.id.starts_with(id))
            && filters.matches_any("name", |pattern| name_matches(pattern, &record.name))
            && filters.matches("status", life.status.name())
            && filters.matches("health", health)
            && filters.matches_any("isolation", |value| matches!(value, "" | "default"))
            && filters.matches_labels("label", record.config.labels.as_ref())
            && !filters.boolean("is-task", false)?
            && self.before.as_ref().is_none_or(|before| record.created < *before)
            && self.since.as_ref().is_none_or(|since| record.created > *since)
            && self.ancestors.as_ref().is_none_or(|ids| ids.contains(&record.image_id))
            && exit_matches;
        Ok(plain
            && self.volume_matches(record)
            && self.network_matches(engine, record)
            && self.ports_match(record))
    }

    fn volume_matches(&self, record: &Record) -> bool {
        self.filters.matches_any("volume", |wanted| {
            record
                .mounts
                .iter()
                .any(|mount| mount.name == wanted || mount.destination == wanted || mount.source == wanted)
        })
    }

    fn network_matches(&self, engine: &Engine, record: &Record) -> bool {
        self.filters.matches_any("network", |wanted| {
            let id = engine.networks.get(wanted).map(|network| network.id);
            let mode = record.host.network_mode.as_str();
            std::iter::once(mode).chain(record.endpoints.keys().map(String::as_str)).any(|name| {
                name == wanted
                    || id
                        .as_ref()
                        .is_ok_and(|id| engine.networks.get(name).is_ok_and(|network| network.id == *id))
            })
        })
    }

    fn ports_match(&self, record: &Record) -> bool {
        let exposed = record.config.exposed_ports.iter().flatten().map(|(key, _)| key);
        let published = record.host.port_bindings.iter().flatten().map(|(key, _)| key);
        let any = |wanted: &[(u16, u16, String)], keys: &mut dyn Iterator<Item = &String>| {
            wanted.is_empty()
                || keys.filter_map(|key| ports::container_port(key).ok()).any(|(port, proto)| {
                    wanted.iter().any(|(first, last, name)| {
                        (*first..=*last).contains(&port) && (name.is_empty() || name == proto.name())
                    })
                })
        };
        any(&self.ports["expose"], &mut exposed.chain(published.clone()))
            && any(&self.ports["publish"], &mut { published })
    }
}

/// `80`, `80/tcp`, `80-90/udp`.
fn port_range(text: &str) -> Option<(u16, u16, String)> {
    let (range, proto) = text.split_once('/').unwrap_or((text, ""));
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    Some((first.parse().ok()?, last.parse().ok()?, proto.to_owned()))
}

/// The ids of images that containers may come from: those named, and what was made from them.
fn ancestors(engine: &Engine, filters: &Filters) -> Option<BTreeSet<String>> {
    if !filters.contains("ancestor") {
        return None;
    }
    let mut ids = BTreeSet::new();
    let mut queue: Vec<Digest> = filters
        .get("ancestor")
        .filter_map(|name| engine.store.image(name).ok())
        .map(|image| image.id)
        .collect();
    while let Some(id) = queue.pop() {
        if ids.insert(id.to_string()) {
            queue.extend(engine.store.children(&id).unwrap_or_default());
        }
    }
    Some(ids)
}

/// With the slash or without.
fn name_matches(pattern: &str, name: &str) -> bool {
    pattern::matches(pattern, name) || pattern::matches(pattern, &format!("/{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_as_parts_anchored_or_not() {
        for (pattern, name, want) in [
            ("web", "my_web_1", true),
            ("/web", "web", true),
            ("^web", "my_web", false),
            ("^/web$", "web", true),
            ("web$", "my_web", true),
            ("^web$", "web1", false),
        ] {
            assert_eq!(name_matches(pattern, name), want, "{pattern} {name}");
        }
    }

    #[test]
    fn port_filters() {
        assert_eq!(port_range("80"), Some((80, 80, String::new())));
        assert_eq!(port_range("80-90/udp"), Some((80, 90, "udp".into())));
        assert_eq!(port_range("x"), None);
    }
}
