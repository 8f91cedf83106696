//! `history`: the steps that made an image.

use api::{ImageHistoryResponseItem, ImagePlatformQuery};
use client::Method;

use super::super::{Context, Outcome, list, path, platform, values};
use crate::format::{Clock, Format, history};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[arg(required = true)]
    image: String,
    /// Format output using a custom template: 'table', 'table TEMPLATE', 'json' or 'TEMPLATE'
    #[arg(long)]
    format: Option<String>,
    /// Print sizes and dates in human readable format (default true)
    #[arg(short = 'H', long, action = clap::ArgAction::Set, num_args = 0..=1, default_value = "true", value_parser = values::boolean)]
    human: bool,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    /// Show history for the given platform: "os[/arch[/variant]]"
    #[arg(long)]
    platform: Option<String>,
    /// Only show image IDs
    #[arg(short, long)]
    quiet: bool,
}

/// Lists them.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let platform = args.platform.as_deref().map(platform::json).transpose()?.unwrap_or_default();
    let request = context.client()?.request(Method::GET, path::image(&args.image, "/history")?);
    let steps: Vec<ImageHistoryResponseItem> =
        request.parameters(&ImagePlatformQuery { platform }).json().await?;
    let wanted = args.format.unwrap_or_default();
    let format = Format::parse(history::format(&wanted, args.quiet, args.human));
    let clock = Clock::system();
    let rows = steps.iter().map(|step| history::row(step, args.human, !args.no_trunc, &clock));
    list::print(&history::KIND, &format, rows)?;
    Ok(0)
}
