//! `network ls`: lists networks.

use api::Network;
use client::Method;

use super::super::{Context, Outcome, list, values};
use crate::format::{Clock, Format, natural, network};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    /// Provide filter values (e.g. "driver=bridge")
    #[arg(short, long, value_name = "filter", value_parser = values::filter)]
    filter: Vec<(String, String)>,
    /// Format output using a custom template: 'table', 'table TEMPLATE', 'json' or 'TEMPLATE'
    #[arg(long)]
    format: Option<String>,
    /// Do not truncate the output
    #[arg(long)]
    no_trunc: bool,
    /// Only display network IDs
    #[arg(short, long)]
    quiet: bool,
}

/// Lists.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let wanted = list::wanted(context, args.format.as_deref(), args.quiet, "networksFormat");
    let query = api::NetworkListQuery { filters: values::filters(&args.filter) };
    let request = context.client()?.request(Method::GET, "/networks").parameters(&query);
    let mut networks: Vec<Network> = request.json().await?;
    networks.sort_by(|a, b| natural(&a.name, &b.name));
    let format = Format::parse(network::format(&wanted, args.quiet));
    let clock = Clock::system();
    let rows = networks.iter().map(|network| network::row(network, !args.no_trunc, &clock));
    list::print(&network::KIND, &format, rows)?;
    Ok(0)
}
