//! Processes that are made ahead, and wait before their programs.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use crate::world::*;
use monitor::protocol::*;
use runtime::Line;

/// A network namespace that nobody is in.
fn network() -> OwnedFd {
    let make = || {
        sys::namespace::unshare(sys::clone::NEWNET).unwrap();
        std::fs::File::open("/proc/thread-self/ns/net").unwrap().into()
    };
    std::thread::scope(|scope| scope.spawn(make).join().unwrap())
}

/// Has the container's process made; its pid.
fn hold(world: &mut World, link: &mut Link) -> i32 {
    let netns = network();
    let roles = std::mem::take(&mut world.start.fds);
    let mut fds: Vec<_> = world.fds.iter().map(AsFd::as_fd).collect();
    fds.push(netns.as_fd());
    link.send(Body::Prepare(Box::new(world.spec.clone())), &[]);
    link.send(Body::Hold([roles.as_slice(), &[FdRole::Netns]].concat()), &fds);
    world.fds.clear();
    waiting(world, 1)
}

/// The last of so many processes of the container, when it waits.
fn waiting(world: &World, count: usize) -> i32 {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut pids = world.cgroup().pids().unwrap_or_default();
        pids.sort_unstable();
        let sleeps = |pid: i32| sys::process::stat(pid).is_ok_and(|stat| stat.state == b'S');
        match pids.last() {
            Some(last) if pids.len() == count && sleeps(*last) && is_monitor(*last) => return *last,
            _ => assert!(Instant::now() < deadline, "{pids:?}"),
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Whether it has not come to a program of its own.
fn is_monitor(pid: i32) -> bool {
    let program = |pid: &str| std::fs::read_link(format!("/proc/{pid}/exe")).ok();
    program(&pid.to_string()) == program("self")
}

fn ended(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z "))
}

fn until_ended(pid: i32) {
    let deadline = Instant::now() + PATIENCE;
    while !ended(pid) {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn pid_of(reply: &Reply) -> i32 {
    match reply {
        Reply::Started { pid, .. } | Reply::ExecStarted { pid } => *pid,
        other => panic!("{other:?}"),
    }
}

pub fn a_start_lets_the_process_go() {
    let mut world = World::new("readlink /proc/self/ns/net; exit 4");
    let mut link = world.spawn();
    let waiting = hold(&mut world, &mut link);
    let netns = std::fs::read_link(format!("/proc/{waiting}/ns/net")).unwrap();
    assert_ne!(netns, std::fs::read_link("/proc/self/ns/net").unwrap());
    // Nothing tells of it.
    assert!(!world.spec.log.path.exists() && !world.spec.run_dir.exists());
    let mut client = world.attach_first(output());
    let fds: Vec<_> = world.fds.iter().map(AsFd::as_fd).collect();
    let reply = link.ask_with(Body::Start(world.start.clone()), &fds);
    assert_eq!(pid_of(&reply), waiting);
    drop(fds);
    world.fds.clear();
    assert_eq!(client.all_text().trim(), netns.to_str().unwrap());
    assert_eq!(link.finish(&mut world), 4);
}

pub fn a_start_may_come_before_the_process_waits() {
    let mut world = World::new("echo here; exit 4");
    let mut link = world.spawn();
    let mut client = world.attach_first(output());
    let netns = network();
    let (roles, start) = (vec![FdRole::Netns], world.start.clone());
    let fds: Vec<_> = world.fds.iter().map(AsFd::as_fd).collect();
    link.send(Body::Prepare(Box::new(world.spec.clone())), &[]);
    link.send(Body::Hold(roles), &[netns.as_fd()]);
    let reply = link.ask_with(Body::Start(start), &fds);
    assert!(pid_of(&reply) > 0);
    drop(fds);
    world.fds.clear();
    assert_eq!(client.all_text(), "here\n");
    assert_eq!(link.finish(&mut world), 4);
}

pub fn without_a_start_nothing_is_left() {
    let mut world = World::new("echo never");
    let mut link = world.spawn();
    let waiting = hold(&mut world, &mut link);
    drop(link);
    // The cgroup is looked for, too.
    assert_eq!(world.gone(), Some(1));
    assert!(ended(waiting));
    assert!(!world.spec.log.path.exists());
}

pub fn a_process_does_not_wait_for_a_killed_monitor() {
    let mut world = World::new("echo never");
    let mut link = world.spawn();
    let waiting = hold(&mut world, &mut link);
    world.kill();
    until_ended(waiting);
}

pub fn a_process_that_was_killed_is_made_again() {
    let mut world = World::new("exit 4");
    let mut link = world.spawn();
    let waiting = hold(&mut world, &mut link);
    kill(waiting, sys::signal::KILL);
    until_ended(waiting);
    let reply = link.ask(Body::Start(StartSpec::default()));
    assert_ne!(pid_of(&reply), waiting);
    assert_eq!(link.finish(&mut world), 4);
}

pub fn a_program_that_is_missing_is_told_at_the_start() {
    let mut world = World::new("");
    world.spec.plan.process.args = vec!["no-such-program".into()];
    let mut link = world.spawn();
    hold(&mut world, &mut link);
    let reply = link.ask(Body::Start(StartSpec::default()));
    assert!(matches!(reply, Reply::Error { kind: ErrorKind::ProgramNotFound, .. }), "{reply:?}");
    assert_eq!(world.gone(), Some(1));
    assert_eq!((world.state().status, world.state().exit_code), (Status::Created, 127));
}

fn kill(pid: i32, signal: i32) {
    let process = rustix::process::Pid::from_raw(pid).unwrap();
    let pidfd = rustix::process::pidfd_open(process, rustix::process::PidfdFlags::empty()).unwrap();
    sys::signal::send(&pidfd, signal).unwrap();
}

/// Has a process made that waits at the other end of the line.
fn expect(link: &mut Link, spec: &ExecSpec, streams: ExpectedStreams) -> Line {
    let plan = Box::new(spec.plan.clone().unwrap());
    let (line, theirs) = Line::new().unwrap();
    link.send(Body::Expect { id: spec.id.clone(), plan, streams: Some(streams) }, &[theirs.as_fd()]);
    line
}

/// The request for one that was let go.
fn go(spec: ExecSpec) -> ExecSpec {
    ExecSpec { plan: None, let_go: true, ..spec }
}

/// Asks for a session; the answer, and its client if it has one.
fn ask(link: &mut Link, spec: ExecSpec) -> (Reply, Client) {
    let (client, theirs) = Client::pair();
    let fds = [theirs.as_fd()];
    let fds: &[_] = if spec.attach.is_some() { &fds } else { &[] };
    (link.ask_with(Body::Exec(Box::new(spec)), fds), client)
}

pub fn an_exec_session_lets_its_process_go() {
    let mut world = World::new("sleep 1000");
    let mut link = world.start();
    assert!(link.status().holds);
    for attach in [None, Some(output())] {
        let streams = match attach {
            None => ExpectedStreams::Null,
            Some(_) => ExpectedStreams::Pipes { stdin: false },
        };
        let mut spec = world.exec_spec("echo expected; exit 5");
        let line = expect(&mut link, &spec, streams);
        let waiting = waiting(&world, 2);
        assert!(line.go());
        let told = if attach.is_some() { "expected\n" } else { "" };
        spec.attach = attach;
        let (reply, mut client) = ask(&mut link, go(spec));
        assert_eq!(pid_of(&reply), waiting);
        assert_eq!(client.all_text(), told);
        assert_eq!(link.exec_exited(), 5);
    }
    end(link, &mut world);
}

pub fn a_process_may_end_before_its_session_is_asked_for() {
    let mut world = World::new("sleep 1000");
    let mut link = world.start();
    let mut spec = world.exec_spec("echo early; exit 5");
    let line = expect(&mut link, &spec, ExpectedStreams::Pipes { stdin: false });
    let waiting = waiting(&world, 2);
    assert!(line.go());
    until_ended(waiting);
    // The monitor has reaped it.
    link.status();
    spec.attach = Some(output());
    let (reply, mut client) = ask(&mut link, go(spec));
    assert_eq!(pid_of(&reply), waiting);
    assert_eq!(client.all_text(), "early\n");
    assert_eq!(link.exec_exited(), 5);
    assert!(link.status().execs.is_empty());
    end(link, &mut world);
}

pub fn what_was_not_let_go_is_started_afresh() {
    let mut world = World::new("sleep 1000");
    let mut link = world.start();
    let spec = world.exec_spec("echo once; exit 5");
    // Given up, killed while its start is on its way, or with other streams than it is started with: never more than one runs.
    for case in 0..3 {
        let line = expect(&mut link, &spec, ExpectedStreams::Null);
        let waiting = waiting(&world, 2);
        let mut line = Some(line);
        match case {
            0 => line = None,
            1 => kill(waiting, sys::signal::KILL),
            _ => {}
        }
        let let_go = case == 1 && line.take().is_some_and(Line::go);
        let attach = Some(output());
        let (reply, mut client) = ask(&mut link, ExecSpec { let_go, attach, ..spec.clone() });
        assert_ne!(pid_of(&reply), waiting);
        assert_eq!(client.all_text(), "once\n");
        assert_eq!(link.exec_exited(), 5);
        until_ended(waiting);
    }
    end(link, &mut world);
}

pub fn an_exec_session_that_does_not_come_leaves_nothing() {
    let mut world = World::new("sleep 1000");
    let mut link = world.start();
    let spec = world.exec_spec("true");
    let line = expect(&mut link, &spec, ExpectedStreams::Pipes { stdin: true });
    let waiting = waiting(&world, 2);
    drop(line);
    let deadline = Instant::now() + PATIENCE;
    while std::path::Path::new(&format!("/proc/{waiting}")).exists() {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(link.refused(Body::Exec(Box::new(ExecSpec { plan: None, ..spec }))), ErrorKind::NoSuchExec);
    assert_eq!(world.cgroup().pids().unwrap().len(), 1);
    end(link, &mut world);
}

pub fn a_process_that_the_container_stops_holds_nobody_up() {
    let mut world = World::new("sleep 1000");
    let mut link = world.start();
    let spec = world.exec_spec("true");
    let line = expect(&mut link, &spec, ExpectedStreams::Null);
    let waiting = waiting(&world, 2);
    kill(waiting, sys::signal::parse("STOP").unwrap());
    assert!(line.go());
    let (reply, _) = ask(&mut link, go(spec));
    let Reply::Error { message, .. } = reply else { panic!("{reply:?}") };
    assert_eq!(message, "the process was stopped before its program ran");
    assert!(ended(waiting));
    end(link, &mut world);
}

pub fn the_container_sees_nothing_of_a_process_that_waits() {
    // Root without CAP_SYS_PTRACE. What it finds of the process that waits it says.
    let script = "while :; do for p in /proc/[0-9]*; do if grep -q m[o]nitor $p/cmdline; then \
        echo seen; readlink $p/exe; readlink $p/cwd; readlink $p/root; cat $p/fd/*; cat $p/environ; cat $p/maps; \
        fi; done 2>/dev/null; sleep 0.01; done";
    let mut world = World::new(script);
    let mut client = world.attach_first(output());
    let mut link = world.start();
    let spec = world.exec_spec("true");
    let line = expect(&mut link, &spec, ExpectedStreams::Null);
    // What is seen of it later is its program's.
    let mut seen: String = (0..3).map(|_| client.until("seen\n")).collect();
    drop(line);
    link.order(Body::Signal { signal: 9 });
    seen += &client.all_text();
    assert!(seen.lines().all(|line| line == "seen"), "{seen}");
    assert_eq!(link.finish(&mut world), 137);
}
