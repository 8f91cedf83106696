//! What is left when the process is killed, the power fails or a bit flips: nothing half, and what is missing can be brought
//! again.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use image::{Descriptor, Digest, ImageConfig, MediaType, Platform, Reference};
use store::{Damage, DamagedPart, Store};

use crate::world::{Tar, World, dir, file, gzip, has};

/// Every call by which a file system changes. `openat` is left out: it is mostly reading, and the call after it sees what it
/// made.
const CALLS: [&str; 23] = [
    "write",
    "pwrite64",
    "ftruncate",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "symlink",
    "symlinkat",
    "mkdir",
    "mkdirat",
    "mknodat",
    "unlink",
    "unlinkat",
    "rmdir",
    "fsync",
    "fdatasync",
    "syncfs",
    "fchown",
    "fchmod",
    "fchmodat",
    "utimensat",
];
pub const STORE: &str = "NARU_TEST_CRASH_STORE";

fn tars() -> [Vec<u8>; 2] {
    [
        Tar::of(&[dir("d"), file("d/a", "first"), file("b", "first")]),
        Tar::of(&[file("d/.wh.a", ""), file("c", "second"), dir("d")]),
    ]
}

/// A pull of two layers that takes the name `app` from another image, and the removal of that one.
pub fn pull_and_remove(store: &Store) -> store::Result<()> {
    let old = store.image("app")?;
    let lease = store.lease();
    let mut descriptors = Vec::new();
    let mut parent: Option<Digest> = None;
    for tar in tars() {
        let packed = gzip(&tar);
        let (digest, diff_id) = (Digest::sha256(&packed), Digest::sha256(&tar));
        let mut ingest = store.ingest(&digest, Some(packed.len() as u64))?;
        let start = ingest.offset() as usize;
        if !ingest.is_complete() {
            let (one, two) = packed[start..].split_at((packed.len() - start) / 2);
            ingest.write(one)?;
            ingest.write(two)?;
        }
        ingest.commit()?;
        let blob = store.open_blob(&digest)?;
        let layer = store.unpack_layer(parent.as_ref(), &diff_id, &MediaType::OCI_LAYER_GZIP, blob)?;
        parent = Some(layer.chain_id);
        descriptors.push(Descriptor::new(MediaType::OCI_LAYER_GZIP, digest, packed.len() as u64));
    }
    let platform = Platform::host();
    let config = ImageConfig {
        architecture: platform.architecture,
        os: platform.os,
        rootfs: image::RootFs {
            diff_ids: tars().iter().map(Digest::sha256).collect(),
            ..image::RootFs::default()
        },
        ..ImageConfig::default()
    };
    let name = Reference::parse("app").unwrap();
    let new = store.create_image(&config, descriptors, None, Some(&name))?;
    drop(lease);
    if old.id != new.id {
        store.delete_image(&old.id)?;
    }
    store.flush()
}

/// Not a test: what [`killed_at_every_step_nothing_is_half`] runs and kills.
#[test]
#[ignore = "run by another test"]
fn victim() {
    let Some(root) = std::env::var_os(STORE) else { return };
    pull_and_remove(&Store::open(Path::new(&root)).unwrap()).unwrap();
}

pub fn old_image(world: &World) -> Digest {
    world.image(Some("app"), &[Tar::of(&[file("old", "old")])]).id
}

/// Whether a victim came to its end although it was to be killed at the `number`th of one kind of call.
fn run_victim(victim: &str, root: &Path, call: &str, number: u32) -> bool {
    let (trace, inject) = (format!("trace={call}"), format!("inject={call}:signal=SIGKILL:when={number}"));
    let status = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject])
        .arg(std::env::current_exe().unwrap())
        .args([victim, "--exact", "--ignored", "--test-threads=1", "-q"])
        .env(STORE, root)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    status.success()
}

pub fn check_whole(store: &Store, when: &str) {
    for record in store.images().unwrap() {
        let damage = store.verify_image(&record.id).unwrap();
        assert!(damage.is_empty(), "{when}: {:?}: {damage:?}", record.names);
    }
}

#[test]
fn killed_at_every_step_nothing_is_half() {
    kill_at_every_step(killed_at);
}

/// Kills a victim at the first, second, … of every kind of call, until it comes to its end.
fn kill_at_every_step(round: fn(&str, u32) -> bool) {
    if !has("strace") {
        return;
    }
    let calls = Mutex::new(CALLS.iter());
    let rounds = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(call) = { calls.lock().unwrap().next() } {
                    let kills = (1..).take_while(|number| !round(call, *number)).count();
                    rounds.fetch_add(kills as u32, Ordering::Relaxed);
                }
            });
        }
    });
    assert!(rounds.load(Ordering::Relaxed) > 30, "{rounds:?} rounds");
}

/// One round; whether the victim came to its end.
fn killed_at(call: &str, number: u32) -> bool {
    let when = format!("killed at {call} {number}");
    let World { home, store } = World::new();
    let world = World { home, store };
    let old = old_image(&world);
    world.store.flush().unwrap();
    let World { home, store } = world;
    drop(store);
    let finished = run_victim("crash::victim", home.path(), call, number);

    let store = Store::open(home.path()).unwrap();
    check_whole(&store, &when);
    let app = store.image("app").unwrap();
    assert!(app.id != old || !finished, "{when}");
    let left = std::fs::read_dir(home.path().join("tmp")).unwrap().count();
    assert_eq!(left, 0, "{when}: left in tmp");
    // The same again repairs and finishes whatever there was.
    pull_and_remove(&store).unwrap();
    if let Ok(old) = store.image_by_id(&old) {
        store.delete_image(&old.id).unwrap();
    }
    store.gc().unwrap();
    check_whole(&store, &when);
    let count = |path: &str| std::fs::read_dir(home.path().join(path)).unwrap().count();
    assert_eq!(store.images().unwrap().len(), 1, "{when}");
    let counts = (count("images/blobs/sha256"), count("layers"), count("ingest"), count("tmp"));
    assert_eq!(counts, (4, 2, 0, 0), "{when}: blobs, layers, downloads and temporary files");
    finished
}

/// The commit of a container that is there, and what makes it leave.
fn commit_and_pack(store: &Store) -> store::Result<()> {
    let old = store.image("app")?;
    let folder = store.root().join("containers/c");
    let overlay = |name: &str| folder.join(name);
    let (upper, work) = (overlay("upper"), overlay("work"));
    let rootfs = store::Rootfs::Overlay { lower: store.chain_paths(&old.id)?, upper, work };
    let lease = store.lease();
    let mut config = (*store.config(&old.id)?).clone();
    let parent = config.chain_ids().pop();
    let Some((layer, diff_id)) = store.commit_layer(&rootfs, parent.as_ref())? else { return Ok(()) };
    config.rootfs.diff_ids.push(diff_id);
    let mut layers = store.manifest(&old.manifest)?.layers.clone();
    layers.push(layer);
    let made =
        store.create_image(&config, layers, Some(&old.id), Some(&Reference::parse("made").unwrap()))?;
    drop(lease);
    store.packed_image(&made)?;
    store.gc()?;
    store.flush()
}

/// Not a test: what [`killed_at_every_step_of_a_commit_nothing_is_half`] runs and kills.
#[test]
#[ignore = "run by another test"]
fn committer() {
    let Some(root) = std::env::var_os(STORE) else { return };
    commit_and_pack(&Store::open(Path::new(&root)).unwrap()).unwrap();
}

#[test]
fn killed_at_every_step_of_a_commit_nothing_is_half() {
    kill_at_every_step(|call, number| {
        let when = format!("killed at {call} {number}");
        let World { home, store } = World::new();
        let world = World { home, store };
        let old = old_image(&world);
        let folder = world.path("containers/c");
        std::fs::create_dir_all(&folder).unwrap();
        world.store.create_snapshot(&folder, Some(&old)).unwrap();
        world.store.flush().unwrap();
        let World { home, store } = world;
        drop(store);
        if !folder.join("upper").exists() {
            return true;
        }
        std::fs::create_dir(folder.join("upper/d")).unwrap();
        std::fs::write(folder.join("upper/d/new"), "new").unwrap();
        std::os::unix::fs::symlink("d/new", folder.join("upper/link")).unwrap();
        let finished = run_victim("crash::committer", home.path(), call, number);

        let store = Store::open(home.path()).unwrap();
        check_whole(&store, &when);
        assert!(store.image("app").is_ok(), "{when}");
        assert!(store.image("made").is_ok() || !finished, "{when}");
        commit_and_pack(&store).unwrap();
        check_whole(&store, &when);
        let count = |path: &str| std::fs::read_dir(home.path().join(path)).unwrap().count();
        let counts =
            (store.images().unwrap().len(), count("images/blobs/sha256"), count("layers"), count("tmp"));
        assert_eq!(counts, (2, 6, 2, 0), "{when}: images, blobs, layers and temporary files");
        finished
    });
}

/// Makes the store believe that the machine was started anew since.
fn another_boot(root: &Path) {
    std::fs::write(root.join("unsynced/boot"), "another boot").unwrap();
}

#[test]
fn what_a_power_loss_took_is_forgotten_and_can_be_pulled_again() {
    let world = World::new();
    old_image(&world);
    world.store.flush().unwrap();
    let sound = world.image(Some("sound"), &tars());
    let damaged = world.image(Some("damaged"), &[Tar::of(&[file("x", "lost")])]);
    let lost = world.store.manifest(&damaged.manifest).unwrap().layers[0].digest.clone();
    let World { home, store } = world;
    drop(store);
    let path = home.path().join("images/blobs/sha256").join(lost.hex());
    let length = std::fs::metadata(&path).unwrap().len();
    std::fs::write(&path, vec![0; length as usize]).unwrap();
    another_boot(home.path());

    let store = Store::open(home.path()).unwrap();
    assert!(store.image("damaged").is_err() && !store.has_blob(&lost), "what did not arrive is not there");
    assert_eq!(std::fs::read_dir(home.path().join("layers")).unwrap().count(), 1, "only the flushed layer");
    let found = store.image("sound").unwrap();
    store.ensure_layers(&found.id).unwrap();
    check_whole(&store, "after the power loss");
    assert_eq!(store.image_by_id(&sound.id).unwrap().id, found.id);
    let world = World { home, store };
    assert_eq!(world.image(Some("damaged"), &[Tar::of(&[file("x", "lost")])]).id, damaged.id);
    check_whole(&world.store, "pulled again");

    // What was flushed is believed.
    world.store.flush().unwrap();
    let World { home, store } = world;
    drop(store);
    another_boot(home.path());
    let store = Store::open(home.path()).unwrap();
    assert_eq!(store.images().unwrap().len(), 3);
    assert_eq!(std::fs::read_dir(home.path().join("layers")).unwrap().count(), 4);
}

#[test]
fn a_download_goes_on_where_it_was_and_a_bad_one_begins_again() {
    let world = World::new();
    let bytes: Vec<u8> = (0..1_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let digest = Digest::sha256(&bytes);
    let size = Some(bytes.len() as u64);
    let mut ingest = world.store.ingest(&digest, size).unwrap();
    ingest.write(&bytes[..400_000]).unwrap();
    drop(ingest);
    let World { home, store } = world;
    drop(store);
    let store = Store::open(home.path()).unwrap();
    assert!(!store.has_blob(&digest));
    let mut ingest = store.ingest(&digest, size).unwrap();
    assert_eq!(ingest.offset(), 400_000);
    ingest.write(&bytes[400_000..700_000]).unwrap();
    drop(ingest);
    let partial = std::fs::read_dir(home.path().join("ingest")).unwrap().next().unwrap().unwrap().path();
    let mut half = std::fs::read(&partial).unwrap();
    half[123_456] ^= 4;
    std::fs::write(&partial, half).unwrap();
    let mut ingest = store.ingest(&digest, size).unwrap();
    ingest.write(&bytes[700_000..]).unwrap();
    assert!(ingest.commit().unwrap_err().is_bad_content());
    assert!(!store.has_blob(&digest) && !partial.exists());
    let mut ingest = store.ingest(&digest, size).unwrap();
    assert_eq!(ingest.offset(), 0);
    ingest.write(&bytes).unwrap();
    ingest.commit().unwrap();
    store.verify_blob(&digest).unwrap();
}

#[test]
fn flipped_bits_are_found_and_named() {
    let world = World::new();
    let record = world.image(Some("app"), &tars());
    let manifest = world.store.manifest(&record.manifest).unwrap();
    let chains = world.store.config(&record.id).unwrap().chain_ids();
    assert!(world.store.verify_image(&record.id).unwrap().is_empty());
    let folder = world.path("layers").join(chains[0].hex()).join("diff");
    let damage = || -> Vec<String> {
        let found = world.store.verify_image(&record.id).unwrap();
        found.iter().map(Damage::to_string).collect()
    };
    let first = chains[0].clone();
    let restore = |path: &Path, content: &str| {
        std::fs::write(path, content).unwrap();
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        std::fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    };
    // The same length and time: only the content tells.
    restore(&folder.join("d/a"), "fir5t");
    assert_eq!(damage(), [format!("layer {first}: /d/a has other content")]);
    restore(&folder.join("d/a"), "first");
    assert!(damage().is_empty());
    std::fs::remove_file(folder.join("b")).unwrap();
    std::fs::write(folder.join("d/extra"), "x").unwrap();
    let want = ["/b is missing", "/d/extra does not belong there"];
    assert_eq!(damage(), want.map(|problem| format!("layer {first}: {problem}")));

    let layer = &manifest.layers[1].digest;
    let path = world.path("images/blobs/sha256").join(layer.hex());
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[600] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let found = world.store.verify_image(&record.id).unwrap();
    let named = found.iter().find(|damage| damage.part == DamagedPart::Blob(layer.clone())).unwrap();
    assert!(named.to_string().contains("content has digest"), "{named}");
    std::fs::remove_file(&path).unwrap();
    assert!(damage().contains(&format!("blob {layer} is missing")), "{:?}", damage());
}
