//! Names, archives and garbage: what users do with images as a whole.

use image::{Descriptor, Digest, Index, MediaType, Platform, Reference};
use store::{Deleted, Error, LoadProgress};

use crate::world::{Tar, World, chain, dir, file, gzip, symlink};

fn one(text: &str) -> Vec<Vec<u8>> {
    vec![Tar::of(&[file("file", text)])]
}

fn name(text: &str) -> Reference {
    Reference::parse(text).unwrap()
}

fn familiar(names: &[Reference]) -> Vec<String> {
    names.iter().map(Reference::familiar).collect()
}

#[test]
fn images_are_found_as_docker_finds_them() {
    let world = World::new();
    let record = world.image(Some("shop/app:1"), &one("1"));
    let id = record.id.to_string();
    let hex = record.id.hex();
    let with_port = world.image(Some("localhost:5000/a/b"), &one("2"));
    for text in [&id, hex, &hex[..12], &hex[..4], &format!("sha256:{}", &hex[..7])] {
        assert_eq!(world.store.image(text).unwrap().id, record.id, "{text}");
    }
    for text in ["shop/app:1", "docker.io/shop/app:1", "index.docker.io/shop/app:1"] {
        assert_eq!(world.store.image(text).unwrap().id, record.id, "{text}");
    }
    assert_eq!(world.store.image("localhost:5000/a/b").unwrap().id, with_port.id);
    let missing = |text: &str, want: &str| match world.store.image(text) {
        Err(error) => assert_eq!(error.to_string(), want),
        Ok(found) => panic!("{text} found {found:?}"),
    };
    missing("shop/app", "No such image: shop/app:latest");
    missing("nothing", "No such image: nothing:latest");
    missing("docker.io/library/nothing:2", "No such image: nothing:2");
    assert!(matches!(world.store.image("Upper"), Err(Error::Invalid(_))));
    assert!(matches!(world.store.image(""), Err(Error::Invalid(_))));
}

#[test]
fn names_move_and_what_they_leave_is_dangling() {
    let world = World::new();
    let (old, new) = (world.image(Some("app"), &one("old")), world.image(None, &one("new")));
    assert!(new.is_dangling());
    world.store.tag(&new.id, &name("app")).unwrap();
    let old = world.store.image_by_id(&old.id).unwrap();
    assert!(old.is_dangling(), "the name was taken from it");
    assert_eq!(familiar(&world.store.image("app").unwrap().names), ["app:latest"]);

    // A repository digest goes with the repository's last tag.
    let digest = name("app").with_digest(new.manifest.clone());
    world.store.tag(&new.id, &digest).unwrap();
    world.store.tag(&new.id, &name("app:2")).unwrap();
    let found = world.store.image(&digest.to_string()).unwrap();
    assert_eq!((found.names.len(), found.repo_digests.len()), (2, 1));
    assert_eq!(world.store.untag(&name("app:2")).unwrap(), [Deleted::Untagged(name("app:2"))]);
    let gone = world.store.untag(&name("app")).unwrap();
    assert_eq!(gone, [Deleted::Untagged(name("app:latest")), Deleted::Untagged(digest)]);
    assert!(world.store.image_by_id(&new.id).unwrap().is_dangling());
    let error = world.store.untag(&name("app")).unwrap_err();
    assert_eq!(error.to_string(), "No such image: app:latest");

    // All of it is on disk.
    let World { home, store } = world;
    let before = store.images().unwrap();
    drop(store);
    assert_eq!(store::Store::open(home.path()).unwrap().images().unwrap(), before);
}

#[test]
fn removing_an_image_frees_what_was_promised_and_nothing_that_is_used() {
    let world = World::new();
    let base = Tar::of(&[file("base", "shared by both")]);
    let first = world.image(Some("first"), &[base.clone(), Tar::of(&[file("a", "only here")])]);
    let second = world.image(Some("second"), &[base, Tar::of(&[file("b", "somewhere else")])]);
    let usage = world.store.disk_usage().unwrap();
    let (of_first, of_second) = (usage.images[&first.id], usage.images[&second.id]);
    assert_eq!((of_first.shared, of_first.unique), (14, 9));
    assert_eq!((of_second.shared, of_second.unique), (14, 14));
    assert_eq!(usage.layers, 14 + 9 + 14);

    let deleted = world.store.delete_image(&first.id).unwrap();
    let top = world.store.config(&second.id).unwrap().chain_ids();
    assert_eq!(deleted[..2], [Deleted::Untagged(name("first:latest")), Deleted::Deleted(first.id.clone())]);
    assert_eq!(deleted.len(), 3, "one layer goes, the shared one stays: {deleted:?}");
    assert!(!deleted.contains(&Deleted::Deleted(top[0].clone())));
    let after = world.store.disk_usage().unwrap();
    assert_eq!(usage.layers - after.layers, of_first.unique);
    assert_eq!(after.images[&second.id].unique, 14 + 14, "nobody shares with it any more");
    assert!(world.store.verify_image(&second.id).unwrap().is_empty());

    // Dangling images stay until they are removed; what a lease holds stays until it ends.
    world.store.untag(&name("second")).unwrap();
    assert_eq!(world.store.gc().unwrap().bytes, 0);
    let lease = world.store.lease();
    lease.add_image(&second.id);
    let blobs = world.store.disk_usage().unwrap().blobs;
    world.store.delete_image(&second.id).unwrap();
    assert!(top.iter().all(|chain| world.store.layer(chain).is_some()), "layers of a leased image");
    drop(lease);
    assert_eq!(world.store.gc().unwrap().bytes, blobs + 14 + 14);
    let usage = world.store.disk_usage().unwrap();
    assert_eq!((usage.layers, usage.blobs), (0, 0));
    world.assert_clean();
}

#[test]
fn saved_images_load_with_the_same_digests() {
    let world = World::new();
    let base = Tar::of(&[dir("etc"), file("etc/a", "1"), symlink("l", "etc/a")]);
    let first = world.image(Some("app:1"), &[base.clone(), Tar::of(&[file("etc/.wh.a", "")])]);
    let second = world.image(Some("app:2"), &[base]);
    world.store.tag(&first.id, &name("also/this")).unwrap();
    let unnamed = world.image(None, &one("unnamed"));
    let save = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut bytes = Vec::new();
        world.store.save(&names, &[], &mut bytes).unwrap();
        bytes
    };
    let load = |archive: &[u8]| {
        let other = World::new();
        let mut loaded = Vec::new();
        other
            .store
            .load(archive, &[], &mut |step| {
                if let LoadProgress::Loaded { name, id } = step {
                    loaded.push(name.map_or_else(|| id.to_string(), |name| name.familiar()));
                }
            })
            .unwrap();
        other.assert_clean();
        (other, loaded)
    };
    // A name without a tag is all tags of its repository.
    let all = save(&["app"]);
    let (other, loaded) = load(&all);
    assert_eq!(loaded, ["app:1", "app:2"]);
    for (text, want) in [("app:1", &first), ("app:2", &second)] {
        let found = other.store.image(text).unwrap();
        assert_eq!((&found.id, &found.manifest, found.size), (&want.id, &want.manifest, want.size));
        let show = |world: &World| world.tree_of(&want.id);
        assert_eq!(show(&other), show(&world), "{text}");
        assert!(other.store.verify_image(&found.id).unwrap().is_empty());
    }
    assert!(other.store.image("also/this").is_err(), "only what was asked for");

    let (other, loaded) = load(&gzip(&save(&["also/this", unnamed.id.hex()])));
    assert_eq!(loaded, ["also/this:latest".to_owned(), unnamed.id.to_string()]);
    assert!(other.store.image_by_id(&unnamed.id).unwrap().is_dangling());
    let (_, loaded) = load(&zstd::encode_all(all.as_slice(), 1).unwrap());
    assert_eq!(loaded.len(), 2);

    let error = world.store.save(&["missing".to_owned()], &[], Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "No such image: missing:latest");
    let s390x = Platform::parse("linux/s390x").unwrap();
    let error = world.store.save(&["app:1".to_owned()], &[s390x], Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "image app:1 does not provide the specified platform (linux/s390x)");
}

/// Files of a world's blobs folder as archive entries, with an index on top.
fn layout(world: &World, index: &Index) -> Vec<u8> {
    let mut tar = Tar::default();
    let bytes = index.to_bytes();
    tar.add(&file("index.json", std::str::from_utf8(&bytes).unwrap()));
    tar.add(&file("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#));
    for entry in std::fs::read_dir(world.path("images/blobs/sha256")).unwrap() {
        let entry = entry.unwrap();
        let path = format!("blobs/sha256/{}", entry.file_name().to_str().unwrap());
        let data = std::fs::read(entry.path()).unwrap();
        tar.add(&crate::world::Item { data: &data, ..crate::world::item(b'0', &path) });
    }
    tar.finish()
}

#[test]
fn an_oci_layout_of_many_platforms_gives_this_one() {
    let world = World::new();
    let ours = world.image(None, &one("ours"));
    let config = world.store.config(&ours.id).unwrap();
    let mut other = (*config).clone();
    other.architecture = "s390x".to_owned();
    let layers = world.store.manifest(&ours.manifest).unwrap().layers.clone();
    let theirs = world.store.create_image(&other, layers, None, None).unwrap();
    let mut manifests = Vec::new();
    for record in [&theirs, &ours] {
        let mut descriptor = record.target.clone();
        descriptor.platform = Some(world.store.config(&record.id).unwrap().platform());
        manifests.push(descriptor);
    }
    let index = Index::new(manifests).to_bytes();
    world.store.put_blob(&index).unwrap();
    let mut top = Descriptor::of(MediaType::OCI_INDEX, &index);
    top.annotations.insert("io.containerd.image.name".to_owned(), "docker.io/library/multi:1".to_owned());
    let archive = layout(&world, &Index::new(vec![top]));
    let load = |platforms: &[Platform]| {
        let fresh = World::new();
        let loaded = fresh.store.load(archive.as_slice(), platforms, &mut |_| {});
        loaded.map(|loaded| (loaded[0].id.clone(), familiar(&loaded[0].names)))
    };
    assert_eq!(load(&[]).unwrap(), (ours.id.clone(), vec!["multi:1".to_owned()]));
    let s390x = Platform::parse("linux/s390x").unwrap();
    assert_eq!(load(&[s390x]).unwrap().0, theirs.id);
    let arm = Platform::parse("linux/arm/v6").unwrap();
    assert!(matches!(load(&[arm]), Err(Error::NotFound(_))));
}

#[test]
fn bad_archives_are_refused_and_leave_nothing() {
    let digest = Digest::sha256("x");
    let blob = format!("blobs/sha256/{}", digest.hex());
    let no_layer = r#"[{"Config":"c.json","RepoTags":["a:1"],"Layers":["gone/layer.tar"]}]"#;
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (Tar::of(&[file("hello", "x")]), "archive is no saved image"),
        (Tar::of(&[file(&blob, "y")]), "content has digest"),
        (Tar::of(&[file("manifest.json", "{")]), "manifest.json"),
        (Tar::of(&[file("index.json", "[]")]), "index.json"),
        (Tar::of(&[file("manifest.json", no_layer)]), "archive has no file \"c.json\""),
        (Tar::of(&[file("c.json", "{}"), file("manifest.json", no_layer)]), "gone/layer.tar"),
        (Tar::of(&[file("../manifest.json", no_layer)]), "leads out of the archive"),
        (b"not a tar at all".repeat(100), "read archive"),
        (Tar::of(&[file("manifest.json", no_layer)])[..540].to_vec(), "archive ends in the middle"),
    ];
    for (archive, want) in cases {
        let world = World::new();
        let error = world.store.load(archive.as_slice(), &[], &mut |_| {}).unwrap_err();
        assert!(chain(&error).contains(want), "{}, want {want}", chain(&error));
        let usage = world.store.disk_usage().unwrap();
        assert_eq!((usage.layers, usage.blobs), (0, 0), "{want}");
        assert!(world.store.images().unwrap().is_empty());
        world.assert_clean();
    }
}

#[test]
fn an_imported_root_is_an_image_of_one_layer() {
    let world = World::new();
    let tar = Tar::of(&[dir("bin"), file("bin/sh", "shell")]);
    let changes = ["CMD [\"/bin/sh\"]".to_owned(), "ENV A=b".to_owned(), "EXPOSE 80".to_owned()];
    for (number, archive) in [tar.clone(), gzip(&tar)].into_iter().enumerate() {
        let name = name(&format!("imported:{number}"));
        let id = world
            .store
            .import(archive.as_slice(), &changes, "a message", &Platform::host(), Some(&name))
            .unwrap();
        let config = world.store.config(&id).unwrap();
        assert_eq!(config.rootfs.diff_ids, [Digest::sha256(&tar)]);
        assert_eq!(config.history[0].comment, "a message");
        let inner = config.config.as_ref().unwrap();
        assert_eq!(inner.cmd.as_deref(), Some(&["/bin/sh".to_owned()][..]));
        assert_eq!(inner.env.as_deref(), Some(&["A=b".to_owned()][..]));
        assert!(world.store.verify_image(&id).unwrap().is_empty());
    }
    assert_eq!(std::fs::read_dir(world.path("layers")).unwrap().count(), 1, "the same tree is one layer");
    let error =
        world.store.import(tar.as_slice(), &["RUN x".to_owned()], "", &Platform::host(), None).unwrap_err();
    assert!(matches!(error, Error::Invalid(_)), "{error}");
    let error = world.store.import(&tar[..600], &[], "", &Platform::host(), None).unwrap_err();
    assert!(error.is_bad_content(), "{}", chain(&error));
    world.assert_clean();
}

#[test]
fn garbage_collection_beside_everything_else_takes_nothing_in_use() {
    let world = World::new();
    let kept = world.image(Some("kept"), &one("kept"));
    let (finished, rounds) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let world = &world;
        for worker in 0..3 {
            let finished = finished.clone();
            scope.spawn(move || {
                for round in 0..15 {
                    // All but the top is shared with the other workers.
                    let base = Tar::of(&[file("base", "the same for all")]);
                    let top = Tar::of(&[file("top", &format!("{worker} {round}"))]);
                    let record = world.image(Some(&format!("w{worker}")), &[base, top]);
                    let damage = world.store.verify_image(&record.id).unwrap();
                    assert!(damage.is_empty(), "{damage:?}");
                    if round % 3 == 0 {
                        world.store.delete_image(&record.id).unwrap();
                    }
                    finished.send(()).unwrap();
                }
            });
        }
        drop(finished);
        // While the others go on.
        rounds.iter().for_each(|()| drop(world.store.gc().unwrap()));
    });
    assert!(world.store.verify_image(&kept.id).unwrap().is_empty());
    for record in world.store.images().unwrap() {
        assert!(world.store.verify_image(&record.id).unwrap().is_empty());
        world.store.delete_image(&record.id).unwrap();
    }
    let usage = world.store.disk_usage().unwrap();
    assert_eq!((usage.layers, usage.blobs), (0, 0), "and leaves nothing that nobody uses");
    world.assert_clean();
}
