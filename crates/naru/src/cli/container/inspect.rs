//! `container inspect`: describes containers.

use client::Method;

use super::super::{Context, Outcome, inspect, path};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[arg(required = true)]
    containers: Vec<String>,
    /// Format output using a custom template: 'json' or 'TEMPLATE'
    #[arg(short, long)]
    format: Option<String>,
    /// Display total file sizes
    #[arg(short, long)]
    size: bool,
}

/// Describes all of them.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let client = context.client()?;
    inspect::run(args.format.as_deref(), &args.containers, async |name| {
        let mut request = client.request(Method::GET, path::container(name, "/json")?);
        if args.size {
            request = request.query("size", 1);
        }
        Ok(request.bytes().await?.to_vec())
    })
    .await
}
