//! Values that templates work on: Go's kinds as far as `fmt` and `text/template` show them, read from JSON with its key order
//! kept. What JSON cannot say (is an object a struct or a map, which kind of nil is `null`) a [`Schema`] adds.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::rc::Rc;

use indexmap::IndexMap;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// A template's value.
#[derive(Debug, Clone)]
pub enum Value {
    /// A nil of some kind; the kinds print differently.
    Nil(Nil),
    /// A key that a map does not have: prints `<no value>`.
    Missing,
    /// bool
    Bool(bool),
    /// Any integer.
    Int(i128),
    /// float64
    Float(f64),
    /// string
    String(Rc<str>),
    /// A slice.
    List(Rc<Vec<Value>>),
    /// A map with string keys; prints sorted.
    Map(Rc<Map>),
    /// A struct: fields in order.
    Struct(Rc<Struct>),
}

/// A map, and what `index` finds in it for a key that it does not have.
#[derive(Debug, Clone, Default)]
pub struct Map {
    /// What is there.
    pub entries: BTreeMap<String, Value>,
    /// The zero value of Go's element type.
    pub zero: Zero,
}

/// A zero value by Go type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Zero {
    /// `nil`
    #[default]
    Pointer,
    /// A nil slice.
    Slice,
    /// The empty string.
    String,
}

/// What a nil value is a nil of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nil {
    /// Pointer or interface: `<nil>`.
    Pointer,
    /// Slice: `[]`.
    Slice,
    /// Map: `map[]`.
    Map,
}

/// A struct, or a row of a list with its one method.
#[derive(Debug, Clone)]
pub struct Struct {
    /// Go's name of the type, for error messages; empty for what came from JSON.
    pub type_name: &'static str,
    /// Fields (of JSON) or columns (of a row) in order.
    pub fields: IndexMap<String, Value>,
    /// Fields that are known but left out of the JSON, with their zero values.
    pub absent: fn(&str) -> Option<Value>,
    /// The JSON name of a field that Go calls differently.
    pub alias: fn(&str) -> Option<&'static str>,
    /// The method `Label "key"`.
    pub label: Option<Labels>,
}

/// What the method `Label` answers from.
#[derive(Debug, Clone)]
pub enum Labels {
    /// A row's labels; "" for others.
    Of(BTreeMap<String, String>),
    /// The header: the last dotted part of the label's name, with `-` and `_` as blanks.
    Header,
}

/// The Go types behind a JSON document.
#[derive(Clone, Copy)]
pub struct Schema {
    /// No types are known: every object is a map, every `null` a nil interface.
    pub untyped: bool,
    /// The kind of the field `name` in an object that is the field `parent`.
    pub kind: fn(parent: &str, name: &str) -> Kind,
    /// Zero values of fields that JSON may leave out.
    pub absent: fn(&str) -> Option<Value>,
    /// The JSON name of a field that Go calls differently (`ID` for `Id`): templates may use either.
    pub alias: fn(&str) -> Option<&'static str>,
}

/// What a field is, as far as it matters for printing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A struct, scalar or pointer.
    Plain,
    /// A map, with its elements' zero value.
    Map(Zero),
    /// A slice.
    Slice,
}

impl Schema {
    /// Objects are maps, nulls are nil interfaces: what Go decodes without types.
    pub const UNTYPED: Self =
        Self { untyped: true, kind: |_, _| Kind::Map(Zero::Pointer), absent: |_| None, alias: |_| None };
    /// Objects are structs.
    pub const STRUCTS: Self =
        Self { untyped: false, kind: |_, _| Kind::Plain, absent: |_| None, alias: |_| None };

    /// Reads a JSON document as a value.
    pub fn read(&self, json: &[u8]) -> Result<Value, serde_json::Error> {
        let kind = self.element();
        let mut deserializer = serde_json::Deserializer::from_slice(json);
        let value = Seed { schema: self, kind, name: "" }.deserialize(&mut deserializer)?;
        deserializer.end()?;
        Ok(value)
    }

    /// What objects are that have no field name of their own.
    fn element(&self) -> Kind {
        if self.untyped { Kind::Map(Zero::Pointer) } else { Kind::Plain }
    }
}

impl Value {
    /// A string.
    pub fn string(text: impl AsRef<str>) -> Self {
        Self::String(Rc::from(text.as_ref()))
    }

    /// A list.
    pub fn list(items: impl IntoIterator<Item = Self>) -> Self {
        Self::List(Rc::new(items.into_iter().collect()))
    }

    /// A map of strings.
    pub fn string_map<'a>(entries: impl IntoIterator<Item = (&'a String, &'a String)>) -> Self {
        let entries = entries.into_iter().map(|(key, value)| (key.clone(), Self::string(value)));
        Self::Map(Rc::new(Map { entries: entries.collect(), zero: Zero::String }))
    }

    /// A JSON document, untyped: objects become maps.
    pub fn from_json(json: &[u8]) -> Result<Self, serde_json::Error> {
        Schema::UNTYPED.read(json)
    }

    /// Go's truth: false for zero, "", nil and what is empty; a struct is always true.
    pub fn truth(&self) -> bool {
        match self {
            Self::Nil(_) | Self::Missing => false,
            Self::Bool(value) => *value,
            Self::Int(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::String(text) => !text.is_empty(),
            Self::List(items) => !items.is_empty(),
            Self::Map(map) => !map.entries.is_empty(),
            Self::Struct(_) => true,
        }
    }

    /// Compact JSON as Go's encoder writes it without HTML escaping.
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        write_json(self, Text::AS_IS, None, 0, &mut out);
        out
    }

    /// JSON indented as Go's `json.Indent`.
    pub fn to_json_indented(&self, indent: &str) -> String {
        let mut out = String::new();
        write_json(self, Text::AS_IS, Some(indent), 0, &mut out);
        out
    }

    /// The name of the Go kind, for error messages.
    pub(super) fn type_name(&self) -> &str {
        match self {
            Self::Nil(_) | Self::Missing => "<nil>",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float64",
            Self::String(_) => "string",
            Self::List(_) => "[]interface {}",
            Self::Map(_) => "map[string]interface {}",
            Self::Struct(value) if value.type_name.is_empty() => "map[string]interface {}",
            Self::Struct(value) => value.type_name,
        }
    }
}

impl Struct {
    /// The field of this name, in JSON or in Go.
    pub(super) fn field(&self, name: &str) -> Option<Value> {
        let known = |name: &str| self.fields.get(name).cloned().or_else(|| (self.absent)(name));
        known(name).or_else(|| known((self.alias)(name)?))
    }
}

impl Default for Struct {
    fn default() -> Self {
        Self { type_name: "", fields: IndexMap::new(), absent: |_| None, alias: |_| None, label: None }
    }
}

impl Zero {
    pub(super) fn value(self) -> Value {
        match self {
            Self::Pointer => Value::Nil(Nil::Pointer),
            Self::Slice => Value::Nil(Nil::Slice),
            Self::String => Value::string(""),
        }
    }
}

impl Labels {
    pub(super) fn get(&self, name: &str) -> Value {
        match self {
            Self::Of(labels) => Value::string(labels.get(name).map_or("", String::as_str)),
            Self::Header => {
                let last = name.rsplit('.').next().unwrap_or_default();
                Value::string(last.replace(['-', '_'], " "))
            }
        }
    }
}

/// `%v`.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nil(Nil::Pointer) => f.write_str("<nil>"),
            Self::Nil(Nil::Slice) => f.write_str("[]"),
            Self::Nil(Nil::Map) => f.write_str("map[]"),
            Self::Missing => f.write_str("<no value>"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Float(value) => f.write_str(&go_float(*value)),
            Self::String(text) => f.write_str(text),
            Self::List(items) => {
                f.write_char('[')?;
                spaced(f, items.iter())?;
                f.write_char(']')
            }
            Self::Map(map) => {
                f.write_str("map[")?;
                for (index, (key, value)) in map.entries.iter().enumerate() {
                    let blank = if index > 0 { " " } else { "" };
                    write!(f, "{blank}{key}:{value}")?;
                }
                f.write_char(']')
            }
            Self::Struct(value) => {
                f.write_char('{')?;
                spaced(f, value.fields.values())?;
                f.write_char('}')
            }
        }
    }
}

fn spaced<'a>(f: &mut fmt::Formatter<'_>, values: impl Iterator<Item = &'a Value>) -> fmt::Result {
    for (index, value) in values.enumerate() {
        if index > 0 {
            f.write_char(' ')?;
        }
        // Inside a container Go prints a nil interface where a template's own value would be missing.
        match value {
            Value::Missing => f.write_str("<nil>")?,
            value => write!(f, "{value}")?,
        }
    }
    Ok(())
}

/// `%v` of a float64: shortest text, exponent below 1e-4 and from 1e21 on.
pub(super) fn go_float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-4..1e21).contains(&magnitude) {
        let text = format!("{value:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, digits) = match exponent.strip_prefix('-') {
            Some(digits) => ('-', digits),
            None => ('+', exponent),
        };
        return format!("{mantissa}e{sign}{digits:0>2}");
    }
    format!("{value}")
}

/// How text is written in JSON.
#[derive(Clone, Copy)]
struct Text {
    /// `<`, `>` and `&` as `\u003c` and so on: Go's default, which docker's rows have and its other JSON has not.
    html: bool,
}

impl Text {
    const AS_IS: Self = Self { html: false };
    const HTML: Self = Self { html: true };
}

fn write_json(value: &Value, text: Text, indent: Option<&str>, depth: usize, out: &mut String) {
    let line = |out: &mut String, depth: usize| {
        if let Some(indent) = indent {
            out.push('\n');
            (0..depth).for_each(|_| out.push_str(indent));
        }
    };
    match value {
        Value::Nil(_) | Value::Missing => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Int(value) => {
            let _ = write!(out, "{value}");
        }
        Value::Float(value) => out.push_str(&go_float(*value)),
        Value::String(string) => write_json_string(string, text, out),
        Value::List(items) if items.is_empty() => out.push_str("[]"),
        Value::List(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                line(out, depth + 1);
                write_json(item, text, indent, depth + 1, out);
            }
            line(out, depth);
            out.push(']');
        }
        Value::Map(map) => {
            write_json_object(map.entries.iter(), map.entries.is_empty(), text, indent, depth, &line, out);
        }
        Value::Struct(value) => {
            let text = if value.label.is_some() { Text::HTML } else { text };
            write_json_object(value.fields.iter(), value.fields.is_empty(), text, indent, depth, &line, out);
        }
    }
}

fn write_json_object<'a>(
    entries: impl Iterator<Item = (&'a String, &'a Value)>,
    is_empty: bool,
    text: Text,
    indent: Option<&str>,
    depth: usize,
    line: &impl Fn(&mut String, usize),
    out: &mut String,
) {
    if is_empty {
        return out.push_str("{}");
    }
    out.push('{');
    for (index, (key, value)) in entries.enumerate() {
        if index > 0 {
            out.push(',');
        }
        line(out, depth + 1);
        write_json_string(key, text, out);
        out.push_str(if indent.is_some() { ": " } else { ":" });
        write_json(value, text, indent, depth + 1, out);
    }
    line(out, depth);
    out.push('}');
}

/// A JSON string as Go writes it: control characters and U+2028/2029 escaped.
fn write_json_string(string: &str, text: Text, out: &mut String) {
    out.push('"');
    for c in string.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '<' | '>' | '&' if text.html => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c if (c as u32) < 0x20 || c == '\u{2028}' || c == '\u{2029}' => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Reads one value of a known kind.
struct Seed<'a> {
    schema: &'a Schema,
    kind: Kind,
    /// The field this value is in.
    name: &'a str,
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Nil(match self.kind {
            Kind::Plain => Nil::Pointer,
            // Untyped JSON knows no nil maps.
            Kind::Map(_) if self.schema.untyped => Nil::Pointer,
            Kind::Map(_) => Nil::Map,
            Kind::Slice => Nil::Slice,
        }))
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value.into()))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Int(value.into()))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Float(value))
    }
    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::string(text))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let kind = self.schema.element();
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Seed { schema: self.schema, kind, name: self.name })? {
            list.push(item);
        }
        Ok(Value::List(Rc::new(list)))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        if let Kind::Map(zero) = self.kind {
            let kind = self.schema.element();
            let mut map = BTreeMap::new();
            while let Some(key) = entries.next_key::<String>()? {
                let value = entries.next_value_seed(Seed { schema: self.schema, kind, name: self.name })?;
                map.insert(key, value);
            }
            return Ok(Value::Map(Rc::new(Map { entries: map, zero })));
        }
        let mut fields = IndexMap::new();
        while let Some(key) = entries.next_key::<String>()? {
            let kind = (self.schema.kind)(self.name, &key);
            let value = entries.next_value_seed(Seed { schema: self.schema, kind, name: &key })?;
            fields.insert(key, value);
        }
        let (absent, alias) = (self.schema.absent, self.schema.alias);
        Ok(Value::Struct(Rc::new(Struct { fields, absent, alias, ..Struct::default() })))
    }
}
