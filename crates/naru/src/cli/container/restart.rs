//! `restart`: restarts containers, by signal first and by force when that takes too long.

use super::super::{Context, Outcome};
use super::stopping::{self, Stopping};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    stopping: Stopping,
}

/// Restarts all of them.
pub async fn run(context: &Context, args: Args) -> Outcome {
    stopping::run(context, args.stopping, "/restart").await
}
