//! `completion`: scripts that complete commands in the user's shell.

use clap::{Arg, Command};
use clap_complete::{Shell, generate};

use super::{Context, GROUPS, Outcome, VERBS, Verb, output};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[arg(required = true, value_parser = clap::value_parser!(Shell))]
    shell: Shell,
}

/// Prints the script.
pub async fn run(_: &Context, args: Args) -> Outcome {
    let mut script = Vec::new();
    generate(args.shell, &mut tree(), "naru", &mut script);
    output::bytes(&script)?;
    Ok(0)
}

/// All verbs as one command, the way shells look at it.
fn tree() -> Command {
    let mut root = Command::new("naru")
        .arg(Arg::new("host").short('H').long("host"))
        .arg(Arg::new("context").short('c').long("context"))
        .arg(Arg::new("config").long("config"));
    for (group, about) in GROUPS {
        let verbs = VERBS.iter().flat_map(|verb| named(verb, &format!("{group} ")));
        root = root.subcommand(Command::new(*group).about(*about).subcommands(verbs));
    }
    root.subcommands(VERBS.iter().flat_map(|verb| named(verb, "")))
}

/// A verb under each of its names that are this prefix and one word.
fn named(verb: &'static Verb, prefix: &str) -> Vec<Command> {
    let names = verb.paths.iter().filter_map(|path| path.strip_prefix(prefix));
    let names = names.filter(|name| !name.contains(' '));
    // `-h` may be a flag of the verb's own (`run -h name`).
    let command = |name| Command::new(name).about(verb.about).disable_help_flag(true);
    names.map(|name| (verb.command)(command(name))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_gets_a_script_with_every_verb() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::PowerShell, Shell::Elvish] {
            let mut script = Vec::new();
            generate(shell, &mut tree(), "naru", &mut script);
            let script = String::from_utf8(script).unwrap();
            for word in ["images", "prune", "completion"] {
                assert!(script.contains(word), "{word} in {shell}");
            }
        }
    }
}
