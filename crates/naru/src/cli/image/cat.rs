//! `image cat`: a file of an image.

use api::ImagePathQuery;
use client::Method;

use super::super::{Context, Outcome, output};
use super::contents;

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[arg(required = true)]
    image: String,
    #[arg(required = true)]
    path: String,
}

/// Writes it to standard output.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let request = context.client()?.request(Method::GET, contents::image(&args.image, "/file")?);
    let mut response = request.parameters(&ImagePathQuery { path: args.path }).send().await?;
    while let Some(chunk) = response.chunk().await? {
        output::bytes(&chunk)?;
    }
    Ok(0)
}
