//! What the verbs that look into images have in common: their format, their path in the API, sizes and kinds in words.

use serde::Serialize;
use term::template::{Template, Value};

use super::super::{Failure, output, path};
use crate::format::parsing;

/// `--format`: text, a JSON object a line, or a template's text a line.
pub enum Shape {
    /// For people.
    Text,
    /// For programs.
    Json,
    /// For whoever wrote it.
    Lines(Template),
}

/// The flag that says it.
#[derive(clap::Args)]
#[group(skip)]
pub struct FormatArgs {
    /// Format output using a custom template: 'text', 'json' or 'TEMPLATE'
    #[arg(long)]
    pub format: Option<String>,
}

impl Shape {
    /// Reads `--format`.
    pub fn parse(format: Option<&str>) -> anyhow::Result<Self> {
        match format.unwrap_or_default() {
            "" | "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            template => match Template::parse("", template) {
                Ok(template) => Ok(Self::Lines(template)),
                Err(error) => Err(Failure::new(64, parsing(error).0).into()),
            },
        }
    }

    /// Whether it is words, and not values, that are wanted.
    pub fn is_text(&self) -> bool {
        matches!(self, Self::Text)
    }

    /// Prints values as they are wanted; `text` makes the words of all of them.
    pub fn print<T: Serialize>(&self, values: &[T], text: impl FnOnce(&[T]) -> String) -> anyhow::Result<()> {
        let Self::Lines(template) = self else {
            return if self.is_text() { output::print(&text(values)) } else { json_lines(values) };
        };
        let mut out = String::new();
        for value in values {
            let value = Value::from_json(&serde_json::to_vec(value)?)?;
            let line = template.execute(&value).map_err(|error| Failure::new(1, parsing(error).0))?;
            out.push_str(&format!("{line}\n"));
        }
        output::print(&out)
    }
}

/// `/naru/images/{name}{rest}`.
pub fn image(name: &str, rest: &str) -> anyhow::Result<String> {
    path::object("naru/images", "image", name, rest)
}

fn json_lines<T: Serialize>(values: &[T]) -> anyhow::Result<()> {
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

/// The first twelve digits of an id.
pub fn short_id(id: &str) -> String {
    crate::format::short_id(id).to_owned()
}

/// A size in words.
pub fn size(bytes: u64) -> String {
    term::size::human_with_precision(bytes as f64, 3)
}
