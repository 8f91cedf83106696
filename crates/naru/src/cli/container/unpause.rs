//! `unpause`: lets the processes of containers go on.

use client::Method;

use super::super::{Context, Outcome, each, path};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[arg(required = true)]
    containers: Vec<String>,
}

/// Thaws all of them.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let client = context.client()?;
    each::each(&args.containers, async |name| {
        Ok(client.request(Method::POST, path::container(name, "/unpause")?).empty().await?)
    })
    .await
}
