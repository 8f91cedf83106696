//! `volume ls`: lists volumes.

use api::{VolumeListQuery, VolumeListResponse};
use client::Method;

use super::super::{Context, Outcome, list, values};
use crate::format::{Format, natural, volume};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    /// Provide filter values (e.g. "dangling=true")
    #[arg(short, long, value_name = "filter", value_parser = values::filter)]
    filter: Vec<(String, String)>,
    /// Format output using a custom template: 'table', 'table TEMPLATE', 'json' or 'TEMPLATE'
    #[arg(long)]
    format: Option<String>,
    /// Only display volume names
    #[arg(short, long)]
    quiet: bool,
}

/// Lists.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let wanted = list::wanted(context, args.format.as_deref(), args.quiet, "volumesFormat");
    let query = VolumeListQuery { filters: values::filters(&args.filter) };
    let request = context.client()?.request(Method::GET, "/volumes").parameters(&query);
    let answer: VolumeListResponse = request.json().await?;
    let mut volumes = answer.volumes.unwrap_or_default();
    volumes.sort_by(|a, b| natural(&a.name, &b.name));
    list::print(
        &volume::KIND,
        &Format::parse(volume::format(&wanted, args.quiet)),
        volumes.iter().map(volume::row),
    )?;
    Ok(0)
}
