//! `version`: who we are, and who the engine is.

use std::rc::Rc;

use api::{ComponentVersion, SystemVersion};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use term::table::{Layout, align};
use term::template::{Nil, Struct, Value};

use super::schema;

/// This program.
#[derive(Debug, Clone)]
pub struct Client {
    /// Of the product.
    pub version: String,
    /// Spoken with this engine.
    pub api_version: String,
    /// Spoken if the engine knows it.
    pub default_api_version: String,
    /// The context in use.
    pub context: String,
}

impl Client {
    /// Field by field, with the names the stock client has.
    pub fn fields(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("Version", Value::string(&self.version)),
            ("ApiVersion", Value::string(&self.api_version)),
            ("DefaultAPIVersion", Value::string(&self.default_api_version)),
            // Of the Go tool chain; kept because templates of users name them.
            ("GitCommit", Value::string("")),
            ("GoVersion", Value::string("")),
            ("Os", Value::string(std::env::consts::OS)),
            ("Arch", Value::string(architecture())),
            ("BuildTime", Value::string("")),
            ("Context", Value::string(&self.context)),
        ]
    }
}

/// Go's name of this machine.
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        other => other,
    }
}

/// The engine's answer as the stock client shows it: an old engine becomes its own component, build times are made readable.
pub fn server(mut version: SystemVersion) -> SystemVersion {
    let mut components = version.components.take().unwrap_or_default();
    if components.is_empty() {
        let detail = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        components.push(ComponentVersion {
            name: "Engine".to_owned(),
            version: version.version.clone(),
            details: Some(
                [
                    detail("ApiVersion", &version.api_version),
                    detail("MinAPIVersion", &version.min_api_version),
                    detail("GitCommit", &version.git_commit),
                    detail("GoVersion", &version.go_version),
                    detail("Os", &version.os),
                    detail("Arch", &version.arch),
                    detail("BuildTime", &version.build_time),
                    detail("Experimental", &version.experimental.to_string()),
                ]
                .into(),
            ),
        });
    }
    for details in components.iter_mut().filter_map(|component| component.details.as_mut()) {
        if let Some(time) = details.get_mut("BuildTime")
            && let Ok(parsed) = time.parse::<Timestamp>()
        {
            *time = term::time::ansic(parsed, &TimeZone::UTC);
        }
    }
    version.components = Some(components);
    version
}

/// Both as one object for templates.
pub fn document(client: &Client, server: Option<&SystemVersion>) -> Value {
    let object = |type_name, fields: Vec<(&'static str, Value)>| {
        let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let schema = schema::OBJECTS;
        Value::Struct(Rc::new(Struct {
            type_name,
            fields,
            absent: schema.absent,
            alias: schema.alias,
            label: None,
        }))
    };
    let server = server.map(|server| serde_json::to_vec(server).unwrap_or_default());
    let server = server.and_then(|json| schema::OBJECTS.read(&json).ok()).unwrap_or(Value::Nil(Nil::Pointer));
    object(
        "system.versionInfo",
        vec![("Client", object("system.clientVersion", client.fields())), ("Server", server)],
    )
}

/// Both as text.
pub fn text(client: &Client, server: Option<&SystemVersion>) -> String {
    let mut out = String::from("Client: Naru\n");
    let mut line =
        |indent: &str, name: &str, value: &str| out.push_str(&format!("{indent}{name}:\t{value}\n"));
    let downgraded = match client.api_version == client.default_api_version {
        true => String::new(),
        false => format!(" (downgraded from {})", client.default_api_version),
    };
    line(" ", "Version", &client.version);
    line(" ", "API version", &format!("{}{downgraded}", client.api_version));
    line(" ", "OS/Arch", &format!("{}/{}", std::env::consts::OS, architecture()));
    line(" ", "Context", &client.context);
    if let Some(server) = server {
        out.push_str("\nServer:");
        if !server.platform.name.is_empty() {
            out.push_str(&format!(" {}", server.platform.name));
        }
        out.push('\n');
        server.components.iter().flatten().for_each(|part| component(part, &mut out));
    }
    align(&out, Layout::VERSION)
}

fn component(part: &ComponentVersion, out: &mut String) {
    let details = part.details.clone().unwrap_or_default();
    let detail = |name: &str| details.get(name).cloned().unwrap_or_default();
    let mut lines = vec![("Version", part.version.clone())];
    if part.name == "Engine" {
        let known = [
            (
                "API version",
                format!("{} (minimum version {})", detail("ApiVersion"), detail("MinAPIVersion")),
            ),
            ("Go version", detail("GoVersion")),
            ("Git commit", detail("GitCommit")),
            ("Built", detail("BuildTime")),
            ("OS/Arch", format!("{}/{}", detail("Os"), detail("Arch"))),
            ("Experimental", detail("Experimental")),
        ];
        lines.extend(known.into_iter().filter(|(_, value)| !value.is_empty()));
    } else {
        lines.extend(details.iter().map(|(name, value)| (name.as_str(), value.clone())));
    }
    out.push_str(&format!(" {}:\n", part.name));
    lines.iter().for_each(|(name, value)| out.push_str(&format!("  {name}:\t{value}\n")));
}

#[cfg(test)]
mod tests {
    use super::*;
    use term::template::Template;

    fn client() -> Client {
        Client {
            version: "0.1.0".to_owned(),
            api_version: "1.41".to_owned(),
            default_api_version: "1.51".to_owned(),
            context: "default".to_owned(),
        }
    }

    const SERVER: &str = r#"{"Platform":{"Name":""},"Components":[
        {"Name":"Engine","Version":"20.10.24","Details":{"ApiVersion":"1.41","Arch":"amd64","BuildTime":"2026-05-07T21:09:36.000000000+00:00","Experimental":"false","GitCommit":"5d6db84","GoVersion":"go1.19.8","KernelVersion":"6.18","MinAPIVersion":"1.12","Os":"linux"}},
        {"Name":"containerd","Version":"1.6.20","Details":{"GitCommit":"deb12u3"}}],
        "Version":"20.10.24","ApiVersion":"1.41","MinAPIVersion":"1.12","GitCommit":"5d6db84","GoVersion":"go1.19.8","Os":"linux","Arch":"amd64","BuildTime":"2026-05-07T21:09:36.000000000+00:00"}"#;

    #[test]
    fn both_sides() {
        let server = server(serde_json::from_str(SERVER).unwrap());
        let text = text(&client(), Some(&server));
        let (client, server) = text.split_once("\n\n").unwrap();
        assert!(client.starts_with(
            "Client: Naru\n Version:           0.1.0\n API version:       1.41 (downgraded from 1.51)\n OS/Arch:           "
        ));
        assert_eq!(
            server,
            "\
Server:
 Engine:
  Version:          20.10.24
  API version:      1.41 (minimum version 1.12)
  Go version:       go1.19.8
  Git commit:       5d6db84
  Built:            Thu May  7 21:09:36 2026
  OS/Arch:          linux/amd64
  Experimental:     false
 containerd:
  Version:          1.6.20
  GitCommit:        deb12u3
"
        );
    }

    #[test]
    fn templates() {
        let server = server(serde_json::from_str(SERVER).unwrap());
        let render = |text: &str, server| {
            Template::parse("version", text).unwrap().execute(&document(&client(), server))
        };
        assert_eq!(
            render(
                "{{.Client.Version}} {{.Client.APIVersion}} {{.Server.Version}} {{.Server.APIVersion}}",
                Some(&server)
            )
            .unwrap(),
            "0.1.0 1.41 20.10.24 1.41"
        );
        assert_eq!(render("{{.Server}}", None).unwrap(), "<nil>");
        assert_eq!(
            render("{{.Nope}}", None).unwrap_err().0,
            "template: version:1:2: executing \"version\" at <.Nope>: can't evaluate field Nope in type system.versionInfo"
        );
    }

    #[test]
    fn an_old_engine_is_its_own_component() {
        let old = SystemVersion {
            version: "1.12".to_owned(),
            api_version: "1.24".to_owned(),
            ..Default::default()
        };
        assert!(text(&client(), Some(&server(old))).contains(" Engine:\n  Version:          1.12\n"));
    }
}
