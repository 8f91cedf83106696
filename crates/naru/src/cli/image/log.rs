//! `image log`: the steps that made an image, newest first, with what the layer of each changed.

use api::{ImageLogQuery, ImageLogStep};
use client::Method;

use super::super::{Context, Outcome};
use super::contents::{self, FormatArgs, Shape};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[arg(required = true)]
    image: String,
    #[command(flatten)]
    shape: FormatArgs,
    /// Name the paths that each layer changed
    #[arg(long)]
    name_only: bool,
    /// List the paths that each layer changed, with their sizes
    #[arg(long)]
    stat: bool,
}

/// Tells them.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let shape = Shape::parse(args.shape.format.as_deref())?;
    let query = ImageLogQuery { changes: args.stat || args.name_only || !shape.is_text() };
    let request = context.client()?.request(Method::GET, contents::image(&args.image, "/log")?);
    let steps: Vec<ImageLogStep> = request.parameters(&query).json().await?;
    shape.print(&steps, |steps| {
        steps.iter().map(|step| text(step, args.name_only)).collect::<Vec<_>>().join("\n")
    })?;
    Ok(0)
}

fn text(step: &ImageLogStep, name_only: bool) -> String {
    let mut out = match &step.layer {
        Some(layer) => format!("layer {}\n", layer.chain_id),
        None => "no layer\n".to_owned(),
    };
    if !step.created.is_empty() {
        out.push_str(&format!("Created: {}\n", step.created));
    }
    if let Some(layer) = &step.layer {
        let ImageLogStep { added, modified, deleted, .. } = step;
        let size = contents::size(layer.size);
        out.push_str(&format!("Size:    {size} ({added} added, {modified} changed, {deleted} deleted)\n"));
    }
    for paragraph in [&step.created_by, &step.comment].into_iter().filter(|text| !text.is_empty()) {
        out.push('\n');
        paragraph.lines().for_each(|line| out.push_str(&format!("    {line}\n")));
    }
    let changes = step.changes.as_deref().unwrap_or_default();
    if !changes.is_empty() {
        out.push('\n');
    }
    for change in changes {
        if name_only {
            out.push_str(&format!("{}\n", change.path));
        } else {
            let size = contents::size(change.size);
            out.push_str(&format!("{} {size:>8} {}\n", contents::letter(change.kind), change.path));
        }
    }
    out
}
