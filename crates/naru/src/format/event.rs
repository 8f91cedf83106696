//! `events`: one line for each thing that happened.

use api::EventMessage;
use jiff::tz::TimeZone;
use term::template::{Error, Template};

use super::schema;

/// The line of an event, without its end.
pub fn line(event: &EventMessage, zone: &TimeZone) -> String {
    let (seconds, nanoseconds) = match event.time_nano {
        0 => (event.time, 0),
        nanos => (nanos.div_euclid(1_000_000_000), nanos.rem_euclid(1_000_000_000) as i32),
    };
    let mut line = String::new();
    if event.time != 0 || event.time_nano != 0 {
        line.push_str(&term::time::rfc3339_nanos(seconds, nanoseconds, zone));
        line.push(' ');
    }
    line.push_str(&format!("{} {} {}", event.typ, event.action, event.actor.id));
    let attributes = event.actor.attributes.iter().flatten();
    let attributes: Vec<String> = attributes.map(|(key, value)| format!("{key}={value}")).collect();
    if !attributes.is_empty() {
        line.push_str(&format!(" ({})", attributes.join(", ")));
    }
    line
}

/// The line of an event by a template; `json` is the event as it came.
pub fn by_template(json: &[u8], template: &Template) -> Result<String, Error> {
    let event = schema::EVENTS.read(json).map_err(|error| Error(error.to_string()))?;
    template.execute(&event)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &[u8] = br#"{"status":"start","id":"abc","from":"busybox","Type":"container","Action":"start","Actor":{"ID":"abc","Attributes":{"image":"busybox","name":"x"}},"scope":"local","time":1700000000,"timeNano":1700000000000000001}"#;

    #[test]
    fn lines() {
        let event: EventMessage = serde_json::from_slice(EVENT).unwrap();
        assert_eq!(
            line(&event, &TimeZone::UTC),
            "2023-11-14T22:13:20.000000001Z container start abc (image=busybox, name=x)"
        );
        let event: EventMessage = serde_json::from_str(
            r#"{"Type":"volume","Action":"create","Actor":{"ID":"v","Attributes":{}},"time":5}"#,
        )
        .unwrap();
        assert_eq!(line(&event, &TimeZone::UTC), "1970-01-01T00:00:05.000000000Z volume create v");
    }

    #[test]
    fn templates_see_gos_names() {
        let by = |text: &str| by_template(EVENT, &Template::parse("", text).unwrap()).unwrap();
        assert_eq!(
            by("{{.ID}} {{.Status}} {{.Type}} {{.Actor.Attributes.name}} {{.Time}}"),
            "abc start container x 1700000000"
        );
        assert_eq!(by("{{json .}}").as_bytes(), EVENT);
    }
}
