//! Hosts on which no container can be: what the user is told.

use std::path::Path;

use crate::world::World;

#[track_caller]
fn run(before: &str) -> Option<String> {
    let world = World::new(&["true"])?;
    let bundle = world.bundle();
    let error = world.shell_verb(before, &["run", "--bundle", bundle.to_str().unwrap(), &world.id]).failed();
    world.check_nothing_left();
    Some(error)
}

#[test]
fn root_who_may_not_mount() {
    // Busybox's knows nothing of bounding sets.
    let help = std::process::Command::new("setpriv").arg("--help").output();
    if !help.is_ok_and(|help| String::from_utf8_lossy(&help.stdout).contains("--bounding-set")) {
        eprintln!("skipped: needs util-linux");
        return;
    }
    let Some(error) = run("exec setpriv --bounding-set -sys_admin") else { return };
    assert!(
        error.contains("operation not permitted (this process may not mount: it lacks CAP_SYS_ADMIN"),
        "{error}"
    );
}

#[test]
fn a_filter_around_us_that_knows_no_open_tree() {
    if !Path::new("/usr/bin/strace").exists() {
        eprintln!("skipped: needs strace");
        return;
    }
    for code in ["EPERM", "ENOSYS"] {
        let inject =
            format!("exec strace -f -qq -o /dev/null -e trace=open_tree -e inject=open_tree:error={code}");
        let Some(error) = run(&inject) else { return };
        assert!(error.contains("the system call open_tree is refused here"), "{error}");
    }
}
