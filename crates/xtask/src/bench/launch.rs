//! What a start and an `exec` cost in the engine, from the request until the program runs, beside the floor: a bare loop (in C)
//! that makes the same namespaces and mounts, or joins the same, and does nothing else.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::api::Connection;
use super::peers::Bench;
use super::table::Row;

/// The floor's program, one round for every line.
struct Floor {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Floor {
    fn start(program: &Path, arguments: &[&str]) -> Result<Self> {
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("run the floor's program")?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let output = BufReader::new(output.context("its output")?);
        Ok(Self { child, input: input.context("its input")?, output })
    }

    /// Milliseconds of one round.
    fn round(&mut self) -> Result<f64> {
        self.input.write_all(b"\n")?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        let nanoseconds: f64 = line.trim().parse().context("the floor failed")?;
        Ok(nanoseconds / 1e6)
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Compiles a C source into the bench's folder.
pub fn compile(bench: &Bench, name: &str, source: &str, flags: &[&str]) -> Result<std::path::PathBuf> {
    let (file, program) = (bench.path(&format!("{name}.c")), bench.path(name));
    std::fs::write(&file, source)?;
    let mut compiler = Command::new("cc");
    let output =
        compiler.args(["-O2", "-o"]).arg(&program).arg(&file).args(flags).output().context("run cc")?;
    ensure!(output.status.success(), "cc {name}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(program)
}

fn floor_program(bench: &Bench) -> Result<std::path::PathBuf> {
    compile(bench, "floor", include_str!("floor.c"), &["-static"])
}

/// Compiles the program that is started, and makes an image of it; where it is.
fn stamp(bench: &Bench) -> Result<std::path::PathBuf> {
    let flags = ["-static", "-nostdlib", "-fno-stack-protector", "-fno-builtin", "-fcf-protection=none"];
    let program = compile(bench, "stamp", include_str!("stamp.c"), &flags)?;
    let archive = bench.path("stamp.tar");
    let mut tar = tar::Builder::new(std::fs::File::create(&archive)?);
    for (name, path) in [("bin/stamp", program.as_path()), ("bin/busybox", Path::new("/bin/busybox"))] {
        tar.append_path_with_name(path, name)?;
    }
    for name in ["dev", "etc", "proc", "sys", "stamps"] {
        tar.append_dir(name, bench.dir.path())?;
    }
    tar.finish()?;
    let archive = archive.to_str().context("a folder without a name")?;
    bench.naru().ok(&["import", archive, "stamp"])?;
    Ok(program)
}

/// The clock that the started program reads, in milliseconds.
fn now() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
}

/// What the program has written.
fn milliseconds(stamp: &[u8]) -> Result<f64> {
    let text = std::str::from_utf8(stamp)?;
    let nanoseconds: f64 = text.trim().parse().with_context(|| format!("the program wrote {text:?}"))?;
    Ok(nanoseconds / 1e6)
}

/// Lets what came before come to its end: removals, and what is made ready for the next round. Both sides begin from there: caches as
/// cold, and processors as idle, as for somebody who starts a container now and then.
pub fn settle() {
    std::thread::sleep(std::time::Duration::from_millis(30));
}

/// `POST /containers/…/start` of a container with Docker's defaults and no network. What is compared with the floor is the launch:
/// from the moment before the request is written until the container's program runs, by the program's own clock, so that the
/// request's way to the engine is in it, and the answer's way back is not. The second row has all of it, the third is the launch of the
/// same container when it is started again: nothing of it is made before the request then.
pub fn start(bench: &Bench, rounds: usize) -> Result<[Row; 3]> {
    let stamp = stamp(bench)?;
    let folders = ["lower", "upper", "work"].map(|name| bench.path(&format!("floor-{name}")));
    for name in ["bin", "dev", "etc", "proc", "sys"] {
        std::fs::create_dir_all(folders[0].join(name))?;
    }
    std::fs::create_dir_all(&folders[1])?;
    std::fs::create_dir_all(&folders[2])?;
    std::fs::copy(stamp, folders[0].join("bin/stamp"))?;
    for name in ["hostname", "hosts", "resolv.conf"] {
        std::fs::write(folders[0].join("etc").join(name), "")?;
    }
    let texts: Vec<&str> = folders.iter().filter_map(|folder| folder.to_str()).collect();
    let mut floor = Floor::start(&floor_program(bench)?, &[&["launch"], texts.as_slice()].concat())?;
    let mut engine = Connection::open(&bench.path("naru-run/naru.sock"))?;
    let mut launch = Row::new("start: from the request until the program runs").at_most(2.0, "floor");
    let mut whole = Row::new("start: from the request until its answer");
    let mut again = Row::new("start again: from the request until the program runs");
    for round in 0..=rounds {
        let body =
            json!({ "Image": "stamp", "Cmd": ["/bin/stamp"], "HostConfig": { "NetworkMode": "none" } });
        let created = engine.ask("POST", "/containers/create", Some(&body))?;
        let id = created["Id"].as_str().context("no id")?.to_owned();
        let mut launched = || -> Result<[f64; 2]> {
            settle();
            let before = now();
            engine.ask("POST", &format!("/containers/{id}/start"), None)?;
            let answered = now();
            engine.ask("POST", &format!("/containers/{id}/wait"), None)?;
            let output = engine.bytes("GET", &format!("/containers/{id}/logs?stdout=1&tail=1"))?;
            // After the header of the stream's one frame.
            let ran = milliseconds(output.get(8..).unwrap_or_default())?;
            Ok([ran - before, answered - before])
        };
        let ([first, answered], [second, _]) = (launched()?, launched()?);
        engine.ask("DELETE", &format!("/containers/{id}?force=1"), None)?;
        settle();
        let bare = floor.round()?;
        if round > 0 {
            launch.add("naru", first);
            launch.add("floor", bare);
            whole.add("naru", answered);
            again.add("naru", second);
            again.add("floor", bare);
        }
    }
    Ok([launch, whole, again])
}

/// `POST /exec/…/start`, detached; as above.
pub fn exec(bench: &Bench, rounds: usize) -> Result<[Row; 2]> {
    stamp(bench)?;
    let stamps = bench.path("stamps");
    std::fs::create_dir_all(&stamps)?;
    let mut engine = Connection::open(&bench.path("naru-run/naru.sock"))?;
    let bind = format!("{}:/stamps", stamps.display());
    let body = json!({ "Image": "stamp", "Cmd": ["/bin/busybox", "sleep", "100000"],
        "HostConfig": { "NetworkMode": "none", "Binds": [bind] } });
    let created = engine.ask("POST", "/containers/create", Some(&body))?;
    let id = created["Id"].as_str().context("no id")?.to_owned();
    engine.ask("POST", &format!("/containers/{id}/start"), None)?;
    let pid = engine.ask("GET", &format!("/containers/{id}/json"), None)?["State"]["Pid"].to_string();
    let mut floor = Floor::start(&floor_program(bench)?, &["exec", &pid])?;
    let mut launch = Row::new("exec: from the request until the program runs").at_most(2.5, "floor");
    let mut whole = Row::new("exec: from the request until its answer");
    for round in 0..=rounds {
        let file = stamps.join(round.to_string());
        let command = ["/bin/stamp".to_owned(), format!("/stamps/{round}")];
        let created =
            engine.ask("POST", &format!("/containers/{id}/exec"), Some(&json!({ "Cmd": command })))?;
        let exec = created["Id"].as_str().context("no id")?.to_owned();
        settle();
        let before = now();
        engine.ask("POST", &format!("/exec/{exec}/start"), Some(&json!({ "Detach": true })))?;
        let answered = now();
        while engine.ask("GET", &format!("/exec/{exec}/json"), None)?["Running"] != false {
            std::thread::yield_now();
        }
        let ran = milliseconds(&std::fs::read(&file)?)?;
        settle();
        let bare = floor.round()?;
        if round > 0 {
            launch.add("naru", ran - before);
            launch.add("floor", bare);
            whole.add("naru", answered - before);
        }
    }
    engine.ask("DELETE", &format!("/containers/{id}?force=1"), None)?;
    Ok([launch, whole])
}
