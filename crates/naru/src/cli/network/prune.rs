//! `network prune`: removes networks that nothing uses.

use api::{Filters, NetworkPruneResponse, PruneQuery};
use client::Method;

use super::super::{Context, Outcome, output, prune};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    prune: prune::PruneArgs,
}

const WARNING: &str = "WARNING! This will remove all custom networks not used by at least one container.\nAre you sure you want to continue?";

/// Removes them, if the user means it.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let filters = prune::filters(context, &args.prune.filter);
    if !args.prune.force && !prune::confirmed(WARNING)? {
        return Ok(0);
    }
    output::print(&prune(context, filters).await?)?;
    Ok(0)
}

/// What was removed, in words.
pub async fn prune(context: &Context, filters: Filters) -> anyhow::Result<String> {
    let request = context.client()?.request(Method::POST, "/networks/prune");
    let answer: NetworkPruneResponse = request.parameters(&PruneQuery { filters }).json().await?;
    Ok(prune::list("Deleted Networks:", &answer.networks_deleted.unwrap_or_default()))
}
