//! What a user types. A verb is one file with `pub struct Args` and `pub async fn run`, and one line in [`VERBS`].
//!
//! ```text
//! argv ─▶ globals (-H, --context, …) ─▶ verb by its words ─▶ flags as Docker reads them ─▶ clap (this verb's alone) ─▶ run
//! ```
//! Verbs use the Engine API only, through [`Context::client`]; they print through [`output`]. An error they return is printed
//! here, once, in Docker's words; a [`Failure`] brings its own exit code.

mod context;
mod each;
mod failure;
mod file;
mod flags;
mod globals;
mod help;
mod inspect;
mod list;
mod moment;
mod output;
mod path;
mod platform;
mod prune;
mod registries;
mod registry_auth;
mod values;

mod container;
mod contexts;
mod image;
mod manifest;
mod network;
mod registry;
mod system;
mod volume;

mod options;
mod pull_image;
mod session;
mod transfer;

mod attach;
mod completion;
mod create;
mod dial_stdio;
mod exec;
mod run;
mod start;

#[cfg(test)]
mod parser_tests;

use std::ffi::OsString;
use std::future::Future;
use std::pin::Pin;

use clap::{ArgMatches, Command};

pub use context::Context;
pub use failure::Failure;
pub use globals::{home, run_dir, variable};

/// The exit code of a verb that did what it could.
pub type Outcome = anyhow::Result<i32>;

/// A verb under way.
type Running<'a> = Pin<Box<dyn Future<Output = Outcome> + 'a>>;

/// One verb.
pub struct Verb {
    /// Its names: with its group first (`container ls`), then aliases (`container ps`, `ps`).
    paths: &'static [&'static str],
    /// What follows the name: `[OPTIONS] IMAGE [COMMAND] [ARG...]`.
    usage: &'static str,
    /// One line.
    about: &'static str,
    /// Adds the flags to a command.
    command: fn(Command) -> Command,
    run: for<'a> fn(&'a Context, &'a ArgMatches) -> Running<'a>,
}

/// `verb!(module, ["container ls", "ps"], "[OPTIONS]", "List containers")`.
macro_rules! verb {
    ($($module:ident)::+, [$($path:literal),+], $usage:literal, $about:literal) => {
        Verb {
            paths: &[$($path),+],
            usage: $usage,
            about: $about,
            command: <$($module)::+::Args as clap::Args>::augment_args,
            run: |context, matches| {
                Box::pin(async move {
                    let args = <$($module)::+::Args as clap::FromArgMatches>::from_arg_matches(matches)?;
                    $($module)::+::run(context, args).await
                })
            },
        }
    };
}

#[rustfmt::skip]
static VERBS: &[Verb] = &[
    verb!(completion, ["completion"], "SHELL", "Print the completion script for a shell (bash, zsh, fish, powershell, elvish)"),
    verb!(attach, ["container attach", "attach"], "[OPTIONS] CONTAINER", "Attach local standard input, output, and error streams to a running container"),
    verb!(container::commit, ["container commit", "commit"], "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]", "Create a new image from a container's changes"),
    verb!(container::cp, ["container cp", "cp"], "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n\tnaru cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH", "Copy files/folders between a container and the local filesystem"),
    verb!(create, ["container create", "create"], "[OPTIONS] IMAGE [COMMAND] [ARG...]", "Create a new container"),
    verb!(container::diff, ["container diff", "diff"], "CONTAINER", "Inspect changes to files or directories on a container's filesystem"),
    verb!(exec, ["container exec", "exec"], "[OPTIONS] CONTAINER COMMAND [ARG...]", "Execute a command in a running container"),
    verb!(container::export, ["container export", "export"], "[OPTIONS] CONTAINER", "Export a container's filesystem as a tar archive"),
    verb!(container::inspect, ["container inspect"], "[OPTIONS] CONTAINER [CONTAINER...]", "Display detailed information on one or more containers"),
    verb!(container::kill, ["container kill", "kill"], "[OPTIONS] CONTAINER [CONTAINER...]", "Kill one or more running containers"),
    verb!(container::logs, ["container logs", "logs"], "[OPTIONS] CONTAINER", "Fetch the logs of a container"),
    verb!(container::ls, ["container ls", "container list", "container ps", "ps"], "[OPTIONS]", "List containers"),
    verb!(container::pause, ["container pause", "pause"], "CONTAINER [CONTAINER...]", "Pause all processes within one or more containers"),
    verb!(container::port, ["container port", "port"], "CONTAINER [PRIVATE_PORT[/PROTO]]", "List port mappings or a specific mapping for the container"),
    verb!(container::prune, ["container prune"], "[OPTIONS]", "Remove all stopped containers"),
    verb!(container::rename, ["container rename", "rename"], "CONTAINER NEW_NAME", "Rename a container"),
    verb!(container::restart, ["container restart", "restart"], "[OPTIONS] CONTAINER [CONTAINER...]", "Restart one or more containers"),
    verb!(container::rm, ["container rm", "container remove", "rm"], "[OPTIONS] CONTAINER [CONTAINER...]", "Remove one or more containers"),
    verb!(run, ["container run", "run"], "[OPTIONS] IMAGE [COMMAND] [ARG...]", "Create and run a new container from an image"),
    verb!(start, ["container start", "start"], "[OPTIONS] CONTAINER [CONTAINER...]", "Start one or more stopped containers"),
    verb!(container::stats, ["container stats", "stats"], "[OPTIONS] [CONTAINER...]", "Display a live stream of container(s) resource usage statistics"),
    verb!(container::stop, ["container stop", "stop"], "[OPTIONS] CONTAINER [CONTAINER...]", "Stop one or more running containers"),
    verb!(container::top, ["container top", "top"], "CONTAINER [ps OPTIONS]", "Display the running processes of a container"),
    verb!(container::unpause, ["container unpause", "unpause"], "CONTAINER [CONTAINER...]", "Unpause all processes within one or more containers"),
    verb!(container::update, ["container update", "update"], "[OPTIONS] CONTAINER [CONTAINER...]", "Update configuration of one or more containers"),
    verb!(container::wait, ["container wait", "wait"], "CONTAINER [CONTAINER...]", "Block until one or more containers stop, then print their exit codes"),
    verb!(contexts::create, ["context create"], "[OPTIONS] CONTEXT", "Create a context"),
    verb!(contexts::export, ["context export"], "[OPTIONS] CONTEXT [FILE|-]", "Export a context to a tar archive FILE or a tar stream on STDOUT."),
    verb!(contexts::import, ["context import"], "CONTEXT FILE|-", "Import a context from a tar file"),
    verb!(contexts::inspect, ["context inspect"], "[OPTIONS] [CONTEXT] [CONTEXT...]", "Display detailed information on one or more contexts"),
    verb!(contexts::ls, ["context ls", "context list"], "[OPTIONS]", "List contexts"),
    verb!(contexts::rm, ["context rm", "context remove"], "CONTEXT [CONTEXT...]", "Remove one or more contexts"),
    verb!(contexts::show, ["context show"], "", "Print the name of the current context"),
    verb!(contexts::update, ["context update"], "[OPTIONS] CONTEXT", "Update a context"),
    verb!(contexts::use_, ["context use"], "CONTEXT", "Set the current context"),
    verb!(image::cat, ["image cat"], "IMAGE PATH", "Print a file of an image"),
    verb!(image::copy, ["image copy"], "[OPTIONS] SOURCE DESTINATION", "Copy an image between registries, layouts, archives and engines"),
    verb!(image::diff, ["image diff"], "[OPTIONS] IMAGE IMAGE [PATH]", "Compare the files of two images, or the text of one file"),
    verb!(image::history, ["image history", "history"], "[OPTIONS] IMAGE", "Show the history of an image"),
    verb!(image::import, ["image import", "import"], "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]", "Import the contents from a tarball to create a filesystem image"),
    verb!(image::inspect, ["image inspect"], "[OPTIONS] IMAGE [IMAGE...]", "Display detailed information on one or more images"),
    verb!(image::load, ["image load", "load"], "[OPTIONS]", "Load an image from a tar archive or STDIN"),
    verb!(image::log, ["image log"], "[OPTIONS] IMAGE", "Show the steps that made an image and what each changed"),
    verb!(image::images, ["images", "image list"], "[OPTIONS] [REPOSITORY[:TAG]]", "List images"),
    verb!(image::ls, ["image ls"], "[OPTIONS] [REPOSITORY[:TAG]] [PATH]", "List images, or the files of one"),
    verb!(image::prune, ["image prune"], "[OPTIONS]", "Remove unused images"),
    verb!(image::pull, ["image pull", "pull"], "[OPTIONS] NAME[:TAG|@DIGEST]", "Download an image from a registry"),
    verb!(image::push, ["image push", "push"], "[OPTIONS] NAME[:TAG]", "Upload an image to a registry"),
    verb!(image::rm, ["image rm", "image remove", "rmi"], "[OPTIONS] IMAGE [IMAGE...]", "Remove one or more images"),
    verb!(image::save, ["image save", "save"], "[OPTIONS] IMAGE [IMAGE...]", "Save one or more images to a tar archive (streamed to STDOUT by default)"),
    verb!(image::tag, ["image tag", "tag"], "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]", "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE"),
    verb!(image::tree, ["image tree"], "[OPTIONS]", "Show which images share which layers"),
    verb!(image::verify, ["image verify"], "[OPTIONS] IMAGE [IMAGE...]", "Check everything of an image against its digests"),
    verb!(system::inspect, ["inspect"], "[OPTIONS] NAME|ID [NAME|ID...]", "Return low-level information on objects"),
    verb!(registry::login, ["login"], "[OPTIONS] [SERVER]", "Authenticate to a registry"),
    verb!(registry::logout, ["logout"], "[SERVER]", "Log out from a registry"),
    verb!(manifest::annotate, ["manifest annotate"], "[OPTIONS] MANIFEST_LIST MANIFEST", "Add additional information to a local image manifest"),
    verb!(manifest::create, ["manifest create"], "[OPTIONS] MANIFEST_LIST MANIFEST [MANIFEST...]", "Create a local manifest list for annotating and pushing to a registry"),
    verb!(manifest::inspect, ["manifest inspect"], "[OPTIONS] [MANIFEST_LIST] MANIFEST", "Display an image manifest, or manifest list"),
    verb!(manifest::push, ["manifest push"], "[OPTIONS] MANIFEST_LIST", "Push a manifest list to a repository"),
    verb!(manifest::rm, ["manifest rm"], "MANIFEST_LIST [MANIFEST_LIST...]", "Delete one or more manifest lists from local storage"),
    verb!(network::connect, ["network connect"], "[OPTIONS] NETWORK CONTAINER", "Connect a container to a network"),
    verb!(network::create, ["network create"], "[OPTIONS] NETWORK", "Create a network"),
    verb!(network::disconnect, ["network disconnect"], "[OPTIONS] NETWORK CONTAINER", "Disconnect a container from a network"),
    verb!(network::doctor, ["network doctor"], "[OPTIONS]", "Show who can reach each published port, and what decides"),
    verb!(network::inspect, ["network inspect"], "[OPTIONS] NETWORK [NETWORK...]", "Display detailed information on one or more networks"),
    verb!(network::ls, ["network ls", "network list"], "[OPTIONS]", "List networks"),
    verb!(network::prune, ["network prune"], "[OPTIONS]", "Remove all unused networks"),
    verb!(network::rm, ["network rm", "network remove"], "NETWORK [NETWORK...]", "Remove one or more networks"),
    verb!(registry::search, ["search"], "[OPTIONS] TERM", "Search Docker Hub for images"),
    verb!(system::df, ["system df"], "[OPTIONS]", "Show disk usage"),
    verb!(dial_stdio, ["system dial-stdio"], "", "Proxy the stdio stream to the engine's connection"),
    verb!(system::events, ["system events", "events"], "[OPTIONS]", "Get real time events from the server"),
    verb!(system::info, ["system info", "info"], "[OPTIONS]", "Display system-wide information"),
    verb!(system::prune, ["system prune"], "[OPTIONS]", "Remove unused data"),
    verb!(system::version, ["version"], "[OPTIONS]", "Show the version information"),
    verb!(volume::create, ["volume create"], "[OPTIONS] [VOLUME]", "Create a volume"),
    verb!(volume::inspect, ["volume inspect"], "[OPTIONS] VOLUME [VOLUME...]", "Display detailed information on one or more volumes"),
    verb!(volume::ls, ["volume ls", "volume list"], "[OPTIONS]", "List volumes"),
    verb!(volume::prune, ["volume prune"], "[OPTIONS]", "Remove unused local volumes"),
    verb!(volume::rm, ["volume rm", "volume remove"], "[OPTIONS] VOLUME [VOLUME...]", "Remove one or more volumes. You cannot remove a volume that is in use by a container."),
];

/// The groups that have verbs, for help.
static GROUPS: &[(&str, &str)] = &[
    ("builder", "Manage builds"),
    ("container", "Manage containers"),
    ("context", "Manage contexts"),
    ("image", "Manage images"),
    ("manifest", "Manage image manifests and manifest lists"),
    ("network", "Manage networks"),
    ("system", "Manage Naru"),
    ("volume", "Manage volumes"),
];

/// Runs a command line (without the program's name) and returns the exit code.
pub fn run(arguments: Vec<OsString>) -> i32 {
    match dispatch(arguments) {
        Ok(code) => code,
        Err(error) => failure::report(&error),
    }
}

fn dispatch(arguments: Vec<OsString>) -> Outcome {
    let words = arguments.into_iter().map(OsString::into_string).collect::<Result<Vec<_>, _>>();
    let words = words.map_err(|word| Failure::flags(format!("argument {word:?} is not UTF-8")))?;
    let (globals, words) = match globals::parse(words)? {
        globals::Parsed::Command(globals, words) => (*globals, words),
        globals::Parsed::Version => return output::line(&help::version()).map(|()| 0),
        globals::Parsed::Help => return output::print(&help::top()).map(|()| 0),
    };
    let Some((verb, path, rest)) = find(&words) else {
        return unknown(&words);
    };
    let matches = match flags::parse(verb, path, rest)? {
        flags::Parsed::Matches(matches) => matches,
        flags::Parsed::Help(command) => return output::print(&help::verb(verb, path, *command)).map(|()| 0),
    };
    let context = Context::new(globals);
    // One thread: a command waits for one engine, and threads cost more than they bring.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on((verb.run)(&context, &matches));
    // A thread may still wait for standard input; nobody waits for that thread.
    runtime.shutdown_background();
    outcome
}

/// The verb with the longest name that the words begin with.
fn find(words: &[String]) -> Option<(&'static Verb, &'static str, &[String])> {
    let fits = |path: &&'static str| {
        let parts = path.split(' ').count();
        parts <= words.len() && path.split(' ').zip(words).all(|(part, word)| part == word)
    };
    VERBS
        .iter()
        .flat_map(|verb| verb.paths.iter().copied().filter(fits).map(move |path| (verb, path)))
        .max_by_key(|(_, path)| path.split(' ').count())
        .map(|(verb, path)| (verb, path, &words[path.split(' ').count()..]))
}

fn unknown(words: &[String]) -> Outcome {
    let group = GROUPS.iter().find(|(name, _)| words.first().is_some_and(|word| word == name));
    match (group, words) {
        (None, []) => output::print(&help::top()).map(|()| 0),
        (Some((name, about)), rest) => match rest.get(1).map(String::as_str) {
            None | Some("--help" | "-h" | "help") => output::print(&help::group(name, about)).map(|()| 0),
            Some(word) => Err(Failure::new(
                1,
                format!("naru: unknown command: naru {name} {word}\n\nUsage:  naru {name}\n\nRun 'naru {name} --help' for more information"),
            )
            .into()),
        },
        (None, [word, ..]) => {
            Err(Failure::new(1, format!("naru: unknown command: naru {word}\n\nRun 'naru --help' for more information")).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_is_well_formed() {
        let mut seen = std::collections::BTreeSet::new();
        for verb in VERBS {
            (verb.command)(Command::new("naru").disable_help_flag(true)).debug_assert();
            for path in verb.paths {
                assert!(seen.insert(path), "two verbs are called {path}");
                if let Some((group, _)) = path.split_once(' ') {
                    assert!(GROUPS.iter().any(|(name, _)| *name == group), "{group} is no group");
                }
            }
        }
    }
}
