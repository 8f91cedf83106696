//! `system df`: what takes space.

use api::SystemDataUsageResponse;
use client::Method;

use super::super::{Context, Failure, Outcome, list, output};
use crate::format::{Clock, Format, usage, usage_verbose};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    /// Format output using a custom template: 'table', 'table TEMPLATE', 'json' or 'TEMPLATE'
    #[arg(long)]
    format: Option<String>,
    /// Show detailed information on space usage
    #[arg(short, long)]
    verbose: bool,
}

/// Sums it up, or lists everything.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let usage: SystemDataUsageResponse = context.client()?.request(Method::GET, "/system/df").json().await?;
    let wanted = args.format.unwrap_or_default();
    if args.verbose {
        let text = usage_verbose::text(&usage, &wanted, &Clock::system());
        output::print(&text.map_err(|error| Failure::new(1, error.0))?)?;
        return Ok(0);
    }
    list::print(&usage::KIND, &Format::parse(usage::format(&wanted)), usage::rows(&usage))?;
    Ok(0)
}
