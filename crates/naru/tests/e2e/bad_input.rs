//! What users get wrong: a clear error, the right code, and nothing left behind (which `World::drop` checks).

use crate::world::World;

#[test]
fn commands_with_mistakes() {
    let world = World::new();
    let cases: &[(&[&str], i32, &str)] = &[
        (&["run", "--nosuch", "busybox"], 125, "unknown flag: --nosuch"),
        (&["run", "Busybox"], 125, "invalid reference format"),
        (&["run", "--pull", "never", "nosuchimage"], 125, "No such image: nosuchimage:latest"),
        (&["run", "--name", "bad/name", "busybox"], 125, "Invalid container name"),
        (&["run", "-m", "1m", "busybox"], 125, "Minimum memory limit allowed is 6MB"),
        (&["run", "--rm", "--restart", "always", "busybox"], 125, "conflicting options"),
        (&["run", "-p", "99999:80", "busybox"], 125, "invalid"),
        (&["run", "--rm", "-u", "nosuchuser", "busybox"], 125, "unable to find user nosuchuser"),
        (&["inspect", "nosuch"], 1, "No such object: nosuch"),
        (&["rm", "nosuch"], 1, "No such container: nosuch"),
        (&["rmi", "nosuch"], 1, "No such image: nosuch"),
        (&["logs", "nosuch"], 1, "No such container: nosuch"),
        (&["nosuchcommand"], 1, "unknown command: naru nosuchcommand"),
    ];
    for (arguments, code, text) in cases {
        let ran = world.naru(*arguments);
        assert_eq!(ran.code, *code, "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(text), "{arguments:?}: {}", ran.stderr);
    }
    world.naru(["create", "--name", "taken", "busybox"]).ok();
    world.naru(["create", "--name", "taken", "busybox"]).fails(1, "is already in use by container");
    world.naru(["rm", "taken"]).ok();
    assert_eq!(world.naru(["ps", "-aq"]).ok(), "");
}

#[test]
fn archives_that_are_no_images() {
    let world = World::empty();
    let file = world.path("junk.tar");
    std::fs::write(&file, vec![7_u8; 4096]).unwrap();
    assert_ne!(world.naru(["load", "-i", file.to_str().unwrap()]).code, 0);
    let source = format!("docker-archive:{}", file.display());
    let copied = world.naru(["image", "copy", &source, &format!("oci:{}", world.path("layout").display())]);
    assert!(!copied.stderr.contains('\u{7}'), "bytes of the file on the terminal: {copied:?}");
    copied.fails(1, "junk.tar is no tar archive, or a damaged one");
    assert_eq!(world.naru(["images", "-q"]).ok(), "");
}
