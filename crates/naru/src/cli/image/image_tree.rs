//! `images --tree`: images with the platforms they are for, as the stock client draws them.

use super::contents;
use api::{ImageManifestSummary, ImageSummary};

/// Where the legend ends.
const WIDTH: usize = 80;
const SPACE: &str = "   ";
const WARNING: &str =
    "WARNING: This is an experimental feature. The output may change and shouldn't be depended on.";

/// One line of the table.
struct Row {
    name: String,
    id: String,
    /// Bytes unpacked and packed, and packed alone.
    sizes: (i64, i64),
    used: bool,
}

/// The whole drawing.
pub fn draw(images: &[ImageSummary]) -> String {
    let blocks: Vec<(Vec<String>, Vec<Row>)> = images.iter().map(block).collect();
    let names = blocks.iter().flat_map(|(names, rows)| names.iter().chain(rows.iter().map(|row| &row.name)));
    let width = names.map(|name| term::width::of(name)).max().unwrap_or(0).max("IMAGE".len());
    let mut out = format!("{WARNING}\n{:>WIDTH$}\n\n", "Info ->  U In Use ");
    out.push_str(&format!(
        "{}{SPACE}{:<12}{SPACE}DISK USAGE{SPACE}CONTENT SIZE{SPACE}EXTRA\n",
        pad("IMAGE", width),
        "ID"
    ));
    for (names, rows) in &blocks {
        for name in names {
            out.push_str(&format!("{name}\n"));
        }
        for row in rows {
            let size = |bytes: i64| contents::size(u64::try_from(bytes).unwrap_or(0));
            out.push_str(&format!(
                "{}{SPACE}{:<12}{SPACE}{:>10}{SPACE}{:>12}{SPACE}{:<5}\n",
                pad(&row.name, width),
                row.id,
                size(row.sizes.0),
                size(row.sizes.1),
                if row.used { "U" } else { "" }
            ));
        }
        out.push('\n');
    }
    out
}

/// Fills up with spaces to so many columns.
fn pad(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(term::width::of(text))))
}

/// An image's names but the last, then its own line with that, then its platforms.
fn block(image: &ImageSummary) -> (Vec<String>, Vec<Row>) {
    let mut names = image.repo_tags.clone().unwrap_or_default();
    names.sort();
    let last = names.pop().unwrap_or_else(|| "<untagged>".to_owned());
    let manifests = image.manifests.as_deref().unwrap_or_default();
    let shown: Vec<&ImageManifestSummary> =
        manifests.iter().filter(|manifest| manifest.kind == "image").collect();
    let content = shown.iter().map(|manifest| manifest.size.content).sum();
    let used = |manifest: &ImageManifestSummary| {
        let data = manifest.image_data.as_ref().and_then(|data| data.containers.as_ref());
        data.is_some_and(|containers| !containers.is_empty())
    };
    let in_use = image.containers > 0 || shown.iter().any(|manifest| used(manifest));
    let mut rows = vec![Row {
        name: last,
        id: contents::short_id(&image.id),
        sizes: (image.size, content),
        used: in_use,
    }];
    for (index, manifest) in shown.iter().enumerate() {
        let branch = if index + 1 == shown.len() { "└─" } else { "├─" };
        let platform = manifest.image_data.as_ref().map(|data| platform(&data.platform)).unwrap_or_default();
        rows.push(Row {
            name: format!("{branch} {platform}"),
            id: contents::short_id(&manifest.id),
            sizes: (manifest.size.total, manifest.size.content),
            used: used(manifest),
        });
    }
    (names, rows)
}

fn platform(platform: &api::OciPlatform) -> String {
    let parts = [&platform.os, &platform.architecture, &platform.variant];
    let parts: Vec<&str> = parts.into_iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_platforms_and_sizes_stand_in_columns() {
        let manifest = |arch: &str, containers: &[&str], content: i64| ImageManifestSummary {
            id: format!("sha256:{arch}0123456789abcdef"),
            kind: "image".into(),
            size: api::ImageManifestSize { content, total: 3 * content },
            image_data: Some(api::ImageManifestImageData {
                platform: api::OciPlatform {
                    os: "linux".into(),
                    architecture: arch.into(),
                    ..Default::default()
                },
                containers: Some(containers.iter().map(ToString::to_string).collect()),
                ..Default::default()
            }),
            ..Default::default()
        };
        let image = ImageSummary {
            id: "sha256:f00d00000000000000".into(),
            repo_tags: Some(vec!["app:2".into(), "app:1".into()]),
            size: 2_000_000,
            manifests: Some(vec![manifest("amd64", &["c1"], 1_000_000), manifest("arm64", &[], 0)]),
            ..Default::default()
        };
        let drawn = draw(&[image]);
        let lines: Vec<&str> = drawn.lines().skip(2).map(str::trim_end).collect();
        assert_eq!(
            lines,
            [
                "",
                "IMAGE            ID             DISK USAGE   CONTENT SIZE   EXTRA",
                "app:1",
                "app:2            f00d00000000          2MB            1MB   U",
                "├─ linux/amd64   amd640123456          3MB            1MB   U",
                "└─ linux/arm64   arm640123456           0B             0B",
                "",
            ]
        );
    }
}
