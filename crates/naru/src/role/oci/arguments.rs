//! Flags as runc takes them: `--name value`, `--name=value`, one dash or two, in any order except where a program's own arguments
//! follow. Hand-written: a runtime lives for milliseconds, and a general parser would take a good part of them.

use std::ffi::OsString;

use super::failure::{Failure, Result};

/// A flag that a verb knows.
pub struct Flag {
    name: &'static str,
    short: Option<char>,
    takes_value: bool,
}

impl Flag {
    /// `--name value`.
    pub const fn value(name: &'static str, short: Option<char>) -> Self {
        Self { name, short, takes_value: true }
    }

    /// `--name`, or `--name=false`.
    pub const fn switch(name: &'static str, short: Option<char>) -> Self {
        Self { name, short, takes_value: false }
    }

    fn is_called(&self, name: &str) -> bool {
        let mut letters = name.chars();
        self.name == name
            || (self.short.is_some() && letters.next() == self.short && letters.next().is_none())
    }
}

/// Where flags may be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Before the first argument; what follows is somebody else's.
    FlagsFirst,
    /// Anywhere before `--`.
    Any,
}

/// What was typed.
pub struct Parsed {
    values: Vec<(&'static str, String)>,
    arguments: Vec<String>,
}

impl Parsed {
    /// The last value of a flag.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.values.iter().rev().find(|(flag, _)| *flag == name).map(|(_, value)| value.as_str())
    }

    /// All values of a flag.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.values.iter().filter(move |(flag, _)| *flag == name).map(|(_, value)| value.as_str())
    }

    /// Whether a switch is on.
    pub fn switch(&self, name: &str) -> bool {
        self.value(name) == Some("true")
    }

    /// A number.
    pub fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>> {
        let Some(text) = self.value(name) else { return Ok(None) };
        let invalid = |_| Failure::usage(format!("invalid value {text:?} for flag -{name}"));
        text.parse().map(Some).map_err(invalid)
    }

    /// What is not a flag.
    pub fn arguments(&self) -> &[String] {
        &self.arguments
    }

    /// The one argument of a verb that takes a container's id.
    pub fn id(&self, verb: &str) -> Result<&str> {
        match self.arguments.as_slice() {
            [id] if id.is_empty() => Err(Failure::usage("container id cannot be empty")),
            [id] => Ok(id),
            _ => Err(Failure::usage(format!("\"{verb}\" requires exactly 1 argument(s)"))),
        }
    }
}

/// The arguments as text.
pub fn words(arguments: &[OsString]) -> Result<Vec<String>> {
    let word = |word: &OsString| {
        word.to_str().map(str::to_owned).ok_or_else(|| Failure::usage(format!("{word:?} is not UTF-8")))
    };
    arguments.iter().map(word).collect()
}

/// The flags, one a line, as runc's help has them.
fn options(flags: &[Flag]) -> String {
    let mut text = String::new();
    for flag in flags.iter().chain([&Flag::switch("help", Some('h'))]) {
        let value = if flag.takes_value { " value" } else { "" };
        text.push_str(&format!("   --{}{value}", flag.name));
        if let Some(short) = flag.short {
            text.push_str(&format!(", -{short}{value}"));
        }
        text.push('\n');
    }
    text
}

/// Takes the words apart. `--help` is known to all: the failure then is the list of flags.
pub fn parse(words: &[String], flags: &'static [Flag], order: Order) -> Result<Parsed> {
    let mut parsed = Parsed { values: Vec::new(), arguments: Vec::new() };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == "--" {
            parsed.arguments.extend(words.cloned());
            break;
        }
        let Some(text) = word.strip_prefix('-').filter(|text| !text.is_empty()) else {
            parsed.arguments.push(word.clone());
            if order == Order::FlagsFirst {
                parsed.arguments.extend(words.cloned());
                break;
            }
            continue;
        };
        let text = text.strip_prefix('-').unwrap_or(text);
        let (name, given) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        let Some(flag) = flags.iter().find(|flag| flag.is_called(name)) else {
            if matches!(name, "help" | "h") {
                return Err(Failure::help(options(flags)));
            }
            return Err(Failure::usage(format!("flag provided but not defined: -{name}")));
        };
        let value = match (flag.takes_value, given) {
            (false, None) => "true".to_owned(),
            (false, Some("true" | "1" | "t")) => "true".to_owned(),
            (false, Some("false" | "0" | "f")) => "false".to_owned(),
            (false, Some(other)) => {
                return Err(Failure::usage(format!("invalid boolean value {other:?} for -{name}")));
            }
            (true, Some(value)) => value.to_owned(),
            (true, None) => match words.next() {
                Some(value) => value.clone(),
                None => return Err(Failure::usage(format!("flag needs an argument: -{name}"))),
            },
        };
        parsed.values.push((flag.name, value));
    }
    Ok(parsed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLAGS: &[Flag] = &[Flag::value("bundle", Some('b')), Flag::switch("force", Some('f'))];

    fn typed(line: &str, order: Order) -> Result<Parsed, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse(&words, FLAGS, order).map_err(|failure| failure.to_string())
    }

    #[test]
    fn flags_in_every_spelling() {
        for line in
            ["--bundle x -f id", "-b x --force id", "-bundle=x id -force", "id --force=true --bundle x"]
        {
            let parsed = typed(line, Order::Any).unwrap();
            assert_eq!((parsed.value("bundle"), parsed.switch("force")), (Some("x"), true), "{line}");
            assert_eq!(parsed.id("delete").unwrap(), "id", "{line}");
        }
        assert!(!typed("--force=false id", Order::Any).unwrap().switch("force"));
    }

    #[test]
    fn a_programs_own_flags_are_left_alone() {
        let parsed = typed("-f id ls --force", Order::FlagsFirst).unwrap();
        assert_eq!(parsed.arguments(), ["id", "ls", "--force"]);
        assert_eq!(typed("-- -f", Order::Any).unwrap().arguments(), ["-f"]);
    }

    #[test]
    fn bad_input_is_named() {
        let error = |line| typed(line, Order::Any).err().unwrap();
        assert_eq!(error("--nope id"), "flag provided but not defined: -nope");
        assert_eq!(error("id --bundle"), "flag needs an argument: -bundle");
        assert_eq!(error("--force=maybe"), "invalid boolean value \"maybe\" for -force");
        assert!(typed("a b", Order::Any).unwrap().id("start").is_err());
    }
}
