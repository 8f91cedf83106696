//! `rename`: gives a container another name.

use api::ContainerRenameQuery;
use client::Method;

use super::super::{Context, Failure, Outcome, failure, path};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[arg(required = true)]
    container: String,
    #[arg(required = true)]
    name: String,
}

/// Renames.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let (old, new) = (args.container.trim(), args.name.trim());
    if old.is_empty() || new.is_empty() {
        return Err(Failure::new(1, "Error: Neither old nor new names may be empty").into());
    }
    let request = context.client()?.request(Method::POST, path::container(old, "/rename")?);
    let query = ContainerRenameQuery { name: new.to_owned() };
    match request.parameters(&query).empty().await {
        Ok(()) => Ok(0),
        Err(error) => {
            let error = failure::text(&error.into());
            Err(Failure::new(1, format!("{error}\nError: failed to rename container named {old}")).into())
        }
    }
}
