//! `naru oci`: runc's command line on the `runtime` crate, for engines that start containers by a program (containerd, Docker,
//! Podman, CRI-O) and for people with a bundle in their hands. Also under the names `naru-oci`, `runc` and `crun`.
//!
//! One file a verb. A verb parses its flags, asks `runtime::bundle`, prints. This process is single-threaded, as launching wants.

mod arguments;
mod console;
mod create;
mod delete;
mod events;
mod exec;
mod failure;
mod features;
mod foreground;
mod kill;
mod list;
mod log;
mod pause;
mod ps;
mod run;
mod seal;
mod spec;
mod start;
mod state;
mod unprivileged;
mod update;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use arguments::{Flag, Parsed};
use failure::{Failure, Result};
use log::Log;
use runtime::bundle::Store;

/// Names under which the binary is this role, whatever its first argument.
const NAMES: [&str; 3] = ["naru-oci", "runc", "crun"];

/// The version of the specification that is implemented.
const SPEC: &str = "1.2.0";

const GLOBAL: &[Flag] = &[
    Flag::value("root", None),
    Flag::value("log", None),
    Flag::value("log-format", None),
    Flag::value("rootless", None),
    Flag::value("criu", None),
    Flag::value("cgroup-manager", None),
    Flag::switch("debug", None),
    Flag::switch("systemd-cgroup", None),
    Flag::switch("help", Some('h')),
    Flag::switch("version", Some('v')),
];

const USAGE: &str = "\
naru oci - Open Container Initiative runtime

USAGE:
   naru oci [global options] command [command options] [arguments...]

COMMANDS:
   create      create a container, whose process waits to be started
   delete      delete what is held by a container
   events      print what a container uses, and when its memory runs out
   exec        run another process in a container
   features    print what this runtime can do
   kill        send a signal (default: SIGTERM) to a container's first process
   list        list containers
   pause       stop all processes of a container where they are
   ps          list the processes of a container
   resume      let the processes of a paused container go on
   run         create and start a container
   spec        write a new specification file
   start       start the process of a created container
   state       print the state of a container
   update      change the limits of a container

GLOBAL OPTIONS:
   --root value        folder of the containers' state (default: \"/run/naru-oci\", or below $XDG_RUNTIME_DIR)
   --log value         file to write errors to, besides standard error
   --log-format value  'text' (default) or 'json'
   --debug             log more
   --systemd-cgroup    systemd makes the cgroup, cgroupsPath is \"slice:prefix:name\"
   --rootless value    go without a cgroup where none may be made: 'true', 'false' or 'auto' (default)
   --help, -h          print this
   --version, -v       print the version
";

/// What holds for every verb.
struct Globals {
    store: Store,
    /// Who keeps the cgroups, if not we ourselves.
    systemd: Option<cgroup::Manager>,
    rootless: bool,
    log: Log,
}

/// Whether the program was called by one of this role's own names.
pub fn is_named(program: &OsStr) -> bool {
    let name = Path::new(program).file_name();
    name.and_then(|name| name.to_str()).is_some_and(|name| NAMES.contains(&name))
}

/// Does what the arguments say; the exit code.
pub fn run(arguments: &[OsString]) -> i32 {
    let mut log = Log::standard();
    match dispatch(arguments, &mut log) {
        Ok(code) => code,
        Err(failure) => {
            log.error(&failure.to_string());
            failure.code()
        }
    }
}

fn dispatch(arguments: &[OsString], log: &mut Log) -> Result<i32> {
    let words = arguments::words(arguments)?;
    let global = arguments::parse(&words, GLOBAL, arguments::Order::FlagsFirst)?;
    if let Some(path) = global.value("log") {
        log.write_to(path);
    }
    match global.value("log-format") {
        None | Some("text") => {}
        Some("json") => log.as_json(),
        Some(other) => return Err(Failure::usage(format!("unknown log-format {other:?}"))),
    }
    if global.switch("version") {
        return print(&format!("naru-oci version {}\nspec: {SPEC}", env!("CARGO_PKG_VERSION"))).map(|()| 0);
    }
    let (verb, rest) = match global.arguments() {
        [] => ("help", &[][..]),
        [verb, rest @ ..] => (verb.as_str(), rest),
    };
    if global.switch("help") || verb == "help" {
        return print(USAGE.trim_end()).map(|()| 0);
    }
    let globals = globals(&global, log)?;
    let done = match verb {
        "create" => create::run(&globals, rest),
        "start" => start::run(&globals, rest),
        "run" => run::run(&globals, rest),
        "state" => state::run(&globals, rest),
        "kill" => kill::run(&globals, rest),
        "delete" => delete::run(&globals, rest),
        "exec" => exec::run(&globals, rest),
        "list" => list::run(&globals, rest),
        "ps" => ps::run(&globals, rest),
        "pause" => pause::pause(&globals, rest),
        "resume" => pause::resume(&globals, rest),
        "events" => events::run(&globals, rest),
        "update" => update::run(&globals, rest),
        "spec" => spec::run(rest),
        "features" => features::run(rest),
        "checkpoint" | "restore" => Err(Failure::usage(format!("{verb} is not supported"))),
        other => Err(Failure::usage(format!("No help topic for '{other}'"))),
    };
    match done {
        Err(failure) if failure.is_help() => print(help(verb, &failure.to_string()).trim_end()).map(|()| 0),
        result => result,
    }
}

/// What a verb does, and its flags.
fn help(verb: &str, options: &str) -> String {
    let mut lines = USAGE.lines().filter_map(|line| line.strip_prefix("   "));
    let does = lines.find_map(|line| line.strip_prefix(verb)?.strip_prefix(' ')).unwrap_or_default().trim();
    format!(
        "naru oci {verb} - {does}\n\nUSAGE:\n   naru oci {verb} [command options] [arguments...]\n\nOPTIONS:\n{options}"
    )
}

/// A line, or several, on standard output.
fn print(text: &str) -> Result<()> {
    use std::io::Write;
    std::io::stdout()
        .write_all(format!("{text}\n").as_bytes())
        .map_err(Failure::io("write to standard output"))
}

/// The user's own without privileges, else the system's.
fn service_manager(rootless: bool) -> cgroup::Manager {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    match (rootless, variable("XDG_RUNTIME_DIR")) {
        (true, Some(folder)) => {
            let address = variable("DBUS_SESSION_BUS_ADDRESS");
            cgroup::Manager::user(address.as_deref(), Path::new(&folder))
        }
        _ => cgroup::Manager::system(variable("DBUS_SYSTEM_BUS_ADDRESS").as_deref()),
    }
}

fn globals(global: &Parsed, log: &Log) -> Result<Globals> {
    let is_root = unprivileged::is_root();
    let root = match (global.value("root"), std::env::var_os("XDG_RUNTIME_DIR")) {
        (Some(""), _) => return Err(Failure::usage("--root: the path is empty")),
        (Some(root), _) => std::path::absolute(root).map_err(Failure::io(format!("--root {root}")))?,
        (None, Some(folder)) if !is_root && !folder.is_empty() => PathBuf::from(folder).join("naru-oci"),
        (None, _) => PathBuf::from("/run/naru-oci"),
    };
    let rootless = match global.value("rootless") {
        None | Some("auto") => !is_root || runtime::rootless::is_inside(),
        Some("true") => true,
        Some("false") => false,
        Some(other) => {
            return Err(Failure::usage(format!("--rootless: {other:?} is not true, false or auto")));
        }
    };
    let systemd_cgroup = match global.value("cgroup-manager") {
        // crun's way to say it.
        Some("systemd") => true,
        Some("cgroupfs" | "disabled") | None => global.switch("systemd-cgroup"),
        Some(other) => return Err(Failure::usage(format!("--cgroup-manager: unknown manager {other:?}"))),
    };
    let systemd = systemd_cgroup.then(|| service_manager(rootless));
    Ok(Globals { store: Store::new(root), systemd, rootless, log: log.clone() })
}
