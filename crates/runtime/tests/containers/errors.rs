//! Containers and processes that cannot start: what the user is told, of which kind it is, and that nothing is left.

use runtime::{LaunchErrorKind, UserSpec};

use crate::world::{World, executable};

pub const CASES: &[crate::Case] = &[
    ("errors_of_programs", programs),
    ("errors_of_users", users),
    ("errors_of_mounts", mounts),
    ("an_error_of_the_filter_or_the_folder", folders),
    ("a_container_that_dies_early_is_not_started", killed),
];

fn programs() {
    use LaunchErrorKind::{NotExecutable, NotFound};
    let world = World::new();
    executable(&world.root().join("bin/nointerpreter"), "#!/nosuch/interpreter\n");
    executable(&world.root().join("bin/noformat"), "\x01\x02\x03");
    for (args, kind, message) in [
        (&["nosuch"][..], NotFound, r#"exec: "nosuch": executable file not found in $PATH"#),
        (&[""], NotFound, r#"exec: "": executable file not found in $PATH"#),
        // Not executable, so not what one looks for.
        (&["passwd"], NotFound, r#"exec: "passwd": executable file not found in $PATH"#),
        (&["/nosuch"], NotFound, r#"exec: "/nosuch": stat /nosuch: no such file or directory"#),
        (&["./nosuch"], NotFound, r#"exec: "./nosuch": stat ./nosuch: no such file or directory"#),
        (&["/etc/passwd"], NotExecutable, r#"exec: "/etc/passwd": permission denied"#),
        (&["/etc/passwd/x"], NotExecutable, r#"exec: "/etc/passwd/x": stat /etc/passwd/x: not a directory"#),
        (&["/etc"], NotExecutable, r#"exec: "/etc": is a directory"#),
        (&["nointerpreter"], NotFound, "exec /bin/nointerpreter: no such file or directory"),
        (&["/bin/noformat"], NotExecutable, "exec /bin/noformat: exec format error"),
    ] {
        let mut plan = world.plan(args);
        plan.process.env = vec!["PATH=/etc:/bin:relative".into()];
        let error = world.run(&plan).unwrap_err();
        assert_eq!((error.kind, error.message.as_str(), error.step.as_str()), (kind, message, "exec"));
    }
    let mut plan = world.plan(&["true"]);
    plan.process.env.clear();
    assert_eq!(world.run(&plan).unwrap_err().message, r#"exec: "true": executable file not found in $PATH"#);
}

fn users() {
    let world = World::new();
    let name = |spec: &str, group: &str| {
        let mut plan = world.plan(&["true"]);
        let groups = if group.is_empty() { Vec::new() } else { vec![group.to_owned()] };
        plan.process.user = UserSpec::Name { spec: spec.to_owned(), groups };
        let error = world.run(&plan).unwrap_err();
        assert_eq!(error.kind, LaunchErrorKind::InvalidUser);
        error.message
    };
    assert_eq!(name("foo", ""), "unable to find user foo: no matching entries in passwd file");
    assert_eq!(name("web:bar", ""), "unable to find group bar: no matching entries in group file");
    assert_eq!(name("", "bar"), "unable to find group bar: no matching entries in group file");
    assert_eq!(name("2147483648", ""), "uids and gids must be in range 0-2147483647");
    // A link to the host's file finds the container's root, and a device is not read.
    std::fs::remove_file(world.root().join("etc/passwd")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", world.root().join("etc/passwd")).unwrap();
    assert_eq!(name("daemon", ""), "unable to find user daemon: no matching entries in passwd file");
}

fn mounts() {
    let world = World::new();
    let bind = |source: &str, target: &str| {
        let mut plan = world.plan(&["true"]);
        plan.mounts.push(crate::mounts::bind(source, target));
        world.run(&plan).map(|_| ()).unwrap_err().message
    };
    assert_eq!(
        bind("/nosuch/source", "/x"),
        r#"error mounting "/nosuch/source" to rootfs at "/x": no such file or directory"#
    );
    assert!(bind("/etc", "/etc/passwd").contains("Are you trying to mount a directory onto a file"));
    assert!(bind("/etc/hostname", "/etc").contains("Are you trying to mount a directory onto a file"));
    let message = bind("/etc", "/proc/sys");
    assert!(message.contains("cannot be mounted because it is inside /proc"), "{message}");
    std::os::unix::fs::symlink("/proc/self", world.root().join("link")).unwrap();
    assert!(bind("/etc", "/link/task").contains("cannot be mounted because it is inside /proc"));
    std::fs::remove_dir(world.root().join("proc")).unwrap();
    std::os::unix::fs::symlink("/tmp", world.root().join("proc")).unwrap();
    let error = world.run(&world.plan(&["true"])).unwrap_err();
    assert_eq!(error.message, r#"filesystem "proc" must be mounted on ordinary directory"#);
}

fn folders() {
    let world = World::new();
    let mut plan = world.plan(&["true"]);
    plan.process.cwd = "/etc/passwd".into();
    assert!(world.run(&plan).unwrap_err().message.contains("not a directory"));
    // A made-up folder is made; in a process of a running container it is not.
    plan.process.cwd = "/new/folder".into();
    assert_eq!(world.run(&plan).unwrap().code, 0);
    // CVE-2024-21626: a descriptor of the host as the current folder.
    let host = std::fs::File::open("/").unwrap();
    rustix::io::fcntl_setfd(&host, rustix::io::FdFlags::empty()).unwrap();
    plan.process.create_cwd = false;
    plan.process.cwd = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&host));
    let message = world.run(&plan).unwrap_err().message;
    assert!(message.contains("container breakout detected"), "{message}");
}

fn killed() {
    let world = World::new();
    let mut plan = world.plan(&["true"]);
    // Kills at the first call after it: as the kernel does when there is no memory.
    let kill = sys::seccomp::instruction(6, 0, 0, 0x8000_0000);
    plan.process.seccomp = Some(seccomp::Program { instructions: vec![kill], flags: 0 });
    // After the filter only the program is to blame: it counts as started, and died.
    assert_eq!(world.run(&plan).unwrap().code, 128 + 31);
    plan.process.seccomp = None;
    plan.process.rlimits = vec![runtime::Rlimit { resource: 7, soft: 2, hard: 1 }];
    let message = world.run(&plan).unwrap_err().message;
    assert_eq!(
        message,
        "error setting rlimits for ready process: error setting rlimit type 7: invalid argument"
    );
}
