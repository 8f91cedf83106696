//! Work in a container's root: files in and out, export, changes.

use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;

use api::*;
use bytes::Bytes;
use store::archive::{self, PackOptions, UnpackOptions};
use tokio::sync::mpsc;

use super::model::Container;
use super::mounts::{Kind, MountPoint};
use super::root;
use crate::Engine;
use crate::error::Result;
use crate::testing::{self, Process, world};

async fn stat(engine: &Engine, path: &str) -> Result<PathStat> {
    engine.container_archive_stat("web", path).await
}

async fn collect(mut pieces: mpsc::Receiver<Result<Bytes>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.recv().await {
        bytes.extend_from_slice(&piece.unwrap());
    }
    bytes
}

/// Unpacks into a folder of the test's.
fn unpack(archive: &[u8]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = std::fs::File::open(folder.path()).unwrap();
    archive::unpack(root.as_fd(), "/", &UnpackOptions::default(), archive).unwrap();
    folder
}

/// An archive of one file or folder.
fn pack(name: &str, text: Option<&str>) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    match text {
        Some(text) => std::fs::write(&path, text).unwrap(),
        None => std::fs::create_dir(&path).unwrap(),
    }
    let mut bytes = Vec::new();
    let root = std::fs::File::open(folder.path()).unwrap();
    archive::pack(root.as_fd(), name, &PackOptions::default(), &mut bytes).unwrap();
    bytes
}

async fn put(
    engine: &Engine,
    path: &str,
    bytes: Vec<u8>,
    change: impl FnOnce(&mut ContainerArchiveQuery),
) -> Result<()> {
    let mut query = ContainerArchiveQuery { path: path.into(), ..Default::default() };
    change(&mut query);
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move { sender.send(Ok(Bytes::from(bytes))).await });
    engine.container_archive_put("web", query, receiver).await
}

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.as_ref().display()))
}

/// A stopped container with a volume, a read-only bind, and a link in its image.
fn web(engine: &Engine, host: &Path) -> Arc<Container> {
    let image = testing::image(
        engine,
        "app",
        &[("etc/conf", "image"), ("srv/", ""), ("etc/passwd", "app:x:77:78::/:\n")],
        &[],
    );
    let volume =
        engine.store.create_volume(Some("data"), "local", &Default::default(), &Default::default()).unwrap();
    std::fs::write(engine.store.volume_path(&volume.name).join("inside"), "volume").unwrap();
    std::fs::write(host.join("file"), "host").unwrap();
    testing::container_on(engine, "web", &image, |record| {
        record.config.user = "app".into();
        let mut data = MountPoint::new(Kind::Volume, "", "/srv/data");
        data.name = "data".into();
        let mut bind = MountPoint::new(Kind::Bind, host.to_str().unwrap(), "/bound");
        bind.read_only = true;
        record.mounts = vec![bind, data];
    })
}

#[test]
fn files_of_a_stopped_container_and_its_volumes_are_found() {
    world(async |engine| {
        let host = tempfile::tempdir().unwrap();
        let web = web(engine, host.path());
        let seen = stat(engine, "/etc/conf").await.unwrap();
        assert_eq!((seen.name.as_str(), seen.size, seen.mode), ("conf", 5, 0o644));
        assert!(stat(engine, "/srv/data/").await.unwrap().is_dir());
        let error = stat(engine, "/nothing").await.unwrap_err();
        assert_eq!(
            (error.kind, error.message.as_str()),
            (ErrorKind::NotFound, "Could not find the file /nothing in container web")
        );
        for (path, file, text) in [
            ("/etc/conf", "conf", "image"),
            ("/srv", "srv/data/inside", "volume"),
            ("/bound/file", "file", "host"),
        ] {
            let (_, pieces) = engine.container_archive_get("web", path).await.unwrap();
            assert_eq!(read(unpack(&collect(pieces).await).path().join(file)), text, "{path}");
        }
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(&web.id), "the host's mount table is as it was");
    });
}

#[test]
fn files_go_into_a_stopped_container_and_its_volumes() {
    world(async |engine| {
        let host = tempfile::tempdir().unwrap();
        let web = web(engine, host.path());
        let upper = web.folder.join("upper");
        put(engine, "/etc", pack("new", Some("x")), |_| {}).await.unwrap();
        assert_eq!(read(upper.join("etc/new")), "x");
        put(engine, "/srv/data", pack("new", Some("y")), |_| {}).await.unwrap();
        assert_eq!(read(engine.store.volume_path("data").join("new")), "y");
        put(engine, "/etc", pack("own", Some("z")), |query| query.copy_uid_gid = true).await.unwrap();
        let owner = std::fs::metadata(upper.join("etc/own")).unwrap();
        assert_eq!(
            {
                use std::os::unix::fs::MetadataExt;
                (owner.uid(), owner.gid())
            },
            (77, 78)
        );

        let check = |outcome: Result<()>, kind: ErrorKind, text: &str| {
            let error = outcome.unwrap_err();
            assert_eq!((error.kind, error.message.as_str()), (kind, text));
        };
        let small = || pack("new", Some("x"));
        let refused = put(engine, "/bound", small(), |_| {}).await;
        check(refused, ErrorKind::Forbidden, "mounted volume is marked read-only");
        let refused = put(engine, "/missing", small(), |_| {}).await;
        check(refused, ErrorKind::NotFound, "Could not find the file /missing in container web");
        let refused = put(engine, "/etc/conf", small(), |_| {}).await;
        check(refused, ErrorKind::InvalidParameter, "extraction point is not a directory");
        let refused =
            put(engine, "/etc", pack("conf", None), |query| query.no_overwrite_dir_non_dir = true).await;
        assert_eq!(refused.unwrap_err().kind, ErrorKind::InvalidParameter);
        assert_eq!(read(host.path().join("file")), "host");

        let mut record = crate::container::record::Record::clone(&web.record());
        record.host.readonly_rootfs = true;
        web.set_record(record);
        let refused = put(engine, "/etc", small(), |_| {}).await;
        check(refused, ErrorKind::Forbidden, "container rootfs is marked read-only");
        put(engine, "/srv/data", pack("newer", Some("y")), |_| {}).await.unwrap();
    });
}

#[test]
fn an_image_cannot_lead_a_mount_out_of_the_container() {
    world(async |engine| {
        let outside = tempfile::tempdir().unwrap();
        let image = testing::image(engine, "evil", &[("a/", "")], &[]);
        let web = testing::container_on(engine, "web", &image, |record| {
            let mut data = MountPoint::new(Kind::Volume, "", "/link/deep/data");
            data.name = "data".into();
            record.mounts = vec![data];
        });
        engine.store.create_volume(Some("data"), "local", &Default::default(), &Default::default()).unwrap();
        std::os::unix::fs::symlink(outside.path(), web.folder.join("upper/link")).unwrap();
        // The link leads to a path inside that does not exist, so nothing can be made behind it.
        assert!(stat(engine, "/").await.is_err());
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
    });
}

#[test]
fn an_export_is_the_containers_own_files() {
    world(async |engine| {
        let host = tempfile::tempdir().unwrap();
        let web = web(engine, host.path());
        std::fs::create_dir(web.folder.join("upper/etc")).unwrap();
        std::fs::write(web.folder.join("upper/etc/more"), "container").unwrap();
        let folder = unpack(&collect(engine.container_export("web").await.unwrap()).await);
        assert_eq!(read(folder.path().join("etc/conf")), "image");
        assert_eq!(read(folder.path().join("etc/more")), "container");
        assert!(!folder.path().join("srv/data/inside").exists() && !folder.path().join("bound").exists());
    });
}

#[test]
fn a_running_containers_root_is_taken_without_what_is_mounted_in_it() {
    world(async |engine| {
        let web = testing::container(engine, "web", |_| {});
        assert!(root::bare(&web).unwrap().is_none());
        let _process = Process::start(&web);
        let bare = root::bare(&web).unwrap().unwrap();
        root::open(bare.as_fd(), "/etc/passwd", rustix::fs::OFlags::RDONLY).unwrap();
        assert!(root::open(bare.as_fd(), "/proc/self", rustix::fs::OFlags::PATH).is_err());
        assert_eq!(stat(engine, "/proc/version").await.unwrap().name, "version");
    });
}

#[test]
fn changes_are_listed_with_dockers_numbers() {
    world(async |engine| {
        let host = tempfile::tempdir().unwrap();
        let web = web(engine, host.path());
        assert_eq!(engine.container_changes("web").await.unwrap(), []);
        std::fs::write(web.folder.join("upper/new"), "x").unwrap();
        let changes = engine.container_changes("web").await.unwrap();
        assert_eq!(changes, [FilesystemChange { kind: 1, path: "/new".into() }]);
    });
}
