//! `network rm`: removes networks.

use client::Method;

use super::super::{Context, Failure, Outcome, failure, output, path};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[arg(required = true)]
    networks: Vec<String>,
    /// Do not error if the network does not exist
    #[arg(short, long)]
    force: bool,
}

/// Removes all of them; each error is told at once.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let client = context.client()?;
    let mut failed = false;
    for name in &args.networks {
        match client.request(Method::DELETE, path::network(name, "")?).empty().await {
            Ok(()) => output::line(name)?,
            Err(error) if args.force && error.is_not_found() => (),
            Err(error) => {
                output::warn(&failure::text(&error.into()));
                failed = true;
            }
        }
    }
    match failed {
        true => Err(Failure::new(1, "exit status 1").into()),
        false => Ok(0),
    }
}
