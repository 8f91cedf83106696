//! What containers find in their root whatever the image has.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use store::{Change, ChangeKind, Rootfs};

use crate::world::{Item, Tar, World, dir, file, symlink};

/// A container's root and its layers, top-most first.
fn snapshot(world: &World, name: &str, image: Option<&image::Digest>) -> (Rootfs, Vec<PathBuf>) {
    let folder = world.path("containers").join(name);
    std::fs::create_dir_all(&folder).unwrap();
    let rootfs = world.store.create_snapshot(&folder, image).unwrap();
    let Rootfs::Overlay { lower, .. } = &rootfs else { panic!("these tests need overlayfs") };
    let lower = lower.clone();
    (rootfs, lower)
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn the_skeleton_adds_what_is_missing_and_changes_nothing() {
    let world = World::new();
    let etc = Item { mode: 0o700, uid: 7, ..dir("etc") };
    let tar = Tar::of(&[etc, file("etc/hosts", "mine"), dir("proc"), symlink("dev", "elsewhere")]);
    let image = world.image(Some("app"), &[tar]);
    let (rootfs, lower) = snapshot(&world, "one", Some(&image.id));
    assert_eq!(names(&lower[0]), [".dockerenv", "etc", "sys"]);
    assert_eq!(names(&lower[0].join("etc")), ["hostname", "mtab", "resolv.conf"]);
    let (made, own) = (lower[0].join("etc").metadata().unwrap(), lower[1].join("etc").metadata().unwrap());
    let facts = |meta: &std::fs::Metadata| (meta.mode(), meta.uid(), meta.mtime());
    assert_eq!(facts(&made), facts(&own));

    // What the runtime would do to mount on it, and what the user does.
    let root = world.store.mount(&rootfs).unwrap();
    let flags = rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::CREATE;
    for path in ["etc/hosts", "etc/resolv.conf"] {
        rustix::fs::openat(&root, path, rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty()).unwrap();
    }
    assert_eq!(world.store.diff(&rootfs).unwrap(), []);
    rustix::fs::openat(&root, "sys/new", flags, rustix::fs::Mode::RUSR).unwrap();
    let change = |path: &str, kind| Change { path: path.into(), kind };
    let expected = [change("/sys", ChangeKind::Modified), change("/sys/new", ChangeKind::Added)];
    assert_eq!(world.store.diff(&rootfs).unwrap(), expected);

    assert_eq!(snapshot(&world, "two", Some(&image.id)).1, lower, "one for all containers of the image");
    world.assert_clean();
}

#[test]
fn an_image_without_layers_has_one_too() {
    let world = World::new();
    let (_, lower) = snapshot(&world, "bare", None);
    assert_eq!(lower.len(), 1);
    assert_eq!(names(&lower[0]), [".dockerenv", "dev", "etc", "proc", "sys"]);
    assert_eq!(names(&lower[0].join("dev")), ["console", "pts", "shm"]);
    world.assert_clean();
}
