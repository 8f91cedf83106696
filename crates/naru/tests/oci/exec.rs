//! Further processes in a container: settings, exit codes, terminals, descriptors.

use std::io::Read;
use std::os::unix::net::UnixListener;

use serde_json::json;

use crate::world::{World, wait_until};

#[test]
fn settings_and_exit_codes() {
    let Some(world) = World::new(&["sleep", "100"]) else { return };
    world.launch(&["run", "-d"]).ok();
    let exec = |words: &[&str]| world.oci(&[&["exec"], words].concat());
    let script = "id -u; id -g; echo $ONE $TWO; pwd; cat /proc/self/cgroup; exit 5";
    let flags =
        ["-u", "7:8", "-e", "ONE=1", "--env", "TWO=2", "--cwd", "/bin", &world.id, "sh", "-c", script];
    let done = exec(&flags);
    assert_eq!(done.code, 5, "{}", done.err);
    assert!(done.out.starts_with("7\n8\n1 2\n/bin\n"), "{}", done.out);
    // In a cgroup namespace, which is the default on v2, the container's cgroup is the root.
    assert!(done.out.contains(&world.id) || done.out.ends_with("\n0::/\n"), "in its cgroup: {}", done.out);
    assert_eq!(exec(&[&world.id, "sh", "-c", "kill -9 $$"]).code, 137);
    let done = exec(&[&world.id, "nope"]);
    assert_eq!(done.code, 255);
    assert!(done.err.contains("executable file not found in $PATH"), "{}", done.err);
    let script =
        "while read name value; do case $name in CapBnd:) echo $value;; esac; done < /proc/self/status";
    let bounding = |flags: &[&str]| exec(&[flags, &[&world.id, "sh", "-c", script]].concat()).ok();
    assert_eq!(bounding(&[]), "0000000020000420\n");
    assert_eq!(bounding(&["--cap", "CAP_SYS_ADMIN"]), "0000000020200420\n");
    assert!(exec(&["-u", "bob", &world.id, "true"]).failed().contains("as int for uid failed"));
    assert!(exec(&["--cgroup", "nope", &world.id, "true"]).failed().contains("there is no cgroup"));
    world.oci(&["kill", &world.id, "KILL"]).ok();
    world.wait_for_status("stopped");
    assert!(exec(&[&world.id, "true"]).failed().contains("cannot exec in a stopped container"));
}

#[test]
fn a_process_described_in_a_file_and_left_alone() {
    let Some(world) = World::new(&["sleep", "100"]) else { return };
    world.launch(&["run", "-d"]).ok();
    let (file, pid_file) = (world.path("process.json"), world.path("pid"));
    let process = json!({
        "args": ["sh", "-c", "echo $A > /told; exec sleep 100"],
        "env": ["A=told", "PATH=/bin"],
        "cwd": "/",
        "user": { "uid": 0, "gid": 0 },
    });
    std::fs::write(&file, process.to_string()).unwrap();
    let (file, pid_path) = (file.to_str().unwrap(), pid_file.to_str().unwrap());
    world.verb(&["exec", "--detach", "--pid-file", pid_path, "--process", file]).ok();
    wait_until("the process", || world.file("told") == "told\n");
    let pid: i64 = std::fs::read_to_string(&pid_file).unwrap().parse().unwrap();
    let pids: Vec<i64> = serde_json::from_str(&world.verb(&["ps", "-f", "json"]).ok()).unwrap();
    assert!(pids.contains(&pid), "{pids:?} {pid}");
    std::fs::write(file, r#"{"args":["true"],"cwd":"/","user":{"uid":-1,"gid":0}}"#).unwrap();
    assert!(world.verb(&["exec", "-p", file]).failed().contains("user.uid: invalid value"));
}

/// Receives a terminal's master and what was written to it.
fn receive(listener: &UnixListener) -> std::fs::File {
    let (socket, _) = listener.accept().unwrap();
    let (count, mut fds) = sys::fdpass::recv(&socket, &mut [0; 4096]).unwrap();
    assert!(count > 0);
    std::fs::File::from(fds.remove(0))
}

fn read_until(master: &mut std::fs::File, text: &str) -> String {
    let mut all = String::new();
    let mut buffer = [0; 4096];
    while !all.contains(text) {
        match master.read(&mut buffer) {
            Ok(count) if count > 0 => all.push_str(&String::from_utf8_lossy(&buffer[..count])),
            _ => break,
        }
    }
    all
}

#[test]
fn terminals_go_to_the_console_socket() {
    let Some(world) = World::new(&["sh", "-c", "tty; stty size; exec sleep 100"]) else { return };
    world.change(|config| {
        config["process"]["terminal"] = json!(true);
        config["process"]["consoleSize"] = json!({ "height": 33, "width": 99 });
    });
    assert!(world.launch(&["create"]).failed().contains("without setting console socket"));
    let path = world.path("console.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let path = path.to_str().unwrap();
    world.launch(&["create", "--console-socket", path]).ok();
    let mut master = receive(&listener);
    world.verb(&["start"]).ok();
    let said = read_until(&mut master, "33 99");
    assert!(said.contains("/dev/pts/0") && said.contains("33 99"), "{said}");

    let script = "tty; echo said";
    world.oci(&["exec", "-d", "-t", "--console-socket", path, &world.id, "sh", "-c", script]).ok();
    let said = read_until(&mut receive(&listener), "said");
    assert!(said.contains("/dev/pts/1") && said.contains("said"), "{said}");
    let error = world.oci(&["exec", "-t", "-d", &world.id, "true"]).failed();
    assert!(error.contains("without setting console socket"), "{error}");
    // Who cannot be given the terminal has no container.
    world.oci(&["delete", "-f", &world.id]).ok();
    let error = world.launch(&["create", "--console-socket", "/nope"]).failed();
    assert!(error.contains("send the terminal to console socket /nope"), "{error}");
    world.check_nothing_left();
}

#[test]
fn descriptors_are_passed_on_only_if_told() {
    let script = "ls /proc/self/fd; cat <&3; echo $LISTEN_FDS $LISTEN_PID";
    let Some(world) = World::new(&["sh", "-c", script]) else { return };
    std::fs::write(world.path("three"), "three\n").unwrap();
    let bundle = world.bundle();
    let shell = |flags: &str| {
        let naru = world.command(&["run"]);
        let words: Vec<_> = naru.get_args().map(|word| word.to_str().unwrap()).collect();
        let line = format!(
            "exec 3<three 4<three; {} {} {flags} --bundle {} {}",
            crate::world::NARU,
            words.join(" "),
            bundle.display(),
            world.id
        );
        let output = std::process::Command::new("sh")
            .args(["-c", &line])
            .current_dir(world.path(""))
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let passed = shell("--preserve-fds 1");
    assert!(passed.contains("\nthree\n"), "{passed}");
    let kept = shell("");
    assert!(!kept.contains("three"), "{kept}");
    let listening = shell("--preserve-fds=0").replace('\n', " ");
    assert!(!listening.contains("three"), "{listening}");
}
