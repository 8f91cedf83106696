//! Hooks of the OCI runtime specification (config.md, "POSIX-platform Hooks"): programs that are told the container's state on
//! their standard input.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::MemfdFlags;
use serde::{Deserialize, Serialize};

use crate::error::{During, LaunchError, Result};
use crate::outside::Outside;
use crate::plan::{Hook, Hooks};

/// Hooks that run in the runtime's namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    Prestart,
    CreateRuntime,
    Poststart,
    Poststop,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Prestart => "prestart",
            Self::CreateRuntime => "createRuntime",
            Self::Poststart => "poststart",
            Self::Poststop => "poststop",
        }
    }

    fn of(self, hooks: &Hooks) -> &[Hook] {
        match self {
            Self::Prestart => &hooks.prestart,
            Self::CreateRuntime => &hooks.create_runtime,
            Self::Poststart => &hooks.poststart,
            Self::Poststop => &hooks.poststop,
        }
    }
}

/// Whether any of them run in the runtime's namespaces.
pub fn has_outer(hooks: &Hooks) -> bool {
    use Kind::{CreateRuntime, Poststart, Poststop, Prestart};
    [Prestart, CreateRuntime, Poststart, Poststop].into_iter().any(|kind| !kind.of(hooks).is_empty())
}

/// Runs all hooks of a kind in the runtime's namespaces, which are the caller's or, if he has left them, `outside`.
pub fn run_outer(
    outside: Option<&Outside>,
    kind: Kind,
    planned: &Hooks,
    status: &str,
    pid: i32,
) -> Result<()> {
    match outside {
        Some(outside) if !kind.of(planned).is_empty() => outside.run(kind, status, pid),
        _ => run_all(kind, planned, status, pid),
    }
}

/// Runs all hooks of a kind here. After a container's end all are tried, and the first error is returned.
pub fn run_all(kind: Kind, planned: &Hooks, status: &str, pid: i32) -> Result<()> {
    if kind != Kind::Poststop {
        return run(kind.of(planned), kind.name(), planned, status, pid);
    }
    let mut result = Ok(());
    for hook in kind.of(planned) {
        let ran = run(std::slice::from_ref(hook), kind.name(), planned, status, pid);
        result = result.and(ran);
    }
    result
}

/// Runs hooks one after the other; the first that fails ends it. `status` and `pid` are what the state says; a `pid` of 0 is left
/// out.
pub fn run(hooks: &[Hook], kind: &str, about: &Hooks, status: &str, pid: i32) -> Result<()> {
    if hooks.is_empty() {
        return Ok(());
    }
    let state = state(about, status, pid);
    for (number, hook) in hooks.iter().enumerate() {
        one(hook, &state).map_err(|error| {
            LaunchError::other("hooks", format!("error running {kind} hook #{number}: {}", error.message))
        })?;
    }
    Ok(())
}

fn state(about: &Hooks, status: &str, pid: i32) -> Vec<u8> {
    let mut state = serde_json::json!({
        "ociVersion": "1.2.0",
        "id": about.id,
        "status": status,
        "bundle": about.bundle,
    });
    if pid != 0 {
        state["pid"] = pid.into();
    }
    if !about.annotations.is_empty() {
        state["annotations"] = serde_json::json!(about.annotations);
    }
    state.to_string().into_bytes()
}

/// A file in memory: a hook may read and write as much as it likes, and nobody has to serve pipes meanwhile.
fn memory_file(content: &[u8]) -> std::io::Result<File> {
    let mut file = File::from(rustix::fs::memfd_create("hook", MemfdFlags::CLOEXEC)?);
    file.write_all(content)?;
    file.rewind()?;
    Ok(file)
}

fn one(hook: &Hook, state: &[u8]) -> Result<()> {
    let what = || hook.path.display().to_string();
    let stdin = memory_file(state).during("hooks", what)?;
    let output = memory_file(b"").during("hooks", what)?;
    let mut command = Command::new(&hook.path);
    if let Some((name, arguments)) = hook.args.split_first() {
        command.arg0(name).args(arguments);
    }
    let variables = hook.env.iter().filter_map(|variable| variable.split_once('='));
    command.env_clear().envs(variables).stdin(Stdio::from(stdin));
    let (stdout, stderr) =
        (output.try_clone().during("hooks", what)?, output.try_clone().during("hooks", what)?);
    let mut child = command.stdout(stdout).stderr(stderr).spawn().during("hooks", what)?;
    let status = wait(&mut child, hook.timeout).during("hooks", what)?;
    match status {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(LaunchError::other("hooks", format!("{status}, output: {}", text(output)))),
        None => {
            let seconds = hook.timeout.unwrap_or(0);
            Err(LaunchError::other("hooks", format!("hook ran past specified timeout of {seconds}.0s")))
        }
    }
}

fn text(mut file: File) -> String {
    let mut bytes = Vec::new();
    let _ = file.rewind().and_then(|()| file.take(4096).read_to_end(&mut bytes));
    String::from_utf8_lossy(&bytes).trim_end().to_owned()
}

/// `None`: it took too long and was killed.
fn wait(child: &mut Child, timeout: Option<u64>) -> std::io::Result<Option<std::process::ExitStatus>> {
    let Some(seconds) = timeout else { return child.wait().map(Some) };
    let deadline = Instant::now() + Duration::from_secs(seconds);
    let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    let Some(pid) = pid else { return child.wait().map(Some) };
    let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        let mut poll = [rustix::event::PollFd::new(&pidfd, rustix::event::PollFlags::IN)];
        match rustix::event::poll(&mut poll, left.try_into().ok().as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
