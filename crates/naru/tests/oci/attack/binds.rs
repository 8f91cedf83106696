//! Mount points that are symbolic links, or become ones while the runtime looks (CVE-2021-30465): a link of a volume that leads
//! out of the root would have folders made, and things mounted, in the host. Stopped by `openat2(RESOLVE_IN_ROOT)` and mounts on
//! descriptors: a link leads nowhere but into the root.

use std::os::unix::fs::symlink;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::races::Race;
use crate::world::World;

fn bind(source: &PathBuf, target: &str) -> Value {
    json!({ "destination": target, "type": "bind", "source": source, "options": ["rbind", "rw"] })
}

/// A container with a volume at /vol, and `/vol/point/deep` and `/vol/point/file` to be mounted.
fn volume_world() -> Option<(World, PathBuf, PathBuf)> {
    let world = World::new(&[
        "busybox",
        "sh",
        "-c",
        "while read a b c d e f; do echo $e; done < /proc/self/mountinfo",
    ])?;
    let (volume, outside, source) = (world.path("volume"), world.path("outside"), world.path("source"));
    for folder in [&volume, &outside, &source] {
        std::fs::create_dir(folder).unwrap();
    }
    let file = source.join("file");
    std::fs::write(&file, "").unwrap();
    world.change(|config| {
        let mounts = config["mounts"].as_array_mut().unwrap();
        mounts.push(bind(&volume, "/vol"));
        mounts.push(bind(&source, "/vol/point/deep"));
        mounts.push(bind(&file, "/vol/point/file"));
    });
    Some((world, volume, outside))
}

#[track_caller]
fn check(world: &World, outside: &PathBuf) {
    let done = world.launch(&["run"]);
    // It may be refused, when a name was gone in the wrong moment, but it may not touch anything outside.
    let touched: Vec<_> = std::fs::read_dir(outside).unwrap().collect();
    assert!(touched.is_empty(), "made outside of the root: {touched:?} ({})", done.err);
    if done.code == 0 {
        assert!(done.out.contains("/deep"), "{}", done.out);
    }
    world.verb(&["delete", "--force"]).ok();
}

#[test]
fn links_that_lead_out_of_the_root() {
    let Some((world, volume, outside)) = volume_world() else { return };
    let climbing = format!("../../../../../../../../../../..{}", outside.display());
    for target in [outside.to_str().unwrap(), &climbing, "/proc/self/root", "/proc/1/cwd"] {
        symlink(target, volume.join("point")).unwrap();
        check(&world, &outside);
        std::fs::remove_file(volume.join("point")).unwrap();
    }
}

#[test]
fn a_folder_that_becomes_a_link_meanwhile() {
    let Some((world, volume, outside)) = volume_world() else { return };
    std::fs::create_dir_all(volume.join("point/deep")).unwrap();
    symlink(&outside, volume.join("evil")).unwrap();
    let race = Race::between(&volume.join("point"), &volume.join("evil"));
    for _ in 0..25 {
        race.turn();
        check(&world, &outside);
    }
}
