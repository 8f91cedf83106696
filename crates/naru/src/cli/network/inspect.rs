//! `network inspect`: describes networks.

use client::Method;

use super::super::{Context, Outcome, inspect, path};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[arg(required = true)]
    networks: Vec<String>,
    /// Format output using a custom template: 'json' or 'TEMPLATE'
    #[arg(short, long)]
    format: Option<String>,
    /// Verbose output for diagnostics
    #[arg(short, long)]
    verbose: bool,
}

/// Describes all of them.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let client = context.client()?;
    inspect::run(args.format.as_deref(), &args.networks, async |name| {
        let mut request = client.request(Method::GET, path::network(name, "")?);
        if args.verbose {
            request = request.query("verbose", "true");
        }
        Ok(request.bytes().await?.to_vec())
    })
    .await
}
