//! Help texts in the shape of Docker's: usage, one line about it, aliases, commands or options.

use clap::{Arg, ArgAction, Command};

use super::{GROUPS, VERBS, Verb, flags};

/// `naru --version`.
pub fn version() -> String {
    format!("Naru version {}", env!("CARGO_PKG_VERSION"))
}

/// `naru --help`.
pub fn top() -> String {
    let mut out = "Usage:  naru [OPTIONS] COMMAND\n\nContainers without a daemon to look after\n\nManagement Commands:\n".to_owned();
    let groups = GROUPS.iter().filter(|(name, _)| verbs_of(name).next().is_some());
    out.push_str(&table(groups.map(|(name, about)| (*name, *about)).collect()));
    out.push_str("\nCommands:\n");
    let short =
        |verb: &'static Verb| Some((*verb.paths.iter().find(|path| !path.contains(' '))?, verb.about));
    out.push_str(&table(VERBS.iter().filter_map(short).collect()));
    out.push_str("\nGlobal Options:\n");
    out.push_str(&options(&[
        ("      --config string", "Location of client config files (default \"~/.docker\")"),
        ("  -c, --context string", "Name of the context to use (overrides DOCKER_HOST and \"context use\")"),
        ("  -D, --debug", "Enable debug mode"),
        ("  -H, --host string", "Engine socket to connect to"),
        ("  -l, --log-level string", "Logging level (\"debug\", \"info\", \"warn\", \"error\", \"fatal\")"),
        ("      --tls", "Use TLS; implied by --tlsverify"),
        ("      --tlscacert string", "Trust certs signed only by this CA"),
        ("      --tlscert string", "Path to TLS certificate file"),
        ("      --tlskey string", "Path to TLS key file"),
        ("      --tlsverify", "Use TLS and verify the remote"),
        ("  -v, --version", "Print version information and quit"),
    ]));
    out.push_str("\nRun 'naru COMMAND --help' for more information on a command.\n");
    out
}

/// `naru image --help`.
pub fn group(name: &str, about: &str) -> String {
    let verbs = verbs_of(name).collect();
    format!(
        "Usage:  naru {name} COMMAND\n\n{about}\n\nCommands:\n{}\nRun 'naru {name} COMMAND --help' for more information on a command.\n",
        table(verbs)
    )
}

/// `naru run --help`.
pub fn verb(verb: &Verb, path: &str, command: Command) -> String {
    let mut out = format!("{}\n\n{}\n", flags::usage(verb, path), verb.about);
    if verb.paths.len() > 1 {
        let aliases: Vec<String> = verb.paths.iter().map(|path| format!("naru {path}")).collect();
        out.push_str(&format!("\nAliases:\n  {}\n", aliases.join(", ")));
    }
    let mut lines: Vec<(String, String)> = command
        .get_arguments()
        .filter(|arg| !arg.is_positional() && !arg.is_hide_set())
        .map(option)
        .collect();
    lines.sort_by(|a, b| a.0[6..].cmp(&b.0[6..]));
    if !lines.is_empty() {
        out.push_str("\nOptions:\n");
        out.push_str(&options(
            &lines.iter().map(|(flag, about)| (flag.as_str(), about.as_str())).collect::<Vec<_>>(),
        ));
    }
    out
}

fn option(arg: &Arg) -> (String, String) {
    let short = arg.get_short().map_or_else(|| "    ".to_owned(), |short| format!("-{short}, "));
    let long = arg.get_long().unwrap_or_default();
    let value = match arg.get_action() {
        ArgAction::SetTrue => String::new(),
        _ if arg.get_num_args().is_some_and(|range| range.min_values() == 0) => String::new(),
        ArgAction::Append => " list".to_owned(),
        _ => match arg.get_value_names() {
            Some([name]) if name.as_str().chars().any(char::is_lowercase) => format!(" {name}"),
            _ => " string".to_owned(),
        },
    };
    let about = arg.get_help().map(ToString::to_string).unwrap_or_default();
    (format!("  {short}--{long}{value}"), about)
}

/// First names within a group.
fn verbs_of(group: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    VERBS.iter().filter_map(move |verb| {
        let inside = |path: &&'static str| path.strip_prefix(group)?.strip_prefix(' ');
        Some((verb.paths.iter().find_map(inside)?, verb.about))
    })
}

fn table(mut rows: Vec<(&str, &str)>) -> String {
    rows.sort_unstable();
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0).max(10);
    rows.iter().map(|(name, about)| format!("  {name:width$}  {about}\n")).collect()
}

fn options(rows: &[(&str, &str)]) -> String {
    let width = rows.iter().map(|(flag, _)| flag.len()).max().unwrap_or(0);
    rows.iter().map(|(flag, about)| format!("{flag:width$}   {about}\n")).collect()
}
