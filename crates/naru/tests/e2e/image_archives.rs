//! Images that travel: archives, registries and other layouts, with all the platforms they are for.

use std::path::{Path, PathBuf};

use testkit::{Entry, ImageSpec, LayerSpec};

use crate::registry::{HOST, Registry, Service};
use crate::world::{Ran, World, eventually, run};

/// The stock client if it knows platforms and trees as that of 28 does; ours where it is older.
pub fn stock<'a>(world: &World, words: impl IntoIterator<Item = &'a str>) -> Ran {
    if is_new(world) { world.docker(words) } else { world.naru(words) }
}

/// Whether the stock client here is that of 28 or a later one.
pub fn is_new(world: &World) -> bool {
    let version = run(world.command("docker").arg("--version")).ok();
    let major = version.split(|c: char| !c.is_ascii_digit()).find(|part| !part.is_empty());
    let is_new = major.and_then(|major| major.parse().ok()).is_some_and(|major: u32| major >= 28);
    if !is_new {
        eprintln!("not compared with the stock client, which is too old here: {}", version.trim());
    }
    is_new
}

/// An index over two platforms; its digest.
pub fn two_platforms(world: &World) -> (PathBuf, String) {
    let layers = vec![LayerSpec::busybox(), LayerSpec::new(vec![Entry::text("etc/motd", "hi\n")])];
    let spec = ImageSpec::new(layers).platforms(&["linux/amd64", "linux/arm64"]);
    let folder = world.path("two-platforms");
    spec.write_oci_layout(&folder);
    let index = spec.build().manifests.last().expect("an index").0.digest.to_string();
    (folder, index)
}

/// A tar of everything in a folder.
fn pack(world: &World, folder: &Path) -> PathBuf {
    let archive = world.path("packed.tar");
    run(world.command("tar").arg("-cf").arg(&archive).arg("-C").arg(folder).arg(".")).ok();
    archive
}

/// What skopeo says of an image: a field of its JSON.
pub fn skopeo_digest(world: &World, image: &str) -> String {
    let raw = run(world.command("skopeo").args(["inspect", "--tls-verify=false", "--raw", image])).ok();
    format!("sha256:{}", hex(raw.as_bytes()))
}

fn hex(data: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(data).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn an_index_is_loaded_shown_saved_and_removed_with_its_platforms() {
    let world = World::empty();
    let (layout, index) = two_platforms(&world);
    let archive = pack(&world, &layout);
    let loaded = world.naru(["load", "-i", archive.to_str().expect("UTF-8")]).line();
    let id = loaded.rsplit_once(' ').expect("an id").1.to_owned();
    world.docker(["tag", &id, "app:1"]).ok();

    for tree in [world.naru(["images", "--tree"]).ok(), stock(&world, ["images", "--tree"]).ok()] {
        assert!(tree.contains("├─ linux/amd64 ") && tree.contains("└─ linux/arm64 "), "{tree}");
    }
    let other = |program: &str| {
        let words =
            ["image", "inspect", "--platform", "linux/arm64", "-f", "{{.Architecture}} {{.Id}}", "app:1"];
        if program == "docker" { stock(&world, words) } else { world.naru(words) }.line()
    };
    assert_eq!(other("docker"), other("naru"));
    let arm = other("naru");
    assert!(arm.starts_with("arm64 sha256:") && !arm.contains(&id), "{arm}");
    let history = stock(&world, ["history", "-q", "--no-trunc", "--platform", "linux/arm64", "app:1"]).ok();
    assert!(arm.ends_with(history.lines().next().expect("a step")), "{history}");
    world
        .naru(["history", "--platform", "linux/s390x", "app:1"])
        .fails(1, "does not provide the specified platform (linux/s390x)");

    // A container of the other platform holds the name as well.
    world.naru(["create", "--name", "one", "--platform", "linux/arm64", "app:1", "true"]).ok();
    world.naru(["rmi", "app:1"]).fails(1, "(must force) - container ");
    world.naru(["rm", "one"]).ok();

    let saved = |name: &str, more: &[&str]| {
        let path = world.path(name).display().to_string();
        stock(&world, ["save", "-o", &path].into_iter().chain(more.iter().copied()).chain(["app:1"])).ok();
        path
    };
    let whole = saved("whole.tar", &[]);
    assert_eq!(skopeo_digest(&world, &format!("oci-archive:{whole}")), index);
    let alone = saved("arm.tar", &["--platform", "linux/arm64"]);
    world.naru(["rmi", "app:1"]).ok();
    assert_eq!(world.naru(["images", "-q"]).ok(), "");
    world.docker(["load", "-i", &alone]).ok();
    let arch = ["image", "inspect", "-f", "{{.Architecture}}", "app:1"];
    assert_eq!(world.naru(arch).line(), "arm64");
    world.docker(["load", "-i", &whole]).ok();
    assert_eq!(world.naru(arch).line(), testkit_arch());

    let gone = world.naru(["rmi", "--platform", "linux/amd64", "app:1"]).ok();
    assert!(gone.starts_with("Deleted: sha256:"), "{gone}");
    assert_eq!(world.naru(arch).line(), "arm64");
    let gone = world.naru(["rmi", "--platform", "linux/arm64", "app:1"]).ok();
    assert!(gone.starts_with("Untagged: app:1\n"), "{gone}");
}

/// The architecture here, as images call it, if the test image has it.
fn testkit_arch() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "arm64",
        _ => "amd64",
    }
}

#[test]
fn a_pushed_image_has_the_digest_it_was_pulled_with() {
    let world = World::empty();
    let _registry = Registry::start(&world);
    let (layout, index) = two_platforms(&world);
    let copy = format!("docker://{HOST}/team/app:1");
    let source = format!("oci:{}:latest", layout.display());
    run(world.command("skopeo").args(["copy", "--all", "--dest-tls-verify=false", &source, &copy])).ok();
    let name = format!("{HOST}/team/app:1");
    world.naru(["pull", "-q", &name]).ok();

    // Everything that is missing here is there already, so the index can go back under another tag.
    let again = format!("{HOST}/team/app:2");
    world.docker(["tag", &name, &again]).ok();
    world.docker(["push", "-q", &again]).ok();
    assert_eq!(skopeo_digest(&world, &format!("docker://{again}")), index);

    // Elsewhere only this platform's manifest can be pushed, and both clients say so.
    let manifest = skopeo_manifest(&world, &name);
    let elsewhere = format!("{HOST}/other/app:1");
    world.docker(["tag", &name, &elsewhere]).ok();
    for told in [stock(&world, ["push", &elsewhere]).ok(), world.naru(["push", &elsewhere]).ok()] {
        assert!(told.contains("only the available single-platform image was pushed"), "{told}");
    }
    assert_eq!(skopeo_digest(&world, &format!("docker://{elsewhere}")), manifest);

    // With all of it here, the whole index goes anywhere.
    world.naru(["load", "-q", "-i", pack(&world, &layout).to_str().expect("UTF-8")]).ok();
    let third = format!("{HOST}/third/app:1");
    world.docker(["tag", &name, &third]).ok();
    world.docker(["push", &third]).ok();
    assert_eq!(skopeo_digest(&world, &format!("docker://{third}")), index);
    stock(&world, ["push", "-q", "--platform", "linux/arm64", &third]).ok();
    assert_ne!(skopeo_digest(&world, &format!("docker://{third}")), index);
    world.naru(["push", "--platform", "linux/s390x", &third]).fails(
        1,
        &format!(
            "image with reference {third} was found but does not provide the specified platform (linux/s390x)"
        ),
    );
}

#[test]
fn a_platform_that_is_here_is_run_without_a_registry() {
    let world = World::empty();
    let registry = Registry::start(&world);
    let (layout, _) = two_platforms(&world);
    let source = format!("oci:{}:latest", layout.display());
    let name = format!("{HOST}/team/app:1");
    world.naru(["image", "copy", "--all", &source, &name]).ok();
    let (here, other) = match testkit_arch() {
        "arm64" => ("linux/arm64", "linux/amd64"),
        _ => ("linux/amd64", "linux/arm64"),
    };
    let run = |platform: &str, more: &[&str]| {
        let words = ["run", "--rm", "--network", "none", "--platform", platform];
        world.naru(words.iter().chain(more).copied().chain([name.as_str(), "cat", "/etc/motd"]))
    };
    let asked = format!("Unable to find image '{name}' locally");
    assert!(run(here, &[]).stderr.contains(&asked), "the first is pulled");
    run(other, &["--pull", "never"]).fails(125, "was found but does not match the specified platform");
    let second = run(other, &[]);
    assert!(second.stderr.contains(&asked), "so is the second: {}", second.stderr);
    assert_eq!(second.ok(), "hi\n");

    // Now both are here, and nobody is asked for either.
    drop(registry);
    for platform in [here, other, here] {
        let ran = run(platform, &[]);
        assert_eq!(ran.stderr, "", "{platform}");
        assert_eq!(ran.ok(), "hi\n");
    }
    let id = |platform: &str| {
        world.naru(["image", "inspect", "--platform", platform, "-f", "{{.Id}}", &name]).line()
    };
    for platform in [here, other] {
        let created = world.docker(["create", "--name", "one", "--platform", platform, &name, "true"]);
        created.ok();
        assert_eq!(world.docker(["inspect", "-f", "{{.Image}}", "one"]).line(), id(platform));
        world.docker(["commit", "one", "made"]).ok();
        let arch = world.naru(["image", "inspect", "-f", "{{.Os}}/{{.Architecture}}", "made"]).line();
        assert_eq!(arch, platform);
        world.naru(["rmi", "made"]).ok();
        world.naru(["rm", "one"]).ok();
    }
}

/// The digest of this platform's manifest behind a name.
fn skopeo_manifest(world: &World, name: &str) -> String {
    let raw = run(world.command("skopeo").args([
        "inspect",
        "--tls-verify=false",
        "--raw",
        &format!("docker://{name}"),
    ]));
    let raw = raw.ok();
    let index: serde_json::Value = serde_json::from_str(&raw).expect("an index");
    let entries = index["manifests"].as_array().expect("entries");
    let here = entries.iter().find(|entry| entry["platform"]["architecture"] == testkit_arch());
    here.expect("an entry for this platform")["digest"].as_str().expect("a digest").to_owned()
}

#[test]
fn an_image_is_imported_from_a_web_server() {
    let world = World::new();
    let root = world.path("root.tar");
    let container = world.naru(["create", "busybox", "true"]).line();
    world.docker(["export", "-o", root.to_str().expect("UTF-8"), &container]).ok();
    let folder = root.parent().expect("a folder").to_owned();
    let _server = Service::start(
        &world,
        &["busybox", "httpd", "-f", "-p", "127.0.0.1:8080", "-h", folder.to_str().expect("UTF-8")],
    );
    let fetch = ["wget", "-q", "-O", "/dev/null", "http://127.0.0.1:8080/root.tar"];
    eventually("the web server answers", || run(world.command("busybox").args(fetch)).code == 0);

    let change = ["--change", "CMD [\"/bin/cat\", \"/etc/passwd\"]"];
    let url = "http://127.0.0.1:8080/root.tar";
    let told = world.docker(["import"].iter().chain(&change).chain(&[url, "web:1"])).ok();
    assert!(told.starts_with("Downloading from http://127.0.0.1:8080/root.tar\n"), "{told}");
    let told = world.naru(["import", "-m", "from the web", url, "web:2"]).ok();
    assert!(told.contains("\nsha256:"), "{told}");
    let comments = world.docker(["image", "inspect", "-f", "{{.Comment}}", "web:1", "web:2"]).ok();
    assert_eq!(comments, "Imported from http://127.0.0.1:8080/root.tar\nfrom the web\n");
    assert!(world.naru(["run", "--rm", "--network", "none", "web:1"]).ok().starts_with("root:x:0:0"));
    world.docker(["import", "http://127.0.0.1:8080/missing"]).fails(1, "with status 404 Not Found");
}
