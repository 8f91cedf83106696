//! `wait`: waits until containers stop and prints their exit codes.

use api::ContainerWaitResponse;
use client::Method;

use super::super::{Context, Failure, Outcome, each, path};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[arg(required = true)]
    containers: Vec<String>,
}

/// Waits for all of them.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let client = context.client()?;
    each::each_text(&args.containers, async |name| {
        let answer: ContainerWaitResponse =
            client.request(Method::POST, path::container(name, "/wait")?).json().await?;
        match answer.error {
            Some(error) => Err(Failure::new(1, error.message).into()),
            None => Ok(answer.status_code.to_string()),
        }
    })
    .await
}
