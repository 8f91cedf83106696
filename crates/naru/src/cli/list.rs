//! What the verbs that list have in common: `--format` with the user's own default, and printing.

use super::{Context, Failure, output};
use crate::format::{Format, Kind, Row, render};

/// `--format`, or without it (and without `--quiet`) the user's own from config.json.
pub fn wanted(context: &Context, format: Option<&str>, quiet: bool, setting: &str) -> String {
    match format {
        Some(format) if !format.is_empty() => format.to_owned(),
        _ if quiet => String::new(),
        _ => context.config().format(setting).to_owned(),
    }
}

/// Prints a list.
pub fn print(kind: &Kind, format: &Format, rows: impl IntoIterator<Item = Row>) -> anyhow::Result<()> {
    output::print(&render(kind, format, rows).map_err(|error| Failure::new(1, error.0))?)
}
