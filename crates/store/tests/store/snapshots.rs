//! The writable roots of containers: on overlayfs, as plain copies, and what is committed from them.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use store::{ChangeKind, Rootfs, Store};

use crate::world::{Attached, Tar, World, dir, file, hard_link, symlink, tree};

fn layers() -> Vec<Vec<u8>> {
    let mut tool = file("bin/tool", "tool");
    (tool.mode, tool.uid) = (0o4755, 5);
    let base = Tar::of(&[
        dir("bin"),
        tool,
        dir("etc"),
        file("etc/a", "a"),
        file("etc/b", "b"),
        symlink("etc/link", "a"),
        dir("gone"),
        file("gone/file", "x"),
        dir("opaque"),
        dir("opaque/deep"),
        file("opaque/deep/old", "x"),
    ]);
    let top = Tar::of(&[
        file("etc/b", "bb"),
        file(".wh.gone", ""),
        dir("opaque"),
        file("opaque/.wh..wh..opq", ""),
        dir("opaque/deep"),
        file("opaque/deep/new", "y"),
    ]);
    vec![base, top]
}

fn container(root: &Path, name: &str) -> PathBuf {
    let folder = root.join("containers").join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// A root on which overlayfs can't have its upper folder: an overlay itself.
struct NoOverlay {
    home: tempfile::TempDir,
    root: PathBuf,
}

impl NoOverlay {
    fn new() -> NoOverlay {
        let home = tempfile::Builder::new().prefix("naru-plain-").tempdir().unwrap();
        let part = |name: &str| {
            let path = home.path().join(name);
            std::fs::create_dir(&path).unwrap();
            path
        };
        let (lower, upper, work, root) = (part("lower"), part("upper"), part("work"), part("root"));
        let options =
            format!("lowerdir={},upperdir={},workdir={}", lower.display(), upper.display(), work.display());
        let options = std::ffi::CString::new(options).unwrap();
        let flags = rustix::mount::MountFlags::empty();
        rustix::mount::mount("overlay", &root, "overlay", flags, options.as_c_str()).unwrap();
        NoOverlay { home, root }
    }
}

impl Drop for NoOverlay {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.root, rustix::mount::UnmountFlags::DETACH);
        let _ = self.home.path();
    }
}

/// What a process in the container does.
fn change(root: &Path) {
    std::fs::write(root.join("etc/new"), "new").unwrap();
    std::fs::write(root.join("etc/a"), "changed").unwrap();
    std::fs::remove_file(root.join("etc/b")).unwrap();
    std::fs::remove_dir_all(root.join("opaque")).unwrap();
    std::fs::create_dir(root.join("opaque")).unwrap();
    std::fs::write(root.join("opaque/fresh"), "z").unwrap();
    std::fs::hard_link(root.join("etc/new"), root.join("etc/same")).unwrap();
    std::fs::set_permissions(root.join("bin"), std::fs::Permissions::from_mode(0o700)).unwrap();
}

/// What `docker diff` says of it.
const CHANGES: [(ChangeKind, &str); 9] = [
    (ChangeKind::Modified, "/bin"),
    (ChangeKind::Modified, "/etc"),
    (ChangeKind::Modified, "/etc/a"),
    (ChangeKind::Deleted, "/etc/b"),
    (ChangeKind::Added, "/etc/new"),
    (ChangeKind::Added, "/etc/same"),
    (ChangeKind::Modified, "/opaque"),
    (ChangeKind::Deleted, "/opaque/deep"),
    (ChangeKind::Added, "/opaque/fresh"),
];

/// What the runtime mounts on, which no image has to bring.
const SKELETON: [&str; 12] = [
    ".dockerenv",
    "dev",
    "dev/console",
    "dev/pts",
    "dev/shm",
    "etc",
    "etc/hostname",
    "etc/hosts",
    "etc/mtab",
    "etc/resolv.conf",
    "proc",
    "sys",
];

fn check(world: &World, expect_overlay: bool) {
    let record = world.image(Some("app"), &layers());
    let folder = container(world.store.root(), "c1");
    let rootfs = world.store.create_snapshot(&folder, Some(&record.id)).unwrap();
    assert_eq!(matches!(rootfs, Rootfs::Overlay { .. }), expect_overlay, "{rootfs:?}");
    let before = {
        let mount = world.store.mount(&rootfs).unwrap();
        let open = Opened::new(&mount, &rootfs);
        let found = tree(&open.path, true);
        let names: Vec<_> = found.keys().map(String::as_str).collect();
        let mut want = [
            "bin",
            "bin/tool",
            "etc",
            "etc/a",
            "etc/b",
            "etc/link",
            "opaque",
            "opaque/deep",
            "opaque/deep/new",
        ]
        .to_vec();
        want.extend(SKELETON.iter().filter(|name| **name != "etc"));
        want.sort_unstable();
        assert_eq!(names, want);
        assert!(found["bin/tool"].contains("4755 5:0 1000000000.0"), "{}", found["bin/tool"]);
        assert!(found["etc/b"].starts_with("file 2"));
        let meta = std::fs::metadata(&open.path).unwrap();
        assert_eq!((meta.mode() & 0o7777, meta.uid()), (0o755, 0));
        assert!(world.store.diff(&rootfs).unwrap().is_empty());
        assert_eq!(world.store.size_rw(&rootfs).unwrap(), 0);
        change(&open.path);
        tree(&open.path, false)
    };
    let found: Vec<_> = world
        .store
        .diff(&rootfs)
        .unwrap()
        .into_iter()
        .map(|change| (change.kind, change.path.display().to_string()))
        .collect();
    let want: Vec<_> = CHANGES.iter().map(|(kind, path)| (*kind, (*path).to_owned())).collect();
    assert_eq!(found, want);

    // Committed on the same layers, the merged tree is the container's.
    let lease = world.store.lease();
    let mut config = (*world.store.config(&record.id).unwrap()).clone();
    let parent = config.chain_ids().pop();
    let (layer, diff_id) = world.store.commit_layer(&rootfs, parent.as_ref()).unwrap().unwrap();
    config.rootfs.diff_ids.push(diff_id);
    let mut descriptors = world.store.manifest(&record.manifest).unwrap().layers.clone();
    descriptors.push(layer);
    let made = world.store.create_image(&config, descriptors, Some(&record.id), None).unwrap();
    drop(lease);
    assert_eq!(world.store.children(&record.id).unwrap(), std::slice::from_ref(&made.id));
    let copy = container(world.store.root(), "c2");
    let again = world.store.create_snapshot(&copy, Some(&made.id)).unwrap();
    let mount = world.store.mount(&again).unwrap();
    let open = Opened::new(&mount, &again);
    let links = |line: &String| line.split(" = ").next().unwrap_or_default().to_owned();
    let plain = |tree: &std::collections::BTreeMap<String, String>| -> Vec<(String, String)> {
        tree.iter().map(|(path, line)| (path.clone(), links(line))).collect()
    };
    assert_eq!(plain(&tree(&open.path, false)), plain(&before));
    drop(open);
    drop(mount);

    // As long as a container is there, its layers are; its image may be gone.
    let top = record.id.clone();
    world.store.delete_image(&made.id).unwrap();
    world.store.delete_image(&top).unwrap();
    let left = || std::fs::read_dir(world.store.root().join("layers")).unwrap().count();
    assert_eq!(left(), 3);
    std::fs::remove_dir_all(&copy).unwrap();
    world.store.gc().unwrap();
    assert_eq!(left(), 2);
    std::fs::remove_dir_all(&folder).unwrap();
    world.store.gc().unwrap();
    assert_eq!(left(), 0);
    world.assert_clean();
}

/// A root that a test can walk: a mount is attached for the time, a folder is there already.
struct Opened {
    path: PathBuf,
    _attached: Option<Attached>,
}

impl Opened {
    fn new(mount: &std::os::fd::OwnedFd, rootfs: &Rootfs) -> Opened {
        match rootfs {
            Rootfs::Directory(path) => Opened { path: path.clone(), _attached: None },
            Rootfs::Overlay { .. } => {
                let attached = Attached::new(mount);
                Opened { path: attached.path.clone(), _attached: Some(attached) }
            }
        }
    }
}

#[test]
fn a_container_on_overlayfs() {
    check(&World::new(), true);
}

/// Not a test: what the next one runs in a user namespace.
#[test]
#[ignore = "run by another test"]
fn without_trusted_attributes() {
    if std::env::var_os(crate::crash::STORE).is_some() {
        check(&World::new(), true);
    }
}

#[test]
fn a_container_on_overlayfs_in_a_user_namespace() {
    use std::io::{BufRead, BufReader, Write};
    use std::process::Stdio;
    let mut child = std::process::Command::new("unshare")
        .args(["--user", "--mount", "--propagation", "unchanged", "sh", "-c"])
        .args([r#"echo ready; read go; mount --make-rprivate / && exec "$@""#, "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["snapshots::without_trusted_attributes", "--exact", "--ignored", "--nocapture"])
        .env(crate::crash::STORE, "here")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // By hand: where newuidmap is installed, unshare asks that, and root has no range in /etc/subuid.
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    for map in ["uid_map", "gid_map"] {
        std::fs::write(format!("/proc/{}/{map}", child.id()), "0 0 65536").unwrap();
    }
    child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (said, errors) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success() && said.contains("1 passed"), "{said}{errors}");
}

#[test]
fn a_change_of_mode_alone_takes_the_data_along() {
    let world = World::new();
    let record = world.image(None, &layers());
    let folder = container(world.store.root(), "c");
    let rootfs = world.store.create_snapshot(&folder, Some(&record.id)).unwrap();
    let attached = Attached::new(&world.store.mount(&rootfs).unwrap());
    std::fs::set_permissions(attached.path.join("etc/a"), std::fs::Permissions::from_mode(0o600)).unwrap();
    drop(attached);
    assert_eq!(std::fs::read_to_string(folder.join("upper/etc/a")).unwrap(), "a");
    assert_eq!(world.store.size_rw(&rootfs).unwrap(), 1);
}

#[test]
fn a_container_as_a_plain_copy_where_overlayfs_is_not_to_be_had() {
    let host = NoOverlay::new();
    let home = tempfile::Builder::new().prefix("store-").tempdir_in(&host.root).unwrap();
    let store = Store::open(home.path()).unwrap();
    let world = World { home, store };
    check(&world, false);
}

#[test]
fn an_image_without_layers_is_a_root_to_mount_on() {
    let world = World::new();
    let folder = container(world.store.root(), "c");
    let rootfs = world.store.create_snapshot(&folder, None).unwrap();
    let mount = world.store.mount(&rootfs).unwrap();
    let attached = Attached::new(&mount);
    assert!(tree(&attached.path, false).keys().eq(SKELETON));
    std::fs::write(attached.path.join("x"), "12345").unwrap();
    assert_eq!(world.store.size_rw(&rootfs).unwrap(), 5);
}

#[test]
fn more_layers_than_one_mount_option_holds() {
    let world = World::new();
    let layers: Vec<_> =
        (0..150).map(|n| Tar::of(&[file(&format!("f{n}"), "x"), file("last", &n.to_string())])).collect();
    let record = world.image(None, &layers);
    let folder = container(world.store.root(), "c");
    let rootfs = world.store.create_snapshot(&folder, Some(&record.id)).unwrap();
    let mount = world.store.mount(&rootfs).unwrap();
    let attached = Attached::new(&mount);
    let names = SKELETON.iter().filter(|name| !name.contains('/')).count();
    assert_eq!(std::fs::read_dir(&attached.path).unwrap().count(), 151 + names);
    assert_eq!(std::fs::read_to_string(attached.path.join("last")).unwrap(), "149");
    drop(attached);
    drop(mount);
    let mount = world.store.mount_image(&record.id).unwrap();
    assert_eq!(std::fs::read_dir(&Attached::new(&mount).path).unwrap().count(), 151);
}

#[test]
fn an_export_is_the_whole_root_and_imports_again() {
    let world = World::new();
    let mut items = vec![dir("d"), file("d/f", "x"), hard_link("d/g", "d/f")];
    items.push(symlink("s", "d/f"));
    let record = world.image(None, &[Tar::of(&items), Tar::of(&[file("d/.wh.g", ""), file("n", "y")])]);
    let mount = world.store.mount_image(&record.id).unwrap();
    let mut tar = Vec::new();
    world.store.export(std::os::fd::AsFd::as_fd(&mount), &mut tar).unwrap();
    let id = world.store.import(tar.as_slice(), &[], "", &image::Platform::host(), None).unwrap();
    let mut original = world.tree_of(&record.id);
    assert_eq!(original.keys().collect::<Vec<_>>(), ["d", "d/f", "n", "s"]);
    // The other name of the file is hidden; what is exported has one.
    let file = original.get_mut("d/f").unwrap();
    file.truncate(file.find(" = ").unwrap());
    assert_eq!(world.tree_of(&id), original);
}

#[test]
fn an_image_of_many_layers_as_one_folder_of_the_host() {
    let world = World::new();
    let below = Tar::of(&[
        dir("d"),
        file("d/kept", "1"),
        file("d/gone", "1"),
        symlink("link", "d/kept"),
        file("r", "1"),
    ]);
    let record =
        world.image(Some("app"), &[below, Tar::of(&[file("d/.wh.gone", ""), file("r", "22"), dir("e")])]);
    let folder = world.store.image_folder(&record.id).unwrap();
    // A file has its name in the layer, too.
    let plain = |tree: std::collections::BTreeMap<String, String>| {
        let line = |line: String| line.split(" = ").next().unwrap_or_default().to_owned();
        tree.into_iter().map(|(path, text)| (path, line(text))).collect::<Vec<_>>()
    };
    assert_eq!(plain(tree(&folder, true)), plain(world.tree_of(&record.id)));
    assert_eq!(world.store.image_folder(&record.id).unwrap(), folder);
    assert!(world.store.verify_image(&record.id).unwrap().is_empty());
    world.store.delete_image(&record.id).unwrap();
    assert!(!folder.exists());
    world.assert_clean();
}
