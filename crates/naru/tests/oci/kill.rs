//! The runtime itself is killed, at any moment: what `delete --force` is given is enough to remove everything.

use std::time::Duration;

use crate::world::World;

#[test]
fn killed_while_it_creates() {
    let Some(world) = World::new(&["sleep", "100"]) else { return };
    let bundle = world.bundle();
    for verb in ["create", "run"] {
        for step in 0..40 {
            let mut command = world.command(&[verb, "--bundle", bundle.to_str().unwrap(), &world.id]);
            let null = std::process::Stdio::null;
            let mut child = command.stdout(null()).stderr(null()).spawn().unwrap();
            // Steps of a fraction of what the whole takes: somewhere between any two of its own.
            std::thread::sleep(Duration::from_micros(step * 400));
            let _ = child.kill();
            child.wait().unwrap();
            world.verb(&["delete", "--force"]).ok();
            world.check_nothing_left();
        }
    }
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let root = std::fs::read_link(entry.ok()?.path().join("cwd")).ok()?;
        root.starts_with(&bundle).then_some(root)
    });
    assert_eq!(processes.count(), 0);
}
