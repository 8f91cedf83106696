//! `exec`: another process in a container, described by flags or by a file as `config.json`'s `process`.

use std::time::Duration;

use runtime::bundle::{Container, Status};
use runtime::{ExecPlan, Launched, Stdio, UserSpec};

use super::arguments::{Flag, Order, Parsed, parse};
use super::failure::{Failure, Result};
use super::{Globals, console, create, foreground, seal, unprivileged};

const FLAGS: &[Flag] = &[
    Flag::value("console-socket", None),
    Flag::value("cwd", None),
    Flag::value("env", Some('e')),
    Flag::switch("tty", Some('t')),
    Flag::value("user", Some('u')),
    Flag::value("additional-gids", Some('g')),
    Flag::value("process", Some('p')),
    Flag::switch("detach", Some('d')),
    Flag::value("pid-file", None),
    Flag::value("process-label", None),
    Flag::value("apparmor", None),
    Flag::switch("no-new-privs", None),
    Flag::value("cap", Some('c')),
    Flag::value("preserve-fds", None),
    Flag::value("cgroup", None),
    Flag::switch("ignore-paused", None),
];

/// The verb. Its exit code is the program's; 255 when it did not run.
pub fn run(globals: &Globals, words: &[String]) -> Result<i32> {
    exec(globals, words).map_err(|failure| failure.within("exec failed: ").with_code(255))
}

fn exec(globals: &Globals, words: &[String]) -> Result<i32> {
    let flags = parse(words, FLAGS, Order::FlagsFirst)?;
    let Some((id, args)) = flags.arguments().split_first() else {
        return Err(Failure::usage("\"exec\" requires a minimum of 1 argument"));
    };
    let listened = create::listen_fds();
    let preserve = listened + flags.number::<u32>("preserve-fds")?.unwrap_or(0);
    let entered = match unprivileged::is_root() {
        true => false,
        false => unprivileged::enter_existing(&globals.store.open(id)?)?,
    };
    seal::seal(preserve, entered, None)?;
    let container = globals.store.open(id)?;
    let mut plan = plan(globals, &flags, &container, args)?;
    plan.env.extend(create::listen_environment(listened));
    let detach = flags.switch("detach");
    console::check(flags.value("console-socket"), plan.terminal, detach)?;
    let mut target = container.exec_target(flags.switch("ignore-paused"))?;
    if let (Some(group), Some(below)) = (&target.cgroup, flags.value("cgroup")) {
        target.cgroup = Some(sub_cgroup(group, below)?);
    }
    wait_until_resumed(&container);
    let signals = if detach { None } else { Some(foreground::Signals::take()?) };
    let launched = runtime::exec_preserving(&target, &plan, Stdio::Inherit, None, preserve)
        .map_err(runtime::bundle::Error::from)?;
    hand_over(&flags, &launched)?;
    match signals {
        Some(signals) => foreground::wait(&launched, &signals),
        None => Ok(0),
    }
}

/// A process that comes into a frozen cgroup stops before it has a program. With `--ignore-paused` it comes when the container
/// goes on, and until then signals end the waiting.
fn wait_until_resumed(container: &Container) {
    while container.status() == Status::Paused {
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn hand_over(flags: &Parsed, launched: &Launched) -> Result<()> {
    let terminal = match (flags.value("console-socket"), &launched.terminal) {
        (Some(path), Some(master)) => console::send(path, master),
        _ => Ok(()),
    };
    let done = terminal.and_then(|()| match flags.value("pid-file") {
        Some(path) => console::write_pid(path, launched.pid),
        None => Ok(()),
    });
    done.inspect_err(|_| {
        // It may have ended by itself; the first error is the one to tell.
        let _ = sys::signal::send(&launched.pidfd, sys::signal::KILL);
    })
}

fn plan(globals: &Globals, flags: &Parsed, container: &Container, args: &[String]) -> Result<ExecPlan> {
    let base = &container.record().process;
    if let Some(path) = flags.value("process") {
        let text = std::fs::read(path).map_err(Failure::io(format!("read {path}")))?;
        return Ok(runtime::bundle::process_plan(&text, path, base)?);
    }
    if args.is_empty() {
        return Err(Failure::usage("process args cannot be empty"));
    }
    let mut plan = ExecPlan { args: args.to_vec(), create_cwd: false, ..base.clone() };
    plan.terminal = flags.switch("tty");
    if let Some(cwd) = flags.value("cwd") {
        if !cwd.starts_with('/') {
            return Err(Failure::usage("Cwd must be an absolute path"));
        }
        plan.cwd = cwd.to_owned();
    }
    plan.env.extend(flags.values("env").map(str::to_owned));
    if let Some(label) = flags.value("process-label") {
        plan.selinux = Some(label.to_owned());
    }
    if let Some(profile) = flags.value("apparmor") {
        plan.apparmor = Some(profile.to_owned());
    }
    plan.no_new_privs |= flags.switch("no-new-privs");
    for name in flags.values("cap") {
        let Some(number) = sys::caps::parse(&name.to_ascii_uppercase()) else {
            globals.log.warning(&create::ignored(&[name.to_owned()]));
            continue;
        };
        let sets = &mut plan.capabilities;
        for set in [&mut sets.bounding, &mut sets.effective, &mut sets.permitted] {
            *set |= 1 << number;
        }
    }
    if let UserSpec::Ids { uid, gid, additional } = &mut plan.user {
        if let Some(user) = flags.value("user") {
            (*uid, *gid) = user_ids(user, *gid)?;
        }
        for group in flags.values("additional-gids") {
            additional.push(number(group, "gid")?);
        }
    }
    Ok(plan)
}

fn user_ids(text: &str, gid: u32) -> Result<(u32, u32)> {
    match text.split_once(':') {
        Some((user, group)) => Ok((number(user, "uid")?, number(group, "gid")?)),
        None => Ok((number(text, "uid")?, gid)),
    }
}

fn number(text: &str, what: &str) -> Result<u32> {
    text.parse().map_err(|_| Failure::usage(format!("parsing {text:?} as int for {what} failed")))
}

fn sub_cgroup(group: &cgroup::Cgroup, below: &str) -> Result<cgroup::Cgroup> {
    if below.contains(':') {
        return Err(Failure::usage("--cgroup: a path for single controllers is not supported"));
    }
    if below.split('/').any(|part| part == "..") {
        return Err(Failure::usage(format!("--cgroup: {below:?} is not a sub cgroup path")));
    }
    let path = format!("{}/{}", group.path().trim_end_matches('/'), below.trim_matches('/'));
    let sub = cgroup::Cgroup::open(group.host(), path.trim_end_matches('/'));
    // What is not there would be passed over, and the process stay outside.
    if !sub.folders().any(|(_, folder)| folder.is_dir()) {
        return Err(Failure::usage(format!("--cgroup: there is no cgroup {}", sub.path())));
    }
    Ok(sub)
}
