//! Go templates for `--format`: the language of `text/template` (without `define`), docker's functions, and Go's way to
//! print values.
//!
//! ```text
//! text ─lex─▶ tokens ─parse─▶ nodes ─run over a Value─▶ text
//! ```
//! Error texts are Go's, because users see them and scripts grep them.

mod exec;
mod funcs;
mod lex;
mod parse;
mod printf;
#[cfg(test)]
mod tests;
mod value;

pub use parse::quote;
pub use value::{Kind, Labels, Map, Nil, Schema, Struct, Value, Zero};

/// A template that does not parse, or does not fit its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(pub String);

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

/// A parsed template.
#[derive(Debug, Clone)]
pub struct Template {
    name: String,
    source: String,
    nodes: Vec<parse::Node>,
}

impl Template {
    /// Parses `source`; `name` appears in error messages only.
    pub fn parse(name: &str, source: &str) -> Result<Self, Error> {
        Ok(Self { name: name.to_owned(), source: source.to_owned(), nodes: parse::parse(name, source)? })
    }

    /// The text for `data`.
    pub fn execute(&self, data: &Value) -> Result<String, Error> {
        exec::run(self, data, false)
    }

    /// The text for a table's header: like [`Template::execute`], but functions that change text leave it alone.
    pub fn execute_header(&self, header: &Value) -> Result<String, Error> {
        exec::run(self, header, true)
    }
}
