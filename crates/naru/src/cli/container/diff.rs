//! `diff`: how a container's files differ from its image's.

use api::FilesystemChange;
use client::Method;

use super::super::{Context, Outcome, output, path};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[arg(required = true)]
    container: String,
}

/// Lists the differences.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let request = context.client()?.request(Method::GET, path::container(&args.container, "/changes")?);
    let changes: Option<Vec<FilesystemChange>> = request.json().await?;
    let mut text = String::new();
    for change in changes.unwrap_or_default() {
        let kind = match change.kind {
            0 => "C",
            1 => "A",
            _ => "D",
        };
        text.push_str(&format!("{kind} {}\n", change.path));
    }
    output::print(&text)?;
    Ok(0)
}
