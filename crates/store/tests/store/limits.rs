//! How much a container may write: project quotas on ext4 and xfs, on loop devices of the test's own; and what is said without them.

use std::path::Path;
use std::process::{Command, Stdio};

use store::{Error, Store};

use crate::crash::STORE;
use crate::world::{Attached, Tar, World, file, has};

/// `$1` disk, `$2` mount point, `$3` this program, the rest: what makes the file system. Kernels without quotas refuse the mount:
/// code 9.
const STAGE: &str = r#"
    set -e
    disk=$1 point=$2 program=$3
    shift 3
    truncate -s 400M "$disk"
    "$@" "$disk"
    mount -o loop,prjquota "$disk" "$point" || exit 9
    "$program" limits::on_quotas --exact --ignored --test-threads=1 --nocapture -q
    umount "$point"
"#;

/// Not a test: what runs where the disk is mounted.
#[test]
#[ignore = "run by another test"]
fn on_quotas() {
    let Some(root) = std::env::var_os(STORE) else { return };
    let home = tempfile::Builder::new().prefix("unused").tempdir().unwrap();
    let world = World { home, store: Store::open(Path::new(&root)).unwrap() };
    let record = world.image(None, &[Tar::of(&[file("from the image", &"x".repeat(3 << 20))])]);
    let megabytes = |count: usize| vec![1u8; count << 20];
    let container = |name: &str, limit: Option<u64>| {
        let folder = world.store.root().join("containers").join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let rootfs = world.store.create_limited_snapshot(&folder, Some(&record.id), limit).unwrap();
        (folder, Attached::new(&world.store.mount(&rootfs).unwrap()))
    };
    let (folder, limited) = container("limited", Some(2 << 20));
    let (_, other) = container("other", Some(8 << 20));
    let (_, free) = container("free", None);
    std::fs::write(limited.path.join("fits"), megabytes(1)).unwrap();
    let full = |error: std::io::Error| {
        let kinds = [std::io::ErrorKind::StorageFull, std::io::ErrorKind::QuotaExceeded];
        assert!(kinds.contains(&error.kind()), "{error}");
    };
    full(std::fs::write(limited.path.join("does not fit"), megabytes(2)).unwrap_err());
    std::fs::remove_file(limited.path.join("does not fit")).unwrap();
    // A copy from the image counts too.
    let image_file = limited.path.join("from the image");
    full(std::fs::File::options().append(true).open(image_file).unwrap_err());
    std::fs::write(other.path.join("fits"), megabytes(6)).unwrap();
    std::fs::write(free.path.join("fits"), megabytes(10)).unwrap();
    drop(limited);
    std::fs::remove_dir_all(folder).unwrap();
    let (_, again) = container("again", Some(4 << 20));
    std::fs::write(again.path.join("fits"), megabytes(3)).unwrap();
}

#[test]
fn a_limited_container_writes_so_much_and_no_more() {
    limits_hold(&["mkfs.ext4", "-q", "-F", "-O", "quota,project", "-E", "quotatype=prjquota"]);
}

#[test]
fn a_limited_container_on_xfs_writes_so_much_and_no_more() {
    limits_hold(&["mkfs.xfs", "-q", "-f"]);
}

fn limits_hold(make: &[&str]) {
    if !has(make[0]) {
        return;
    }
    let home = tempfile::Builder::new().prefix("naru-limits-").tempdir().unwrap();
    let point = home.path().join("point");
    std::fs::create_dir(&point).unwrap();
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", STAGE, "sh"])
        .args([&home.path().join("disk"), &point, &std::env::current_exe().unwrap()])
        .args(make)
        .env(STORE, point.join("store"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    if output.status.code() == Some(9) {
        eprintln!("skipped: this kernel has no project quotas there, or no loop devices");
        return;
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}

#[test]
fn where_there_are_no_quotas_a_limit_is_refused() {
    let home = tempfile::Builder::new().prefix("naru-limits-").tempdir().unwrap();
    let refused = sys::namespace::in_own_mounts(|| {
        let flags = rustix::mount::MountFlags::empty();
        rustix::mount::mount("test", home.path(), "tmpfs", flags, rustix::cstr!("size=4m")).unwrap();
        let store = Store::open(home.path()).unwrap();
        let folder = home.path().join("containers/c");
        std::fs::create_dir_all(&folder).unwrap();
        store.create_limited_snapshot(&folder, None, Some(1 << 20)).unwrap_err()
    });
    let refused = refused.unwrap();
    assert!(matches!(refused, Error::Unsupported(_)), "{refused:?}");
    assert!(
        refused.to_string().starts_with("--storage-opt size is supported only where project quotas are"),
        "{refused}"
    );
}
