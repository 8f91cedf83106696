//! `ps`: containers.

use api::{ContainerSummary, MountPoint};
use image::Reference;
use term::size::human_with_precision;
use term::template::{Nil, Struct, Value, quote};
use term::width::ellipsis;

use super::{Clock, Kind, Row, join_labels, ports, short_id};

/// Columns of `ps`.
pub const KIND: Kind = Kind {
    type_name: "*formatter.ContainerContext",
    columns: &[
        ("ID", "CONTAINER ID"),
        ("Names", "NAMES"),
        ("Image", "IMAGE"),
        ("Command", "COMMAND"),
        ("CreatedAt", "CREATED AT"),
        ("RunningFor", "CREATED"),
        ("Ports", "PORTS"),
        ("State", "STATE"),
        ("Status", "STATUS"),
        ("Size", "SIZE"),
        ("Labels", "LABELS"),
        ("Mounts", "MOUNTS"),
        ("LocalVolumes", "LOCAL VOLUMES"),
        ("Networks", "NETWORKS"),
        ("Platform", "PLATFORM"),
    ],
};

const TABLE: &str =
    "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}";
const RAW: &str = "container_id: {{.ID}}\nimage: {{.Image}}\ncommand: {{.Command}}\ncreated_at: {{.CreatedAt}}\nstate: {{- pad .State 1 0}}\nstatus: {{- pad .Status 1 0}}\nnames: {{.Names}}\nlabels: {{- pad .Labels 1 0}}\nports: {{- pad .Ports 1 0}}\n";

/// The template behind `--format`, with `--quiet` and `--size`.
pub fn format(text: &str, quiet: bool, size: bool) -> String {
    match (text, quiet, size) {
        ("raw", true, _) => "container_id: {{.ID}}".to_owned(),
        // Here alone `--quiet` wins over a template of the user's.
        (_, true, _) => "{{.ID}}".to_owned(),
        ("raw", _, true) => format!("{RAW}size: {{{{.Size}}}}\n"),
        ("raw", ..) => RAW.to_owned(),
        ("table" | "", _, true) => format!("{TABLE}\t{{{{.Size}}}}"),
        ("table" | "", ..) => TABLE.to_owned(),
        (other, ..) => other.to_owned(),
    }
}

/// A container in a list.
pub fn row(container: &ContainerSummary, truncate: bool, clock: &Clock) -> Row {
    let text = |text: String| Value::string(text);
    let mounts = container.mounts.as_deref().unwrap_or_default();
    let local = mounts.iter().filter(|mount| mount.driver == "local").count();
    let networks = container.network_settings.as_ref().and_then(|settings| settings.networks.as_ref());
    let networks: Vec<&str> = networks.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    let command = match truncate {
        true => ellipsis(&container.command, 20),
        false => container.command.clone(),
    };
    let id = if truncate { short_id(&container.id) } else { &container.id };
    Row {
        fields: vec![
            ("ID", Value::string(id)),
            ("Names", text(names(container, truncate))),
            ("Image", text(image(container, truncate))),
            ("Command", text(quote(&command))),
            ("CreatedAt", text(term::time::go_string(container.created, &clock.zone))),
            ("RunningFor", text(clock.ago(container.created))),
            ("Ports", text(ports::display(container.ports.as_deref().unwrap_or_default()))),
            ("State", Value::string(&container.state)),
            ("Status", Value::string(&container.status)),
            ("Size", text(size(container))),
            ("Labels", text(join_labels(container.labels.as_ref()))),
            (
                "Mounts",
                text(mounts.iter().map(|mount| mount_name(mount, truncate)).collect::<Vec<_>>().join(",")),
            ),
            ("LocalVolumes", text(local.to_string())),
            ("Networks", text(networks.join(","))),
            ("Platform", platform(container)),
        ],
        labels: Some(container.labels.clone().unwrap_or_default()),
    }
}

/// Without the leading slashes, and truncated without the names that links gave it (`/other/alias`).
fn names(container: &ContainerSummary, truncate: bool) -> String {
    let names = container.names.iter().flatten().map(|name| name.strip_prefix('/').unwrap_or(name));
    let names: Vec<&str> = names.filter(|name| !truncate || !name.contains('/')).collect();
    names.join(",")
}

fn image(container: &ContainerSummary, truncate: bool) -> String {
    if container.image.is_empty() {
        return "<no image>".to_owned();
    }
    if !truncate {
        return container.image.clone();
    }
    if short_id(&container.image_id) == short_id(&container.image) {
        return short_id(&container.image_id).to_owned();
    }
    match Reference::parse(&container.image) {
        Ok(reference) => match &reference.tag {
            Some(tag) => format!("{}:{tag}", reference.familiar_name()),
            None => reference.familiar_name(),
        },
        Err(_) => container.image.clone(),
    }
}

fn size(container: &ContainerSummary) -> String {
    let own = human_with_precision(container.size_rw as f64, 3);
    match container.size_root_fs > 0 {
        true => format!("{own} (virtual {})", human_with_precision(container.size_root_fs as f64, 3)),
        false => own,
    }
}

fn mount_name(mount: &MountPoint, truncate: bool) -> String {
    let name = if mount.name.is_empty() { &mount.source } else { &mount.name };
    if truncate { ellipsis(name, 15) } else { name.clone() }
}

/// `linux/amd64` as text, an object as JSON.
fn platform(container: &ContainerSummary) -> Value {
    let descriptor = container.image_manifest_descriptor.as_ref();
    let Some(platform) = descriptor.and_then(|descriptor| descriptor.platform.as_ref()) else {
        return Value::Nil(Nil::Pointer);
    };
    let fields = [
        ("architecture", &platform.architecture),
        ("os", &platform.os),
        ("os.version", &platform.os_version),
        ("variant", &platform.variant),
    ];
    let fields = fields
        .into_iter()
        .filter(|(name, value)| !value.is_empty() || !name.contains('.') && *name != "variant");
    let fields = fields.map(|(name, value)| (name.to_owned(), Value::string(value))).collect();
    Value::Struct(std::rc::Rc::new(Struct { fields, ..Struct::default() }))
}

#[cfg(test)]
mod tests {
    use super::super::tests::clock;
    use super::super::{Format, render};
    use super::*;

    const CONTAINERS: &str = r#"[
        {"Id":"235145bf1cb5c69805cf97cfecac91af1277d9d816775a97c537bc1d251214c8","Names":["/paused","/web/alias"],"Image":"busybox","ImageID":"sha256:c9df5f223ac75a42cc7c4d17a8803dff24f46a2b38b92865452c3d52d4d21448",
         "Command":"sleep 1000","Created":1795521599,"Ports":[],"Labels":{"a":"b"},"State":"paused","Status":"Up Less than a second (Paused)","HostConfig":{},"NetworkSettings":{"Networks":{"bridge":{}}},"Mounts":[]},
        {"Id":"18713df36f1290031d4dac180c583a255a9ed2541abac44a1fa9e1b66287fde8","Names":["/db"],"Image":"reg.example/team/db:1@sha256:c9df5f223ac75a42cc7c4d17a8803dff24f46a2b38b92865452c3d52d4d21448","ImageID":"sha256:1",
         "Command":"sh -c 'while true; do echo hello; done'","Created":1795514400,"Ports":[{"IP":"0.0.0.0","PrivatePort":80,"PublicPort":8080,"Type":"tcp"}],"SizeRw":1234,"SizeRootFs":1980000,
         "Labels":null,"State":"running","Status":"Up 2 hours (healthy)","HostConfig":{},"NetworkSettings":null,"Mounts":[{"Name":"a-volume-with-a-long-name","Driver":"local","Source":"/x","Destination":"/y"}]},
        {"Id":"a8fc","Names":null,"Image":"sha256:c9df5f223ac75a42cc7c4d17a8803dff24f46a2b38b92865452c3d52d4d21448","ImageID":"sha256:c9df5f223ac75a42cc7c4d17a8803dff24f46a2b38b92865452c3d52d4d21448",
         "Command":"","Created":1790000000,"State":"exited","Status":"Exited (3) 2 months ago","HostConfig":{}}
    ]"#;

    fn ps(text: &str, quiet: bool, size: bool, truncate: bool) -> String {
        let containers: Vec<ContainerSummary> = serde_json::from_str(CONTAINERS).unwrap();
        let rows = containers.iter().map(|container| row(container, truncate, &clock()));
        render(&KIND, &Format::parse(&format(text, quiet, size)), rows).unwrap()
    }

    #[test]
    fn the_table() {
        assert_eq!(
            ps("", false, false, true),
            "\
CONTAINER ID   IMAGE                   COMMAND                  CREATED        STATUS                           PORTS                  NAMES
235145bf1cb5   busybox                 \"sleep 1000\"             1 second ago   Up Less than a second (Paused)                          paused
18713df36f12   reg.example/team/db:1   \"sh -c 'while true; …\"   2 hours ago    Up 2 hours (healthy)             0.0.0.0:8080->80/tcp   db
a8fc           c9df5f223ac7            \"\"                       2 months ago   Exited (3) 2 months ago                                 
"
        );
        assert_eq!(ps("table", true, true, true), "235145bf1cb5\n18713df36f12\na8fc\n");
    }

    #[test]
    fn fields() {
        assert_eq!(
            ps(
                "{{.Names}}|{{.Size}}|{{.Mounts}}|{{.LocalVolumes}}|{{.Networks}}|{{.Platform}}",
                false,
                false,
                true
            ),
            "paused|0B||0|bridge|<nil>\ndb|1.23kB (virtual 1.98MB)|a-volume-with-…|1||<nil>\n|0B||0||<nil>\n"
        );
        assert_eq!(
            ps("{{.Names}} {{.Command}} {{.CreatedAt}} {{.Label \"a\"}}", false, false, false),
            "paused,web/alias \"sleep 1000\" 2026-11-24 11:59:59 +0000 UTC b\ndb \"sh -c 'while true; do echo hello; done'\" 2026-11-24 10:00:00 +0000 UTC \n \"\" 2026-09-21 14:13:20 +0000 UTC \n"
        );
        assert!(ps("json", false, false, true).starts_with(
            r#"{"Command":"\"sleep 1000\"","CreatedAt":"2026-11-24 11:59:59 +0000 UTC","ID":"235145bf1cb5","Image":"busybox","Labels":"a=b","LocalVolumes":"0","Mounts":"","Names":"paused","Networks":"bridge","Platform":null,"Ports":"","RunningFor":"1 second ago","Size":"0B","State":"paused","Status":"Up Less than a second (Paused)"}"#
        ));
        assert!(
            ps("raw", false, true, true)
                .contains("labels: a=b\nports:\nsize: 0B\n\ncontainer_id: 18713df36f12\n")
        );
    }
}
