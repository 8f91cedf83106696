//! `volume inspect`: describes volumes.

use client::Method;

use super::super::{Context, Outcome, inspect, path};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[arg(required = true)]
    volumes: Vec<String>,
    /// Format output using a custom template: 'json' or 'TEMPLATE'
    #[arg(short, long)]
    format: Option<String>,
}

/// Describes all of them.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let client = context.client()?;
    inspect::run(args.format.as_deref(), &args.volumes, async |name| {
        Ok(client.request(Method::GET, path::volume(name)?).bytes().await?.to_vec())
    })
    .await
}
