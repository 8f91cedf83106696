//! `volume ls`: volumes.

use api::Volume;
use term::size::human;

use super::{Kind, Row, join_labels};

/// Columns of `volume ls`.
pub const KIND: Kind = Kind {
    type_name: "*formatter.volumeContext",
    columns: &[
        ("Name", "VOLUME NAME"),
        ("Driver", "DRIVER"),
        ("Scope", "SCOPE"),
        ("Mountpoint", "MOUNTPOINT"),
        ("Labels", "LABELS"),
        ("Links", "LINKS"),
        ("Size", "SIZE"),
        ("Status", "STATUS"),
        ("Availability", "AVAILABILITY"),
        ("Group", "GROUP"),
    ],
};

/// The template behind `--format`, with `--quiet`.
pub fn format(text: &str, quiet: bool) -> &str {
    match (text, quiet) {
        ("raw", true) => "name: {{.Name}}",
        ("table" | "", true) => "{{.Name}}",
        ("raw", false) => "name: {{.Name}}\ndriver: {{.Driver}}\n",
        ("table" | "", false) => "table {{.Driver}}\t{{.Name}}",
        (other, _) => other,
    }
}

/// A volume in a list.
pub fn row(volume: &Volume) -> Row {
    let none = || "N/A".to_owned();
    let usage = volume.usage_data.as_ref();
    Row {
        labels: Some(volume.labels.clone().unwrap_or_default()),
        ..Row::texts([
            ("Name", volume.name.clone()),
            ("Driver", volume.driver.clone()),
            ("Scope", volume.scope.clone()),
            ("Mountpoint", volume.mountpoint.clone()),
            ("Labels", join_labels(volume.labels.as_ref())),
            ("Links", usage.map_or_else(none, |usage| usage.ref_count.to_string())),
            ("Size", usage.map_or_else(none, |usage| human(usage.size as f64))),
            // Of cluster volumes, which exist in a swarm only.
            ("Status", none()),
            ("Availability", none()),
            ("Group", none()),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Format, render};
    use super::*;

    #[test]
    fn volumes_are_listed() {
        let volumes: Vec<Volume> = serde_json::from_str(
            r#"[{"Driver":"local","Labels":null,"Mountpoint":"/v/data/_data","Name":"data","Options":null,"Scope":"local"},
                {"Driver":"local","Labels":{"v":"1"},"Mountpoint":"/v/vol1/_data","Name":"vol1","Options":null,"Scope":"local"}]"#,
        )
        .unwrap();
        let ls = |text, quiet| {
            render(&KIND, &Format::parse(format(text, quiet)), volumes.iter().map(row)).unwrap()
        };
        assert_eq!(ls("", false), "DRIVER    VOLUME NAME\nlocal     data\nlocal     vol1\n");
        assert_eq!(ls("", true), "data\nvol1\n");
        assert_eq!(
            ls("json", false).lines().last().unwrap(),
            r#"{"Availability":"N/A","Driver":"local","Group":"N/A","Labels":"v=1","Links":"N/A","Mountpoint":"/v/vol1/_data","Name":"vol1","Scope":"local","Size":"N/A","Status":"N/A"}"#
        );
    }
}
