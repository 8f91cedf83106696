//! `create`: a container whose process waits to be started. Also what `run` shares with it.

use std::path::Path;

use runtime::bundle::{Bundle, Create, Created, Store};
use runtime::{Extras, Stdio};

use super::arguments::{Flag, Order, Parsed, parse};
use super::failure::{Failure, Result};
use super::{Globals, console, seal, unprivileged};

const FLAGS: &[Flag] = &[
    Flag::value("bundle", Some('b')),
    Flag::value("console-socket", None),
    Flag::value("pid-file", None),
    Flag::value("preserve-fds", None),
    Flag::switch("no-pivot", None),
    Flag::switch("no-new-keyring", None),
];

/// The verb.
pub fn run(globals: &Globals, words: &[String]) -> Result<i32> {
    let flags = parse(words, FLAGS, Order::Any)?;
    let id = flags.id("create")?;
    let request = Request::read(globals, &flags, id, true)?;
    let created = request.create(id, true, "create failed: ")?;
    request.hand_over(&created)?;
    Ok(0)
}

/// What `create` and `run` are asked for.
pub struct Request<'a> {
    globals: &'a Globals,
    store: Store,
    flags: &'a Parsed,
    bundle: Bundle,
    /// Descriptors by socket activation (sd_listen_fds(3)), and those of `--preserve-fds`.
    fds: (u32, u32),
    /// This process is in the container's user namespace.
    entered: bool,
}

/// What runc says of capabilities that nobody knows.
pub fn ignored(names: &[String]) -> String {
    format!("ignoring unknown or unavailable capabilities: [{}]", names.join(" "))
}

fn load(flags: &Parsed) -> Result<Bundle> {
    Ok(Bundle::load(Path::new(flags.value("bundle").unwrap_or(".")))?)
}

impl<'a> Request<'a> {
    /// Reads the bundle, and protects this process.
    pub fn read(globals: &'a Globals, flags: &'a Parsed, id: &str, detach: bool) -> Result<Self> {
        let fds = (listen_fds(), flags.number("preserve-fds")?.unwrap_or(0));
        let (entered, outside) = match unprivileged::is_root() {
            true => (false, None),
            false => unprivileged::enter_new(&load(flags)?, id, fds.0 + fds.1)?,
        };
        seal::seal(fds.0 + fds.1, entered, outside.as_ref())?;
        let store = globals.store.with_outside(outside);
        let bundle = load(flags)?;
        if !bundle.ignored.is_empty() {
            globals.log.warning(&ignored(&bundle.ignored));
        }
        let terminal = bundle.spec.process().as_ref().and_then(|process| process.terminal()).unwrap_or(false);
        console::check(flags.value("console-socket"), terminal, detach)?;
        Ok(Self { globals, store, flags, bundle, fds, entered })
    }

    /// Where the container is kept.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Creates the container.
    pub fn create(&self, id: &str, hold: bool, doing: &'static str) -> Result<Created> {
        let create = Create {
            id,
            hold,
            systemd: self.globals.systemd.clone(),
            rootless: self.globals.rootless,
            stdio: Stdio::Inherit,
            environment: listen_environment(self.fds.0),
            extras: Extras {
                preserve_fds: self.fds.0 + self.fds.1,
                no_pivot: self.flags.switch("no-pivot"),
                keep_keyring: self.flags.switch("no-new-keyring"),
                gate: None,
                entered: self.entered,
                outside: None,
            },
        };
        let created = self.store.create(&self.bundle, create);
        created.map_err(|error| Failure::from(error).within(doing))
    }

    /// Gives the caller the terminal and the pid. Who cannot take them has no container.
    pub fn hand_over(&self, created: &Created) -> Result<()> {
        let terminal = match (self.flags.value("console-socket"), &created.launched.terminal) {
            (Some(path), Some(master)) => console::send(path, master),
            _ => Ok(()),
        };
        let written = terminal.and_then(|()| match self.flags.value("pid-file") {
            Some(path) => console::write_pid(path, created.launched.pid),
            None => Ok(()),
        });
        written.inspect_err(|_| {
            // The first error is the one to tell.
            let _ = self.store.delete(&created.container.record().id, true);
        })
    }
}

/// The variable is for us if the pid says so, or, since an engine's pid is not known to who set it, nothing does.
pub fn listen_fds() -> u32 {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u32>().ok());
    match (number("LISTEN_PID"), number("LISTEN_FDS")) {
        (Some(pid), Some(count)) if pid == std::process::id() => count,
        (None, Some(count)) => count,
        _ => 0,
    }
}

/// What tells the program of these descriptors; it is the first of its pid namespace.
pub fn listen_environment(count: u32) -> Vec<String> {
    match count {
        0 => Vec::new(),
        count => vec![format!("LISTEN_FDS={count}"), "LISTEN_PID=1".to_owned()],
    }
}
