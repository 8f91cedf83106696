//! `version`: who we are, and who the engine is.

use api::SystemVersion;
use client::Method;

use super::super::{Context, Failure, Outcome, failure, output};
use crate::format::version;

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    format: super::FormatArgs,
}

/// Prints both; without an engine half of it, and fails.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let template = args.format.template("version")?;
    let answer = ask(context).await;
    let spoken = match &answer {
        Ok(_) => context.client()?.version().await.ok(),
        Err(_) => None,
    };
    let client = super::client(context, spoken);
    let server = answer.as_ref().ok();
    match template {
        Some(template) => {
            match template.execute(&version::document(&client, server)) {
                Ok(text) => output::line(&text)?,
                // Without an engine there is nothing that the template could show, and a better reason to tell.
                Err(_) if server.is_none() => output::line("")?,
                Err(error) => return Err(Failure::new(1, error.0).into()),
            }
        }
        None => output::print(&version::text(&client, server))?,
    }
    match answer {
        Ok(_) => Ok(0),
        Err(error) => Err(Failure::new(1, failure::text(&error)).into()),
    }
}

async fn ask(context: &Context) -> anyhow::Result<SystemVersion> {
    Ok(version::server(context.client()?.request(Method::GET, "/version").json().await?))
}
