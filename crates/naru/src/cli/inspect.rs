//! What all `inspect` verbs have in common: objects one by one as the engine describes them, through a template or as JSON.

use std::future::Future;

use term::template::{Template, Value};

use super::{Failure, Outcome, failure, output};
use crate::format::{parsing, schema};

/// How objects are shown.
pub enum Shape {
    /// A JSON list, indented.
    Indented,
    /// A JSON list in one line.
    Json,
    /// A line for each.
    Lines(Template),
}

impl Shape {
    /// Reads `--format`; a template that does not parse exits with 64, as the stock client does.
    pub fn parse(format: Option<&str>) -> anyhow::Result<Self> {
        match format.unwrap_or_default() {
            "" => Ok(Self::Indented),
            "json" => Ok(Self::Json),
            text => match Template::parse("", text) {
                Ok(template) => Ok(Self::Lines(template)),
                Err(error) => Err(Failure::new(64, parsing(error).0).into()),
            },
        }
    }
}

/// Shows every object that `get` finds; what it does not find is told at the end.
pub async fn run<'a, G, F>(format: Option<&str>, names: &'a [String], get: G) -> Outcome
where
    G: Fn(&'a str) -> F,
    F: Future<Output = anyhow::Result<Vec<u8>>>,
{
    let shape = Shape::parse(format)?;
    let (mut objects, mut lines, mut errors) = (Vec::new(), String::new(), Vec::new());
    for name in names {
        let object = match get(name).await {
            Ok(json) => schema::OBJECTS.read(&json)?,
            Err(error) => {
                errors.push(failure::text(&error));
                continue;
            }
        };
        match &shape {
            Shape::Lines(template) => match template.execute(&object) {
                Ok(text) => lines.push_str(&format!("{text}\n")),
                Err(error) => errors.push(parsing(error).0),
            },
            _ => objects.push(object),
        }
    }
    output::print(&text(&shape, objects, lines))?;
    match errors.is_empty() {
        true => Ok(0),
        false => Err(Failure::new(1, errors.join("\n")).into()),
    }
}

fn text(shape: &Shape, objects: Vec<Value>, lines: String) -> String {
    match shape {
        Shape::Lines(_) if lines.is_empty() => "\n".to_owned(),
        Shape::Lines(_) => lines,
        Shape::Json => format!("{}\n", Value::list(objects).to_json()),
        Shape::Indented => format!("{}\n", Value::list(objects).to_json_indented("    ")),
    }
}
