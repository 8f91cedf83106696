//! The runtime's own program, overwritten from a container (CVE-2019-5736): its image is at `/proc/<pid>/exe` of every process of
//! ours that the container can see, and a program of the container's choice may be `/proc/self/exe` itself. Stopped by running
//! from a read-only mount: the file can be opened for reading, never for writing (EROFS).

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use serde_json::json;

use crate::world::{World, wait_until};

/// A container with a thief in it, and with what thieves like to have.
fn thieves_den() -> Option<(World, Vec<u8>)> {
    let mut world = World::new(&["thief"])?;
    let program = world.own_program();
    world.compile("thief", include_str!("thief.c"));
    let inode = std::fs::metadata(&program).unwrap().ino().to_string();
    world.change(|config| {
        config["process"]["args"] = json!(["thief", inode]);
        // Without it the kernel does not let anybody near a process that hides; with it all depends on the mount.
        let capabilities =
            json!(["CAP_KILL", "CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_SETUID", "CAP_SETGID"]);
        for set in ["bounding", "effective", "permitted"] {
            config["process"]["capabilities"][set] = capabilities.clone();
        }
    });
    let before = std::fs::read(program).unwrap();
    Some((world, before))
}

/// What the thief has to tell; it must have held our program, and be told that it cannot write.
#[track_caller]
fn check(world: &World, before: &[u8]) {
    std::fs::write(world.bundle().join("rootfs/stop"), "").unwrap();
    wait_until("the thief's report", || world.bundle().join("rootfs/report").exists());
    let report = world.file("report");
    assert!(report.lines().count() > 0, "the thief held nothing");
    assert!(report.lines().all(|line| line == "Read-only file system"), "{report}");
    assert!(std::fs::read(world.program()).unwrap() == before, "the runtime's program was overwritten");
    world.verb(&["delete", "--force"]).ok();
    for name in ["seen", "stop", "report"] {
        let _ = std::fs::remove_file(world.bundle().join("rootfs").join(name));
    }
}

/// Programs of the container that turn out to be ours.
fn traps(bin: &Path) -> [&'static str; 4] {
    std::fs::write(bin.join("script"), "#!/proc/self/exe\n").unwrap();
    std::fs::set_permissions(bin.join("script"), std::fs::Permissions::from_mode(0o755)).unwrap();
    symlink("/proc/self/exe", bin.join("link")).unwrap();
    // The last is an ordinary program: then our image is there until its execve.
    ["script", "link", "interpreted", "true"]
}

#[test]
fn by_a_process_that_is_executed_in_the_container() {
    let Some((world, before)) = thieves_den() else { return };
    let bin = world.bundle().join("rootfs/bin");
    // The kernel starts the program's "interpreter" in its place.
    world.compile_with(
        "interpreted",
        "int main(void) { return 0; }",
        &["-Wl,--dynamic-linker=/proc/self/exe"],
    );
    for trap in traps(&bin) {
        world.launch(&["run", "-d"]).ok();
        wait_until("the thief to hold our program", || {
            // What becomes of it is not the question: it is stopped, and may not even be a program.
            world.oci(&["exec", &world.id, trap]);
            world.bundle().join("rootfs/seen").exists()
        });
        check(&world, &before);
    }
}

#[test]
fn by_the_first_process_of_a_container_that_joins_another() {
    let Some((world, before)) = thieves_den() else { return };
    let bin = world.bundle().join("rootfs/bin");
    world.launch(&["run", "-d"]).ok();
    let pid = world.state()["pid"].as_i64().unwrap();
    let other = world.bundle_beside("other", |config| {
        config["process"]["args"] = json!(["script"]);
        for namespace in config["linux"]["namespaces"].as_array_mut().unwrap() {
            if namespace["type"] == "pid" {
                namespace["path"] = json!(format!("/proc/{pid}/ns/pid"));
            }
        }
    });
    traps(&bin);
    let id = format!("{}-other", world.id);
    wait_until("the thief to hold our program", || {
        world.oci(&["run", "--bundle", other.to_str().unwrap(), &id]);
        world.bundle().join("rootfs/seen").exists()
    });
    check(&world, &before);
}

#[test]
fn while_a_created_container_waits_to_be_started() {
    let Some((world, before)) = thieves_den() else { return };
    world.change(|config| config["process"]["args"] = json!(["sleep", "100"]));
    // The first process waits as our program; the thief comes in beside it.
    world.launch(&["create"]).ok();
    let inode = std::fs::metadata(world.program()).unwrap().ino().to_string();
    world.oci(&["exec", "-d", &world.id, "thief", &inode, "1"]).ok();
    wait_until("the thief to hold our program", || world.bundle().join("rootfs/seen").exists());
    world.verb(&["start"]).ok();
    check(&world, &before);
}
