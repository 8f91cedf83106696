//! `events`: what happens, as it happens.

use api::{EventMessage, EventsQuery};
use client::{Lines, Method};
use serde_json::value::RawValue;
use term::template::Template;

use super::super::{Context, Failure, Outcome, moment, output, values};
use crate::format::event;

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    /// Filter output based on conditions provided
    #[arg(short, long, value_name = "filter", value_parser = values::filter)]
    filter: Vec<(String, String)>,
    /// Format output using a custom template: 'json' or 'TEMPLATE'
    #[arg(long)]
    format: Option<String>,
    /// Show all events created since timestamp
    #[arg(long)]
    since: Option<String>,
    /// Stream events until this timestamp
    #[arg(long)]
    until: Option<String>,
}

/// Prints each on a line, until the end of time or `--until`.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let template = match args.format.as_deref().unwrap_or_default() {
        "" => None,
        "json" => Some("{{json .}}"),
        text => Some(text),
    };
    let template = template.map(|text| Template::parse("", text)).transpose();
    let template = template.map_err(|error| Failure::new(64, format!("Error parsing format: {error}")))?;
    let query = EventsQuery {
        since: moment::plain(args.since.as_deref()).map_err(|error| Failure::new(1, error))?,
        until: moment::plain(args.until.as_deref()).map_err(|error| Failure::new(1, error))?,
        filters: values::filters(&args.filter),
    };
    let response = context.client()?.request(Method::GET, "/events").parameters(&query).send().await?;
    let mut events = Lines::<Box<RawValue>>::new(response);
    let zone = jiff::tz::TimeZone::try_system().unwrap_or(jiff::tz::TimeZone::UTC);
    while let Some(json) = events.next().await? {
        let line = match &template {
            Some(template) => event::by_template(json.get().as_bytes(), template)
                .map_err(|error| Failure::new(64, format!("Error parsing format: {error}")))?,
            None => event::line(&serde_json::from_str::<EventMessage>(json.get())?, &zone),
        };
        output::line(&line)?;
    }
    Ok(0)
}
