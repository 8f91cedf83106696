//! Power lost right after an answer: what was committed, imported or loaded is there when the machine comes back.
//!
//! The engine's root is an ext4 of its own, which is shut down without what it has not written yet.

use std::path::Path;

use crate::world::{World, eventually, run};

/// EXT4_IOC_SHUTDOWN (linux/ext4.h), with the flag for not even flushing the journal.
const SHUTDOWN: &str = r#"
    open(my $folder, "<", $ARGV[0]) or die $!;
    my $flag = pack("I", 2);
    ioctl($folder, 0x8004587d, $flag) or die $!;
"#;

/// A world whose root is a disk that writes nothing unless told; `None` where there are no loop devices.
fn world_on_a_disk() -> Option<World> {
    let world = World::empty();
    let (disk, root) = (world.path("disk"), world.path("root"));
    std::fs::create_dir(&root).expect("make the root folder");
    std::fs::File::create(&disk).and_then(|file| file.set_len(128 << 20)).expect("make a disk");
    run(world.command("mkfs.ext4").args(["-q", "-F"]).arg(&disk)).ok();
    let mounted = mount(&world);
    if !mounted.is_empty() {
        // A container may have no loop devices; anything else is a failure.
        assert!(mounted.contains("loop"), "{mounted}");
        eprintln!("skipped: no loop device to be had: {mounted}");
        return None;
    }
    Some(world)
}

/// What went wrong.
fn mount(world: &World) -> String {
    let mut command = world.command("mount");
    command.args(["-o", "loop,commit=300"]).arg(world.path("disk")).arg(world.path("root"));
    run(&mut command).stderr
}

/// Everything that is there now has reached the disk.
fn settled(world: &World) {
    run(world.command("sync").arg("-f").arg(world.path("root"))).ok();
}

/// The disk forgets what was not written, the machine starts anew.
fn power_fails(world: &World) {
    run(world.command("perl").args(["-e", SHUTDOWN]).arg(world.path("root"))).ok();
    world.kill_engine();
    eventually("the disk can be unmounted", || {
        run(world.command("umount").arg(world.path("root"))).code == 0
    });
    assert_eq!(mount(world), "");
    std::fs::write(in_world(world, "root/unsynced/boot"), "another boot").expect("begin another boot");
}

/// A file below the mount that only the world sees.
fn in_world(world: &World, path: &str) -> std::path::PathBuf {
    let root = format!("/proc/{}/root", world.holder_pid());
    Path::new(&root).join(world.path(path).strip_prefix("/").expect("an absolute path"))
}

#[test]
fn an_answer_holds_when_the_power_fails_right_after_it() {
    let Some(world) = world_on_a_disk() else { return };
    let archive = crate::world::busybox_archive();
    world.naru(["load", "-q", "-i", archive.to_str().expect("UTF-8 path")]).ok();
    let (saved, exported) = (world.path("saved.tar"), world.path("exported.tar"));
    let (saved, exported) = (saved.to_str().expect("UTF-8"), exported.to_str().expect("UTF-8"));
    let text: String = (1..=60_000).map(|number| format!("{number}\n")).collect();
    world
        .naru(["run", "--name", "changed", "--network", "none", "busybox", "sh", "-c", "seq 1 60000 > /mine"])
        .ok();
    world.naru(["export", "-o", exported, "changed"]).ok();
    // Layers that were unpacked from blobs may be unpacked once more for it.
    let check = |name: &str| {
        let seen = world.naru(["run", "--rm", "--network", "none", name, "cat", "/mine"]).ok();
        assert!(seen == text, "{name}: another content");
        assert_eq!(world.naru(["image", "verify", name]).ok(), format!("{name}: sound\n"));
    };

    settled(&world);
    world.naru(["commit", "changed", "committed"]).ok();
    power_fails(&world);
    check("committed");

    world.naru(["save", "-o", saved, "committed"]).ok();
    world.naru(["rmi", "committed"]).ok();
    settled(&world);
    world.naru(["load", "-q", "-i", saved]).ok();
    power_fails(&world);
    check("committed");

    settled(&world);
    world.naru(["import", exported, "imported"]).ok();
    power_fails(&world);
    check("imported");
}
