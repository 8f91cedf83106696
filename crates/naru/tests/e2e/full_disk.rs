//! A disk that is full: said in so many words, and nothing half is left.

use crate::images;
use crate::world::World;

const FULL: &str = "o space left on device";

/// A world whose root is a small file system of its own.
fn small_world() -> World {
    let world = World::empty();
    let root = world.path("root");
    std::fs::create_dir(&root).expect("make the root folder");
    let mounted = world.command("mount").args(["-t", "tmpfs", "-o", "size=16m", "small"]).arg(&root).status();
    assert!(mounted.expect("mount (util-linux)").success());
    let archive = world.path("busybox.tar");
    images::busybox(&archive);
    world.naru(["load", "-q", "-i", archive.to_str().expect("UTF-8 path")]).ok();
    world
}

/// What is being made below the root, or was left when it could not be.
fn left(world: &World) -> String {
    let root = world.path("root");
    let find = |folder: &str, more: &[&str]| {
        let mut command = world.command("find");
        command.arg(root.join(folder)).args(["-mindepth", "1", "-maxdepth", "1"]).args(more);
        String::from_utf8_lossy(&command.output().expect("find (findutils)").stdout).into_owned()
    };
    find("tmp", &[]) + &find("ingest", &[]) + &find("containers", &["-name", ".*"])
}

#[test]
fn an_image_that_does_not_fit_is_refused_and_leaves_nothing() {
    let world = small_world();
    let archive = world.path("large.tar");
    images::large(&archive, "large", 20 << 20);
    let archive = archive.to_str().expect("UTF-8 path");
    let before = world.naru(["images", "-aq"]).ok();
    world.naru(["load", "-q", "-i", archive]).fails(1, FULL);
    world.naru(["import", archive, "imported"]).fails(1, FULL);
    assert_eq!(world.naru(["images", "-aq"]).ok(), before);
    assert_eq!(left(&world), "");
    assert_eq!(world.naru(["run", "--rm", "--network", "none", "busybox", "echo", "fine"]).line(), "fine");
}

#[test]
fn a_container_that_fills_the_disk_harms_itself_alone() {
    let world = small_world();
    let fill =
        ["run", "--name", "full", "--network", "none", "busybox", "dd", "if=/dev/zero", "of=/big", "bs=64k"];
    world.naru(fill).fails(1, "No space left on device");
    let before = world.naru(["images", "-aq"]).ok();
    world.naru(["commit", "full", "committed"]).fails(1, FULL);
    assert_eq!(world.naru(["images", "-aq"]).ok(), before);
    world.naru(["run", "--network", "none", "busybox", "true"]).fails(125, FULL);
    world.naru(["create", "--network", "none", "busybox", "true"]).fails(1, FULL);
    assert_eq!(world.naru(["ps", "-a", "--format", "{{.Names}}"]).line(), "full");
    assert_eq!(left(&world), "");
    world.naru(["rm", "full"]).ok();
    assert_eq!(world.naru(["run", "--rm", "--network", "none", "busybox", "echo", "fine"]).line(), "fine");
}
