//! `volume prune`: removes volumes that no container uses. Before API 1.42 all of them, since then those without a name.

use api::{ApiVersion, Filters, PruneQuery, VolumePruneResponse};
use client::Method;

use super::super::{Context, Failure, Outcome, output, prune};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    /// Remove all unused volumes, not just anonymous ones
    #[arg(short, long)]
    all: bool,
    #[command(flatten)]
    prune: prune::PruneArgs,
}

const ALL: &str = "WARNING! This will remove all local volumes not used by at least one container.\nAre you sure you want to continue?";
const ANONYMOUS: &str = "WARNING! This will remove anonymous local volumes not used by at least one container.\nAre you sure you want to continue?";
/// Before it, named volumes were pruned like the others.
const ANONYMOUS_SINCE: ApiVersion = ApiVersion::v1(42);

/// Removes them, if the user means it.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let version = context.client()?.version().await?;
    if args.all && version < ANONYMOUS_SINCE {
        return Err(Failure::new(
            1,
            format!("\"--all\" requires API version {ANONYMOUS_SINCE}, but the Docker daemon API version is {version}"),
        )
        .into());
    }
    let mut filters = prune::filters(context, &args.prune.filter);
    if args.all {
        if filters.contains("all") {
            return Err(
                Failure::new(1, "conflicting options: cannot specify both --all and --filter all=1").into()
            );
        }
        filters.add("all", "true");
    }
    let warning = if args.all || version < ANONYMOUS_SINCE { ALL } else { ANONYMOUS };
    if !args.prune.force && !prune::confirmed(warning)? {
        return Ok(0);
    }
    let (text, reclaimed) = prune(context, filters).await?;
    output::print(&format!("{text}{}", prune::reclaimed(reclaimed)))?;
    Ok(0)
}

/// What was removed, in words, and the bytes that are free now.
pub async fn prune(context: &Context, filters: Filters) -> anyhow::Result<(String, u64)> {
    let request = context.client()?.request(Method::POST, "/volumes/prune");
    let answer: VolumePruneResponse = request.parameters(&PruneQuery { filters }).json().await?;
    let removed = answer.volumes_deleted.unwrap_or_default();
    Ok((prune::list("Deleted Volumes:", &removed), answer.space_reclaimed))
}
