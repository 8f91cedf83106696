//! `list`: all containers of a state root.

use super::arguments::{Flag, Order, parse};
use super::failure::{Failure, Result};
use super::state::{State, describe};
use super::{Globals, print};
use crate::role::users;

const FLAGS: &[Flag] = &[Flag::value("format", Some('f')), Flag::switch("quiet", Some('q'))];

/// The verb.
pub fn run(globals: &Globals, words: &[String]) -> Result<i32> {
    let flags = parse(words, FLAGS, Order::Any)?;
    let containers = globals.store.list()?;
    if flags.switch("quiet") {
        for container in &containers {
            print(&container.record().id)?;
        }
        return Ok(0);
    }
    let owners: Vec<String> = containers.iter().map(|container| users::name(container.owner())).collect();
    let states: Vec<State> =
        containers.iter().zip(&owners).map(|(container, owner)| describe(container, owner)).collect();
    match flags.value("format").unwrap_or("table") {
        "table" => print(&table(&states))?,
        // Go's nil slice.
        "json" if states.is_empty() => print("null")?,
        "json" => print(&serde_json::to_string(&states).map_err(Failure::io("print the list"))?)?,
        _ => return Err(Failure::usage("invalid format option")),
    }
    Ok(0)
}

/// Columns as wide as their widest cell and three more, at least twelve.
fn table(states: &[State]) -> String {
    let mut rows = vec![["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_owned)];
    rows.extend(states.iter().map(State::cells));
    let mut text = String::new();
    let width = |column: usize| rows.iter().map(|row| row[column].len() + 3).max().unwrap_or(0).max(12);
    for row in &rows {
        for (column, cell) in row.iter().enumerate().take(5) {
            text.push_str(&format!("{cell:<width$}", width = width(column)));
        }
        text.push_str(&row[5]);
        text.push('\n');
    }
    text.trim_end().to_owned()
}
