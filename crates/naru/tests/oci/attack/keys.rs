//! Keys of whoever starts a container: a session keyring is inherited like the environment. Stopped by a new one for every
//! container and every process that joins one, and by masking the list of keys.

use serde_json::json;

use crate::world::World;

#[test]
fn of_the_caller_stay_with_the_caller() {
    let Some(world) = World::new(&["keys", "look"]) else { return };
    world.compile("keys", include_str!("keys.c"));
    let keys = world.bundle().join("rootfs/bin/keys");
    let keep = |words: &[&str]| world.shell_verb(&format!("exec {} keep", keys.display()), words);
    // The attack works where nobody defends: the key is there for a program that inherits it.
    let inherited = world.shell(&format!("exec {0} keep {0} look", keys.display())).ok();
    assert!(inherited.contains("found: secret"), "{inherited}");

    let bundle = world.bundle();
    let run = ["run", "--bundle", bundle.to_str().unwrap(), &world.id];
    assert_eq!(keep(&run).ok(), "looked\n");
    // Who asks for the caller's keyring gets it.
    let shared = ["run", "--no-new-keyring", "--bundle", bundle.to_str().unwrap(), &world.id];
    assert!(keep(&shared).ok().contains("found: secret"));
    world.change(|config| config["process"]["args"] = json!(["sleep", "100"]));
    world.launch(&["run", "-d"]).ok();
    assert_eq!(keep(&["exec", &world.id, "keys", "look"]).ok(), "looked\n");
}
