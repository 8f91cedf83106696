//! `rm`: removes containers.

use api::ContainerRemoveQuery;
use client::Method;

use super::super::{Context, Failure, Outcome, each, failure, output, path};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[arg(required = true)]
    containers: Vec<String>,
    /// Force the removal of a running container (uses SIGKILL)
    #[arg(short, long)]
    force: bool,
    /// Remove the specified link
    #[arg(short, long)]
    link: bool,
    /// Remove anonymous volumes associated with the container
    #[arg(short, long)]
    volumes: bool,
}

/// Removes all of them. With `--force` one that is not there is told and no failure.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let query = ContainerRemoveQuery { volumes: args.volumes, force: args.force, link: args.link };
    let client = context.client()?;
    each::each_some(&args.containers, async |name| {
        let name = match name.trim_matches('/') {
            "" => return Err(Failure::new(1, "container name cannot be empty").into()),
            name => name,
        };
        let request = client.request(Method::DELETE, path::container(name, "")?);
        match request.parameters(&query).empty().await {
            Ok(()) => Ok(Some(name.to_owned())),
            Err(error) if args.force && error.is_not_found() => {
                output::warn(&failure::text(&error.into()));
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    })
    .await
}
