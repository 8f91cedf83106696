//! `search`: looks for images on Docker Hub, or another registry.

use api::{ImageSearchQuery, ImageSearchResponseItem};
use client::Method;

use super::super::registry_auth::{self, Purpose};
use super::super::{Context, Outcome, list, values};
use crate::format::{Format, search};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[arg(required = true)]
    term: String,
    /// Filter output based on conditions provided
    #[arg(short, long, value_name = "filter", value_parser = values::filter)]
    filter: Vec<(String, String)>,
    /// Pretty-print search using a Go template
    #[arg(long)]
    format: Option<String>,
    /// Max number of search results
    #[arg(long, value_name = "int", default_value = "0", hide_default_value = true, value_parser = values::integer)]
    limit: i64,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
}

/// Lists the finds.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let registry = match args.term.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host,
        _ => image::DEFAULT_REGISTRY,
    };
    let auth = registry_auth::header(context, registry, Purpose::Read).await?;
    let query = ImageSearchQuery {
        filters: values::filters(&args.filter),
        limit: args.limit,
        term: args.term.clone(),
    };
    let request = context.client()?.request(Method::GET, "/images/search").parameters(&query);
    let finds: Vec<ImageSearchResponseItem> = request.header(registry_auth::HEADER, auth).json().await?;
    let wanted = args.format.unwrap_or_default();
    let json = wanted == "json";
    let rows = finds.iter().map(|find| search::row(find, !args.no_trunc, json));
    list::print(&search::KIND, &Format::parse(search::format(&wanted)), rows)?;
    Ok(0)
}
