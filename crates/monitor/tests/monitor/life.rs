//! Start, end, restart, signals, freezing, limits.

use std::time::{Duration, Instant};

use crate::world::*;
use monitor::protocol::*;

fn stop(timeout: Option<i64>) -> Body {
    Body::Stop { signal: None, timeout }
}

fn started_again(link: &mut Link) -> u32 {
    link.event("the restart", |event| match event {
        Event::Started { restart_count, .. } => Some(*restart_count),
        _ => None,
    })
}

pub fn a_container_runs_and_ends() {
    let mut world = World::new("exit 0");
    let link = world.start();
    assert_eq!(link.finish(&mut world), 0);
    let state = world.state();
    assert_eq!((state.status, state.exit_code, state.pid), (Status::Exited, 0, 0));
    assert!(state.started_at.unwrap() < state.finished_at.unwrap());
    assert!(!state.user_stopped && state.error.is_empty());
}

pub fn exit_codes_and_signals() {
    for (script, code) in [("exit 7", 7), ("sh -c 'kill -9 $$'; exit $?", 137)] {
        let mut world = World::new(script);
        let link = world.start();
        assert_eq!(link.finish(&mut world), code);
    }
    let mut world = World::new("sleep 1000");
    let mut link = world.start();
    link.order(Body::Signal { signal: 9 });
    assert_eq!(link.finish(&mut world), 137);
}

pub fn a_program_that_is_missing() {
    let mut world = World::new("");
    world.spec.plan.process.args = vec!["no-such-program".into()];
    let mut client = world.attach_first(output());
    let (_link, reply) = world.try_start();
    assert!(matches!(reply, Reply::Error { kind: ErrorKind::ProgramNotFound, .. }), "{reply:?}");
    assert_eq!(world.gone(), Some(1));
    let state = world.state();
    assert_eq!((state.status, state.exit_code), (Status::Created, 127));
    assert!(state.error.contains("no-such-program"), "{}", state.error);
    assert_eq!(client.all(), b"");
}

pub fn stop_asks_then_kills() {
    let mut world = World::new("trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done");
    let mut client = world.attach_first(output());
    let mut link = world.start();
    client.until("ready");
    link.order(stop(None));
    assert_eq!(link.finish(&mut world), 3);
    assert!(world.state().user_stopped);

    let mut world = World::new("trap '' TERM; echo ready; sleep 1000");
    let mut client = world.attach_first(output());
    let mut link = world.start();
    client.until("ready");
    let begin = Instant::now();
    link.order(stop(Some(1)));
    let took = begin.elapsed();
    assert!((Duration::from_millis(990)..Duration::from_secs(8)).contains(&took), "{took:?}");
    assert_eq!(link.finish(&mut world), 137);
}

pub fn stop_waits_as_long_as_it_has_to() {
    let mut world = World::new("trap 'sleep 1; exit 4' TERM; echo ready; while :; do sleep 0.05; done");
    let mut client = world.attach_first(output());
    let mut link = world.start();
    client.until("ready");
    let first = link.send(stop(Some(-1)), &[]);
    let second = link.send(stop(Some(100)), &[]);
    assert_eq!(link.reply(second), Reply::Done);
    assert_eq!(link.reply(first), Reply::Done);
    link.order(stop(None));
    assert_eq!(link.finish(&mut world), 4);
}

pub fn the_engine_may_die_and_another_takes_over() {
    let mut world = World::new("while :; do sleep 0.05; done");
    let mut link = world.start();
    let pid = link.status().state.pid;
    drop(link);
    let mut link = Link::connect(&world);
    let status = link.status();
    assert_eq!((status.state.status, status.state.pid), (Status::Running, pid));
    assert_eq!(world.state().pid, pid);
    let mut other = Link::connect(&world);
    link.order(Body::Signal { signal: 9 });
    assert_eq!(other.exited(), (137, None));
    assert_eq!(link.finish(&mut world), 137);
}

pub fn without_an_engine_the_record_is_enough() {
    let mut world = World::new("cat; exit 5");
    world.spec.open_stdin = true;
    world.spec.stdin_once = true;
    let client = world.attach_first(streams());
    drop(world.start());
    client.end_input();
    assert_eq!(world.gone(), Some(0));
    let state = world.state();
    assert_eq!((state.status, state.exit_code), (Status::Exited, 5));
}

pub fn it_is_started_again_and_again() {
    let mut world = World::new("echo run; exit 1");
    world.spec.restart = RestartPolicy::Always;
    world.spec.restart_count = 3;
    let mut link = world.start();
    assert_eq!(link.exited(), (1, Some(100)));
    assert_eq!(world.state().status, Status::Restarting);
    assert_eq!(started_again(&mut link), 4);
    assert_eq!(link.exited(), (1, Some(200)));
    assert_eq!(started_again(&mut link), 5);
    assert_eq!(link.exited(), (1, Some(400)));
    link.order(Body::Update { resources: None, restart: Some(RestartPolicy::No) });
    assert_eq!(started_again(&mut link), 6);
    assert_eq!(link.finish(&mut world), 1);
    assert_eq!(world.log("stdout"), "run\n".repeat(4));
    assert_eq!(world.state().restart_count, 6);
}

pub fn on_failure_gives_up() {
    let mut world = World::new("exit 2");
    world.spec.restart = RestartPolicy::OnFailure { max: 1 };
    let mut link = world.start();
    assert_eq!(link.exited(), (2, Some(100)));
    assert_eq!(link.finish(&mut world), 2);
}

pub fn a_stop_during_the_back_off_is_the_end() {
    for body in [stop(None), Body::Signal { signal: 9 }] {
        let mut world = World::new("exit 1");
        world.spec.restart = RestartPolicy::Always;
        let mut link = world.start();
        for wait in [100, 200, 400] {
            assert_eq!(link.exited(), (1, Some(wait)));
        }
        link.order(Body::Signal { signal: 1 });
        link.order(body);
        assert_eq!(link.finish(&mut world), 1);
        assert!(world.state().user_stopped);
    }
}

pub fn a_killed_container_stays_down() {
    let mut world = World::new("trap 'echo hup' HUP; echo ready; while :; do sleep 0.05; done");
    world.spec.restart = RestartPolicy::Always;
    let mut client = world.attach_first(output());
    let mut link = world.start();
    client.until("ready");
    link.order(Body::Signal { signal: 1 });
    client.until("hup");
    link.order(Body::Signal { signal: 9 });
    assert_eq!(link.finish(&mut world), 137);
    assert_eq!(client.all(), b"");
}

pub fn a_restart_that_fails_is_the_end() {
    let mut world = World::new("true");
    let netns = std::fs::File::open("/proc/self/ns/net").unwrap();
    world.give(FdRole::Netns, netns);
    world.spec.restart = RestartPolicy::Always;
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("rootfs");
    copy_rootfs(&folder);
    world.spec.plan.rootfs = runtime::RootFs::Directory { path: folder.clone() };
    world.spec.plan.process.args = vec!["/bin/busybox".into(), "rm".into(), "/bin/busybox".into()];
    let mut link = world.start();
    assert_eq!(link.exited(), (0, Some(100)));
    let (code, error) = link.event("the end", |event| match event {
        Event::Exited { code, error, restart_in: None, .. } => Some((*code, error.clone())),
        _ => None,
    });
    assert_eq!(code, 127);
    assert!(error.contains("/bin/busybox"), "{error}");
    // The engine takes the network down now: the monitor must not keep the namespace alive.
    assert!(!world.holds("net:["));
    link.order(Body::Shutdown);
    assert_eq!(world.gone(), Some(0));
    assert_eq!(world.state().error, error);
}

fn copy_rootfs(folder: &std::path::Path) {
    for name in ["bin", "dev", "proc", "sys"] {
        std::fs::create_dir_all(folder.join(name)).unwrap();
    }
    std::fs::copy("/bin/busybox", folder.join("bin/busybox")).unwrap();
}

pub fn frozen_processes_wait_and_can_be_killed() {
    let mut world = World::new("echo ready; while :; do sleep 0.01; echo x >/tmp/alive; done");
    let mut client = world.attach_first(output());
    let mut link = world.start();
    client.until("ready");
    assert_eq!(link.refused(Body::Unpause), ErrorKind::Conflict);
    link.order(Body::Pause);
    link.event("the pause", |event| (*event == Event::Paused).then_some(()));
    assert_eq!(world.state().status, Status::Paused);
    assert!(world.cgroup().frozen().unwrap());
    assert_eq!(link.refused(Body::Pause), ErrorKind::Conflict);
    let exec = Body::Exec(Box::new(world.exec_spec("true")));
    assert_eq!(link.refused(exec), ErrorKind::Conflict);
    link.order(Body::Unpause);
    link.event("the end of the pause", |event| (*event == Event::Unpaused).then_some(()));
    assert_eq!(link.status().state.status, Status::Running);
    link.order(Body::Pause);
    link.order(Body::Signal { signal: 9 });
    assert_eq!(link.finish(&mut world), 137);

    let mut world = World::new("trap 'exit 6' TERM; echo ready; while :; do sleep 0.05; done");
    let mut client = world.attach_first(output());
    let mut link = world.start();
    client.until("ready");
    link.order(Body::Pause);
    link.order(stop(None));
    assert_eq!(link.finish(&mut world), 6);
}

pub fn limits_change_and_stay_changed() {
    let mut world = World::new("sleep 1000");
    world.spec.restart = RestartPolicy::OnFailure { max: 0 };
    let mut link = world.start();
    let resources = cgroup::Resources { pids: Some(23), ..cgroup::Resources::default() };
    link.order(Body::Update { resources: Some(Box::new(resources)), restart: None });
    let limit = |world: &World| {
        let (_, folder) = world
            .cgroup()
            .folders()
            .map(|(controllers, folder)| (controllers.to_vec(), folder))
            .find(|(_, folder)| folder.join("pids.max").exists())
            .unwrap();
        std::fs::read_to_string(folder.join("pids.max")).unwrap().trim().to_owned()
    };
    assert_eq!(limit(&world), "23");
    // A death that nobody asked the monitor for.
    sys::signal::kill(link.status().state.pid, 9).unwrap();
    assert_eq!(link.exited(), (137, Some(100)));
    started_again(&mut link);
    assert_eq!(limit(&world), "23");
    link.order(Body::Signal { signal: 9 });
    assert_eq!(link.finish(&mut world), 137);
}

pub fn memory_shortage_is_told() {
    let mut world = World::new("tail /dev/zero; exit 9");
    world.spec.plan.resources.memory.limit = Some(16 << 20);
    let mut link = world.start();
    link.event("the shortage", |event| (*event == Event::Oom).then_some(()));
    let (code, oom) = link.event("the end", |event| match event {
        Event::Exited { code, oom_killed, .. } => Some((*code, *oom_killed)),
        _ => None,
    });
    assert_eq!((code, oom), (9, true));
    link.order(Body::Shutdown);
    assert_eq!(world.gone(), Some(0));
    assert!(world.state().oom_killed);
}

pub fn what_the_container_inherits_is_clean() {
    let mut world =
        World::new("grep -E '^Sig(Blk|Ign)' /proc/self/status; ls /proc/self/fd | wc -l; echo $$");
    let mut client = world.attach_first(AttachSpec { stderr: false, ..output() });
    let link = world.start();
    let text = client.all_text();
    assert!(
        text.contains("SigBlk:\t0000000000000000") && text.contains("SigIgn:\t0000000000000000"),
        "{text}"
    );
    // Three streams and the folder that is being listed.
    assert!(text.ends_with("\n4\n1\n"), "{text}");
    link.finish(&mut world);
}

pub fn requests_that_make_no_sense() {
    let mut world = World::new("sleep 1000");
    let mut link = world.start();
    let again = Body::Start(StartSpec::default());
    assert_eq!(link.refused(again), ErrorKind::Conflict);
    assert_eq!(link.refused(Body::SignalExec { id: "x".into(), signal: 1 }), ErrorKind::NoSuchExec);
    assert_eq!(link.refused(Body::Resize { exec: None, width: 1, height: 1 }), ErrorKind::Invalid);
    assert_eq!(link.refused(Body::HealthCheckNow), ErrorKind::Invalid);
    link.order(Body::Shutdown);
    assert_eq!(link.status().state.status, Status::Running);
    link.order(stop(Some(0)));
    assert_eq!(link.refused(Body::Signal { signal: 1 }), ErrorKind::NotRunning);
    assert_eq!(link.refused(Body::Pause), ErrorKind::NotRunning);
    assert_eq!(link.finish(&mut world), 137);

    // Whoever goes away without a start request leaves no monitor behind.
    let mut world = World::new("true");
    drop(world.spawn());
    assert_eq!(world.gone(), Some(1));
    let mut world = World::new("true");
    let link = world.spawn();
    std::io::Write::write_all(&mut &link.socket, b"GET / HTTP/1.1\r\n\r\n").unwrap();
    assert_eq!(world.gone(), Some(1));
}

pub fn an_idle_monitor_is_small() {
    let mut world = World::new("seq 1 20000; while :; do sleep 0.05; done");
    world.spec.plan.process.env.push(format!("FILL={}", "x".repeat(64 << 10)));
    let mut client = world.attach_first(output());
    let mut link = world.start();
    client.until("20000\n");
    let mut exec = link.exec(world.exec_spec("seq 1 20000"), output());
    exec.all();
    assert_eq!(link.exec_exited(), 0);
    drop((client, exec));
    link.status();
    let memory = world.private_memory();
    assert!(memory < 512, "{memory} KiB");
    link.order(stop(Some(0)));
    link.finish(&mut world);
}
