//! Images as mounts, and limits on what a container writes.

use crate::world::World;

#[test]
fn an_image_of_several_layers_is_mounted_into_a_container() {
    let world = World::new();
    let steps = [
        "echo one > /srv-file; mkdir /data; echo 1 > /data/kept; echo 1 > /data/gone",
        "rm /data/gone; echo two > /srv-file",
    ];
    let mut from = "busybox".to_owned();
    for (number, step) in steps.iter().enumerate() {
        let name = format!("step{number}");
        world.naru(["run", "--name", &name, "--network", "none", &from, "sh", "-c", step]).ok();
        world.naru(["commit", &name, &name]).ok();
        from = name;
    }
    let run = |mount: &str, command: &str| {
        let mount = format!("type=image,source={from},target=/img{mount}");
        world.naru(["run", "--rm", "--network", "none", "--mount", &mount, "busybox", "sh", "-c", command])
    };
    assert_eq!(
        run("", "cat /img/srv-file; ls /img/data; /img/bin/busybox echo runs").ok(),
        "two\nkept\nruns\n"
    );
    run("", "echo x > /img/srv-file").fails(1, "Read-only file system");
    assert_eq!(run(",image-subpath=data", "ls /img").ok(), "kept\n");
    assert_eq!(world.naru(["image", "verify", &from]).ok(), format!("{from}: sound\n"));
}

#[test]
fn a_limit_that_makes_no_sense_is_refused() {
    let world = World::new();
    let run = |option: &str| {
        world.naru(["run", "--rm", "--storage-opt", option, "--network", "none", "busybox", "true"])
    };
    run("size=many").fails(125, "invalid size: 'many'");
    run("inodes=5").fails(125, "Unknown option inodes");
    // Where the file system can't, it says so; where it can, the container runs.
    let ran = run("size=100m");
    assert!(ran.code == 0 || ran.stderr.contains("supported only where project quotas are"), "{ran:?}");
    assert_eq!(world.naru(["ps", "-aq"]).ok(), "");
}
