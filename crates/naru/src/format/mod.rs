//! Lists as the stock client prints them: which columns a kind of object has, what they are called, and what `--format` makes
//! of them. One file a kind turns API objects into [`Row`]s; nothing here talks to an engine or prints.
//!
//! ```text
//! API object ─row()─▶ Row ─render(format)─▶ text
//! ```

pub mod container;
pub mod context;
pub mod event;
pub mod history;
pub mod image;
pub mod info;
mod info_words;
pub mod network;
pub mod ports;
pub mod schema;
pub mod search;
pub mod stats;
pub mod usage;
pub mod usage_verbose;
pub mod version;
pub mod volume;

use std::collections::BTreeMap;
use std::rc::Rc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use term::table::{Layout, align};
use term::template::{Error, Labels, Struct, Template, Value};

/// The columns of one kind of object.
pub struct Kind {
    /// Go's name of the row's type, which error messages show.
    pub type_name: &'static str,
    /// Field and header; `""` for a field that is no column.
    pub columns: &'static [(&'static str, &'static str)],
}

/// One object: its fields in any order, and its labels for `{{.Label "key"}}`.
#[derive(Debug, Default)]
pub struct Row {
    /// Field and value.
    pub fields: Vec<(&'static str, Value)>,
    /// Only kinds with labels have them.
    pub labels: Option<BTreeMap<String, String>>,
}

impl Row {
    /// A row of texts.
    pub fn texts<const N: usize>(fields: [(&'static str, String); N]) -> Self {
        Self {
            fields: fields.into_iter().map(|(name, text)| (name, Value::string(text))).collect(),
            labels: None,
        }
    }

    /// The row as a template sees it.
    pub fn into_value(mut self, type_name: &'static str) -> Value {
        // Go encodes a row as a map: by name.
        self.fields.sort_by_key(|(name, _)| *name);
        let fields = self.fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let label = Some(Labels::Of(self.labels.unwrap_or_default()));
        Value::Struct(Rc::new(Struct { type_name, fields, label, ..Struct::default() }))
    }
}

/// What `--format` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// A header and aligned columns, by this template.
    Table(String),
    /// One text a row, by this template.
    Lines(String),
}

impl Format {
    /// Reads `--format`: `table TEMPLATE`, `json` or a template. (`table`, `raw` and nothing the kinds know themselves.)
    pub fn parse(text: &str) -> Self {
        let unescape = |text: &str| text.trim_matches(' ').replace("\\t", "\t").replace("\\n", "\n");
        match text.strip_prefix("table") {
            Some(template) => Self::Table(unescape(template)),
            None if text == "json" => Self::Lines("{{json .}}".to_owned()),
            None => Self::Lines(unescape(text)),
        }
    }

    /// The template.
    pub fn template(&self) -> &str {
        match self {
            Self::Table(text) | Self::Lines(text) => text,
        }
    }
}

/// The text of a list, or why the template does not fit.
pub fn render(kind: &Kind, format: &Format, rows: impl IntoIterator<Item = Row>) -> Result<String, Error> {
    let template = Template::parse("", format.template()).map_err(parsing)?;
    let mut body = String::new();
    for row in rows {
        body.push_str(&template.execute(&row.into_value(kind.type_name)).map_err(parsing)?);
        body.push('\n');
    }
    if let Format::Lines(_) = format {
        return Ok(body);
    }
    // A header that makes no sense for the template is no reason to show nothing.
    let header = template.execute_header(&header(kind)).unwrap_or_default();
    Ok(align(&format!("{header}\n{body}"), Layout::LIST))
}

fn header(kind: &Kind) -> Value {
    let columns = kind.columns.iter().filter(|(_, header)| !header.is_empty());
    Value::Struct(Rc::new(Struct {
        type_name: kind.type_name,
        fields: columns.map(|(field, header)| ((*field).to_owned(), Value::string(header))).collect(),
        absent: |_| Some(Value::Missing),
        alias: |_| None,
        label: Some(Labels::Header),
    }))
}

/// How the stock client tells that a template is wrong.
pub fn parsing(error: Error) -> Error {
    Error(format!("template parsing error: {error}"))
}

/// Now, and where the user is.
#[derive(Debug, Clone)]
pub struct Clock {
    /// Now.
    pub now: Timestamp,
    /// The user's time zone.
    pub zone: TimeZone,
}

impl Clock {
    /// The system's.
    pub fn system() -> Self {
        let zone = TimeZone::try_system().unwrap_or(TimeZone::UTC);
        Self { now: Timestamp::now(), zone }
    }

    /// `2 hours ago`, for Unix seconds.
    pub fn ago(&self, seconds: i64) -> String {
        format!("{} ago", self.age(seconds))
    }

    fn age(&self, seconds: i64) -> String {
        let now = self.now.as_second() as f64 + f64::from(self.now.subsec_nanosecond()) / 1e9;
        term::duration::human(now - seconds as f64)
    }
}

/// The first twelve digits of an id, without its algorithm.
pub fn short_id(id: &str) -> &str {
    let digits = id.split_once(':').map_or(id, |(_, digits)| digits);
    digits.get(..12).unwrap_or(digits)
}

/// `a=1,b=2`
pub fn join_labels(labels: Option<&BTreeMap<String, String>>) -> String {
    let pairs = labels.into_iter().flatten().map(|(key, value)| format!("{key}={value}"));
    pairs.collect::<Vec<_>>().join(",")
}

/// Natural order: runs of digits compare as numbers, so `web2` comes before `web10`.
pub fn natural(a: &str, b: &str) -> std::cmp::Ordering {
    use std::cmp::Ordering;
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    loop {
        let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        match (digits(a), digits(b)) {
            (0, _) | (_, 0) => match (a.split_first(), b.split_first()) {
                (Some((x, rest_a)), Some((y, rest_b))) => {
                    if x != y {
                        return x.cmp(y);
                    }
                    (a, b) = (rest_a, rest_b);
                }
                _ => return a.len().cmp(&b.len()),
            },
            (n, m) => {
                let zeros = |text: &[u8]| text.iter().take_while(|byte| **byte == b'0').count();
                let (x, y) = (&a[zeros(&a[..n])..n], &b[zeros(&b[..m])..m]);
                let order = x.len().cmp(&y.len()).then_with(|| x.cmp(y)).then_with(|| n.cmp(&m));
                if order != Ordering::Equal {
                    return order;
                }
                (a, b) = (&a[n..], &b[m..]);
            }
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A clock at 2026-11-24T12:00:00Z.
    pub fn clock() -> Clock {
        Clock { now: Timestamp::from_second(1_795_521_600).expect("a time"), zone: TimeZone::UTC }
    }

    const KIND: Kind =
        Kind { type_name: "*formatter.xContext", columns: &[("ID", "THING ID"), ("Name", "NAME")] };

    fn list(format: &str) -> Result<String, String> {
        let row = |id: &str, name: &str| Row {
            labels: Some(BTreeMap::from([("com.x.key".to_owned(), format!("of {name}"))])),
            ..Row::texts([("Name", name.to_owned()), ("ID", id.to_owned())])
        };
        render(&KIND, &Format::parse(format), [row("1", "web"), row("2", "<db>")]).map_err(|error| error.0)
    }

    #[test]
    fn what_format_makes_of_rows() {
        for (format, text) in [
            ("table {{.ID}}\\t{{.Name}}", "THING ID   NAME\n1          web\n2          <db>\n"),
            ("table {{upper .Name}}", "NAME\nWEB\n<DB>\n"),
            ("json", "{\"ID\":\"1\",\"Name\":\"web\"}\n{\"ID\":\"2\",\"Name\":\"\\u003cdb\\u003e\"}\n"),
            ("{{json .Name}}", "\"web\"\n\"<db>\"\n"),
            ("{{.Name}}\\t{{.ID}}\\n", "web\t1\n\n<db>\t2\n\n"),
            (" ", "\n\n"),
            ("tablex", "x\nx\nx\n"),
            ("table {{.Label \"com.x.key\"}}", "key\nof web\nof <db>\n"),
        ] {
            assert_eq!(list(format).as_deref(), Ok(text), "{format}");
        }
    }

    #[test]
    fn templates_that_do_not_fit() {
        for (format, text) in [
            (
                "table {{.Nope}}",
                "template parsing error: template: :1:2: executing \"\" at <.Nope>: can't evaluate field Nope in type *formatter.xContext",
            ),
            ("{{.Nope", "template parsing error: template: :1: unclosed action"),
        ] {
            assert_eq!(list(format), Err(text.to_owned()));
        }
    }

    #[test]
    fn names_sort_as_people_count() {
        let mut names = ["web10", "web2", "db", "web02", "web", "1"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["1", "db", "web", "web2", "web02", "web10"]);
    }
}
