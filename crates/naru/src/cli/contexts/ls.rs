//! `context ls`: lists the engines a user knows.

use super::super::{Context, Outcome, list, output};
use super::store::{DEFAULT, Store};
use crate::format::{Format, context};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    /// Format output using a custom template: 'table', 'table TEMPLATE', 'json' or 'TEMPLATE'
    #[arg(long)]
    format: Option<String>,
    /// Only show context names
    #[arg(short, long)]
    quiet: bool,
}

/// Lists.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let settings = &context.globals().settings;
    let current = settings.context_name(context.config());
    let mut entries = vec![context::Entry {
        name: DEFAULT.to_owned(),
        current: current == DEFAULT,
        description: "Current DOCKER_HOST based configuration".to_owned(),
        endpoint: super::default_host(context),
        error: String::new(),
    }];
    entries.extend(Store::of(context).list().into_iter().map(|meta| context::Entry {
        current: meta.name == current,
        description: meta.description().to_owned(),
        endpoint: meta.host().to_owned(),
        name: meta.name,
        error: String::new(),
    }));
    // One that is named and not there is shown, so that it is seen.
    if !entries.iter().any(|entry| entry.current) {
        let error = Store::of(context).read(&current).err().map(|error| error.to_string());
        entries.push(context::Entry {
            name: current,
            current: true,
            error: error.unwrap_or_default(),
            ..context::Entry::default()
        });
    }
    let wanted = args.format.unwrap_or_default();
    let format = Format::parse(context::format(&wanted, args.quiet));
    list::print(&context::KIND, &format, entries.iter().map(context::row))?;
    if settings.host.is_none() && settings.host_variable.is_some() {
        let name = if super::super::variable("NARU_HOST").is_some() { "NARU_HOST" } else { "DOCKER_HOST" };
        output::warn(&format!(
            "Warning: {name} environment variable overrides the active context. To use a context, either set the global --context flag, or unset {name} environment variable."
        ));
    }
    Ok(0)
}
