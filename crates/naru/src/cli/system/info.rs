//! `info`: the engine and its host described.

use api::SystemInfo;
use client::Method;

use super::super::{Context, Failure, Outcome, failure, output};
use crate::format::info;

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    format: super::FormatArgs,
}

/// Describes; without an engine only the client, and fails.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let template = args.format.template("")?;
    let answer = ask(context).await;
    let client = super::client(context, None);
    let json = answer.as_ref().ok().map(AsRef::as_ref);
    if let Some(template) = template {
        let text = template.execute(&info::document(&client, json, None)?);
        output::line(&text.map_err(|error| Failure::new(1, error.0))?)?;
    } else {
        output::print(&info::client_text(&client))?;
        output::print("\nServer:\n")?;
        if let Some(json) = json {
            let info: SystemInfo = serde_json::from_slice(json)?;
            output::print(&info::server_text(&info))?;
            info.warnings.iter().flatten().for_each(|warning| output::warn(warning));
        }
    }
    match answer {
        Ok(_) => Ok(0),
        Err(error) => Err(Failure::new(1, failure::text(&error)).into()),
    }
}

async fn ask(context: &Context) -> anyhow::Result<Vec<u8>> {
    Ok(context.client()?.request(Method::GET, "/info").bytes().await?.to_vec())
}
