//! What the verbs that look into images have in common: their format, their path in the API, sizes and kinds in words.

use serde::Serialize;

use super::super::{Failure, output, path};

/// `--format`: text, or a JSON object a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// For people.
    Text,
    /// For programs.
    Json,
}

impl Shape {
    /// Reads `--format`.
    pub fn parse(format: Option<&str>) -> anyhow::Result<Self> {
        match format.unwrap_or_default() {
            "" | "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(Failure::flags(format!("invalid format {other:?}: it is text or json")).into()),
        }
    }
}

/// `/naru/images/{name}{rest}`.
pub fn image(name: &str, rest: &str) -> anyhow::Result<String> {
    path::object("naru/images", "image", name, rest)
}

/// Prints values, each as a JSON object on a line.
pub fn json_lines<T: Serialize>(values: &[T]) -> anyhow::Result<()> {
    let mut text = String::new();
    for value in values {
        text.push_str(&serde_json::to_string(value)?);
        text.push('\n');
    }
    output::print(&text)
}

/// Docker's letter for a kind of change.
pub fn letter(kind: u64) -> char {
    match kind {
        0 => 'C',
        1 => 'A',
        _ => 'D',
    }
}

/// A size in words.
pub fn size(bytes: u64) -> String {
    term::size::human_with_precision(bytes as f64, 3)
}
