//! What the verbs that prune have in common: asking first, the user's standing filters, and their words.

use std::io::{self, BufRead};

use api::Filters;
use term::size::human;

use super::{Context, output, values};

/// The flags of every verb that prunes.
#[derive(clap::Args)]
#[group(skip)]
pub struct PruneArgs {
    /// Provide filter values (e.g. "until=<timestamp>" or "label=<key>=<value>")
    #[arg(long, value_name = "filter", value_parser = values::filter)]
    pub filter: Vec<(String, String)>,
    /// Do not prompt for confirmation
    #[arg(short, long)]
    pub force: bool,
}

/// Asks; anything but yes is no.
pub fn confirmed(question: &str) -> anyhow::Result<bool> {
    output::print(&format!("{question} [y/N] "))?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// The filters of the command line, with those that config.json adds to every prune (`pruneFilters`).
pub fn filters(context: &Context, given: &[(String, String)]) -> Filters {
    let mut filters = values::filters(given);
    let standing = context.config().rest.get("pruneFilters").and_then(serde_json::Value::as_array);
    let standing = standing.into_iter().flatten().filter_map(serde_json::Value::as_str);
    for (key, value) in standing.filter_map(|text| text.split_once('=')) {
        // What the command line says about a label goes before what always holds.
        let opposite = match key {
            "label" => "label!",
            "label!" => "label",
            _ => continue,
        };
        if !filters.get(opposite).any(|other| other == value) {
            filters.add(key, value);
        }
    }
    filters
}

/// A title and a line for each; nothing for none.
pub fn list(title: &str, items: &[String]) -> String {
    match items.is_empty() {
        true => String::new(),
        false => format!("{title}\n{}\n\n", items.join("\n")),
    }
}

/// The last line of every prune.
pub fn reclaimed(bytes: u64) -> String {
    format!("Total reclaimed space: {}\n", human(bytes as f64))
}
