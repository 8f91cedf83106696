//! The functions of templates: Go's built-in ones (without `call`, `html`, `js`) and docker's. In a table's header docker's
//! functions leave their text alone, so that the header stays readable.

use std::rc::Rc;

use super::printf;
use super::value::{Nil, Value};
use crate::width::truncate;

type Result<T> = std::result::Result<T, String>;

const NAMES: &[&str] = &[
    "and", "or", "not", "len", "index", "slice", "print", "printf", "println", "eq", "ne", "lt", "le", "gt",
    "ge", "urlquery", "json", "split", "join", "title", "lower", "upper", "pad", "truncate",
];

pub(super) fn exists(name: &str) -> bool {
    NAMES.contains(&name)
}

/// How an error of a function is told.
pub(super) enum Failure {
    /// As it is: wrong number or kind of arguments.
    Plain(String),
    /// After `error calling <name>: `.
    Calling(String),
}

/// Calls a function other than `and` and `or`, which evaluate their arguments themselves.
pub(super) fn call(name: &str, args: &[Value], header: bool) -> std::result::Result<Value, Failure> {
    let (least, most) = match name {
        "not" | "len" | "json" | "title" | "lower" | "upper" => (1, 1),
        "index" | "slice" | "printf" | "eq" => (1, usize::MAX),
        "ne" | "lt" | "le" | "gt" | "ge" | "split" | "join" | "truncate" => (2, 2),
        "pad" => (3, 3),
        _ => (0, usize::MAX),
    };
    if args.len() < least || args.len() > most {
        let want = if most == usize::MAX { format!("at least {least}") } else { least.to_string() };
        return Err(Failure::Plain(format!(
            "wrong number of args for {name}: want {want} got {}",
            args.len()
        )));
    }
    if header && matches!(name, "json" | "split" | "join" | "title" | "lower" | "upper" | "truncate") {
        // There a header is a text to docker's functions, or an error that leaves the line empty.
        return match &args[0] {
            Value::String(_) => Ok(args[0].clone()),
            other => Err(Failure::Plain(format!(
                "wrong type for value; expected string; got {}",
                other.type_name()
            ))),
        };
    }
    let text = |index: usize| match &args[index] {
        Value::String(text) => Ok(Rc::clone(text)),
        other => {
            Err(Failure::Plain(format!("wrong type for value; expected string; got {}", other.type_name())))
        }
    };
    let number = |index: usize| match &args[index] {
        Value::Int(value) => Ok(usize::try_from(*value).unwrap_or_default()),
        other => {
            Err(Failure::Plain(format!("wrong type for value; expected int; got {}", other.type_name())))
        }
    };
    let fail = Failure::Calling;
    Ok(match name {
        "not" => Value::Bool(!args[0].truth()),
        "len" => Value::Int(len(&args[0]).map_err(fail)? as i128),
        "index" => index(&args[0], &args[1..]).map_err(fail)?,
        "slice" => slice(&args[0], &args[1..]).map_err(fail)?,
        "print" => Value::string(print(args)),
        "println" => Value::string(println(args)),
        "printf" => Value::string(printf::sprintf(&text(0)?, &args[1..])),
        "urlquery" => Value::string(url_query(&print(args))),
        "eq" => equal_any(&args[0], &args[1..]).map_err(fail)?,
        "ne" => Value::Bool(!equal(&args[0], &args[1]).map_err(fail)?),
        "lt" => Value::Bool(less(&args[0], &args[1]).map_err(fail)?),
        "le" => {
            Value::Bool(less(&args[0], &args[1]).map_err(fail)? || equal(&args[0], &args[1]).map_err(fail)?)
        }
        "gt" => {
            Value::Bool(!less(&args[0], &args[1]).map_err(fail)? && !equal(&args[0], &args[1]).map_err(fail)?)
        }
        "ge" => Value::Bool(!less(&args[0], &args[1]).map_err(fail)?),
        "json" => Value::string(args[0].to_json()),
        "split" => split(&text(0)?, &text(1)?),
        "join" => join(&args[0], &text(1)?)?,
        "title" => Value::string(title(&text(0)?)),
        "lower" => Value::string(text(0)?.to_lowercase()),
        "upper" => Value::string(text(0)?.to_uppercase()),
        "pad" => match text(0)? {
            text if text.is_empty() => Value::String(text),
            text => Value::string(format!("{}{text}{}", " ".repeat(number(1)?), " ".repeat(number(2)?))),
        },
        "truncate" => Value::string(truncate(&text(0)?, number(1)?)),
        _ => return Err(Failure::Plain(format!("function \"{name}\" not defined"))),
    })
}

fn len(value: &Value) -> Result<usize> {
    match value {
        Value::String(text) => Ok(text.len()),
        Value::List(items) => Ok(items.len()),
        Value::Map(map) => Ok(map.entries.len()),
        Value::Nil(Nil::Slice | Nil::Map) => Ok(0),
        Value::Nil(Nil::Pointer) | Value::Missing => Err("len of nil pointer".to_owned()),
        // An untyped object is a map in Go.
        Value::Struct(object) if object.type_name.is_empty() => Ok(object.fields.len()),
        other => Err(format!("len of type {}", other.type_name())),
    }
}

fn integer(value: &Value, length: usize) -> Result<usize> {
    match value {
        Value::Int(index) => match usize::try_from(*index) {
            Ok(index) if index <= length => Ok(index),
            _ => Err(format!("index out of range: {index}")),
        },
        Value::Nil(_) | Value::Missing => Err("cannot index slice/array with nil".to_owned()),
        other => Err(format!("cannot index slice/array with type {}", other.type_name())),
    }
}

fn index(value: &Value, keys: &[Value]) -> Result<Value> {
    let mut value = value.clone();
    for key in keys {
        value = match &value {
            Value::Nil(Nil::Pointer) | Value::Missing => return Err("index of untyped nil".to_owned()),
            Value::Nil(Nil::Slice) => return Err(format!("index out of range: {key}")),
            Value::Nil(Nil::Map) => Value::string(""),
            Value::List(items) => match items.get(integer(key, items.len())?) {
                Some(item) => item.clone(),
                None => return Err(format!("index out of range: {key}")),
            },
            Value::String(text) => match text.as_bytes().get(integer(key, text.len())?) {
                Some(byte) => Value::Int((*byte).into()),
                None => return Err(format!("index out of range: {key}")),
            },
            Value::Map(map) => match key {
                Value::String(key) => map.entries.get(&**key).cloned().unwrap_or_else(|| map.zero.value()),
                other => return Err(format!("value has type {}; should be string", other.type_name())),
            },
            Value::Struct(object) if object.type_name.is_empty() => match key {
                Value::String(key) => object.fields.get(&**key).cloned().unwrap_or(Value::Nil(Nil::Pointer)),
                other => return Err(format!("value has type {}; should be string", other.type_name())),
            },
            other => return Err(format!("can't index item of type {}", other.type_name())),
        };
    }
    Ok(value)
}

fn slice(value: &Value, bounds: &[Value]) -> Result<Value> {
    let length = match value {
        Value::String(text) => text.len(),
        Value::List(items) => items.len(),
        Value::Nil(Nil::Slice) => 0,
        Value::Nil(_) | Value::Missing => return Err("slice of untyped nil".to_owned()),
        other => return Err(format!("can't slice item of type {}", other.type_name())),
    };
    if bounds.len() > 3 {
        return Err(format!("too many slice indexes: {}", bounds.len()));
    }
    let from = bounds.first().map_or(Ok(0), |bound| integer(bound, length))?;
    let to = bounds.get(1).map_or(Ok(length), |bound| integer(bound, length))?;
    if from > to {
        return Err(format!("invalid slice index: {from} > {to}"));
    }
    Ok(match value {
        Value::String(text) => Value::string(String::from_utf8_lossy(&text.as_bytes()[from..to])),
        Value::List(items) => Value::list(items[from..to].iter().cloned()),
        other => other.clone(),
    })
}

/// Go's `Sprint`: a blank between operands when neither is a string.
pub(super) fn print(args: &[Value]) -> String {
    let mut out = String::new();
    for (index, value) in args.iter().enumerate() {
        let is_string = |value: &Value| matches!(value, Value::String(_));
        if index > 0 && !is_string(value) && !is_string(&args[index - 1]) {
            out.push(' ');
        }
        out.push_str(&printf::plain(value));
    }
    out
}

fn println(args: &[Value]) -> String {
    let words: Vec<String> = args.iter().map(printf::plain).collect();
    format!("{}\n", words.join(" "))
}

fn equal_any(first: &Value, rest: &[Value]) -> Result<Value> {
    if rest.is_empty() {
        return Err("missing argument for comparison".to_owned());
    }
    for other in rest {
        if equal(first, other)? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

fn equal(a: &Value, b: &Value) -> Result<bool> {
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => Ok(a == b),
        (Value::Int(a), Value::Int(b)) => Ok(a == b),
        (Value::Float(a), Value::Float(b)) => Ok(a == b),
        (Value::String(a), Value::String(b)) => Ok(a == b),
        (Value::Nil(_) | Value::Missing, Value::Nil(_) | Value::Missing) => Ok(true),
        (Value::Nil(_) | Value::Missing, _) | (_, Value::Nil(_) | Value::Missing) => Ok(false),
        (Value::List(_) | Value::Map(_), _) => Err(format!("non-comparable type {a}: {}", a.type_name())),
        (_, Value::List(_) | Value::Map(_)) => Err(format!("non-comparable type {b}: {}", b.type_name())),
        _ => Err("incompatible types for comparison".to_owned()),
    }
}

fn less(a: &Value, b: &Value) -> Result<bool> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => Ok(a < b),
        (Value::Float(a), Value::Float(b)) => Ok(a < b),
        (Value::String(a), Value::String(b)) => Ok(a < b),
        (
            Value::Int(_) | Value::Float(_) | Value::String(_),
            Value::Int(_) | Value::Float(_) | Value::String(_),
        ) => Err("incompatible types for comparison".to_owned()),
        _ => Err("invalid type for comparison".to_owned()),
    }
}

fn split(text: &str, separator: &str) -> Value {
    match separator {
        "" => Value::list(text.chars().map(|c| Value::string(c.to_string()))),
        separator => Value::list(text.split(separator).map(Value::string)),
    }
}

fn join(list: &Value, separator: &str) -> std::result::Result<Value, Failure> {
    let words = match list {
        Value::Nil(_) => Vec::new(),
        Value::List(items) => items.iter().map(ToString::to_string).collect(),
        other => {
            return Err(Failure::Plain(format!(
                "wrong type for value; expected []string; got {}",
                other.type_name()
            )));
        }
    };
    Ok(Value::string(words.join(separator)))
}

/// Go's `strings.Title`: a capital at the start of every word.
fn title(text: &str) -> String {
    let mut previous = ' ';
    text.chars()
        .map(|c| {
            let starts = !(previous.is_alphanumeric() || previous == '_' || previous == '\'');
            previous = c;
            if starts { c.to_uppercase().to_string() } else { c.to_string() }
        })
        .collect()
}

/// Go's `url.QueryEscape`.
fn url_query(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            b if b.is_ascii_alphanumeric() || b"-_.~".contains(&b) => out.push(b as char),
            b => out.push_str(&format!("%{b:02X}")),
        }
    }
    out
}
