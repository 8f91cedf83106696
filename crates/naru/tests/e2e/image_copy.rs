//! `image copy`: between registries, layouts, archives and engines, over ssh too.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use crate::image_archives::{skopeo_digest, two_platforms};
use crate::registry::{HOST, Registry};
use crate::world::{Ran, World, run};

fn copy(world: &World, words: &[&str]) -> Ran {
    world.naru(["image", "copy"].iter().chain(words))
}

/// How many blobs a copy sent and how many were there already, by what it told.
fn told(ran: &Ran) -> (usize, usize) {
    let count = |word: &str| ran.stderr.lines().filter(|line| line.ends_with(word)).count();
    (count(": Copying"), count(": Already exists"))
}

#[test]
fn an_index_goes_through_every_kind_of_place_with_its_digest() {
    let world = World::empty();
    let _registry = Registry::start(&world);
    let (layout, index) = two_platforms(&world);
    let first = format!("oci:{}:latest", layout.display());
    let [registry, second, folder, oci, docker] = [
        format!("docker://{HOST}/team/app:1"),
        format!("{HOST}/other/app:2"),
        format!("oci:{}:app:1", world.path("copied").display()),
        format!("oci-archive:{}:app:1", world.path("oci.tar").display()),
        format!("docker-archive:{}:app:1", world.path("docker.tar").display()),
    ];
    let route = [&first, &registry, &second, &folder, &oci, &registry];
    for step in route.windows(2) {
        assert_eq!(copy(&world, &["--all", step[0], step[1]]).line(), index, "{step:?}");
    }
    for place in [&registry, &format!("docker://{second}"), &folder, &oci] {
        assert_eq!(skopeo_digest(&world, place), index, "{place}");
    }
    // Two layers and two configurations: the second repository's were mounted, and nothing is sent twice.
    let third = format!("{HOST}/third/app:1");
    let ran = copy(&world, &["--all", &registry, &third]);
    assert_eq!(
        ran.stderr.lines().filter(|line| line.ends_with(": Mounted from team/app")).count(),
        4,
        "{ran:?}"
    );
    assert_eq!(told(&copy(&world, &["--all", &registry, &third])), (0, 4));
    assert_eq!(told(&copy(&world, &["--all", &registry, &folder])), (0, 4));

    // One platform alone is that platform's manifest.
    let arm = copy(&world, &["--platform", "linux/arm64", &registry, &docker]).line();
    assert_ne!(arm, index);
    let arch = ["inspect", "--override-arch=arm64", "--format", "{{.Architecture}}", &docker];
    assert_eq!(run(world.command("skopeo").args(arch)).line(), "arm64");
    assert_eq!(copy(&world, &[&docker, &second]).line(), arm);
    let both = ["--platform", "linux/amd64", "--platform", "linux/arm64", &registry, &third];
    let both = copy(&world, &both).line();
    assert_eq!(skopeo_digest(&world, &format!("docker://{third}")), both);
    copy(&world, &["--platform", "linux/s390x", &registry, &folder])
        .fails(1, "the image is not there for platform linux/s390x");
    copy(&world, &[&format!("{HOST}/missing/app:1"), &folder]).fails(1, "manifest unknown");
    copy(&world, &["oci:/nonexistent", &folder]).fails(1, "is no OCI image layout");
}

#[test]
fn engines_are_copied_from_and_to_and_sent_what_they_lack() {
    let world = World::new();
    let _registry = Registry::start(&world);
    let (layout, index) = two_platforms(&world);
    let layout = format!("oci:{}:latest", layout.display());
    assert_eq!(copy(&world, &["--all", &layout, "naru:app:1"]).line(), index);
    assert_eq!(world.naru(["run", "--rm", "--network", "none", "app:1", "cat", "/etc/motd"]).ok(), "hi\n");
    let tree = world.naru(["images", "--tree"]).ok();
    assert!(tree.contains("└─ linux/arm64"), "{tree}");
    let registry = format!("docker://{HOST}/team/app:1");
    assert_eq!(copy(&world, &["--all", "naru:app:1", &registry]).line(), index);
    assert_eq!(skopeo_digest(&world, &registry), index);

    // What is committed on top of it shares all but its last layer and its configuration.
    world.naru(["run", "--name", "change", "--network", "none", "app:1", "touch", "/new"]).ok();
    world.naru(["commit", "change", "app:2"]).ok();
    assert_eq!(told(&copy(&world, &["naru:app:2", &registry])), (2, 2));

    let far = World::empty();
    far.naru(["version"]).ok();
    let path = fake_ssh(&world, &far);
    let remote = |source: &str, destination: &str| {
        let mut command = world.naru_command();
        run(command.env("PATH", &path).args(["image", "copy", source, destination]))
    };
    let first = remote("naru:app:1", "ssh://me@far.example");
    assert_eq!(told(&first), (3, 0), "{first:?}");
    let second = remote(&registry, "ssh://me@far.example/team/app:2");
    assert_eq!(told(&second), (2, 2), "{second:?}");
    let names = far.naru(["images", "--format", "{{.Repository}}:{{.Tag}}"]).ok();
    assert_eq!(names, "team/app:2\napp:1\n");
    far.naru(["run", "--rm", "--network", "none", "team/app:2", "ls", "/new"]).ok();
    // And back, as another name.
    remote("ssh://me@far.example/team/app:2", "naru:back:1").ok();
    let id = ["image", "inspect", "-f", "{{.Id}}"];
    let ids = |names: [&str; 2]| world.naru(id.iter().chain(&names)).ok();
    let ids = ids(["app:2", "back:1"]);
    let (one, two) = ids.trim().split_once('\n').expect("two ids");
    assert_eq!(one, two);
}

/// A folder with an `ssh` that runs the command with the other world's engine; as PATH.
fn fake_ssh(world: &World, far: &World) -> String {
    let folder = world.path("bin");
    fs::create_dir(&folder).expect("make a folder");
    symlink(env!("CARGO_BIN_EXE_naru"), folder.join("naru")).expect("link naru");
    let script = format!(
        "#!/bin/sh\nfor command; do :; done\nunset DOCKER_HOST\nexport NARU_ROOT={} NARU_RUN_DIR={} NARU_SOCKET={}\nexec sh -c \"$command\"\n",
        far.path("root").display(),
        far.path("run").display(),
        far.socket().display()
    );
    let ssh = folder.join("ssh");
    fs::write(&ssh, script).expect("write ssh");
    fs::set_permissions(&ssh, fs::Permissions::from_mode(0o755)).expect("make ssh executable");
    format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default())
}
