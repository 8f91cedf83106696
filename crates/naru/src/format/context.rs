//! `context ls`: the engines a user knows.

use term::template::Value;

use super::{Kind, Row};

/// Columns of `context ls`.
pub const KIND: Kind = Kind {
    type_name: "*formatter.clientContextContext",
    columns: &[
        ("Name", "NAME"),
        ("Current", ""),
        ("Description", "DESCRIPTION"),
        ("DockerEndpoint", "DOCKER ENDPOINT"),
        ("Error", "ERROR"),
    ],
};

/// The template behind `--format`, with `--quiet`.
pub fn format(text: &str, quiet: bool) -> &str {
    match (text, quiet) {
        ("table" | "", true) => "{{.Name}}",
        ("table" | "", false) => {
            "table {{.Name}}{{if .Current}} *{{end}}\t{{.Description}}\t{{.DockerEndpoint}}\t{{.Error}}"
        }
        (other, _) => other,
    }
}

/// One context.
#[derive(Debug, Default)]
pub struct Entry {
    /// `default` or a name of the user's.
    pub name: String,
    /// Whether commands go there now.
    pub current: bool,
    /// What the user wrote about it.
    pub description: String,
    /// `unix:///…`, `tcp://…`, `ssh://…`
    pub endpoint: String,
    /// Why it can't be read.
    pub error: String,
}

/// A context in the list.
pub fn row(entry: &Entry) -> Row {
    let error = entry.error.clone();
    // A long error would push the table off the screen.
    let error = if error.len() > 45 { format!("{}...", term::width::truncate(&error, 42)) } else { error };
    let mut row = Row::texts([
        ("Name", entry.name.clone()),
        ("Description", entry.description.clone()),
        ("DockerEndpoint", entry.endpoint.clone()),
        ("Error", error),
    ]);
    row.fields.push(("Current", Value::Bool(entry.current)));
    row
}

#[cfg(test)]
mod tests {
    use super::super::{Format, render};
    use super::*;

    #[test]
    fn the_current_one_has_a_star() {
        let entries = [
            Entry {
                name: "default".to_owned(),
                current: true,
                description: "Current DOCKER_HOST based configuration".to_owned(),
                endpoint: "unix:///run/x.sock".to_owned(),
                ..Entry::default()
            },
            Entry { name: "far".to_owned(), endpoint: "ssh://far".to_owned(), ..Entry::default() },
        ];
        let ls = |text, quiet| {
            render(&KIND, &Format::parse(format(text, quiet)), entries.iter().map(row)).unwrap()
        };
        assert_eq!(
            ls("", false),
            "\
NAME        DESCRIPTION                               DOCKER ENDPOINT      ERROR
default *   Current DOCKER_HOST based configuration   unix:///run/x.sock   
far                                                   ssh://far            
"
        );
        assert_eq!(ls("", true), "default\nfar\n");
        assert_eq!(
            ls("json", false).lines().next().unwrap(),
            r#"{"Current":true,"Description":"Current DOCKER_HOST based configuration","DockerEndpoint":"unix:///run/x.sock","Error":"","Name":"default"}"#
        );
    }
}
