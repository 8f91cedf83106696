//! `kill`: sends a signal to containers.

use api::ContainerKillQuery;
use client::Method;

use super::super::{Context, Outcome, each, path};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[arg(required = true)]
    containers: Vec<String>,
    /// Signal to send to the container
    #[arg(short, long)]
    signal: Option<String>,
}

/// Signals all of them.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let query = ContainerKillQuery { signal: args.signal.unwrap_or_default() };
    let client = context.client()?;
    each::each(&args.containers, async |name| {
        let request = client.request(Method::POST, path::container(name, "/kill")?);
        Ok(request.parameters(&query).empty().await?)
    })
    .await
}
