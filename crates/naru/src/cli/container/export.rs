//! `export`: a container's files as a tar archive.

use client::Method;

use super::super::{Context, Failure, Outcome, file, path};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[arg(required = true)]
    container: String,
    /// Write to a file, instead of STDOUT
    #[arg(short, long)]
    output: Option<String>,
}

/// Exports.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let output = args.output.filter(|path| !path.is_empty());
    let target = file::Target::open(output.as_deref())
        .map_err(|error| Failure::new(1, format!("failed to export container: {error}")))?;
    let request = context.client()?.request(Method::GET, path::container(&args.container, "/export")?);
    target.fill(request.send().await?).await?;
    Ok(0)
}
