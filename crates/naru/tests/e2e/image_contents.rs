//! Images looked into and compared through the command line, without a container of them.

use crate::world::World;

#[test]
fn two_versions_of_an_image_are_compared() {
    let world = World::new();
    let script = "echo 'www:x:33:33::/srv:/bin/sh' >> /etc/passwd; rm /etc/group; chmod 700 /root; mkdir /srv; echo hi > /srv/new";
    world.naru(["run", "--name", "change", "--network", "none", "busybox", "sh", "-c", script]).ok();
    world.naru(["commit", "change", "busybox:next"]).ok();

    let diff =
        |more: &[&str]| world.naru(["image", "diff", "busybox", "busybox:next"].iter().chain(more)).ok();
    assert_eq!(diff(&[]), "D /etc/group\nC /etc/passwd\nC /root (mode 755 to 700)\nA /srv\nA /srv/new\n");
    assert_eq!(diff(&["--name-only"]), "/etc/group\n/etc/passwd\n/root\n/srv\n/srv/new\n");
    let stat = diff(&["--stat"]);
    assert!(stat.contains("C      +26B /etc/passwd\n"), "{stat}");
    assert!(stat.ends_with("2 added, 2 changed, 1 deleted, -6B\n"), "{stat}");
    assert_eq!(
        diff(&["/etc/passwd"]),
        "diff busybox:/etc/passwd busybox:next:/etc/passwd\n\
         --- busybox:/etc/passwd\n\
         +++ busybox:next:/etc/passwd\n\
         @@ -1,2 +1,3 @@\n \
         root:x:0:0:root:/root:/bin/sh\n \
         www:x:33:33:www:/var:/bin/sh\n\
         +www:x:33:33::/srv:/bin/sh\n"
    );
    let added = diff(&["srv"]);
    assert!(added.contains("--- /dev/null\n+++ busybox:next:/srv/new\n@@ -0,0 +1 @@\n+hi\n"), "{added}");
    let json = diff(&["--format", "json", "/etc/group"]);
    assert!(json.starts_with(r#"{"Path":"/etc/group","Kind":2,"Content":true,"Before":{"#), "{json}");
    world.naru(["image", "diff", "busybox", "missing"]).fails(1, "No such image: missing");

    let log = world.naru(["image", "log", "--stat", "busybox:next"]).ok();
    let (newest, first) = log.split_once("\nlayer ").expect("two steps");
    assert!(newest.contains("D       0B /etc/group\n"), "{newest}");
    assert!(newest.contains("A       3B /srv/new\n"), "{newest}");
    assert!(first.contains("    busybox:latest\n"), "{first}");

    let tree = world.naru(["image", "tree"]).ok();
    let names: Vec<&str> = tree.lines().filter_map(|line| line.split_whitespace().last()).collect();
    assert_eq!(names, ["busybox:latest", "busybox:next"]);
}

#[test]
fn files_of_an_image_are_listed_read_and_verified() {
    let world = World::new();
    assert_eq!(
        world.naru(["image", "cat", "busybox", "/etc/group"]).ok(),
        "root:x:0:\nwww:x:33:\nextra:x:44:www\n"
    );
    world.naru(["image", "cat", "busybox", "/etc/shadow"]).fails(1, "no such file or directory in the image");
    world.naru(["image", "cat", "busybox", "/etc"]).fails(1, "/etc is a directory");
    let list = world.naru(["image", "ls", "busybox", "/"]).ok();
    assert!(
        list.lines().any(|line| line.starts_with("drwxrwxrwt  0:0") && line.ends_with("  /tmp")),
        "{list}"
    );
    let list = world.naru(["image", "ls", "--format", "json", "busybox", "bin/sh"]).ok();
    assert!(list.starts_with(r#"{"Path":"/bin/busybox","Type":"file","Mode":493,"#), "{list}");

    assert_eq!(world.naru(["image", "verify", "busybox"]).ok(), "busybox: sound\n");
    let log: String = world.naru(["image", "log", "--format", "json", "busybox"]).ok();
    let chain =
        log.split(r#""ChainID":"sha256:"#).nth(1).expect("a layer").split('"').next().expect("its id");
    let layers = world.path("root/layers");
    let folder = std::fs::read_dir(&layers)
        .expect("the layers")
        .map(|entry| entry.expect("an entry").path())
        .find(|path| path.to_string_lossy().contains(chain))
        .expect("the layer's folder");
    std::fs::write(folder.join("diff/etc/group"), "flipped").expect("damage the layer");
    let damaged = world.naru(["image", "verify", "busybox"]);
    assert_eq!(damaged.code, 1);
    assert!(damaged.stdout.contains("/etc/group"), "{damaged:?}");
}
