//! `pull`: downloads an image.

use super::super::pull_image::{self, Draw};
use super::super::transfer::Transfer;
use super::super::{Context, Outcome, output};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    transfer: Transfer,
    /// Download all tagged images in the repository
    #[arg(short, long)]
    all_tags: bool,
    /// Set platform if server is multi-platform capable
    #[arg(long)]
    platform: Option<String>,
}

/// Pulls, and prints what was pulled.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let reference = args.transfer.reference(args.all_tags)?;
    let platform = args.platform.or_else(|| context.globals().default_platform.clone());
    let draw = if args.transfer.quiet { Draw::Quiet } else { Draw::Stdout };
    pull_image::pull(context, &reference, &platform.unwrap_or_default(), draw).await?;
    output::line(&reference.to_string())?;
    Ok(0)
}
