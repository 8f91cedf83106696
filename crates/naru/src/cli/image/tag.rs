//! `tag`: gives an image another name.

use api::ImageTagQuery;
use client::Method;
use image::Reference;

use super::super::{Context, Failure, Outcome, path};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[arg(required = true)]
    source: String,
    #[arg(required = true)]
    target: String,
}

/// Tags.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let target = Reference::parse(&args.target).map_err(|error| {
        Failure::new(
            1,
            format!("Error parsing reference: \"{}\" is not a valid repository/tag: {error}", args.target),
        )
    })?;
    if target.digest.is_some() {
        return Err(Failure::new(1, "refusing to create a tag with a digest reference").into());
    }
    let target = target.with_default_tag();
    let query = ImageTagQuery { repo: target.familiar_name(), tag: target.tag.unwrap_or_default() };
    let request = context.client()?.request(Method::POST, path::image(&args.source, "/tag")?);
    request.parameters(&query).empty().await?;
    Ok(0)
}
