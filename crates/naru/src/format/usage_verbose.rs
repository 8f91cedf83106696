//! `system df -v`: every object with its size, as four tables or as one document for a template.

use std::rc::Rc;

use api::{BuildCache, ContainerSummary, ImageSummary, SystemDataUsageResponse};
use term::size::human;
use term::template::{Error, Struct, Template, Value};

use super::{Clock, Format, Kind, Row, container, image, parsing, render, usage, volume};

/// Columns of the build cache.
const BUILD_CACHE: Kind = Kind {
    type_name: "*formatter.buildCacheContext",
    columns: &[
        ("ID", "CACHE ID"),
        ("CacheType", "CACHE TYPE"),
        ("Size", "SIZE"),
        ("CreatedSince", "CREATED"),
        ("LastUsedSince", "LAST USED"),
        ("UsageCount", "USAGE"),
        ("Shared", "SHARED"),
    ],
};

const IMAGES: &str = "table {{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}\t{{.SharedSize}}\t{{.UniqueSize}}\t{{.Containers}}";
const CONTAINERS: &str = "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t{{.RunningFor}}\t{{.Status}}\t{{.Names}}";
const VOLUMES: &str = "table {{.Name}}\t{{.Links}}\t{{.Size}}";
const RECORDS: &str = "table {{.ID}}\t{{.CacheType}}\t{{.Size}}\t{{.CreatedSince}}\t{{.LastUsedSince}}\t{{.UsageCount}}\t{{.Shared}}";

/// The text for `--format`.
pub fn text(usage: &SystemDataUsageResponse, format: &str, clock: &Clock) -> Result<String, Error> {
    match format {
        "" | "table" => tables(usage, clock),
        "json" => document(usage, "{{json .}}", clock),
        // `table` before a template changes nothing here.
        text => document(usage, Format::parse(text).template(), clock),
    }
}

fn tables(usage: &SystemDataUsageResponse, clock: &Clock) -> Result<String, Error> {
    let rows = rows(usage, true, clock);
    let table = |kind: &Kind, format: &str, rows| render(kind, &Format::parse(format), rows);
    let cache_size = usage::build_cache_size(usage);
    Ok(format!(
        "Images space usage:\n\n{}\nContainers space usage:\n\n{}\nLocal Volumes space usage:\n\n{}\nBuild cache usage: {cache_size}\n\n{}",
        table(&image::KIND, IMAGES, rows.images)?,
        table(&container::KIND, CONTAINERS, rows.containers)?,
        table(&volume::KIND, VOLUMES, rows.volumes)?,
        table(&BUILD_CACHE, RECORDS, rows.build_cache)?,
    ))
}

fn document(usage: &SystemDataUsageResponse, template: &str, clock: &Clock) -> Result<String, Error> {
    let rows = rows(usage, false, clock);
    let list =
        |kind: &Kind, rows: Vec<Row>| Value::list(rows.into_iter().map(|row| row.into_value(kind.type_name)));
    let fields = [
        ("Images", list(&image::KIND, rows.images)),
        ("Containers", list(&container::KIND, rows.containers)),
        ("Volumes", list(&volume::KIND, rows.volumes)),
        ("BuildCache", list(&BUILD_CACHE, rows.build_cache)),
    ];
    let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let document =
        Struct { type_name: "*formatter.diskUsageContext", fields, label: None, ..Struct::default() };
    Template::parse("", template).map_err(parsing)?.execute(&Value::Struct(Rc::new(document)))
}

/// The rows of the four lists.
struct Rows {
    images: Vec<Row>,
    containers: Vec<Row>,
    volumes: Vec<Row>,
    build_cache: Vec<Row>,
}

fn rows(usage: &SystemDataUsageResponse, truncate: bool, clock: &Clock) -> Rows {
    let images = usage.images.as_deref().unwrap_or_default().iter();
    let containers = usage.containers.as_deref().unwrap_or_default().iter();
    let volumes = usage.volumes.as_deref().unwrap_or_default().iter();
    let mut records: Vec<&BuildCache> = usage.build_cache.as_deref().unwrap_or_default().iter().collect();
    // Never used first, then by use.
    records.sort_by_key(|record| (&record.last_used_at, &record.id));
    Rows {
        images: images.map(|image| image_row(image, truncate, clock)).collect(),
        containers: containers.map(|container| container_row(container, truncate, clock)).collect(),
        volumes: volumes.map(volume::row).collect(),
        build_cache: records.into_iter().map(|record| record_row(record, truncate, clock)).collect(),
    }
}

/// An image has one line here, under its first tag.
fn image_row(image: &ImageSummary, truncate: bool, clock: &Clock) -> Row {
    let first = image.repo_tags.iter().flatten().take(1).cloned().collect::<Vec<_>>();
    let one = ImageSummary { repo_tags: Some(first), repo_digests: None, ..image.clone() };
    let mut rows = image::rows(&one, truncate, false, &Format::parse(""), clock);
    let mut row = rows.pop().unwrap_or_default();
    row.fields.retain(|(name, _)| *name != "Digest");
    row.fields.push(("Digest", Value::string("")));
    row
}

/// What it is based on is told by the image's line.
fn container_row(container: &ContainerSummary, truncate: bool, clock: &Clock) -> Row {
    container::row(&ContainerSummary { size_root_fs: 0, ..container.clone() }, truncate, clock)
}

fn record_row(record: &BuildCache, truncate: bool, clock: &Clock) -> Row {
    let seconds = |time: &str| time.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_second);
    let ago = |time: &str| seconds(time).map(|seconds| clock.ago(seconds)).unwrap_or_default();
    let at = |time: &str| match time {
        "" => String::new(),
        time => term::time::go_string_of(time, &clock.zone),
    };
    let last_used = record.last_used_at.as_deref().unwrap_or_default();
    let id = if truncate { record.id.get(..12).unwrap_or(&record.id) } else { &record.id };
    let used = if record.in_use { "*" } else { "" };
    let parents = record.parents.as_deref().unwrap_or_default().join(", ");
    let parent = if record.parent.is_empty() { parents } else { record.parent.clone() };
    Row::texts([
        ("ID", format!("{id}{used}")),
        ("Parent", parent),
        ("CacheType", record.typ.clone()),
        ("Description", record.description.clone()),
        ("Size", human(record.size as f64)),
        ("CreatedAt", at(&record.created_at)),
        ("CreatedSince", ago(&record.created_at)),
        ("LastUsedAt", at(last_used)),
        ("LastUsedSince", ago(last_used)),
        ("UsageCount", record.usage_count.to_string()),
        ("InUse", record.in_use.to_string()),
        ("Shared", record.shared.to_string()),
    ])
}

#[cfg(test)]
mod tests {
    use super::super::tests::clock;
    use super::*;

    #[test]
    fn four_tables() {
        assert_eq!(
            text(&usage::tests::usage(), "", &clock()).unwrap(),
            "\
Images space usage:

REPOSITORY   TAG       IMAGE ID       CREATED       SIZE      SHARED SIZE   UNIQUE SIZE   CONTAINERS
a            1         c9df5f223ac7   3 years ago   1.98MB    5B            1.982MB       1
<none>       <none>    d9df5f223ac7   3 years ago   1.98MB    N/A           N/A           0

Containers space usage:

CONTAINER ID   IMAGE     COMMAND     LOCAL VOLUMES   SIZE      CREATED       STATUS                    NAMES
78b67f6f2ee3   a:1       \"sleep 1\"   1               1kB       3 years ago   Up 1 second               web
88b67f6f2ee3   a:1       \"sleep 1\"   0               3kB       3 years ago   Exited (0) 1 second ago   gone

Local Volumes space usage:

VOLUME NAME   LINKS     SIZE
data          1         5kB
v2            0         15kB
v3            -1        -1B

Build cache usage: 19kB

CACHE ID        CACHE TYPE        SIZE      CREATED      LAST USED      USAGE     SHARED
n5cabcdefghi*   exec.cachemount   7kB       4 days ago                  0         true
n6*             regular           7kB       4 days ago                  0         false
n4cabc          regular           12kB      4 days ago   17 hours ago   3         false
"
        );
    }

    #[test]
    fn a_template_sees_all_at_once() {
        let usage = usage::tests::usage();
        assert_eq!(
            text(&usage, "{{range .Volumes}}{{.Name}} {{.Size}};{{end}}{{len .Images}}", &clock()).unwrap(),
            "data 5kB;v2 15kB;v3 -1B;2"
        );
        assert!(text(&usage, "json", &clock()).unwrap().starts_with(r#"{"Images":[{"Containers":"1","CreatedAt":"2023-11-14 22:13:20 +0000 UTC","CreatedSince":"3 years ago","Digest":"","ID":"sha256:c9df"#));
        assert_eq!(
            text(&usage, "table {{.Type}}", &clock()).unwrap_err().0,
            "template: :1:2: executing \"\" at <.Type>: can't evaluate field Type in type *formatter.diskUsageContext"
        );
    }
}
