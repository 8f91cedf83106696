//! Exec sessions.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use crate::world::*;
use monitor::protocol::*;

const FOREVER: &str = "while :; do sleep 0.05; done";

pub fn an_exec_session_has_streams_and_an_exit_code() {
    let mut world = World::new(FOREVER);
    let mut link = world.start();
    let mut spec = world.exec_spec("echo pid $$; cat; echo bad >&2; exit 42");
    spec.open_stdin = true;
    let mut client = link.exec(spec, AttachSpec { mux: true, ..streams() });
    client.write(b"input\n");
    assert_eq!(link.status().execs.keys().collect::<Vec<_>>(), ["exec-1"]);
    client.end_input();
    let (out, error) = frames(&client.all());
    assert!(out.starts_with("pid ") && out.ends_with("\ninput\n"), "{out}");
    assert_eq!(error, "bad\n");
    assert_eq!(link.exec_exited(), 42);
    assert!(link.status().execs.is_empty());
    end(link, &mut world);
    assert_eq!(world.log("stdout"), "");
}

pub fn an_exec_session_with_a_terminal() {
    let mut world = World::new(FOREVER);
    let mut link = world.start();
    let mut spec = world.exec_spec("stty size; read line; stty size; read line; exit 3");
    spec.plan.as_mut().unwrap().terminal = true;
    spec.tty = true;
    spec.open_stdin = true;
    spec.console_size = Some((10, 20));
    let attach = AttachSpec { detach_keys: b"q".to_vec(), ..streams() };
    let mut client = link.exec(spec, attach.clone());
    client.until("10 20\r\n");
    link.order(Body::Resize { exec: Some("exec-1".into()), width: 40, height: 30 });
    client.write(b"\r");
    client.until("30 40\r\n");
    client.write(b"q");
    client.all();
    let detached = Event::Detached { exec: Some("exec-1".into()) };
    link.event("the detachment", |event| (*event == detached).then_some(()));
    let mut client = link.attach(AttachSpec { exec: Some("exec-1".into()), ..attach });
    client.write(b"\r");
    client.all();
    assert_eq!(link.exec_exited(), 3);
    end(link, &mut world);
}

pub fn an_exec_session_in_the_background() {
    let mut world = World::new(FOREVER);
    let mut link = world.start();
    let spec = world.exec_spec("trap 'exit 11' USR1; while :; do sleep 0.05; done");
    let reply = link.ask(Body::Exec(Box::new(spec.clone())));
    let Reply::ExecStarted { pid } = reply else { panic!("{reply:?}") };
    assert_eq!(link.status().execs["exec-1"], pid);
    assert_eq!(link.refused(Body::Exec(Box::new(spec))), ErrorKind::Conflict);
    // The shell may not have come to its trap yet.
    let deadline = Instant::now() + PATIENCE;
    while !catches(pid, 10) {
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    }
    link.order(Body::SignalExec { id: "exec-1".into(), signal: 10 });
    assert_eq!(link.exec_exited(), 11);
    end(link, &mut world);
}

fn catches(pid: i32, signal: i32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
    u64::from_str_radix(caught.trim(), 16).unwrap() & sys::signal::bit(signal) != 0
}

pub fn an_exec_session_that_cannot_start() {
    let mut world = World::new(FOREVER);
    let mut link = world.start();
    let (mut client, theirs) = Client::pair();
    let mut spec = world.exec_spec("");
    spec.plan.as_mut().unwrap().args = vec!["no-such-program".into()];
    spec.attach = Some(streams());
    let reply = link.ask_with(Body::Exec(Box::new(spec)), &[theirs.as_fd()]);
    assert!(matches!(reply, Reply::Error { kind: ErrorKind::ProgramNotFound, .. }), "{reply:?}");
    // The engine can still say something on it.
    std::io::Write::write_all(&mut &theirs, b"why").unwrap();
    drop(theirs);
    assert_eq!(client.all(), b"why");
    end(link, &mut world);
}

pub fn an_expected_exec_session_needs_no_plan() {
    let mut world = World::new(FOREVER);
    let mut link = world.start();
    assert!(link.status().holds);
    let mut spec = world.exec_spec("echo expected; exit 5");
    let plan = Box::new(spec.plan.take().unwrap());
    assert_eq!(link.refused(Body::Exec(Box::new(spec.clone()))), ErrorKind::NoSuchExec);
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut client = loop {
        link.send(Body::Expect { id: spec.id.clone(), plan: plan.clone(), streams: None }, &[]);
        let (client, theirs) = Client::pair();
        spec.attach = Some(output());
        match link.ask_with(Body::Exec(Box::new(spec.clone())), &[theirs.as_fd()]) {
            Reply::ExecStarted { .. } => break client,
            // On a busy machine the moment for which it is kept can be over.
            Reply::Error { kind: ErrorKind::NoSuchExec, .. } if Instant::now() < deadline => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(client.all(), b"expected\n");
    assert_eq!(link.exec_exited(), 5);
    // It was expected once.
    assert_eq!(link.refused(Body::Exec(Box::new(ExecSpec { attach: None, ..spec }))), ErrorKind::NoSuchExec);
    end(link, &mut world);
}

pub fn exec_sessions_end_with_the_container() {
    let mut world = World::new(FOREVER);
    let mut link = world.start();
    let mut client = link.exec(world.exec_spec("echo ready; sleep 1000"), output());
    client.until("ready");
    link.order(Body::Signal { signal: 9 });
    assert_eq!(client.all(), b"");
    assert_eq!(link.exec_exited(), 137);
    assert_eq!(link.finish(&mut world), 137);
}

pub fn a_child_that_keeps_the_streams_open_holds_nobody_up() {
    let mut world = World::new(FOREVER);
    let mut link = world.start();
    let mut client = link.exec(world.exec_spec("sleep 1000 & echo started"), output());
    let begin = Instant::now();
    assert_eq!(client.all_text(), "started\n");
    assert_eq!(link.exec_exited(), 0);
    assert!(begin.elapsed() < Duration::from_secs(10));
    end(link, &mut world);
}
