//! `network disconnect`: takes a container out of a network.

use api::NetworkDisconnectRequest;
use client::Method;

use super::super::{Context, Outcome, path};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[arg(required = true)]
    network: String,
    #[arg(required = true)]
    container: String,
    /// Force the container to disconnect from a network
    #[arg(short, long)]
    force: bool,
}

/// Disconnects.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let path = path::network(&args.network, "/disconnect")?;
    let body = NetworkDisconnectRequest { container: args.container, force: args.force };
    context.client()?.request(Method::POST, path).json_body(&body).empty().await?;
    Ok(0)
}
