//! Programs written by others against the same formats: what they read of ours, what we read of theirs.

use std::path::Path;

use store::ImageRecord;

use crate::world::{Tar, World, dir, file, hard_link, has, run, symlink, tree};

fn layers() -> Vec<Vec<u8>> {
    let mut tool = file("bin/tool", "a program");
    (tool.mode, tool.uid, tool.gid) = (0o4755, 3, 4);
    let mut same = hard_link("bin/same", "bin/tool");
    (same.mode, same.uid, same.gid) = (tool.mode, tool.uid, tool.gid);
    let base = Tar::of(&[
        dir("bin"),
        tool,
        same,
        symlink("bin/link", "tool"),
        dir("gone"),
        file("gone/file", "1"),
        dir("opaque"),
        file("opaque/old", "1"),
        file("replaced", "1"),
    ]);
    let top = Tar::of(&[
        file(".wh.gone", ""),
        dir("opaque"),
        file("opaque/.wh..wh..opq", ""),
        file("opaque/new", "2"),
        file("replaced", "22"),
    ]);
    vec![base, top]
}

/// A world with one image, `shop/app:1`.
fn world() -> (World, ImageRecord) {
    let world = World::new();
    let record = world.image(Some("shop/app:1"), &layers());
    (world, record)
}

fn layout(world: &World, name: &str) -> String {
    format!("oci:{}:{name}", world.path("images").display())
}

fn open(path: &Path) -> std::fs::File {
    std::fs::File::open(path).unwrap()
}

#[test]
fn skopeo_reads_the_images_folder_as_an_oci_layout() {
    if !has("skopeo") {
        return;
    }
    let (world, record) = world();
    let found = run("skopeo", &["inspect", "--format", "{{.Digest}}", &layout(&world, "shop/app:1")]);
    assert_eq!(found.trim(), record.manifest.to_string());
    let copy = world.path("copy");
    run("skopeo", &["copy", "-q", &layout(&world, "shop/app:1"), &format!("dir:{}", copy.display())]);
    assert_eq!(
        std::fs::read(copy.join("manifest.json")).unwrap(),
        world.store.read_blob(&record.manifest).unwrap()
    );
}

#[test]
fn what_skopeo_puts_into_the_layout_is_an_image_of_ours() {
    if !has("skopeo") {
        return;
    }
    let (theirs, record) = world();
    let ours = World::new();
    ours.image(Some("kept"), &[Tar::of(&[file("kept", "x")])]);
    run("skopeo", &["copy", "-q", &layout(&theirs, "shop/app:1"), &layout(&ours, "from/skopeo:2")]);
    let found = ours.store.image("from/skopeo:2").unwrap();
    // The manifest is another: skopeo packs plain layers.
    assert_eq!((&found.id, found.size), (&record.id, record.size));
    assert_eq!(ours.store.chain_paths(&found.id).unwrap().len(), 2);
    assert_eq!(ours.store.image("kept").unwrap().names[0].familiar(), "kept:latest");
    ours.store.gc().unwrap();
    ours.store.verify_blob(&found.manifest).unwrap();
    // A change of ours must not lose what they wrote.
    ours.store.tag(&found.id, &image::Reference::parse("again").unwrap()).unwrap();
    let names: Vec<_> =
        ours.store.image("again").unwrap().names.iter().map(image::Reference::familiar).collect();
    assert_eq!(names, ["from/skopeo:2", "again:latest"]);
    run("skopeo", &["inspect", &layout(&ours, "from/skopeo:2")]);
}

#[test]
fn archives_go_between_skopeo_and_us_both_ways() {
    if !has("skopeo") {
        return;
    }
    let (theirs, record) = world();
    let source = layout(&theirs, "shop/app:1");
    let docker = theirs.path("docker.tar");
    run("skopeo", &["copy", "-q", &source, &format!("docker-archive:{}:shop/app:1", docker.display())]);
    let oci = theirs.path("oci.tar");
    run("skopeo", &["copy", "-q", &source, &format!("oci-archive:{}:shop/app:1", oci.display())]);
    let want = theirs.tree_of(&record.id);
    for archive in [&docker, &oci] {
        let ours = World::new();
        let loaded = ours.store.load(open(archive), &[], &mut |_| {}).unwrap();
        assert_eq!(loaded.len(), 1, "{}", archive.display());
        let found = ours.store.image("shop/app:1").unwrap();
        assert_eq!(found.id, record.id, "the configuration is kept by {}", archive.display());
        assert_eq!(ours.tree_of(&found.id), want, "{}", archive.display());

        let saved = ours.path("saved.tar");
        let out = std::fs::File::create(&saved).unwrap();
        ours.store.save(&["shop/app:1".to_owned()], &[], out).unwrap();
        let saved = saved.display();
        let inspect = |source: String| run("skopeo", &["inspect", "--config", "--raw", &source]);
        let config = String::from_utf8(ours.store.read_blob(&found.id).unwrap()).unwrap();
        assert_eq!(inspect(format!("docker-archive:{saved}")), config);
        assert_eq!(inspect(format!("oci-archive:{saved}")), config);
    }
}

#[test]
fn umoci_unpacks_an_image_to_the_same_tree() {
    if !has("umoci") {
        return;
    }
    let (world, record) = world();
    let bundle = world.path("bundle");
    let image = format!("{}:shop/app:1", world.path("images").display());
    run("umoci", &["unpack", "--image", &image, bundle.to_str().unwrap()]);
    assert_eq!(tree(&bundle.join("rootfs"), true), world.tree_of(&record.id));
}
