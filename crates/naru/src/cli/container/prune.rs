//! `container prune`: removes stopped containers.

use api::{ContainerPruneResponse, Filters, PruneQuery};
use client::Method;

use super::super::{Context, Outcome, output, prune};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    prune: prune::PruneArgs,
}

const WARNING: &str = "WARNING! This will remove all stopped containers.\nAre you sure you want to continue?";

/// Removes them, if the user means it.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let filters = prune::filters(context, &args.prune.filter);
    if !args.prune.force && !prune::confirmed(WARNING)? {
        return Ok(0);
    }
    let (text, reclaimed) = prune(context, filters).await?;
    output::print(&format!("{text}{}", prune::reclaimed(reclaimed)))?;
    Ok(0)
}

/// What was removed, in words, and the bytes that are free now.
pub async fn prune(context: &Context, filters: Filters) -> anyhow::Result<(String, u64)> {
    let request = context.client()?.request(Method::POST, "/containers/prune");
    let answer: ContainerPruneResponse = request.parameters(&PruneQuery { filters }).json().await?;
    let removed = answer.containers_deleted.unwrap_or_default();
    Ok((prune::list("Deleted Containers:", &removed), answer.space_reclaimed))
}
