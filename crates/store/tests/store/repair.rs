//! What is damaged counts as not here, and bringing it again repairs it, also under containers.

use std::os::unix::fs::FileExt;
use std::path::Path;

use image::Digest;
use store::{Damage, Rootfs, Store};

use crate::world::{Attached, Tar, World, dir, file};

fn tars() -> [Vec<u8>; 2] {
    [Tar::of(&[dir("d"), file("d/a", "first"), file("b", "first")]), Tar::of(&[file("c", "second")])]
}

fn damage(store: &Store, id: &Digest) -> Vec<String> {
    store.verify_image(id).unwrap().iter().map(Damage::to_string).collect()
}

fn flip(path: &Path) {
    let file = std::fs::File::options().read(true).write(true).open(path).unwrap();
    let time = file.metadata().unwrap().modified().unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, 2).unwrap();
    file.write_all_at(&[byte[0] ^ 1], 2).unwrap();
    file.set_modified(time).unwrap();
}

fn reopened(world: World) -> World {
    let World { home, store } = world;
    drop(store);
    let store = Store::open(home.path()).unwrap();
    World { home, store }
}

#[test]
fn a_damaged_blob_counts_as_missing_until_it_is_brought_again() {
    let world = World::new();
    let record = world.image(Some("app"), &tars());
    let layer = world.store.manifest(&record.manifest).unwrap().layers[1].digest.clone();
    flip(&world.path("images/blobs/sha256").join(layer.hex()));
    assert!(world.store.has_blob(&layer), "nobody knows yet");
    assert_eq!(damage(&world.store, &record.id).len(), 1);
    let world = reopened(world);
    assert!(!world.store.has_blob(&layer), "and it is remembered");
    let error = world.store.open_blob(&layer).unwrap_err().to_string();
    assert_eq!(error, format!("blob {layer} is damaged: pull or load its image again"));
    assert_eq!(world.image(Some("app"), &tars()).id, record.id);
    assert!(world.store.has_blob(&layer));
    assert!(damage(&world.store, &record.id).is_empty());
    assert_eq!(std::fs::read_dir(world.path("damaged")).unwrap().count(), 0);
}

#[test]
fn what_was_put_right_by_hand_is_believed_again() {
    let world = World::new();
    let record = world.image(Some("app"), &tars());
    let path = world.path("images/blobs/sha256").join(record.manifest.hex());
    flip(&path);
    assert_eq!(damage(&world.store, &record.id).len(), 1);
    assert!(!world.store.has_blob(&record.manifest));
    flip(&path);
    assert!(damage(&world.store, &record.id).is_empty());
    assert!(world.store.has_blob(&record.manifest));
}

#[test]
fn a_damaged_layer_is_made_again_and_running_containers_keep_the_old_files() {
    let world = World::new();
    let record = world.image(Some("app"), &tars());
    let chains = world.store.config(&record.id).unwrap().chain_ids();
    let container = world.path("containers/c");
    std::fs::create_dir_all(&container).unwrap();
    let rootfs = world.store.create_snapshot(&container, Some(&record.id)).unwrap();
    let running = Attached::new(&world.store.mount(&rootfs).unwrap());
    let path = world.path("layers").join(chains[0].hex()).join("diff/d/a");
    flip(&path);
    assert_eq!(damage(&world.store, &record.id), [format!("layer {}: /d/a has other content", chains[0])]);
    let world = reopened(world);
    assert!(world.store.layer(&chains[0]).is_none(), "it counts as not unpacked");
    world.store.gc().unwrap();
    world.store.ensure_layers(&record.id).unwrap();
    assert!(damage(&world.store, &record.id).is_empty());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "first");
    assert_eq!(std::fs::read_to_string(running.path.join("b")).unwrap(), "first", "it still runs");
    let Rootfs::Overlay { lower, .. } = &rootfs else { panic!("{rootfs:?}") };
    assert!(lower.iter().all(|layer| layer.is_dir()), "and can be started again: {lower:?}");

    let aside = || {
        let names = std::fs::read_dir(world.path("layers")).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with("replaced-")).count()
    };
    world.store.gc().unwrap();
    assert_eq!(aside(), 1, "the old files are in use");
    drop(running);
    std::fs::remove_dir_all(&container).unwrap();
    world.store.gc().unwrap();
    assert_eq!(aside(), 0);
    world.assert_clean();
}

#[test]
fn a_layer_whose_files_are_gone_is_unpacked_at_the_next_use() {
    let world = World::new();
    let record = world.image(Some("app"), &tars());
    let chains = world.store.config(&record.id).unwrap().chain_ids();
    let folder = world.path("layers").join(chains[1].hex());
    std::fs::remove_dir_all(folder.join("diff")).unwrap();
    assert_eq!(damage(&world.store, &record.id), [format!("layer {} is missing", chains[1])]);
    assert_eq!(world.store.chain_paths(&record.id).unwrap().len(), 2);
    assert_eq!(std::fs::read_to_string(folder.join("diff/c")).unwrap(), "second");
    std::fs::remove_dir_all(&folder).unwrap();
    world.store.ensure_layers(&record.id).unwrap();
    assert!(damage(&world.store, &record.id).is_empty());
    world.assert_clean();
}
