//! `images`: one line for each tag of an image, and for each repository that knows it by digest only.

use api::ImageSummary;
use image::Reference;
use term::size::{human, human_with_precision};

use super::{Clock, Format, Kind, Row, short_id};

/// Columns of `images`.
pub const KIND: Kind = Kind {
    type_name: "*formatter.imageContext",
    columns: &[
        ("ID", "IMAGE ID"),
        ("Repository", "REPOSITORY"),
        ("Tag", "TAG"),
        ("Digest", "DIGEST"),
        ("CreatedSince", "CREATED"),
        ("CreatedAt", "CREATED AT"),
        ("Size", "SIZE"),
        ("Containers", "CONTAINERS"),
        ("VirtualSize", "SIZE"),
        ("SharedSize", "SHARED SIZE"),
        ("UniqueSize", "UNIQUE SIZE"),
    ],
};

const NONE: &str = "<none>";
/// Go's zero time: an image that does not say when it was made.
const NO_TIME: i64 = -62_135_596_800;
const CREATED: &str = "{{if .CreatedSince}}{{.CreatedSince}}{{else}}N/A{{end}}";

/// The template behind `--format`, with `--quiet` and `--digests`.
pub fn format(text: &str, quiet: bool, digests: bool) -> String {
    match (text, quiet, digests) {
        ("raw", true, _) => "image_id: {{.ID}}".to_owned(),
        ("table" | "", true, _) => "{{.ID}}".to_owned(),
        ("raw", ..) => {
            let digest = if digests { "digest: {{.Digest}}\n" } else { "" };
            format!(
                "repository: {{{{.Repository}}}}\ntag: {{{{.Tag}}}}\n{digest}image_id: {{{{.ID}}}}\ncreated_at: {{{{.CreatedAt}}}}\nvirtual_size: {{{{.Size}}}}\n"
            )
        }
        ("table" | "", ..) => {
            let digest = if digests { "{{.Digest}}\t" } else { "" };
            format!("table {{{{.Repository}}}}\t{{{{.Tag}}}}\t{digest}{{{{.ID}}}}\t{CREATED}\t{{{{.Size}}}}")
        }
        (other, ..) => other.to_owned(),
    }
}

/// One line of the list: repository, tag and digest by which an image is known.
#[derive(Debug, PartialEq, Eq)]
struct Name {
    repository: String,
    tag: String,
    digest: String,
}

/// The lines of an image. `digests` is `--digests`; a template that shows digests splits lines by them too.
pub fn rows(image: &ImageSummary, truncate: bool, digests: bool, format: &Format, clock: &Clock) -> Vec<Row> {
    let split = digests || format.template().contains("{{.Digest}}");
    names(image, digests, split).into_iter().map(|name| row(image, name, truncate, clock)).collect()
}

fn names(image: &ImageSummary, digests: bool, split: bool) -> Vec<Name> {
    let parse = |names: &Option<Vec<String>>| -> Vec<Reference> {
        names.iter().flatten().filter_map(|name| Reference::parse(name).ok()).collect()
    };
    let nothing = |names: &Option<Vec<String>>, none: &str| {
        names.as_deref().is_none_or(|names| names.is_empty() || names.len() == 1 && names[0] == none)
    };
    if nothing(&image.repo_tags, "<none>:<none>") && nothing(&image.repo_digests, "<none>@<none>") {
        return vec![Name { repository: NONE.to_owned(), tag: NONE.to_owned(), digest: NONE.to_owned() }];
    }
    let (tags, known) = (parse(&image.repo_tags), parse(&image.repo_digests));
    let digest =
        |reference: &Reference| reference.digest.as_ref().map(ToString::to_string).unwrap_or_default();
    let mut names = Vec::new();
    for reference in &tags {
        let Some(tag) = &reference.tag else { continue };
        let name = |digest: String| Name { repository: reference.familiar_name(), tag: tag.clone(), digest };
        let same = known.iter().filter(|other| split && other.same_repository(reference));
        let before = names.len();
        names.extend(same.map(|other| name(digest(other))));
        if names.len() == before {
            names.push(name(NONE.to_owned()));
        }
    }
    for reference in known.iter().filter(|other| !tags.iter().any(|tag| tag.same_repository(other))) {
        let digest = if digests { digest(reference) } else { String::new() };
        let name = Name { repository: reference.familiar_name(), tag: NONE.to_owned(), digest };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn row(image: &ImageSummary, name: Name, truncate: bool, clock: &Clock) -> Row {
    let unless_unknown = |known: bool, text: String| if known { text } else { "N/A".to_owned() };
    let since = match image.created {
        NO_TIME => String::new(),
        created => clock.ago(created),
    };
    let unique = image.size != -1 && image.shared_size != -1;
    Row::texts([
        ("ID", if truncate { short_id(&image.id) } else { &image.id }.to_owned()),
        ("Repository", name.repository),
        ("Tag", name.tag),
        ("Digest", name.digest),
        ("CreatedSince", since),
        ("CreatedAt", term::time::go_string(image.created, &clock.zone)),
        ("Size", human_with_precision(image.size as f64, 3)),
        ("Containers", unless_unknown(image.containers != -1, image.containers.to_string())),
        ("VirtualSize", human(image.size as f64)),
        ("SharedSize", unless_unknown(image.shared_size != -1, human(image.shared_size as f64))),
        ("UniqueSize", unless_unknown(unique, human((image.size - image.shared_size) as f64))),
    ])
}

#[cfg(test)]
mod tests {
    use super::super::render;
    use super::super::tests::clock;
    use super::*;

    const IMAGES: &str = r#"[
        {"Containers":2,"Created":0,"Id":"sha256:c9df5f223ac75a42cc7c4d17a8803dff24f46a2b38b92865452c3d52d4d21448","RepoDigests":["a@sha256:c9df5f223ac75a42cc7c4d17a8803dff24f46a2b38b92865452c3d52d4d21448","reg.x/b@sha256:c9df5f223ac75a42cc7c4d17a8803dff24f46a2b38b92865452c3d52d4d21448"],"RepoTags":["a:1","a:2"],"SharedSize":5,"Size":1982415},
        {"Containers":-1,"Created":1795521000,"Id":"sha256:d9df5f223ac75a42cc7c4d17a8803dff24f46a2b38b92865452c3d52d4d21448","RepoDigests":["<none>@<none>"],"RepoTags":["<none>:<none>"],"SharedSize":-1,"Size":1234567},
        {"Containers":-1,"Created":-62135596800,"Id":"sha256:e9df5f223ac75a42cc7c4d17a8803dff24f46a2b38b92865452c3d52d4d21448","RepoDigests":["reg.x/b@sha256:c9df5f223ac75a42cc7c4d17a8803dff24f46a2b38b92865452c3d52d4d21448"],"RepoTags":[],"SharedSize":-1,"Size":999999}
    ]"#;

    fn images(text: &str, quiet: bool, digests: bool) -> String {
        let images: Vec<ImageSummary> = serde_json::from_str(IMAGES).unwrap();
        let format = Format::parse(&format(text, quiet, digests));
        let rows = images.iter().flat_map(|image| rows(image, true, digests, &format, &clock()));
        render(&KIND, &format, rows).unwrap()
    }

    #[test]
    fn the_table() {
        assert_eq!(
            images("", false, false),
            "\
REPOSITORY   TAG       IMAGE ID       CREATED          SIZE
a            1         c9df5f223ac7   56 years ago     1.98MB
a            2         c9df5f223ac7   56 years ago     1.98MB
reg.x/b      <none>    c9df5f223ac7   56 years ago     1.98MB
<none>       <none>    d9df5f223ac7   10 minutes ago   1.23MB
reg.x/b      <none>    e9df5f223ac7   N/A              1e+03kB
"
        );
        assert_eq!(images("", true, false).lines().count(), 5);
    }

    #[test]
    fn digests_are_shown_when_asked_for() {
        let lines = images("{{.Repository}} {{.Tag}} {{.Digest}}", false, false);
        assert_eq!(
            lines,
            "a 1 sha256:c9df5f223ac75a42cc7c4d17a8803dff24f46a2b38b92865452c3d52d4d21448\na 2 sha256:c9df5f223ac75a42cc7c4d17a8803dff24f46a2b38b92865452c3d52d4d21448\nreg.x/b <none> \n<none> <none> <none>\nreg.x/b <none> \n"
        );
        assert!(images("", false, true).contains("reg.x/b      <none>    sha256:c9df"));
        assert!(images("json", false, false).starts_with(
            r#"{"Containers":"2","CreatedAt":"1970-01-01 00:00:00 +0000 UTC","CreatedSince":"56 years ago","Digest":"\u003cnone\u003e","ID":"c9df5f223ac7","Repository":"a","SharedSize":"5B","Size":"1.98MB","Tag":"1","UniqueSize":"1.982MB","VirtualSize":"1.982MB"}"#
        ));
    }
}
