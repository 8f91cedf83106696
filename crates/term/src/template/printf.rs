//! Go's `fmt.Sprintf` for the values that templates have.

use super::parse::quote;
use super::value::{Value, go_float};

/// `%v` as `Sprint` does it.
pub(super) fn plain(value: &Value) -> String {
    match value {
        Value::Missing => "<nil>".to_owned(),
        value => value.to_string(),
    }
}

#[derive(Default)]
struct Spec {
    minus: bool,
    plus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// Formats; mistakes show up in the text as in Go (`%!d(string=x)`, `%!s(MISSING)`).
pub(super) fn sprintf(format: &str, args: &[Value]) -> String {
    let mut out = String::new();
    let mut chars = format.chars().peekable();
    let mut next = 0;
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut spec = Spec::default();
        while let Some(flag) = chars.peek() {
            match flag {
                '-' => spec.minus = true,
                '+' => spec.plus = true,
                '#' => spec.sharp = true,
                ' ' => spec.space = true,
                '0' => spec.zero = true,
                _ => break,
            }
            chars.next();
        }
        let mut number = |chars: &mut std::iter::Peekable<std::str::Chars<'_>>| {
            if chars.peek() == Some(&'*') {
                chars.next();
                let value = args.get(next).cloned();
                next += 1;
                return match value {
                    Some(Value::Int(value)) => usize::try_from(value.unsigned_abs()).ok(),
                    _ => None,
                };
            }
            let mut digits = String::new();
            while let Some(digit) = chars.peek().filter(|c| c.is_ascii_digit()) {
                digits.push(*digit);
                chars.next();
            }
            digits.parse().ok()
        };
        spec.width = number(&mut chars);
        if chars.peek() == Some(&'.') {
            chars.next();
            spec.precision = Some(number(&mut chars).unwrap_or(0));
        }
        // Nobody needs a mebibyte of padding; a template that asks for it is a mistake.
        spec.width = spec.width.map(|width| width.min(1 << 20));
        let Some(verb) = chars.next() else {
            out.push_str("%!(NOVERB)");
            break;
        };
        if verb == '%' {
            out.push('%');
            continue;
        }
        let Some(value) = args.get(next) else {
            out.push_str(&format!("%!{verb}(MISSING)"));
            next += 1;
            continue;
        };
        next += 1;
        match formatted(&spec, verb, value) {
            Some(text) => out.push_str(&padded(&spec, text, value)),
            None if matches!(value, Value::Nil(_) | Value::Missing) => {
                out.push_str(&format!("%!{verb}(<nil>)"))
            }
            None => out.push_str(&format!("%!{verb}({}={})", value.type_name(), plain(value))),
        }
    }
    if next < args.len() {
        let extra: Vec<String> =
            args[next..].iter().map(|value| format!("{}={}", value.type_name(), plain(value))).collect();
        out.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    out
}

fn formatted(spec: &Spec, verb: char, value: &Value) -> Option<String> {
    let signed = |negative: bool, digits: String| {
        let sign = match (negative, spec.plus, spec.space) {
            (true, _, _) => "-",
            (false, true, _) => "+",
            (false, false, true) => " ",
            _ => "",
        };
        Some(format!("{sign}{digits}"))
    };
    match (verb, value) {
        ('T', value) => Some(value.type_name().to_owned()),
        ('v', Value::String(text)) if spec.sharp => Some(quote(text)),
        ('v' | 'd', Value::Int(value)) => signed(*value < 0, value.unsigned_abs().to_string()),
        ('v', Value::Float(value)) => signed(*value < 0.0, go_float(value.abs())),
        ('v', Value::String(text)) => Some(cut(spec, text)),
        ('v', Value::Struct(object)) if spec.plus && !spec.sharp => {
            let fields: Vec<String> =
                object.fields.iter().map(|(name, value)| format!("{name}:{}", plain(value))).collect();
            Some(format!("{{{}}}", fields.join(" ")))
        }
        ('v', value) => Some(plain(value)),
        ('t', Value::Bool(value)) => Some(value.to_string()),
        ('s', Value::String(text)) => Some(cut(spec, text)),
        ('s', Value::List(items)) => each(items, |item| formatted(spec, verb, item)),
        ('s', Value::Map(_) | Value::Struct(_)) => Some(plain(value)),
        ('q', Value::String(text)) => Some(quote(text)),
        ('q', Value::List(items)) => each(items, |item| formatted(spec, verb, item)),
        ('q', Value::Int(value)) => Some(format!("{:?}", char::from_u32(u32::try_from(*value).ok()?)?)),
        ('d', Value::List(items)) => each(items, |item| formatted(spec, verb, item)),
        ('x', Value::Int(value)) => {
            let prefix = if spec.sharp { "0x" } else { "" };
            signed(*value < 0, format!("{prefix}{:x}", value.unsigned_abs()))
        }
        ('X', Value::Int(value)) => {
            let prefix = if spec.sharp { "0X" } else { "" };
            signed(*value < 0, format!("{prefix}{:X}", value.unsigned_abs()))
        }
        ('x', Value::String(text)) => Some(text.bytes().map(|byte| format!("{byte:02x}")).collect()),
        ('X', Value::String(text)) => Some(text.bytes().map(|byte| format!("{byte:02X}")).collect()),
        ('o', Value::Int(value)) => signed(*value < 0, format!("{:o}", value.unsigned_abs())),
        ('b', Value::Int(value)) => signed(*value < 0, format!("{:b}", value.unsigned_abs())),
        ('c', Value::Int(value)) => Some(char::from_u32(u32::try_from(*value).ok()?)?.to_string()),
        ('U', Value::Int(value)) => Some(format!("U+{value:04X}")),
        ('f' | 'F', Value::Float(value)) => {
            signed(*value < 0.0, format!("{:.*}", spec.precision.unwrap_or(6), value.abs()))
        }
        ('e', Value::Float(value)) => {
            let text = format!("{:.*e}", spec.precision.unwrap_or(6), value.abs());
            let (mantissa, exponent) = text.split_once('e')?;
            let exponent: i32 = exponent.parse().ok()?;
            let sign = if exponent < 0 { '-' } else { '+' };
            signed(*value < 0.0, format!("{mantissa}e{sign}{:02}", exponent.abs()))
        }
        ('g', Value::Float(value)) => {
            let text = match spec.precision {
                None => go_float(value.abs()),
                Some(precision) => crate::size::significant(value.abs(), precision),
            };
            signed(*value < 0.0, text)
        }
        _ => None,
    }
}

fn each(items: &[Value], format: impl Fn(&Value) -> Option<String>) -> Option<String> {
    let words = items.iter().map(format).collect::<Option<Vec<_>>>()?;
    Some(format!("[{}]", words.join(" ")))
}

fn cut(spec: &Spec, text: &str) -> String {
    match spec.precision {
        Some(precision) => text.chars().take(precision).collect(),
        None => text.to_owned(),
    }
}

fn padded(spec: &Spec, text: String, value: &Value) -> String {
    let fill = spec.width.unwrap_or(0).saturating_sub(text.chars().count());
    if fill == 0 {
        return text;
    }
    let number = matches!(value, Value::Int(_) | Value::Float(_));
    if spec.minus {
        format!("{text}{}", " ".repeat(fill))
    } else if spec.zero && number {
        let digits = text.trim_start_matches(['-', '+']);
        format!("{}{}{digits}", &text[..text.len() - digits.len()], "0".repeat(fill))
    } else {
        format!("{}{text}", " ".repeat(fill))
    }
}
