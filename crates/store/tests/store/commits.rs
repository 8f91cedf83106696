//! What a commit makes: a layer that is a folder, packed when it leaves, sound or said not to be.

use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use image::{Digest, MediaType, Reference};
use store::{DamagedPart, ImageRecord, Rootfs, Store};

use crate::world::{Tar, World, dir, file};

/// A container on `base`, in its folder, with changes of every kind.
fn changed(world: &World, base: &ImageRecord) -> Option<(PathBuf, Rootfs)> {
    let folder = world.home.path().join("containers/c");
    std::fs::create_dir_all(&folder).unwrap();
    let rootfs = world.store.create_snapshot(&folder, Some(&base.id)).unwrap();
    let Rootfs::Overlay { upper, .. } = &rootfs else { return None };
    let at = |path: &str| upper.join(path);
    std::fs::create_dir_all(at("d/deep")).unwrap();
    std::fs::write(at("d/deep/file"), "content").unwrap();
    std::fs::set_permissions(at("d/deep"), PermissionsExt::from_mode(0o1750)).unwrap();
    std::fs::write(at("one"), vec![7; 300_000]).unwrap();
    std::fs::hard_link(at("one"), at("other")).unwrap();
    std::os::unix::fs::symlink("one", at("link")).unwrap();
    std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        at("gone"),
        rustix::fs::FileType::CharacterDevice,
        rustix::fs::Mode::empty(),
        0,
    )
    .unwrap();
    rustix::fs::setxattr(at("d"), c"trusted.overlay.opaque", b"y", rustix::fs::XattrFlags::empty()).unwrap();
    Some((upper.clone(), rootfs))
}

fn base(world: &World) -> ImageRecord {
    world.image(Some("base"), &[Tar::of(&[file("gone", "x"), dir("d"), file("d/hidden", "x")])])
}

fn commit(store: &Store, rootfs: &Rootfs, base: &ImageRecord, name: &str) -> ImageRecord {
    let _lease = store.lease();
    let mut config = (*store.config(&base.id).unwrap()).clone();
    let parent = config.chain_ids().pop();
    let (layer, diff_id) = store.commit_layer(rootfs, parent.as_ref()).unwrap().unwrap();
    assert_eq!((&layer.media_type, &layer.digest), (&MediaType::OCI_LAYER, &diff_id));
    config.rootfs.diff_ids.push(diff_id);
    config.author = name.to_owned();
    let mut layers = store.manifest(&base.manifest).unwrap().layers.clone();
    layers.push(layer);
    let name = Reference::parse(name).unwrap();
    store.create_image(&config, layers, Some(&base.id), Some(&name)).unwrap()
}

fn top(store: &Store, image: &ImageRecord) -> PathBuf {
    store.chain_paths(&image.id).unwrap()[0].clone()
}

#[test]
fn a_committed_layer_is_a_folder_like_the_one_unpacked_from_its_tar() {
    let world = World::new();
    let base = base(&world);
    let Some((upper, rootfs)) = changed(&world, &base) else { return };
    let made = commit(&world.store, &rootfs, &base, "made");
    assert!(world.store.is_whole(&made.manifest));
    assert_eq!(world.store.verify_image(&made.id).unwrap(), []);
    let folder = top(&world.store, &made);
    // What the container writes from now on is the container's.
    std::fs::write(upper.join("one"), "changed").unwrap();
    assert_eq!(std::fs::read(folder.join("one")).unwrap(), vec![7; 300_000]);
    let meta = |path: &str| folder.join(path).symlink_metadata().unwrap();
    assert_eq!((meta("one").ino(), meta("one").nlink()), (meta("other").ino(), 2));
    assert_eq!((meta("d/deep").mode() & 0o7777, meta("one").mtime_nsec()), (0o1750, 0));
    assert!(meta("gone").file_type().is_char_device() && !folder.join("socket").exists());

    // Another store unpacks the packed one to the same: verification compares the two, file by file.
    let mut archive = Vec::new();
    world.store.save(&["made".to_owned()], &[], &mut archive).unwrap();
    let packed = world.store.image("made").unwrap();
    assert_eq!((&packed.id, &packed.parent, packed.size), (&made.id, &made.parent, made.size));
    assert_ne!(packed.manifest, made.manifest);
    let manifest = world.store.manifest(&packed.manifest).unwrap();
    assert_eq!(manifest.layers[1].media_type, MediaType::OCI_LAYER_GZIP);
    assert_eq!(world.store.verify_image(&made.id).unwrap(), []);
    let other = World::new();
    let loaded = other.store.load(archive.as_slice(), &[], &mut |_| ()).unwrap().remove(0);
    assert_eq!((&loaded.id, &loaded.manifest, loaded.size), (&made.id, &packed.manifest, made.size));
    // The placeholder is not needed any more.
    world.store.gc().unwrap();
    assert!(!world.store.has_blob(&made.manifest));
}

#[test]
fn images_that_share_a_committed_layer_pack_it_once() {
    let world = World::new();
    let base = base(&world);
    let Some((_, rootfs)) = changed(&world, &base) else { return };
    let one = commit(&world.store, &rootfs, &base, "one");
    let two = commit(&world.store, &rootfs, &base, "two");
    assert!(one.id != two.id && top(&world.store, &one) == top(&world.store, &two));
    world.store.tag(&one.id, &Reference::parse("again").unwrap()).unwrap();
    assert_eq!(world.store.unpacked_images().unwrap().len(), 2);
    let blobs = || std::fs::read_dir(world.home.path().join("images/blobs/sha256")).unwrap().count();
    let before = blobs();
    world.store.packed_image(&one).unwrap();
    assert_eq!(blobs(), before + 2, "a layer and a manifest");
    let again = world.store.image("again").unwrap();
    assert_eq!(again.manifest, world.store.image("one").unwrap().manifest);
    world.store.packed_image(&two).unwrap();
    assert_eq!(blobs(), before + 3, "a manifest");
    assert!(world.store.unpacked_images().unwrap().is_empty());
    // Each goes without the other.
    world.store.delete_image(&one.id).unwrap();
    assert_eq!(world.store.verify_image(&two.id).unwrap(), []);
    // Without the folder the blob is there to make it again.
    let folder = top(&world.store, &two);
    std::fs::remove_dir_all(folder.parent().unwrap()).unwrap();
    let World { home, store } = world;
    drop(store);
    let store = Store::open(home.path()).unwrap();
    store.ensure_layers(&two.id).unwrap();
    assert_eq!(store.verify_image(&two.id).unwrap(), []);
}

#[test]
fn a_folder_that_was_damaged_is_named_and_never_packed() {
    let world = World::new();
    let base = base(&world);
    let Some((_, rootfs)) = changed(&world, &base) else { return };
    let made = commit(&world.store, &rootfs, &base, "made");
    let path = top(&world.store, &made).join("d/deep/file");
    let times = std::fs::metadata(&path).unwrap().modified().unwrap();
    std::fs::write(&path, "CONTENT").unwrap();
    std::fs::File::open(&path).unwrap().set_modified(times).unwrap();
    let error = world.store.packed_image(&made).unwrap_err();
    assert!(error.is_bad_content(), "{error}");
    let damage = world.store.verify_image(&made.id).unwrap();
    assert!(matches!(&damage[..], [damage] if matches!(damage.part, DamagedPart::Layer(_))), "{damage:?}");
}

/// Makes the store believe that the machine was started anew, with everything that was not synced in doubt.
fn after_power_loss(home: &Path) -> Store {
    std::fs::write(home.join("unsynced/boot"), "another boot").unwrap();
    Store::open(home).unwrap()
}

#[test]
fn after_power_loss_a_committed_layer_is_kept_if_it_is_sound() {
    for damaged in [false, true] {
        let world = World::new();
        let base = base(&world);
        let Some((_, rootfs)) = changed(&world, &base) else { return };
        let made = commit(&world.store, &rootfs, &base, "made");
        if damaged {
            let path = top(&world.store, &made).join("one");
            std::fs::write(path, []).unwrap();
        }
        let World { home, store } = world;
        drop(store);
        let store = after_power_loss(home.path());
        let found = store.image("made").map(|image| image.id);
        match damaged {
            true => assert!(found.is_err(), "half an image is left"),
            false => {
                // What was unpacked is unpacked again.
                store.ensure_layers(&made.id).unwrap();
                assert_eq!(store.verify_image(&found.unwrap()).unwrap(), []);
            }
        }
        assert!(store.image("base").is_ok());
    }
}

#[test]
fn nothing_changed_is_no_layer() {
    let world = World::new();
    let base = base(&world);
    let folder = world.home.path().join("containers/c");
    std::fs::create_dir_all(&folder).unwrap();
    let rootfs = world.store.create_snapshot(&folder, Some(&base.id)).unwrap();
    let parent: Option<Digest> = world.store.config(&base.id).unwrap().chain_ids().pop();
    assert_eq!(world.store.commit_layer(&rootfs, parent.as_ref()).unwrap(), None);
}
