//! Unpacking: every kind of entry, whiteouts, links across layers, hostile archives, and what is left when it fails.

use std::path::Path;

use image::{Digest, MediaType};
use store::Error;

use crate::world::*;

#[test]
fn every_kind_of_entry_arrives_with_its_attributes() {
    let world = World::new();
    let long = "n".repeat(250);
    let deep = format!("{}/file", vec!["d".repeat(120); 20].join("/"));
    let non_utf8 = Item { path: b"caf\xe9", data: b"x", ..item(b'0', "") };
    let mut nanoseconds = file("bin/tool", "#!");
    nanoseconds.mode = 0o6755;
    nanoseconds.uid = 12;
    nanoseconds.gid = 34;
    nanoseconds.pax = vec![
        ("mtime", b"1234567890.987654321"),
        ("SCHILY.xattr.user.note", b"a\0b"),
        ("SCHILY.xattr.security.capability", b"\x01\0\0\x02\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
        ("SCHILY.xattr.trusted.overlay.redirect", b"/etc"),
    ];
    // A hard link's header carries the file's attributes; they are set again.
    let same = |path, target| Item { flag: b'1', path, link: target, data: b"", ..nanoseconds.clone() };
    let (same, slash) = (same(b"bin/same", b"bin/tool"), same(b"bin/slash", b"/bin/tool"));
    let mut sticky = dir("tmp/");
    sticky.mode = 0o1777;
    let mut group = dir("srv");
    (group.mode, group.gid) = (0o2775, 50);
    let inside = file("srv/file", "not 50's");
    let mut node = item(b'3', "dev/null");
    (node.device, node.mode) = ((1, 3), 0o666);
    let mut owned_link = symlink("etc/link", "../bin/tool");
    owned_link.uid = 7;
    let tar = Tar::of(&[
        dir("./"),
        dir("bin"),
        nanoseconds.clone(),
        same,
        slash,
        sticky,
        group,
        inside,
        dir("dev/"),
        node,
        item(b'6', "dev/fifo"),
        item(b'4', "dev/sda"),
        dir("etc"),
        owned_link,
        file("/etc/absolute", "inside"),
        file("./etc/../etc/dotted", "inside"),
        file(&long, "long"),
        file(&deep, "deep"),
        non_utf8,
        Item { flag: 0, ..dir("old/") },
        Item { data: b"", ..file("empty", "") },
        Item { flag: b'g', data: b"18 comment=global\n", ..item(b'g', "global") },
    ]);
    let layer = world.layer(None, &tar).unwrap();
    let tree = tree(&layer.path, true);
    let check = |path: &str, want: &str| {
        let line = tree.get(path).unwrap_or_else(|| panic!("{path} in {tree:#?}"));
        assert!(line.contains(want), "{path}: {line}, want {want}");
    };
    check("bin/tool", "6755 12:34 1234567890.987654321");
    check("bin/tool", "user.note=a\\x00b");
    check("bin/tool", "security.capability=\\x01");
    assert!(!tree["bin/tool"].contains("overlay"), "overlayfs' own attributes are not the archive's to set");
    check("bin/same", "= bin/same");
    check("bin/slash", "= bin/same");
    check("tmp", "dir 1777");
    check("srv", "dir 2775 0:50 1000000000.0");
    check("srv/file", "644 0:0");
    check("dev/null", "char 1:3 666");
    check("dev/fifo", "fifo");
    check("dev/sda", "block 0:0");
    check("etc/link", "-> ../bin/tool 777 7:0 1000000000");
    check("etc/absolute", "file 6");
    check("etc/dotted", "file 6");
    check(&long, "file 4");
    check(&deep, "file 4");
    check("caf\\xe9", "file 1");
    check("old", "dir");
    check("empty", "file 0 e3b0c44298fc 644 0:0 1000000000.0");
    assert_eq!(tree.keys().filter(|path| path.contains("global")).count(), 0);
    let expected = 2 + 11 + 8 + 6 + 6 + 4 + 4 + 1;
    assert_eq!(layer.size, expected, "bytes of files and links, hard links once");
    world.assert_clean();
}

#[test]
fn whiteouts_hide_what_is_below_and_only_that() {
    let world = World::new();
    let tar = Tar::of(&[
        file("kept/.wh.gone", ""),
        file("before", "stays although its marker follows"),
        file(".wh.before", ""),
        file(".wh.after", ""),
        file("after", "stays although its marker stands before"),
        file(".wh.dir", ""),
        dir("dir"),
        file("dir/new", "x"),
        file(".wh.implied", ""),
        file("implied/new", "x"),
        file("late/new", "x"),
        file(".wh.late", ""),
        dir("opaque"),
        file("opaque/.wh..wh..opq", ""),
        file("opaque/new", "x"),
        file("meta/.wh..wh.aufs", ""),
        file(".wh..wh.plnk/12.34", "aufs"),
    ]);
    let layer = world.layer(None, &tar).unwrap();
    let tree = tree(&layer.path, false);
    let opaque: Vec<_> =
        tree.iter().filter(|(_, line)| line.contains("overlay.opaque=y")).map(|(path, _)| path).collect();
    assert_eq!(opaque, ["dir", "implied", "late", "opaque"]);
    let whiteouts: Vec<_> =
        tree.iter().filter(|(_, line)| line.contains("char 0:0")).map(|(path, _)| path).collect();
    assert_eq!(whiteouts, ["kept/gone"]);
    assert!(tree["before"].starts_with("file") && tree["after"].starts_with("file"));
    assert!(!tree.keys().any(|path| path.contains(".wh.")), "{tree:#?}");
    for bad in [".wh.", "a/.wh..", "a/.wh..."] {
        let error = world.layer(None, &Tar::of(&[file(bad, "")])).unwrap_err();
        assert!(chain(&error).contains("whiteout of nothing"), "{}", chain(&error));
    }
}

#[test]
fn an_opaque_root_hides_every_layer_below() {
    let world = World::new();
    let base = Tar::of(&[file("a", "1"), dir("dir"), file("dir/old", "1"), file("b", "1")]);
    let top = Tar::of(&[file(".wh..wh..opq", ""), file("b", "2"), file("dir/new", "2")]);
    let image = world.image(None, &[base, top]);
    let mount = world.store.mount_image(&image.id).unwrap();
    let seen = tree(&Attached::new(&mount).path, false);
    assert_eq!(seen.keys().collect::<Vec<_>>(), ["b", "dir", "dir/new"]);
}

#[test]
fn the_last_of_duplicate_entries_wins() {
    let world = World::new();
    let mut again = dir("dir");
    again.mode = 0o700;
    let tar = Tar::of(&[
        file("x", "first"),
        file("x", "second"),
        dir("dir"),
        file("dir/kept", "1"),
        again,
        dir("becomes-file"),
        file("becomes-file/in", "gone"),
        file("becomes-file", "file"),
        file("becomes-dir", "file"),
        dir("becomes-dir"),
        file("becomes-dir/in", "x"),
        symlink("link", "x"),
        file("link", "no longer a link"),
        file("one", "1"),
        hard_link("two", "one"),
        file("one", "11"),
    ]);
    let layer = world.layer(None, &tar).unwrap();
    let tree = tree(&layer.path, false);
    assert!(tree["x"].starts_with("file 6"));
    assert!(tree["dir"].contains("700") && tree.contains_key("dir/kept"));
    assert!(tree["becomes-file"].starts_with("file 4") && !tree.contains_key("becomes-file/in"));
    assert!(tree["becomes-dir"].starts_with("dir") && tree.contains_key("becomes-dir/in"));
    assert!(tree["link"].starts_with("file 16"));
    assert!(tree["one"].starts_with("file 2") && tree["two"].starts_with("file 1"), "{tree:#?}");
}

#[test]
fn what_a_layer_leaves_out_comes_from_the_layers_below() {
    let world = World::new();
    let mut tmp = dir("tmp");
    (tmp.mode, tmp.uid) = (0o1777, 5);
    let mut secret = file("usr/secret", "deep content");
    (secret.mode, secret.uid) = (0o4750, 9);
    let base = world.layer(None, &Tar::of(&[tmp, dir("usr"), secret, symlink("usr/ln", "secret")])).unwrap();
    let middle = world.layer(Some(&base), &Tar::of(&[file("other", "x")])).unwrap();
    let mut links = dir("links");
    links.mtime = 77;
    let tar = Tar::of(&[
        file("tmp/new", "x"),
        links,
        hard_link("links/a", "usr/secret"),
        hard_link("links/b", "links/a"),
        hard_link("links/c", "/usr/ln"),
        dir("tmp2"),
    ]);
    let top = world.layer(Some(&middle), &tar).unwrap();
    let tree = tree(&top.path, true);
    assert!(tree["tmp"].contains("dir 1777 5:0"), "{tree:#?}");
    assert!(tree["links/a"].contains("file 12") && tree["links/a"].contains("4750 9:0"), "{tree:#?}");
    assert!(tree["links/b"].contains("= links/a"));
    assert!(tree["links/c"].starts_with("-> secret"));
    assert!(
        tree["links"].contains(" 77.0"),
        "settling links leaves the folder's time alone: {}",
        tree["links"]
    );

    let gone = Tar::of(&[file("usr/.wh.secret", ""), hard_link("x", "usr/nothing")]);
    let error = world.layer(Some(&middle), &gone).unwrap_err();
    assert!(chain(&error).contains("entry \"x\": create hard link to \"usr/nothing\""), "{}", chain(&error));
    world.assert_clean();
}

#[test]
fn nothing_climbs_out_of_the_layer() {
    let outside = tempfile::tempdir().unwrap();
    let victim = outside.path().join("victim");
    std::fs::write(&victim, "untouched").unwrap();
    let before = std::fs::metadata(&victim).unwrap();
    let out = outside.path().to_str().unwrap();
    let up = format!("{}{}", "../".repeat(20), &out[1..]);
    let climbing = format!("{up}/victim");
    let absolute = format!("{out}/victim");

    let refused: Vec<(Vec<Item<'_>>, &str)> = vec![
        (vec![file(&climbing, "evil")], "leads out of the archive's root"),
        (vec![file("a/../../x", "evil")], "leads out"),
        (vec![hard_link("x", &climbing)], "leads out"),
        (vec![dir("..")], "leads out"),
        (vec![hard_link("x", &absolute), file("x", "evil")], ""),
        (vec![symlink("l", out), hard_link("x", "l/victim")], "entry \"x\""),
        (vec![symlink("l", out), file("l/victim", "evil")], "leads to none here"),
        (vec![symlink("l", &up), file("l/new", "evil")], "leads to none here"),
        (vec![symlink("a", "b"), symlink("b", "a"), file("a/x", "evil")], "entry"),
        (vec![file("f", ""), file("f/x", "evil")], "entry \"f\": is needed as a directory"),
        (vec![symlink("l", out), file("l/.wh.victim", "")], "leads to none here"),
        (vec![symlink("l", out), file("l/.wh..wh..opq", "")], "leads to none here"),
        (vec![hard_link("x", "x")], "entry \"x\""),
        (vec![dir("d"), hard_link("x", "d")], "is a directory"),
        (vec![item(b'Z', "x")], "unhandled tar header type 90"),
    ];
    for (items, want) in &refused {
        let world = World::new();
        match world.layer(None, &Tar::of(items)) {
            Err(error) => assert!(chain(&error).contains(want), "{}, want {want}", chain(&error)),
            Ok(layer) => assert!(want.is_empty(), "accepted: {:?}", tree(&layer.path, false)),
        }
        world.assert_clean();
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 1);
    }

    let world = World::new();
    let tar = Tar::of(&[
        dir("real"),
        symlink("l", "/real"),
        symlink("up", "../../../../real"),
        file("l/through", "contained"),
        dir("up/sub"),
        file("up/sub/deep", "contained"),
        symlink("victim", &absolute),
        file("victim", "the link is replaced, not followed"),
        symlink("d", out),
        dir("d"),
        file("d/victim", "the link is replaced by a folder"),
    ]);
    let layer = world.layer(None, &tar).unwrap();
    let tree = tree(&layer.path, false);
    assert!(tree.contains_key("real/through") && tree.contains_key("real/sub/deep"), "{tree:#?}");
    assert!(tree["victim"].starts_with("file") && tree["d"].starts_with("dir"));

    let after = std::fs::metadata(&victim).unwrap();
    use std::os::unix::fs::MetadataExt;
    assert_eq!(
        (before.ctime(), before.ctime_nsec(), before.nlink()),
        (after.ctime(), after.ctime_nsec(), after.nlink())
    );
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "untouched");
}

#[test]
fn damaged_content_is_refused_and_leaves_nothing() {
    let world = World::new();
    let noise: String =
        (0..200_000u32).map(|n| char::from(33 + (n.wrapping_mul(2_654_435_761) >> 20) as u8 % 90)).collect();
    let tar = Tar::of(&[dir("d"), file("d/f", &noise), symlink("s", "d")]);
    let packed = gzip(&tar);
    let digest = Digest::sha256(&tar);
    let check = |diff_id: &Digest, bytes: &[u8], want: &str| {
        let error = world.store.unpack_layer(None, diff_id, &MediaType::OCI_LAYER_GZIP, bytes).unwrap_err();
        assert!(chain(&error).contains(want), "{}, want {want}", chain(&error));
        assert!(error.is_bad_content(), "{error:?}");
        assert_eq!(std::fs::read_dir(world.path("layers")).unwrap().count(), 0);
        world.assert_clean();
    };
    check(&Digest::sha256("other"), &packed, "content has digest");
    check(&digest, &packed[..packed.len() / 2], "gzip stream is truncated");
    check(&digest, &packed[..packed.len() - 4], "gzip stream is truncated");
    let mut flipped = packed.clone();
    let at = flipped.len() - 7;
    flipped[at] ^= 0x10;
    check(&digest, &flipped, "gzip stream is damaged");
    check(&digest, &tar[..5000], "archive ends in the middle of a file");
    check(&digest, b"\xfd7zXZ\0\0\0\0", "xz stream is truncated");
    let mut header = tar.clone();
    header[700] ^= 1;
    check(&digest, &header, "tar: header checksum does not match");
    world.store.unpack_layer(None, &digest, &MediaType::OCI_LAYER, packed.as_slice()).unwrap();
    let zstd = zstd::encode_all(tar.as_slice(), 3).unwrap();
    let other = World::new();
    other.store.unpack_layer(None, &digest, &MediaType::OCI_LAYER, zstd.as_slice()).unwrap();
}

#[test]
fn a_full_disk_is_named_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let size = rustix::cstr!("size=4m");
    rustix::mount::mount("naru-test", folder.path(), "tmpfs", rustix::mount::MountFlags::empty(), size)
        .unwrap();
    struct Unmount<'a>(&'a Path);
    impl Drop for Unmount<'_> {
        fn drop(&mut self) {
            let _ = rustix::mount::unmount(self.0, rustix::mount::UnmountFlags::DETACH);
        }
    }
    let _unmount = Unmount(folder.path());
    let store = store::Store::open(folder.path()).unwrap();
    let big = "x".repeat(8 << 20);
    let tar = Tar::of(&[file("small", "x"), file("big", &big)]);
    let digest = Digest::sha256(&tar);
    let error = store.unpack_layer(None, &digest, &MediaType::OCI_LAYER, gzip(&tar).as_slice()).unwrap_err();
    assert!(error.is_no_space(), "{}", chain(&error));
    assert!(chain(&error).contains("entry \"big\": write: No space left"), "{}", chain(&error));
    assert_eq!(std::fs::read_dir(folder.path().join("tmp")).unwrap().count(), 0);
    let mut ingest = store.ingest(&digest, Some(tar.len() as u64)).unwrap();
    let error = ingest.write(&tar).unwrap_err();
    assert!(error.is_no_space(), "{}", chain(&error));
    drop(ingest);
    // What fits is used again.
    assert!(store.put_blob(b"small").is_ok() || store.ingest(&digest, None).unwrap().offset() > 0);
}

#[test]
fn the_same_layer_from_many_threads_is_one_layer() {
    let world = World::new();
    let items: Vec<String> = (0..200).map(|n| format!("dir/{n}")).collect();
    let items: Vec<_> = items.iter().map(|path| file(path, path)).collect();
    let tar = Tar::of(&items);
    let chains: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..8).map(|_| scope.spawn(|| world.layer(None, &tar).unwrap())).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    assert!(chains.iter().all(|layer| *layer == chains[0]));
    assert_eq!(std::fs::read_dir(world.path("layers")).unwrap().count(), 1);
    world.assert_clean();
}

#[test]
fn layers_are_staged_in_any_order_and_published_upwards() {
    let world = World::new();
    let tars: Vec<_> = (0..5).map(|n| Tar::of(&[file(&format!("layer/{n}"), "x")])).collect();
    let mut staged: Vec<_> = std::thread::scope(|scope| {
        let stage = |tar: &Vec<u8>| {
            world.store.stage_layer(&Digest::sha256(tar), &MediaType::OCI_LAYER, tar.as_slice()).unwrap()
        };
        let workers: Vec<_> = tars.iter().rev().map(|tar| scope.spawn(move || stage(tar))).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    let mut parent = None;
    while let Some(layer) = staged.pop() {
        parent = Some(world.store.publish_layer(parent.as_ref(), layer).unwrap().chain_id);
    }
    let top = world.store.layer(&parent.unwrap()).unwrap();
    assert!(top.parent.is_some());
    let orphan = world
        .store
        .stage_layer(&Digest::sha256(&tars[0]), &MediaType::OCI_LAYER, tars[0].as_slice())
        .unwrap();
    let error = world.store.publish_layer(Some(&Digest::sha256("none")), orphan).unwrap_err();
    assert!(matches!(error, Error::NotFound(_)), "{error:?}");
    world.assert_clean();
}
