//! `pull`: downloads an image.

use api::ImageCreateQuery;
use client::Method;
use image::Reference;

use super::super::{Context, Failure, Outcome, output, progress, registry_auth};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[arg(required = true)]
    name: String,
    /// Download all tagged images in the repository
    #[arg(short, long)]
    all_tags: bool,
    /// Set platform if server is multi-platform capable
    #[arg(long)]
    platform: Option<String>,
    /// Suppress verbose output
    #[arg(short, long)]
    quiet: bool,
    /// Skip image verification
    #[arg(long, hide = true)]
    disable_content_trust: bool,
}

/// Pulls, and prints what was pulled.
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
    let platform = args.platform.or_else(|| context.globals().default_platform.clone());
    pull(context, &reference, platform, args.quiet).await?;
    output::line(&reference.to_string())?;
    Ok(0)
}

/// Asks the engine to pull; draws its progress.
pub async fn pull(
    context: &Context,
    reference: &Reference,
    platform: Option<String>,
    quiet: bool,
) -> anyhow::Result<()> {
    let digest = reference.digest.as_ref().map(ToString::to_string);
    let query = ImageCreateQuery {
        from_image: reference.familiar_name(),
        tag: digest.or_else(|| reference.tag.clone()).unwrap_or_default(),
        platform: platform.unwrap_or_default(),
        ..ImageCreateQuery::default()
    };
    let request = context.client()?.request(Method::POST, "/images/create").parameters(&query);
    let auth = registry_auth::header(context, &reference.registry)?;
    let response = request.header(registry_auth::HEADER, auth).send().await?;
    progress::show(response, quiet).await
}
