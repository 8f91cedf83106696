//! `volume rm`: removes volumes.

use api::VolumeRemoveQuery;
use client::Method;

use super::super::{Context, Outcome, each, path};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[arg(required = true)]
    volumes: Vec<String>,
    /// Force the removal of one or more volumes
    #[arg(short, long)]
    force: bool,
}

/// Removes all of them.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let query = VolumeRemoveQuery { force: args.force };
    let client = context.client()?;
    each::each(&args.volumes, async |name| {
        Ok(client.request(Method::DELETE, path::volume(name)?).parameters(&query).empty().await?)
    })
    .await
}
