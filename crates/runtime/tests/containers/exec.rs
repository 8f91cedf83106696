//! More processes in a running container.

use std::io::{Read, Write};

use runtime::{ExecPlan, ExecTarget, LaunchErrorKind, Launched, Stdio, UserSpec, exec};

use crate::world::{Output, Streams, World, collect, finish, wait};

pub const CASES: &[crate::Case] = &[
    ("exec_joins_the_container", joins),
    ("exec_errors", errors),
    ("exec_in_a_user_namespace", user_namespace),
    ("exec_into_a_container_that_has_ended", ended),
    ("exec_into_a_frozen_container_is_refused", frozen),
    ("a_terminal", terminal),
    ("exec_with_a_terminal", exec_terminal),
    ("exec_sees_no_descriptor_of_the_host", descriptors),
];

/// A container that sleeps until it is killed.
pub fn sleeper(world: &World, edit: impl FnOnce(&mut runtime::LaunchPlan)) -> (Launched, Streams) {
    let mut plan = world.plan(&["sleep", "1000"]);
    edit(&mut plan);
    world.start(&plan).unwrap()
}

pub fn stop(world: &World, (launched, streams): (Launched, Streams)) {
    sys::signal::send(&launched.pidfd, sys::signal::KILL).unwrap();
    assert_eq!(finish(&launched, streams).code, 137);
    world.nothing_is_left();
}

fn process(world: &World, args: &[&str]) -> ExecPlan {
    let spec = world.spec(args);
    let user = UserSpec::Name { spec: String::new(), groups: Vec::new() };
    runtime::plan_process(spec.process().as_ref().unwrap(), Some(user), None).unwrap()
}

fn target(launched: &Launched) -> ExecTarget {
    ExecTarget { pid: launched.pid, cgroup: Some(launched.cgroup.clone()) }
}

fn run(launched: &Launched, plan: &ExecPlan) -> Output {
    let (streams, stdio) = Streams::pair();
    collect(&exec(&target(launched), plan, stdio, None).unwrap(), streams)
}

/// Whoever starts a process waits for it, and would for as long as the container is frozen.
fn frozen() {
    let world = World::new();
    let container = sleeper(&world, |_| ());
    let plan = process(&world, &["true"]);
    let group = container.0.cgroup.clone();
    group.freeze().unwrap();
    let (_streams, stdio) = Streams::pair();
    let error = exec(&target(&container.0), &plan, stdio, None).unwrap_err();
    assert_eq!(error.message, "cannot exec in a paused container");
    group.thaw().unwrap();
    assert_eq!(run(&container.0, &plan).code, 0);
    stop(&world, container);
}

fn joins() {
    let world = World::new();
    let container = sleeper(&world, |_| ());
    let plan = process(
        &world,
        &[
            "sh",
            "-c",
            "for n in mnt net uts ipc pid cgroup time; do readlink /proc/self/ns/$n; done; hostname; ps | grep -c slee[p]",
        ],
    );
    let output = run(&container.0, &plan);
    let expected: Vec<String> = ["mnt", "net", "uts", "ipc", "pid", "cgroup", "time"]
        .iter()
        .map(|name| {
            std::fs::read_link(format!("/proc/{}/ns/{name}", container.0.pid)).unwrap().display().to_string()
        })
        .collect();
    assert_eq!(output.stdout, format!("{}\nbox\n1\n", expected.join("\n")), "{}", output.stderr);

    // The same confinement, another user, and the container's cgroup.
    let mut plan = process(
        &world,
        &[
            "sh",
            "-c",
            "id -u; id -G; pwd; echo $HOME; grep CapBnd /proc/self/status; cat /proc/self/cgroup; exit 3",
        ],
    );
    plan.user = UserSpec::Name { spec: "web".into(), groups: vec!["44".into()] };
    plan.cwd = "/tmp".into();
    let output = run(&container.0, &plan);
    let (head, cgroups) = output.stdout.split_once("a80425fb\n").unwrap();
    assert_eq!(head, "33\n33 10 44\n/tmp\n/var/www\nCapBnd:\t00000000");
    let own = std::fs::read_to_string(format!("/proc/{}/cgroup", container.0.pid)).unwrap();
    assert!(own.contains(&world.cgroup_path()));
    // On v2 it has a cgroup namespace, whose root is the container's cgroup.
    assert_eq!(cgroups, if world.host.cgroup.is_v2() { "0::/\n" } else { &own });
    assert_eq!(output.code, 3);
    stop(&world, container);
}

fn errors() {
    let world = World::new();
    let container = sleeper(&world, |_| ());
    let attempt = |plan: &ExecPlan| exec(&target(&container.0), plan, Stdio::Null, None).unwrap_err();
    let error = attempt(&process(&world, &["nosuch"]));
    assert_eq!(error.kind, LaunchErrorKind::NotFound);
    assert_eq!(error.message, r#"exec: "nosuch": executable file not found in $PATH"#);
    let error = attempt(&process(&world, &["/etc/passwd"]));
    assert_eq!(error.kind, LaunchErrorKind::NotExecutable);
    let mut plan = process(&world, &["true"]);
    plan.cwd = "/nosuch".into();
    assert_eq!(
        attempt(&plan).message,
        r#"chdir to cwd ("/nosuch") set in config.json failed: no such file or directory"#
    );
    plan.cwd = "/".into();
    plan.user = UserSpec::Name { spec: "foo".into(), groups: Vec::new() };
    assert_eq!(attempt(&plan).kind, LaunchErrorKind::InvalidUser);
    // We are where we were.
    assert_eq!(std::process::id(), rustix::process::getpid().as_raw_nonzero().get() as u32);
    let own = std::fs::read_link("/proc/self/ns/pid").unwrap();
    assert_eq!(std::fs::read_link("/proc/self/ns/pid_for_children").unwrap(), own);
    stop(&world, container);
}

fn user_namespace() {
    let world = World::new();
    let container = sleeper(&world, crate::isolation::with_user_namespace);
    let output =
        run(&container.0, &process(&world, &["sh", "-c", "id -u; cat /proc/self/uid_map; touch /tmp/x"]));
    let fields: Vec<&str> = output.stdout.split_whitespace().collect();
    assert_eq!(fields, ["0", "0", "100000", "65536"], "{output:?}");
    stop(&world, container);
}

fn ended() {
    let world = World::new();
    let (launched, streams) = sleeper(&world, |_| ());
    sys::signal::send(&launched.pidfd, sys::signal::KILL).unwrap();
    let cgroup = launched.cgroup.clone();
    let plan = process(&world, &["true"]);
    let target = ExecTarget { pid: launched.pid, cgroup: Some(cgroup.clone()) };
    assert_eq!(collect(&launched, streams).code, 137);
    assert_eq!(
        exec(&target, &plan, Stdio::Null, None).unwrap_err().message,
        "the container is not running: no such process"
    );
    cgroup.remove().unwrap();
    world.nothing_is_left();
}

/// All that a terminal says until its other side is closed.
fn hear(master: std::os::fd::OwnedFd) -> String {
    let mut text = Vec::new();
    // EIO is how a terminal says that nobody is left.
    let _ = std::fs::File::from(master).read_to_end(&mut text);
    String::from_utf8(text).unwrap()
}

fn terminal() {
    let world = World::new();
    let mut plan = world.script("tty; stty size; read x; echo got $x; ls -l /dev/console | cut -c1-1; echo hi > /dev/console; stat -c %u /dev/pts/0");
    plan.process.terminal = true;
    plan.process.user = UserSpec::Name { spec: "web".into(), groups: Vec::new() };
    let launch = runtime::Launch { console_size: Some((33, 99)), ..runtime::Launch::with(Stdio::Terminal) };
    let mut launched = runtime::launch(&plan, launch).unwrap();
    let master = launched.terminal.take().unwrap();
    std::fs::File::from(master.try_clone().unwrap()).write_all(b"typed\n").unwrap();
    let text = hear(master);
    assert_eq!(wait(&launched), 0, "{text}");
    launched.cgroup.remove().unwrap();
    // Where the echo of what was typed lands is a matter of time.
    for part in ["/dev/pts/0\r\n", "33 99\r\n", "got typed\r\nc\r\nhi\r\n33\r\n"] {
        assert!(text.contains(part), "{text}");
    }
    world.nothing_is_left();
}

fn exec_terminal() {
    let world = World::new();
    let container = sleeper(&world, |_| ());
    let plan = process(&world, &["sh", "-c", "tty; stty size; ps -o tty,comm | grep -c 136"]);
    let mut launched = exec(&target(&container.0), &plan, Stdio::Terminal, Some((12, 34))).unwrap();
    let text = hear(launched.terminal.take().unwrap());
    wait(&launched);
    assert!(text.starts_with("/dev/pts/0\r\n12 34\r\n"), "{text}");
    stop(&world, container);
}

fn descriptors() {
    let world = World::new();
    let container = sleeper(&world, |_| ());
    let host = std::fs::File::open("/").unwrap();
    rustix::io::fcntl_setfd(&host, rustix::io::FdFlags::empty()).unwrap();
    let output = run(&container.0, &process(&world, &["ls", "/proc/self/fd"]));
    assert_eq!(output.stdout, "0\n1\n2\n3\n", "3 is the folder itself");
    let mut plan = process(&world, &["true"]);
    let number = std::os::fd::AsRawFd::as_raw_fd(&host);
    plan.cwd = format!("/proc/self/fd/{number}");
    // It is not the new process's at all, or it is something else there.
    let error = exec(&target(&container.0), &plan, Stdio::Null, None).unwrap_err();
    assert!(error.message.contains("chdir to cwd"), "{}", error.message);
    // One that is the program's by wish leads nowhere either.
    let preserved = u32::try_from(number - 2).unwrap();
    let error =
        runtime::exec_preserving(&target(&container.0), &plan, Stdio::Null, None, preserved).unwrap_err();
    assert!(error.message.contains("container breakout detected"), "{}", error.message);
    stop(&world, container);
}
