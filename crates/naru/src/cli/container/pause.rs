//! `pause`: freezes the processes of containers.

use super::super::{Context, Outcome, each};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    containers: each::Containers,
}

/// Freezes all of them.
pub async fn run(context: &Context, args: Args) -> Outcome {
    args.containers.post(context, "/pause").await
}
