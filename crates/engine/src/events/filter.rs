//! Which events a subscriber wants (moby's `daemon/events/filter.go`). Pure.

use api::{EventMessage, Filters};

use crate::error::Result;

const KNOWN: &[&str] = &[
    "config",
    "container",
    "daemon",
    "event",
    "image",
    "label",
    "network",
    "node",
    "plugin",
    "scope",
    "secret",
    "service",
    "type",
    "volume",
];
/// Actions with a detail behind a colon: these match by their beginning.
const WITH_DETAIL: &[&str] = &["exec_create", "exec_start", "health_status"];
/// Filters that name an object of their own type, by the beginning of id or name.
const OBJECTS: &[&str] =
    &["container", "daemon", "network", "volume", "plugin", "service", "node", "secret", "config"];

/// Checks the filters' names.
pub(crate) fn check(filters: &Filters) -> Result<()> {
    Ok(filters.validate(KNOWN)?)
}

/// Whether an event passes all filters.
pub(crate) fn matches(filters: &Filters, event: &EventMessage) -> bool {
    let action = || {
        let by_beginning = WITH_DETAIL.iter().any(|name| filters.get("event").any(|value| value == *name));
        match by_beginning {
            true => filters.matches_any("event", |value| event.action.starts_with(value)),
            false => filters.matches("event", &event.action),
        }
    };
    let object = |kind: &&str| {
        if !filters.contains(kind) {
            return true;
        }
        let name = attribute(event, "name");
        let own = event.typ == **kind
            && filters.matches_any(kind, |value| {
                event.actor.id.starts_with(value) || name.is_some_and(|name| name.starts_with(value))
            });
        // Events of networks and volumes name the container they concern.
        let concerned = *kind == "container"
            && attribute(event, "container")
                .is_some_and(|id| filters.matches_any(kind, |value| id.starts_with(value)));
        own || concerned
    };
    action()
        && filters.matches("type", &event.typ)
        && filters.matches("scope", &event.scope)
        && OBJECTS.iter().all(object)
        && image(filters, event)
        && filters.matches_labels("label", event.actor.attributes.as_ref())
}

fn image(filters: &Filters, event: &EventMessage) -> bool {
    if !filters.contains("image") {
        return true;
    }
    let name = match event.typ.as_str() {
        "image" => attribute(event, "name"),
        _ => attribute(event, "image"),
    };
    let without_tag = |name: &str| match name.rsplit_once(':') {
        Some((bare, tag)) if !tag.contains('/') => bare.to_owned(),
        _ => name.to_owned(),
    };
    filters.matches("image", &event.actor.id)
        || name.is_some_and(|name| {
            filters.matches("image", name) || filters.matches("image", &without_tag(name))
        })
}

fn attribute<'a>(event: &'a EventMessage, key: &str) -> Option<&'a str> {
    event.actor.attributes.as_ref()?.get(key).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(typ: &str, action: &str, attributes: &str) -> EventMessage {
        EventMessage {
            typ: typ.into(),
            action: action.into(),
            actor: api::EventActor {
                id: "abc123".into(),
                attributes: Some(serde_json::from_str(attributes).unwrap()),
            },
            scope: "local".into(),
            ..Default::default()
        }
    }

    #[test]
    fn filters_select_as_dockers_do() {
        let start = event("container", "start", r#"{"name":"web","image":"nginx:1.27","a":"b"}"#);
        let health = event("container", "health_status: healthy", r#"{"name":"web","image":"nginx"}"#);
        let pull = event("image", "pull", r#"{"name":"localhost:5000/nginx"}"#);
        let connect = event("network", "connect", r#"{"name":"bridge","container":"fee1"}"#);
        let check = |json: &str, expected: [bool; 4]| {
            let filters = Filters::parse(json).unwrap();
            let got = [&start, &health, &pull, &connect].map(|event| matches(&filters, event));
            assert_eq!(got, expected, "{json}");
        };
        check("{}", [true; 4]);
        check(r#"{"type":["container"]}"#, [true, true, false, false]);
        check(r#"{"event":["start"]}"#, [true, false, false, false]);
        check(r#"{"event":["health_status"]}"#, [false, true, false, false]);
        check(r#"{"event":["health_status: healthy"]}"#, [false, true, false, false]);
        check(r#"{"container":["we"]}"#, [true, true, false, false]);
        check(r#"{"container":["fee1"]}"#, [false, false, false, true]);
        check(r#"{"image":["nginx"]}"#, [true, true, false, false]);
        check(r#"{"image":["localhost:5000/nginx"]}"#, [false, false, true, false]);
        check(r#"{"label":["a=b"]}"#, [true, false, false, false]);
        check(r#"{"network":["bridge"]}"#, [false, false, false, true]);
        check(r#"{"scope":["swarm"]}"#, [false; 4]);
        assert!(super::check(&Filters::parse(r#"{"color":["red"]}"#).unwrap()).is_err());
    }
}
