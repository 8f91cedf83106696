//! Volumes and other mounts.

use std::fs;
use std::os::unix::fs::symlink;

use runtime::{IdMap, IdMapping, Mount, MountSource, Propagation, PropagationKind, RootFs};
use sys::mount::attr;

use crate::world::{World, collect};

pub const CASES: &[crate::Case] = &[
    ("volumes_of_files_and_folders", volumes),
    ("mount_points_stay_inside_the_root", inside),
    ("a_read_only_container", read_only),
    ("a_tmpfs_may_begin_with_a_copy", copy_up),
    ("an_idmapped_volume", idmapped),
    ("mounts_of_the_host_reach_a_slave_volume", slave),
    ("many_layers_and_old_kernels", legacy_overlay),
    ("the_hosts_dev", host_dev),
];

pub fn bind(source: &str, target: &str) -> Mount {
    Mount {
        target: target.into(),
        source: MountSource::Bind { path: source.into(), recursive: true, nofollow: false },
        attributes: 0,
        clear: 0,
        recursive_attributes: 0,
        recursive_clear: 0,
        propagation: vec![Propagation { kind: PropagationKind::Slave, recursive: true }],
        idmap: None,
        copy_up: false,
    }
}

fn tmpfs(target: &str) -> Mount {
    let source =
        MountSource::New { fstype: "tmpfs".into(), source: Some("tmpfs".into()), options: Vec::new() };
    Mount { source, propagation: Vec::new(), ..bind("", target) }
}

fn volumes() {
    let world = World::new();
    fs::create_dir(world.path("volume")).unwrap();
    fs::write(world.path("volume/file"), "content").unwrap();
    fs::write(world.path("resolv.conf"), "nameserver 1.2.3.4\n").unwrap();
    let path = |name: &str| world.path(name).to_str().unwrap().to_owned();
    let mut plan = world.script(
        "cat /etc/resolv.conf; cat /deep/down/file; echo more > /deep/down/new; \
         (echo x > /ro/x) 2>/dev/null || echo read-only; ls -ld /deep | cut -c1-10",
    );
    plan.mounts.push(bind(&path("volume"), "/deep/down"));
    plan.mounts.push(bind(&path("resolv.conf"), "/etc/resolv.conf"));
    plan.mounts.push(Mount { recursive_attributes: attr::RDONLY, ..bind(&path("volume"), "/ro") });
    let output = world.run(&plan).unwrap();
    assert_eq!(output.stdout, "nameserver 1.2.3.4\ncontentread-only\ndrwxr-xr-x\n", "{}", output.stderr);
    assert_eq!(fs::read_to_string(world.path("volume/new")).unwrap(), "more\n");
}

/// Links in the image, absolute and climbing, end inside; a dangling one is followed as Docker does.
fn inside() {
    let world = World::new();
    fs::create_dir(world.path("volume")).unwrap();
    fs::write(world.path("volume/file"), "content").unwrap();
    let outside = world.path("outside");
    fs::create_dir(&outside).unwrap();
    symlink(&outside, world.root().join("absolute")).unwrap();
    symlink("../../../../../../../run/x", world.root().join("climbing")).unwrap();
    let mut plan = world.script("cat /absolute/v/file /run/x/v/file; ls -d /tmp/*/outside/v");
    for target in ["/absolute/v", "/climbing/v"] {
        plan.mounts.push(bind(world.path("volume").to_str().unwrap(), target));
    }
    let output = world.run(&plan).unwrap();
    assert!(output.stdout.starts_with("contentcontent/tmp/"), "{output:?}");
    assert_eq!(fs::read_dir(outside).unwrap().count(), 0);
}

fn read_only() {
    let world = World::new();
    let mut spec = world.spec(&[
        "sh",
        "-c",
        "touch /x 2>/dev/null || echo root; touch /dev/x /tmp/y && echo writable; (touch /ro/z) 2>/dev/null || echo tmpfs",
    ]);
    let mut root = spec.root().clone().unwrap();
    root.set_readonly(Some(true));
    spec.set_root(Some(root));
    let mut plan = runtime::plan(&spec, &world.options()).unwrap();
    plan.mounts.push(tmpfs("/tmp"));
    plan.mounts.push(Mount { attributes: attr::RDONLY, ..tmpfs("/ro") });
    // A mount point inside a read-only tmpfs can still be made.
    plan.mounts.push(tmpfs("/ro/inside"));
    let output = world.run(&plan).unwrap();
    assert_eq!(output.stdout, "root\nwritable\ntmpfs\n", "{}", output.stderr);
}

fn copy_up() {
    let world = World::new();
    let folder = world.root().join("data/sub");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("file"), "original").unwrap();
    symlink("sub/file", world.root().join("data/link")).unwrap();
    std::os::unix::fs::chown(&folder, Some(33), Some(44)).unwrap();
    let mut plan =
        world.script("cat /data/link; stat -c ' %u:%g %a' /data/sub; echo changed > /data/sub/file");
    plan.mounts.push(Mount { copy_up: true, ..tmpfs("/data") });
    assert_eq!(world.run(&plan).unwrap().stdout, "original 33:44 755\n");
    assert_eq!(fs::read_to_string(folder.join("file")).unwrap(), "original");
}

fn idmapped() {
    let world = World::new();
    fs::create_dir(world.path("volume")).unwrap();
    fs::write(world.path("volume/file"), "").unwrap();
    std::os::unix::fs::chown(world.path("volume/file"), Some(1000), Some(1000)).unwrap();
    let mut plan = world.script("stat -c %u:%g /volume/file");
    let map = vec![IdMapping { container: 1000, host: 33, size: 1 }];
    let idmap = IdMap { uid: map.clone(), gid: map, recursive: false };
    plan.mounts.push(Mount { idmap: Some(idmap), ..bind(world.path("volume").to_str().unwrap(), "/volume") });
    assert_eq!(world.run(&plan).unwrap().stdout, "33:33\n");
}

/// In a mount namespace of the case's own, where the volume's mount is shared.
fn slave() {
    sys::namespace::unshare(sys::clone::NEWNS).unwrap();
    let private = rustix::mount::MountPropagationFlags::PRIVATE | rustix::mount::MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private).unwrap();
    let world = World::new();
    let volume = world.path("volume");
    fs::create_dir(&volume).unwrap();
    rustix::mount::mount_bind(&volume, &volume).unwrap();
    rustix::mount::mount_change(&volume, rustix::mount::MountPropagationFlags::SHARED).unwrap();
    fs::create_dir(volume.join("late")).unwrap();

    let mut plan = world.script("while ! test -e /volume/late/arrived; do sleep 0.02; done; echo seen");
    plan.mounts.push(bind(volume.to_str().unwrap(), "/volume"));
    let (launched, streams) = world.start(&plan).unwrap();
    let none = rustix::mount::MountFlags::empty();
    rustix::mount::mount("tmpfs", volume.join("late"), "tmpfs", none, None).unwrap();
    fs::write(volume.join("late/arrived"), "").unwrap();
    let output = collect(&launched, streams);
    launched.cgroup.remove().unwrap();
    assert_eq!(output.stdout, "seen\n");
    rustix::mount::unmount(volume.join("late"), rustix::mount::UnmountFlags::DETACH).unwrap();

    // Both ways: what the container mounts, the host sees.
    plan = world.script("mount -t tmpfs tmpfs /volume/late && touch /volume/late/inside");
    let all = sys::caps::ALL;
    plan.process.capabilities =
        runtime::Capabilities { bounding: all, effective: all, permitted: all, inheritable: 0, ambient: 0 };
    let mut shared = bind(volume.to_str().unwrap(), "/volume");
    shared.propagation = vec![Propagation { kind: PropagationKind::Shared, recursive: true }];
    plan.mounts.push(shared);
    let (launched, streams) = world.start(&plan).unwrap();
    let output = collect(&launched, streams);
    launched.cgroup.remove().unwrap();
    assert_eq!((output.code, output.stderr.as_str()), (0, ""));
    assert!(volume.join("late/inside").exists());
    rustix::mount::unmount(volume.join("late"), rustix::mount::UnmountFlags::DETACH).unwrap();
    rustix::mount::unmount(&volume, rustix::mount::UnmountFlags::DETACH).unwrap();
}

/// Paths longer than the new mount calls take go the way of kernels before 6.8.
fn legacy_overlay() {
    let world = World::new();
    let long = world.path(&"x".repeat(200)).join("y".repeat(100));
    let mut lower: Vec<_> = (0..60).map(|number| long.join(format!("layer,{number}:"))).collect();
    for (number, layer) in lower.iter().enumerate() {
        fs::create_dir_all(layer).unwrap();
        fs::write(layer.join("file"), number.to_string()).unwrap();
    }
    lower.push(world.root());
    let (upper, work) = (world.path("upper"), world.path("work"));
    fs::create_dir(&upper).unwrap();
    fs::create_dir(&work).unwrap();
    let mut plan = world.script("cat /file; echo new > /tmp/file; grep -c ' / overlay ' /proc/mounts; ls /");
    plan.rootfs = RootFs::Overlay { lower, upper: upper.clone(), work };
    let output = world.run(&plan).unwrap();
    assert!(output.stdout.starts_with("01\nbin\n"), "{output:?}");
    assert_eq!(fs::read_to_string(upper.join("tmp/file")).unwrap(), "new\n");
}

fn host_dev() {
    let world = World::new();
    let mut spec = world.spec(&["sh", "-c", "test -c /dev/null && echo null; ls /dev | head -n 1 | wc -l"]);
    let mounts = spec.mounts().clone().unwrap();
    let mounts: Vec<_> =
        mounts.into_iter().filter(|mount| !mount.destination().starts_with("/dev")).collect();
    spec.set_mounts(Some(mounts));
    let mut dev = oci_spec::runtime::Mount::default();
    dev.set_destination("/dev".into())
        .set_source(Some("/dev".into()))
        .set_options(Some(vec!["rbind".into()]));
    spec.mounts_mut().as_mut().unwrap().push(dev);
    let plan = runtime::plan(&spec, &world.options()).unwrap();
    assert!(!plan.populate_dev);
    assert_eq!(world.run(&plan).unwrap().stdout, "null\n1\n");
}
