//! `network ls`: networks.

use api::Network;

use super::{Clock, Kind, Row, join_labels, short_id};

/// Columns of `network ls`.
pub const KIND: Kind = Kind {
    type_name: "*network.networkContext",
    columns: &[
        ("ID", "NETWORK ID"),
        ("Name", "NAME"),
        ("Driver", "DRIVER"),
        ("Scope", "SCOPE"),
        ("IPv4", "IPV4"),
        ("IPv6", "IPV6"),
        ("Internal", "INTERNAL"),
        ("Labels", "LABELS"),
        ("CreatedAt", "CREATED AT"),
    ],
};

/// The template behind `--format`, with `--quiet`.
pub fn format(text: &str, quiet: bool) -> &str {
    match (text, quiet) {
        ("raw", true) => "network_id: {{.ID}}",
        ("table" | "", true) => "{{.ID}}",
        ("raw", false) => "network_id: {{.ID}}\nname: {{.Name}}\ndriver: {{.Driver}}\nscope: {{.Scope}}\n",
        ("table" | "", false) => "table {{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}",
        (other, _) => other,
    }
}

/// A network in a list.
pub fn row(network: &Network, truncate: bool, clock: &Clock) -> Row {
    let id = if truncate { short_id(&network.id) } else { &network.id };
    Row {
        labels: Some(network.labels.clone().unwrap_or_default()),
        ..Row::texts([
            ("ID", id.to_owned()),
            ("Name", network.name.clone()),
            ("Driver", network.driver.clone()),
            ("Scope", network.scope.clone()),
            ("IPv4", network.enable_ipv4.to_string()),
            ("IPv6", network.enable_ipv6.to_string()),
            ("Internal", network.internal.to_string()),
            ("Labels", join_labels(network.labels.as_ref())),
            ("CreatedAt", term::time::go_string_of(&network.created, &clock.zone)),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::clock;
    use super::super::{Format, render};
    use super::*;

    const NETWORKS: &str = r#"[
        {"Name":"bridge","Id":"f70de801451432e48a771ff45849d9758f61b25c18a777fa9470b54d99f223ac","Created":"2026-11-26T01:56:43.733457375Z","Scope":"local","Driver":"bridge","EnableIPv6":false,"Labels":{}},
        {"Name":"net1","Id":"39dcb0ef05cb17e78dc8a01493f50a2afd7c75fb4f20a6dc317b14405a9f39f9","Created":"2026-11-26T01:57:03Z","Scope":"local","Driver":"bridge","EnableIPv4":true,"Labels":{"n":"1","a":"2"}}
    ]"#;

    fn ls(text: &str, quiet: bool) -> String {
        let networks: Vec<Network> = serde_json::from_str(NETWORKS).unwrap();
        let rows = networks.iter().map(|network| row(network, true, &clock()));
        render(&KIND, &Format::parse(format(text, quiet)), rows).unwrap()
    }

    #[test]
    fn networks_are_listed() {
        assert_eq!(
            ls("", false),
            "\
NETWORK ID     NAME      DRIVER    SCOPE
f70de8014514   bridge    bridge    local
39dcb0ef05cb   net1      bridge    local
"
        );
        assert_eq!(ls("table", true), "f70de8014514\n39dcb0ef05cb\n");
        assert_eq!(
            ls("{{.Name}} {{.IPv4}} {{.Labels}} {{.CreatedAt}}", false),
            "bridge false  2026-11-26 01:56:43.733457375 +0000 UTC\nnet1 true a=2,n=1 2026-11-26 01:57:03 +0000 UTC\n"
        );
    }
}
