//! `image prune`: removes images that nothing uses.

use api::{Filters, ImagePruneResponse, PruneQuery};
use client::Method;

use super::super::{Context, Outcome, output, prune};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    /// Remove all unused images, not just dangling ones
    #[arg(short, long)]
    all: bool,
    #[command(flatten)]
    prune: prune::PruneArgs,
}

const DANGLING: &str = "WARNING! This will remove all dangling images.\nAre you sure you want to continue?";
const ALL: &str = "WARNING! This will remove all images without at least one container associated to them.\nAre you sure you want to continue?";

/// Removes them, if the user means it.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let filters = prune::filters(context, &args.prune.filter);
    if !args.prune.force && !prune::confirmed(if args.all { ALL } else { DANGLING })? {
        return Ok(0);
    }
    let (text, reclaimed) = prune(context, args.all, filters).await?;
    output::print(&format!("{text}{}", prune::reclaimed(reclaimed)))?;
    Ok(0)
}

/// What was removed, in words, and the bytes that are free now.
pub async fn prune(context: &Context, all: bool, mut filters: Filters) -> anyhow::Result<(String, u64)> {
    filters.add("dangling", if all { "false" } else { "true" });
    let request = context.client()?.request(Method::POST, "/images/prune");
    let answer: ImagePruneResponse = request.parameters(&PruneQuery { filters }).json().await?;
    let removed = answer.images_deleted.unwrap_or_default();
    let lines: Vec<String> = removed
        .iter()
        .map(|item| match item.untagged.is_empty() {
            true => format!("deleted: {}", item.deleted),
            false => format!("untagged: {}", item.untagged),
        })
        .collect();
    Ok((prune::list("Deleted Images:", &lines), answer.space_reclaimed))
}
