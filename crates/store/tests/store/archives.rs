//! `docker cp`: what leaves a root, what comes into one, and what never gets out of it.

use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use store::Error;
use store::archive::{self, PackOptions, UnpackOptions};

use crate::world::{Tar, chain, dir, file, hard_link, run, symlink, tree};

/// A root with a little of everything.
struct Root {
    home: tempfile::TempDir,
    fd: std::os::fd::OwnedFd,
}

impl Root {
    fn new() -> Root {
        let home = tempfile::Builder::new().prefix("naru-archive-").tempdir().unwrap();
        let root = home.path().join("root");
        for folder in ["etc/deep", "empty"] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        std::fs::write(root.join("etc/conf"), "inside").unwrap();
        std::fs::write(root.join("etc/deep/file"), "deep").unwrap();
        std::fs::write(home.path().join("secret"), "outside").unwrap();
        for (link, target) in [
            ("to-conf", "/etc/conf"),
            ("to-etc", "etc"),
            ("absolute", "/etc"),
            ("climbing", "../../../../../../../etc/deep"),
            ("broken", "/nothing/here"),
            ("etc/up", "../.."),
        ] {
            std::os::unix::fs::symlink(target, root.join(link)).unwrap();
        }
        std::os::unix::fs::symlink(home.path(), root.join("out")).unwrap();
        let fd = std::fs::File::open(&root).unwrap().into();
        Root { home, fd }
    }

    fn path(&self) -> std::path::PathBuf {
        self.home.path().join("root")
    }

    fn names(&self, path: &str) -> Vec<String> {
        let archive = self.home.path().join("out.tar");
        let out = std::fs::File::create(&archive).unwrap();
        archive::pack(self.fd.as_fd(), path, &PackOptions::default(), out).unwrap();
        let list = run("tar", &["-tf", archive.to_str().unwrap()]);
        list.lines().map(str::to_owned).collect()
    }

    fn put(&self, path: &str, options: &UnpackOptions, tar: &[u8]) -> store::Result<()> {
        archive::unpack(self.fd.as_fd(), path, options, tar)
    }

    fn outside_is_untouched(&self) {
        let names: Vec<_> = std::fs::read_dir(self.home.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != "out.tar")
            .collect();
        assert_eq!(names.len(), 2, "{names:?}");
        assert_eq!(std::fs::read_to_string(self.home.path().join("secret")).unwrap(), "outside");
    }
}

#[test]
fn stat_tells_what_a_client_must_know() {
    let root = Root::new();
    let stat = |path: &str| archive::stat(root.fd.as_fd(), path).unwrap();
    let conf = stat("/etc/conf");
    assert_eq!((conf.name.as_str(), conf.size, conf.mode), ("conf", 6, 0o644));
    assert_eq!(conf.link_target, "");
    let etc = stat("etc");
    assert_eq!((etc.name.as_str(), etc.mode), ("etc", 1 << 31 | 0o755));
    assert_eq!(stat("/").name, "/");
    for (link, target) in [
        ("/to-conf", "/etc/conf"),
        ("/absolute", "/etc"),
        ("/climbing", "/etc/deep"),
        ("/broken", "/nothing/here"),
    ] {
        let found = stat(link);
        assert_eq!((found.mode >> 27 & 1, found.link_target.as_str()), (1, target), "{link}");
    }
    assert_eq!(stat("/to-etc/conf").name, "conf", "links on the way are followed");
    assert_eq!(stat("/to-etc/").mode >> 31, 1, "with a slash the last one too");
    for path in ["/missing", "/etc/conf/x", "/broken/x", "/out/secret"] {
        let error = archive::stat(root.fd.as_fd(), path).unwrap_err();
        assert_eq!(error.to_string(), format!("Could not find the file {path}"));
        assert!(matches!(error, Error::NotFound(_)));
    }
}

#[test]
fn what_leaves_is_named_by_the_last_component() {
    let root = Root::new();
    assert_eq!(root.names("/etc/conf"), ["conf"]);
    assert_eq!(root.names("/etc"), ["etc/", "etc/conf", "etc/deep/", "etc/deep/file", "etc/up"]);
    assert_eq!(root.names("/etc/."), ["./", "./conf", "./deep/", "./deep/file", "./up"]);
    assert_eq!(root.names("/to-conf"), ["to-conf"], "a link is copied as a link");
    assert_eq!(
        root.names("/to-etc/"),
        ["to-etc/", "to-etc/conf", "to-etc/deep/", "to-etc/deep/file", "to-etc/up"]
    );
    assert_eq!(root.names("/climbing/."), ["./", "./file"], "inside the root, not on the host");
    assert_eq!(root.names("/empty"), ["empty/"]);
    let error = archive::pack(root.fd.as_fd(), "/out/secret", &PackOptions::default(), Vec::new());
    assert!(matches!(error, Err(Error::NotFound(_))));
}

#[test]
fn what_comes_in_keeps_its_attributes_and_replaces_what_is_there() {
    let root = Root::new();
    let mut owned = file("conf", "new");
    (owned.mode, owned.uid, owned.gid) = (0o600, 7, 8);
    let mut same = hard_link("same", "conf");
    (same.mode, same.uid, same.gid) = (owned.mode, owned.uid, owned.gid);
    let tar = Tar::of(&[owned, dir("deep"), file("deep/more", "x"), same, symlink("l", "conf")]);
    root.put("/etc", &UnpackOptions::default(), &tar).unwrap();
    let found = tree(&root.path().join("etc"), true);
    assert!(found["conf"].contains("file 3") && found["conf"].contains("600 7:8 1000000000.0"), "{found:#?}");
    assert!(found["same"].contains("= conf"));
    assert!(found.contains_key("deep/file") && found.contains_key("deep/more"), "folders merge");
    assert_eq!(found["l"].split(' ').nth(1), Some("conf"));

    let options = UnpackOptions { owner: Some((1000, 1000)), ..UnpackOptions::default() };
    root.put("/empty", &options, &Tar::of(&[dir("d"), file("d/f", "x")])).unwrap();
    let meta = std::fs::metadata(root.path().join("empty/d/f")).unwrap();
    assert_eq!((meta.uid(), meta.gid()), (1000, 1000));

    // Whiteouts are for layers; here they are files like others.
    root.put("/empty", &UnpackOptions::default(), &Tar::of(&[file(".wh.d", "")])).unwrap();
    assert!(root.path().join("empty/.wh.d").exists() && root.path().join("empty/d").exists());
}

#[test]
fn kinds_are_not_swapped_when_the_client_says_so() {
    let root = Root::new();
    let careful = UnpackOptions { no_overwrite_dir_non_dir: true, ..UnpackOptions::default() };
    for (tar, want) in [
        (Tar::of(&[file("etc", "x")]), "cannot overwrite directory"),
        (Tar::of(&[dir("to-conf")]), "cannot overwrite non-directory"),
    ] {
        let error = root.put("/", &careful, &tar).unwrap_err();
        assert!(error.to_string().contains(want), "{error}");
        assert!(matches!(error, Error::Invalid(_)));
    }
    root.put("/", &UnpackOptions::default(), &Tar::of(&[file("etc", "x")])).unwrap();
    assert!(root.path().join("etc").is_file());

    for (path, want) in [("/missing", "Could not find the file /missing"), ("/etc", "not a directory")] {
        let error = root.put(path, &careful, &Tar::of(&[file("x", "")])).unwrap_err();
        assert!(error.to_string().contains(want), "{error}");
    }
}

#[test]
fn nothing_that_comes_in_gets_out() {
    let evil = |items: &[crate::world::Item<'_>]| Tar::of(items);
    let cases = [
        evil(&[file("../secret", "evil")]),
        evil(&[file("a/../../secret", "evil")]),
        evil(&[file("out/secret", "evil")]),
        evil(&[hard_link("mine", "../secret")]),
        evil(&[hard_link("mine", "out/secret"), file("mine", "evil")]),
        evil(&[symlink("l", "/out"), file("l/secret", "evil")]),
        evil(&[symlink("l", ".."), symlink("l2", "l/.."), file("l2/secret", "evil")]),
        evil(&[dir("out/new")]),
        evil(&[file("etc/up/secret", "evil")]),
    ];
    for (number, tar) in cases.iter().enumerate() {
        let root = Root::new();
        match root.put("/", &UnpackOptions::default(), tar) {
            Ok(()) => {}
            Err(error) => assert!(!chain(&error).is_empty()),
        }
        root.outside_is_untouched();
        // The folder named by a link that leads to the host is one inside the root.
        let error = root.put("/out", &UnpackOptions::default(), &Tar::of(&[file("secret", "evil")]));
        assert!(error.is_err() || !root.home.path().join("new").exists(), "case {number}");
        root.outside_is_untouched();
    }
}

#[test]
fn a_link_that_is_swapped_meanwhile_leads_nowhere_else() {
    let root = Root::new();
    let over = std::sync::atomic::AtomicBool::new(false);
    let (folder, link) = (root.path().join("swap"), root.path().join("swap.link"));
    std::fs::create_dir(&folder).unwrap();
    std::os::unix::fs::symlink(root.home.path(), &link).unwrap();
    std::thread::scope(|scope| {
        let swapper = scope.spawn(|| {
            let mut count = 0;
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                let cwd = rustix::fs::CWD;
                let exchange = rustix::fs::RenameFlags::EXCHANGE;
                rustix::fs::renameat_with(cwd, &folder, cwd, &link, exchange).unwrap();
                count += 1;
            }
            count
        });
        let tar = Tar::of(&[file("secret", "evil"), file("swap/secret", "evil")]);
        for _ in 0..500 {
            let _ = root.put("/swap", &UnpackOptions::default(), &tar);
            let _ = root.put("/", &UnpackOptions::default(), &tar);
            let mut out = Vec::new();
            let _ = archive::pack(root.fd.as_fd(), "/swap/.", &PackOptions::default(), &mut out);
            assert!(!out.windows(7).any(|bytes| bytes == b"outside"), "the host's file was read");
        }
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(swapper.join().unwrap() > 10);
    });
    root.outside_is_untouched();
}
