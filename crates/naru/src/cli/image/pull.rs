//! `pull`: downloads an image.

use image::Reference;

use super::super::pull_image::{self, Draw};
use super::super::{Context, Failure, Outcome, output};

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
    let draw = if args.quiet { Draw::Quiet } else { Draw::Stdout };
    pull_image::pull(context, &reference, &platform.unwrap_or_default(), draw).await?;
    output::line(&reference.to_string())?;
    Ok(0)
}
