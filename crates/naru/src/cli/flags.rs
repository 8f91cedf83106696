//! Flags as Docker's client reads them (spf13/pflag): `-it`, `-p8080:80`, `--rm=false`, `--name=x` and `--name x`, and the
//! words of its errors. Words are sorted out here; clap then only turns values into types.
//!
//! A verb whose last positional is `trailing_var_arg` takes everything after its first positional as it is (`run`, `exec`).

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::Verb;
use super::failure::Failure;

/// What a verb's words ask for.
pub enum Parsed {
    /// To run it.
    Matches(ArgMatches),
    /// `--help`.
    Help(Box<Command>),
}

/// Reads a verb's words.
pub fn parse(verb: &Verb, path: &str, words: &[String]) -> Result<Parsed, Failure> {
    let mut command = (verb.command)(Command::new("naru"))
        .no_binary_name(true)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .args_override_self(true);
    let sorted = match sort(&command, words).map_err(|reason| wrong_flag(verb, path, &reason))? {
        Some(sorted) => sorted,
        None => return Ok(Parsed::Help(Box::new(command))),
    };
    check_count(&command, verb, path, sorted.positionals.len())?;
    let mut arguments = sorted.flags;
    arguments.push("--".to_owned());
    arguments.extend(sorted.positionals);
    // Prepares the command too, without which an argument cannot be named.
    let matches = command.try_get_matches_from_mut(arguments);
    matches.map(Parsed::Matches).map_err(|error| wrong_flag(verb, path, &in_dockers_words(&command, &error)))
}

/// Words in clap's order.
struct Sorted {
    /// `--name=value`, and `--name` for switches that are on.
    flags: Vec<String>,
    positionals: Vec<String>,
}

/// `None` = help is asked for.
fn sort(command: &Command, words: &[String]) -> Result<Option<Sorted>, String> {
    let interspersed = !command.get_positionals().last().is_some_and(Arg::is_trailing_var_arg_set);
    let mut switches: Vec<(String, bool)> = Vec::new();
    let mut flags = Vec::new();
    let mut positionals = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == "--" {
            positionals.extend(words.by_ref().cloned());
        } else if let Some(text) = word.strip_prefix("--") {
            let (name, attached) =
                text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
            let Some(arg) = command.get_arguments().find(|arg| has_long(arg, name)) else {
                match name {
                    "help" => return Ok(None),
                    _ => return Err(format!("unknown flag: --{name}")),
                }
            };
            let value = match (attached, alone(arg)) {
                (Some(value), _) => value.to_owned(),
                (None, Some(value)) => value,
                (None, None) => {
                    words.next().ok_or_else(|| format!("flag needs an argument: --{name}"))?.clone()
                }
            };
            take(arg, value, &mut switches, &mut flags)?;
        } else if word.len() > 1 && word.starts_with('-') {
            let mut rest = &word[1..];
            while let Some(letter) = rest.chars().next() {
                rest = &rest[letter.len_utf8()..];
                let Some(arg) = command.get_arguments().find(|arg| arg.get_short() == Some(letter)) else {
                    match letter {
                        'h' => return Ok(None),
                        _ => return Err(format!("unknown shorthand flag: '{letter}' in {word}")),
                    }
                };
                let value = match (rest.strip_prefix('='), alone(arg)) {
                    (Some(value), _) => {
                        rest = "";
                        value.to_owned()
                    }
                    (None, Some(value)) => value,
                    (None, None) if !rest.is_empty() => std::mem::take(&mut rest).to_owned(),
                    (None, None) => words
                        .next()
                        .ok_or_else(|| format!("flag needs an argument: '{letter}' in {word}"))?
                        .clone(),
                };
                take(arg, value, &mut switches, &mut flags)?;
            }
        } else {
            positionals.push(word.clone());
            if !interspersed {
                positionals.extend(words.by_ref().cloned());
            }
        }
    }
    flags.extend(switches.into_iter().filter(|(_, on)| *on).map(|(name, _)| name));
    Ok(Some(Sorted { flags, positionals }))
}

fn has_long(arg: &Arg, name: &str) -> bool {
    arg.get_long() == Some(name) || arg.get_all_aliases().is_some_and(|aliases| aliases.contains(&name))
}

/// The value of a flag that is given without one; `None` when it needs one.
fn alone(arg: &Arg) -> Option<String> {
    match arg.get_action() {
        ArgAction::SetTrue | ArgAction::SetFalse => Some("true".to_owned()),
        _ if arg.get_num_args().is_some_and(|range| range.min_values() == 0) => Some("true".to_owned()),
        _ => None,
    }
}

/// Puts a flag where clap finds it. The last word on a switch counts.
fn take(
    arg: &Arg,
    value: String,
    switches: &mut Vec<(String, bool)>,
    flags: &mut Vec<String>,
) -> Result<(), String> {
    let name = match (arg.get_long(), arg.get_short()) {
        (Some(long), _) => format!("--{long}"),
        (None, Some(short)) => format!("-{short}"),
        (None, None) => return Ok(()),
    };
    match arg.get_action() {
        ArgAction::SetTrue => {
            let on = parse_bool(&value).map_err(|reason| invalid(arg, &value, &reason))?;
            switches.retain(|(switch, _)| *switch != name);
            switches.push((name, on));
        }
        _ => flags.push(format!("{name}={value}")),
    }
    Ok(())
}

/// Go's `strconv.ParseBool`.
pub fn parse_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(format!("strconv.ParseBool: parsing \"{text}\": invalid syntax")),
    }
}

fn invalid(arg: &Arg, value: &str, reason: &str) -> String {
    let name = match (arg.get_short(), arg.get_long()) {
        (Some(short), Some(long)) => format!("-{short}, --{long}"),
        (None, Some(long)) => format!("--{long}"),
        (Some(short), None) => format!("-{short}"),
        (None, None) => arg.get_id().to_string(),
    };
    format!("invalid argument \"{value}\" for \"{name}\" flag: {reason}")
}

fn in_dockers_words(command: &Command, error: &clap::Error) -> String {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        _ => String::new(),
    };
    let (named, value) = (text(ContextKind::InvalidArg), text(ContextKind::InvalidValue));
    // Only a built command knows how its flags are written.
    let mut command = command.clone();
    command.build();
    let arg = command.get_arguments().find(|arg| arg.to_string() == named);
    let source = std::error::Error::source(error).map(ToString::to_string);
    match (error.kind(), arg) {
        (ErrorKind::ValueValidation, Some(arg)) => invalid(arg, &value, &source.unwrap_or_default()),
        (ErrorKind::InvalidValue, Some(arg)) => invalid(arg, &value, "invalid value"),
        _ => error.to_string().trim_start_matches("error: ").trim_end().to_owned(),
    }
}

fn wrong_flag(verb: &Verb, path: &str, reason: &str) -> Failure {
    Failure::flags(format!(
        "{reason}\n\n{}\n\nRun 'naru {path} --help' for more information",
        usage(verb, path)
    ))
}

/// `Usage:  naru run [OPTIONS] IMAGE`.
pub fn usage(verb: &Verb, path: &str) -> String {
    format!("Usage:  naru {path} {}", verb.usage).trim_end().to_owned()
}

/// Too few or too many positionals, in the words of Docker's client.
fn check_count(command: &Command, verb: &Verb, path: &str, count: usize) -> Result<(), Failure> {
    let mut least = 0;
    let mut most = Some(0);
    for arg in command.get_positionals() {
        let many = arg.get_num_args().map_or(1, |range| range.max_values()) > 1
            || matches!(arg.get_action(), ArgAction::Append);
        let needed = arg.get_num_args().map_or(1, |range| range.min_values().max(1));
        least += if arg.is_required_set() { needed } else { 0 };
        most = if many { None } else { most.map(|most| most + 1) };
    }
    let plural = |number: usize| if number == 1 { "argument" } else { "arguments" };
    let (what, see) = match most {
        _ if count >= least && most.is_none_or(|most| count <= most) => return Ok(()),
        Some(0) => ("accepts no arguments".to_owned(), "Run"),
        Some(most) if most == least => (format!("requires {most} {}", plural(most)), "Run"),
        Some(most) if least > 0 => {
            (format!("requires at least {least} and at most {most} {}", plural(most)), "See")
        }
        Some(most) => (format!("requires at most {most} {}", plural(most)), "See"),
        None => (format!("requires at least {least} {}", plural(least)), "See"),
    };
    Err(Failure::new(
        1,
        format!(
            "naru: 'naru {path}' {what}\n\n{}\n\n{see} 'naru {path} --help' for more information",
            usage(verb, path)
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::find;

    /// What clap gets, or what is said.
    fn sorted(words: &[&str]) -> Result<Vec<String>, String> {
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        let (verb, _, rest) = find(&words).expect("a verb");
        let sorted = sort(&(verb.command)(Command::new("naru")), rest)?;
        let Sorted { flags, positionals } = sorted.expect("no help");
        Ok([flags, vec!["--".to_owned()], positionals].concat())
    }

    #[test]
    fn flags_are_sorted_as_docker_sorts_them() {
        for (words, expected) in [
            (
                &["run", "-it", "busybox", "ls", "-l"][..],
                &["--interactive", "--tty", "--", "busybox", "ls", "-l"][..],
            ),
            (&["run", "--rm=false", "busybox"], &["--", "busybox"]),
            (&["run", "--rm", "--rm=0", "busybox"], &["--", "busybox"]),
            (&["run", "-p8080:80", "-e=A=1", "x"], &["--publish=8080:80", "--env=A=1", "--", "x"]),
            (&["run", "-itp", "80", "x"], &["--publish=80", "--interactive", "--tty", "--", "x"]),
            (&["run", "--name", "-x", "y"], &["--name=-x", "--", "y"]),
            (&["run", "--net=host", "x", "--", "y"], &["--network=host", "--", "x", "--", "y"]),
            (&["run", "--init", "x"], &["--init=true", "--", "x"]),
            (&["start", "x", "-a"], &["--attach", "--", "x"]),
            (&["container", "start", "--", "-a"], &["--", "-a"]),
        ] {
            assert_eq!(
                sorted(words).as_deref(),
                Ok(expected.iter().map(ToString::to_string).collect::<Vec<_>>().as_slice()),
                "{words:?}"
            );
        }
    }

    #[test]
    fn mistakes_are_named_in_dockers_words() {
        for (words, text) in [
            (&["run", "--nosuch", "x"][..], "unknown flag: --nosuch"),
            (&["run", "-itZ", "x"], "unknown shorthand flag: 'Z' in -itZ"),
            (&["run", "--name"], "flag needs an argument: --name"),
            (&["run", "-itp"], "flag needs an argument: 'p' in -itp"),
            (
                &["run", "--rm=maybe", "x"],
                "invalid argument \"maybe\" for \"--rm\" flag: strconv.ParseBool: parsing \"maybe\": invalid syntax",
            ),
        ] {
            assert_eq!(sorted(words), Err(text.to_owned()));
        }
        let whole = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(ToString::to_string).collect();
            let (verb, path, rest) = find(&words).expect("a verb");
            parse(verb, path, rest).err().expect("a failure").to_string()
        };
        assert!(
            whole(&["run", "-m", "abc", "x"])
                .starts_with("invalid argument \"abc\" for \"-m, --memory\" flag: invalid size: 'abc'\n")
        );
        assert!(whole(&["run"]).starts_with(
            "naru: 'naru run' requires at least 1 argument\n\nUsage:  naru run [OPTIONS] IMAGE"
        ));
        assert!(whole(&["attach", "a", "b"]).starts_with("naru: 'naru attach' requires 1 argument\n"));
    }
}
