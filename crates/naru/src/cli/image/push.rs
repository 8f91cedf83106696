//! `push`: uploads an image.

use api::ImagePushQuery;
use client::{Lines, Method};
use image::Reference;

use super::super::pull_image::{self, Draw};
use super::super::registry_auth::{self, Purpose};
use super::super::{Context, Failure, Outcome, output, path, platform};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[arg(required = true)]
    name: String,
    /// Push all tags of an image to the repository
    #[arg(short, long)]
    all_tags: bool,
    /// Push a platform-specific manifest as a single-platform image: "os[/arch[/variant]]"
    #[arg(long)]
    platform: Option<String>,
    /// Suppress verbose output
    #[arg(short, long)]
    quiet: bool,
    /// Skip image signing
    #[arg(long, hide = true)]
    disable_content_trust: bool,
}

/// Pushes; draws the engine's progress.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let mut reference = Reference::parse(&args.name)?;
    let name_only = reference.tag.is_none() && reference.digest.is_none();
    if args.all_tags && !name_only {
        return Err(Failure::new(1, "tag can't be used with --all-tags/-a").into());
    }
    if !args.all_tags && name_only {
        reference = reference.with_default_tag();
        if !args.quiet {
            output::line(&format!("Using default tag: {}", image::DEFAULT_TAG))?;
        }
    }
    let query = ImagePushQuery {
        tag: reference.tag.clone().unwrap_or_default(),
        platform: args.platform.as_deref().map(platform::json).transpose()?.unwrap_or_default(),
    };
    let path = path::image(&reference.familiar_name(), "/push")?;
    let request = context.client()?.request(Method::POST, path).parameters(&query);
    let auth = registry_auth::header(context, &reference.registry, Purpose::Write).await?;
    let response = request.header(registry_auth::HEADER, auth).send().await?;
    let draw = if args.quiet { Draw::Quiet } else { Draw::Stdout };
    pull_image::draw_all(Lines::new(response), draw).await?;
    if args.quiet {
        output::line(&reference.to_string())?;
    }
    Ok(0)
}
