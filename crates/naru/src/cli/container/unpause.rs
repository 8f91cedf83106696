//! `unpause`: lets the processes of containers go on.

use super::super::{Context, Outcome, each};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    containers: each::Containers,
}

/// Thaws all of them.
pub async fn run(context: &Context, args: Args) -> Outcome {
    args.containers.post(context, "/unpause").await
}
