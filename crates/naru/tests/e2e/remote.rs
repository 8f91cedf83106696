//! Engines of other machines by the real thing: Debian's dockerd behind TLS, an engine of ours behind Debian's sshd.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command, Stdio};

use testkit::Ca;

use crate::registry::Service;
use crate::world::{Ran, World, busybox_archive, eventually, ran, run};

/// A file of the world with this text; its path.
fn file(world: &World, name: &str, text: &str) -> String {
    let path = world.path(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("make a folder");
    fs::write(&path, text).expect("write a file");
    text_of(&path)
}

fn text_of(path: &std::path::Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}

#[test]
fn images_go_in_and_out_of_a_dockerd_behind_tls() {
    let world = World::empty();
    let ca = Ca::new("authority");
    let (server, client) = (ca.server(&["127.0.0.1"]), ca.client("me"));
    let authority = file(&world, "certs/ca.pem", &ca.certificate());
    file(&world, "certs/cert.pem", &client.certificate);
    file(&world, "certs/key.pem", &client.key);
    let path = |name: &str| text_of(&world.path(name));
    let host = "tcp://127.0.0.1:2376";
    let words = [
        "dockerd",
        "--tlsverify",
        "--tlscacert",
        &authority,
        "--tlscert",
        &file(&world, "server.pem", &server.certificate),
        "--tlskey",
        &file(&world, "server.key", &server.key),
        "--data-root",
        &path("docker-root"),
        "--exec-root",
        &path("docker-run"),
        "--pidfile",
        &path("docker.pid"),
        "--storage-driver=vfs",
        "--iptables=false",
        "--ip6tables=false",
        "--bridge=none",
        "-H",
        host,
    ];
    let dockerd = Service::start(&world, &words);
    let naru = |words: &[&str]| -> Ran {
        let mut command = world.naru_command();
        command.env("DOCKER_HOST", host).env("DOCKER_TLS_VERIFY", "1");
        run(command.env("DOCKER_CERT_PATH", world.path("certs")).args(words))
    };
    eventually("dockerd answers", || naru(&["version"]).code == 0);
    naru(&["load", "-q", "-i", &text_of(busybox_archive())]).ok();
    let layout = format!("oci:{}:busybox", path("layout"));
    let digest = naru(&["image", "copy", "-q", "naru:busybox", &layout]).ok();
    assert_eq!(naru(&["image", "copy", "-q", &layout, "naru:back:1"]).ok(), digest);
    let id = |name: &str| naru(&["image", "inspect", "-f", "{{.Id}}", name]).ok();
    assert_eq!(id("back:1"), id("busybox"));
    // Whoever has another authority's word for it is somebody else.
    let other = file(&world, "other.pem", &Ca::new("other").certificate());
    naru(&["--tlscacert", &other, "images"]).fails(1, "invalid peer certificate");
    drop(dockerd);
}

/// An sshd of the world's own that lets one key in, and an `ssh` that has it; as PATH.
fn sshd(world: &World) -> (Service, String) {
    // sshd's own folder, on systems where none has run yet.
    run(world.command("sh").args(["-c", "mount -t tmpfs run /run && mkdir /run/sshd"])).ok();
    for name in ["key", "hostkey"] {
        let mut keygen = Command::new("ssh-keygen");
        run(keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(world.path(name))).ok();
    }
    let bin = world.path("bin");
    fs::create_dir(&bin).expect("make a folder");
    symlink(env!("CARGO_BIN_EXE_naru"), bin.join("naru")).expect("link naru");
    let [key, host, run_dir, root] = ["key", "hostkey", "run", "root"].map(|name| text_of(&world.path(name)));
    let config = format!(
        "Port 22\nListenAddress 127.0.0.1\nHostKey {host}\nAuthorizedKeysFile {key}.pub\nPidFile none\nStrictModes no\n\
         UsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\n\
         SetEnv PATH={}:/usr/sbin:/usr/bin:/sbin:/bin NARU_ROOT={root} NARU_RUN_DIR={run_dir} NARU_SOCKET={} NARU_CGROUP_PARENT={}\n",
        bin.display(),
        world.socket().display(),
        world.cgroup_parent(),
    );
    let config = file(world, "sshd_config", &config);
    let script = format!(
        "#!/bin/sh\nexec /usr/bin/ssh -F none -i {key} -o StrictHostKeyChecking=no -o UserKnownHostsFile={} \"$@\"\n",
        world.path("known").display()
    );
    let ssh = file(world, "bin/ssh", &script);
    fs::set_permissions(&ssh, fs::Permissions::from_mode(0o755)).expect("make ssh executable");
    let service = Service::start(world, &["/usr/sbin/sshd", "-D", "-e", "-f", &config]);
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let listens = || run(world.command(&ssh).args(["root@127.0.0.1", "true"])).code == 0;
    eventually("sshd lets us in", listens);
    (service, path)
}

#[test]
fn an_engine_is_reached_through_a_real_sshd() {
    let world = World::new();
    let (_sshd, path) = sshd(&world);
    let command = || {
        let mut command = world.naru_command();
        command.env("PATH", &path).env("NARU_SOCKET", "/nobody");
        command
    };
    let far = |words: &[&str]| run(command().args(["-H", "ssh://root@127.0.0.1"]).args(words));
    assert_eq!(far(&["images", "--format", "{{.Repository}}"]).line(), "busybox");
    let cat = ["-H", "ssh://root@127.0.0.1", "run", "--rm", "-i", "--network", "none", "busybox", "cat"];
    let pipes =
        command().args(cat).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut cat = pipes.expect("start naru");
    cat.stdin.take().expect("piped").write_all(b"there and back").expect("write");
    let output = cat.wait_with_output().expect("wait for naru");
    assert_eq!(ran(output).ok(), "there and back");
    let layout = format!("oci:{}:busybox", world.path("layout").display());
    let copied = run(command().args(["image", "copy", "-q", "ssh://root@127.0.0.1/busybox", &layout])).ok();
    let back = run(command().args(["image", "copy", "-q", &layout, "ssh://root@127.0.0.1/back:1"])).ok();
    assert_eq!(copied, back);

    fs::remove_file(world.path("key.pub")).expect("take the key away");
    far(&["images"]).fails(1, "ssh has ended without an answer");
}
