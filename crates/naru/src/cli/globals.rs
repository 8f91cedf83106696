//! The flags before the verb, and the environment. Every variable that the command line reads is named here, once.

use std::env;
use std::path::PathBuf;

use client::Settings;

use super::failure::Failure;

/// What was said before the verb, and by the environment.
#[derive(Debug, Clone, Default)]
pub struct Globals {
    /// Which engine is meant.
    pub settings: Settings,
    /// `-D`.
    pub debug: bool,
    /// `-l`.
    pub log_level: Option<String>,
    /// `NARU_RUN_DIR`, or this user's default.
    pub run_dir: PathBuf,
    /// `DOCKER_API_VERSION`.
    pub api_version: Option<String>,
    /// `DOCKER_DEFAULT_PLATFORM`.
    pub default_platform: Option<String>,
}

/// What the words before the verb ask for.
pub enum Parsed {
    /// A verb, with the rest of the words.
    Command(Box<Globals>, Vec<String>),
    /// `--version`.
    Version,
    /// `--help`.
    Help,
}

/// A variable that is set and not empty.
pub fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// The home folder, as `~` means it.
pub fn home() -> PathBuf {
    variable("HOME").map_or_else(|| PathBuf::from("/"), PathBuf::from)
}

/// State that a reboot ends.
pub fn run_dir() -> PathBuf {
    if let Some(folder) = variable("NARU_RUN_DIR") {
        return folder.into();
    }
    match rustix::process::geteuid().is_root() {
        true => "/run/naru".into(),
        false => {
            let user = format!("/run/user/{}", rustix::process::geteuid().as_raw());
            PathBuf::from(variable("XDG_RUNTIME_DIR").unwrap_or(user)).join("naru")
        }
    }
}

/// The path of a socket that is named as the engine takes it: by its path, or as `unix://PATH`.
fn socket_path(name: &str) -> PathBuf {
    PathBuf::from(name.strip_prefix("unix://").unwrap_or(name))
}

fn from_environment() -> Globals {
    let run_dir = run_dir();
    let settings = Settings {
        host_variable: variable("NARU_HOST").or_else(|| variable("DOCKER_HOST")),
        context_variable: variable("DOCKER_CONTEXT"),
        tls: variable("DOCKER_TLS").is_some(),
        tls_verify: variable("DOCKER_TLS_VERIFY").is_some(),
        cert_path: variable("DOCKER_CERT_PATH").map(PathBuf::from),
        config_dir: variable("DOCKER_CONFIG").map_or_else(|| home().join(".docker"), PathBuf::from),
        default_socket: variable("NARU_SOCKET")
            .map_or_else(|| run_dir.join("naru.sock"), |name| socket_path(&name)),
        ..Settings::default()
    };
    Globals {
        settings,
        run_dir,
        api_version: variable("DOCKER_API_VERSION"),
        default_platform: variable("DOCKER_DEFAULT_PLATFORM"),
        ..Globals::default()
    }
}

/// Takes the flags off the front.
pub fn parse(words: Vec<String>) -> Result<Parsed, Failure> {
    let mut globals = from_environment();
    let mut words = words.into_iter().peekable();
    while let Some(word) = words.next_if(|word| word.starts_with('-') && word != "-") {
        let (name, attached) = split(&word);
        let attached = attached.map(str::to_owned);
        let mut value = || match attached.clone().or_else(|| words.next()) {
            Some(value) => Ok(value),
            None => Err(usage(&format!("flag needs an argument: {word}"))),
        };
        match name {
            "--" => break,
            "--help" | "-h" => return Ok(Parsed::Help),
            "--version" | "-v" => return Ok(Parsed::Version),
            "--debug" | "-D" => globals.debug = truth(&word, attached.as_deref())?,
            "--tls" => globals.settings.tls = truth(&word, attached.as_deref())?,
            "--tlsverify" => globals.settings.tls_verify = truth(&word, attached.as_deref())?,
            "--host" | "-H" => globals.settings.host = Some(value()?),
            "--context" | "-c" => globals.settings.context = Some(value()?),
            "--config" => globals.settings.config_dir = value()?.into(),
            "--log-level" | "-l" => globals.log_level = Some(value()?),
            "--tlscacert" => globals.settings.tls_files[0] = Some(value()?.into()),
            "--tlscert" => globals.settings.tls_files[1] = Some(value()?.into()),
            "--tlskey" => globals.settings.tls_files[2] = Some(value()?.into()),
            name if name.starts_with("--") => return Err(usage(&format!("unknown flag: {name}"))),
            name => {
                let letter = name.chars().nth(1).unwrap_or('-');
                return Err(usage(&format!("unknown shorthand flag: '{letter}' in {word}")));
            }
        }
    }
    Ok(Parsed::Command(Box::new(globals), words.collect()))
}

/// `--name=value`, `-Hvalue`, `-H=value` or a flag alone.
fn split(word: &str) -> (&str, Option<&str>) {
    match word.strip_prefix("--") {
        Some(_) => word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value))),
        None => match word.char_indices().nth(2) {
            Some((at, _)) => (&word[..at], Some(word[at..].strip_prefix('=').unwrap_or(&word[at..]))),
            None => (word, None),
        },
    }
}

fn truth(word: &str, value: Option<&str>) -> Result<bool, Failure> {
    match value {
        None => Ok(true),
        Some(text) => super::flags::parse_bool(text)
            .map_err(|reason| usage(&format!("invalid argument in {word}: {reason}"))),
    }
}

fn usage(reason: &str) -> Failure {
    Failure::flags(format!(
        "{reason}\n\nUsage:  naru [OPTIONS] COMMAND [ARG...]\n\nRun 'naru --help' for more information"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> (Globals, Vec<String>) {
        match parse(words.iter().map(ToString::to_string).collect()).unwrap() {
            Parsed::Command(globals, rest) => (*globals, rest),
            _ => panic!("a verb expected"),
        }
    }

    #[test]
    fn the_socket_is_named_as_the_engine_takes_it() {
        for name in ["/a/b.sock", "unix:///a/b.sock"] {
            assert_eq!(socket_path(name), PathBuf::from("/a/b.sock"));
        }
    }

    #[test]
    fn flags_before_the_verb_are_taken_and_no_others() {
        let (globals, rest) = parsed(&["-H", "unix:///a", "-D", "--log-level=debug", "ps", "-H", "x"]);
        assert_eq!(globals.settings.host.as_deref(), Some("unix:///a"));
        assert!(globals.debug);
        assert_eq!(globals.log_level.as_deref(), Some("debug"));
        assert_eq!(rest, ["ps", "-H", "x"]);
        assert_eq!(parsed(&["-Htcp://a", "ps"]).0.settings.host.as_deref(), Some("tcp://a"));
        assert_eq!(parsed(&["--context=far", "ps"]).0.settings.context.as_deref(), Some("far"));
    }

    #[test]
    fn mistakes_are_named() {
        for (words, text) in [
            (&["--nosuch"][..], "unknown flag: --nosuch"),
            (&["-Z"], "unknown shorthand flag: 'Z' in -Z"),
            (&["-H"], "flag needs an argument: -H"),
        ] {
            let failure = parse(words.iter().map(ToString::to_string).collect()).err().unwrap();
            assert!(failure.to_string().starts_with(text), "{failure}");
        }
    }
}
