//! `save`: writes images to a tar archive.

use api::ImageSaveQuery;
use client::Method;

use super::super::{Context, Failure, Outcome, file, platform};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[arg(required = true)]
    images: Vec<String>,
    /// Write to a file, instead of STDOUT
    #[arg(short, long)]
    output: Option<String>,
    /// Save only the given platform(s): "os[/arch[/variant]]"
    #[arg(long)]
    platform: Vec<String>,
}

/// Saves.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let output = args.output.filter(|path| !path.is_empty());
    let target = file::Target::open(output.as_deref())
        .map_err(|error| Failure::new(1, format!("failed to save image: {error}")))?;
    let query = ImageSaveQuery { names: args.images, platform: platform::json_all(&args.platform)? };
    let response = context.client()?.request(Method::GET, "/images/get").parameters(&query).send().await?;
    target.fill(response).await?;
    Ok(0)
}
