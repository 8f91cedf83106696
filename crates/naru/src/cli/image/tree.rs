//! `image tree`: which images share which layers.

use std::collections::BTreeMap;

use api::{ImageName, ImageTreeLayer};
use client::Method;

use super::super::{Context, Outcome};
use super::contents::{self, FormatArgs, Shape};
use crate::format::short_id;

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    shape: FormatArgs,
}

/// Draws them.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let shape = Shape::parse(args.shape.format.as_deref())?;
    let layers: Vec<ImageTreeLayer> =
        context.client()?.request(Method::GET, "/naru/images/tree").json().await?;
    shape.print(&layers, draw)?;
    Ok(0)
}

/// By the layer below; empty for the lowest.
type OnTop<'a> = BTreeMap<&'a str, Vec<&'a ImageTreeLayer>>;

fn draw(layers: &[ImageTreeLayer]) -> String {
    let mut on_top = OnTop::new();
    for layer in layers {
        on_top.entry(&layer.layer.parent).or_default().push(layer);
    }
    let stacks = on_top.get("").into_iter().flatten().map(|lowest| {
        let mut out = line(lowest);
        branches(&lowest.layer.chain_id, "", &on_top, &mut out);
        out
    });
    stacks.collect::<Vec<_>>().join("\n")
}

/// What lies on a layer: a single one straight below it, several as branches.
fn branches(below: &str, indent: &str, on_top: &OnTop<'_>, out: &mut String) {
    let layers = on_top.get(below).map(Vec::as_slice).unwrap_or_default();
    for (at, layer) in layers.iter().enumerate() {
        let (mark, deeper) = match layers.len() {
            1 => ("", ""),
            count if at + 1 < count => ("├─ ", "│  "),
            _ => ("└─ ", "   "),
        };
        out.push_str(&format!("{indent}{mark}{}", line(layer)));
        branches(&layer.layer.chain_id, &format!("{indent}{deeper}"), on_top, out);
    }
}

fn line(layer: &ImageTreeLayer) -> String {
    let name = |image: &ImageName| match &image.repo_tags[..] {
        [] => format!("<none> ({})", short_id(&image.id)),
        names => names.join(", "),
    };
    let names: Vec<String> = layer.images.iter().map(name).collect();
    let line = format!(
        "{} {:>8}  {}",
        short_id(&layer.layer.chain_id),
        contents::size(layer.layer.size),
        names.join(", ")
    );
    format!("{}\n", line.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_branches_are_indented() {
        let layer = |id: &str, parent: &str, names: &[&str]| ImageTreeLayer {
            layer: api::ImageLayer {
                chain_id: id.into(),
                parent: parent.into(),
                size: 1000,
                ..api::ImageLayer::default()
            },
            images: match names {
                [] => Vec::new(),
                names => vec![ImageName {
                    id: "i".into(),
                    repo_tags: names.iter().map(|name| (*name).to_owned()).collect(),
                }],
            },
        };
        let layers = [
            layer("base", "", &["debian:12"]),
            layer("one", "base", &[]),
            layer("top", "one", &["a:1", "a:2"]),
            layer("two", "base", &["b:1"]),
            layer("other", "", &["c:1"]),
        ];
        assert_eq!(
            draw(&layers),
            "base      1kB  debian:12\n├─ one      1kB\n│  top      1kB  a:1, a:2\n└─ two      1kB  b:1\n\nother      1kB  c:1\n"
        );
    }
}
