//! What a start and an `exec` cost in the engine, from the request until the program runs, beside the floor: a bare loop (in C)
//! that makes the same namespaces and mounts, or joins the same, and does nothing else.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

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

/// `POST /containers/…/start` of a container with Docker's defaults and no network.
pub fn start(bench: &Bench, rounds: usize) -> Result<Row> {
    let folders = ["lower", "upper", "work"].map(|name| bench.path(&format!("floor-{name}")));
    for name in ["bin", "dev", "etc", "proc", "sys"] {
        std::fs::create_dir_all(folders[0].join(name))?;
    }
    std::fs::create_dir_all(&folders[1])?;
    std::fs::create_dir_all(&folders[2])?;
    std::fs::copy("/bin/busybox", folders[0].join("bin/true"))?;
    for name in ["hostname", "hosts", "resolv.conf"] {
        std::fs::write(folders[0].join("etc").join(name), "")?;
    }
    let texts: Vec<&str> = folders.iter().filter_map(|folder| folder.to_str()).collect();
    let mut floor = Floor::start(&floor_program(bench)?, &[&["launch"], texts.as_slice()].concat())?;
    let mut engine = Connection::open(&bench.path("naru-run/naru.sock"))?;
    let mut row = Row::new("start: from the request until the program runs").at_most(2.0, "floor");
    for round in 0..=rounds {
        let body = json!({ "Image": "busybox", "Cmd": ["true"], "HostConfig": { "NetworkMode": "none" } });
        let created = engine.ask("POST", "/containers/create", Some(&body))?;
        let id = created["Id"].as_str().context("no id")?.to_owned();
        let before = Instant::now();
        engine.ask("POST", &format!("/containers/{id}/start"), None)?;
        let took = before.elapsed().as_secs_f64() * 1e3;
        engine.ask("POST", &format!("/containers/{id}/wait"), None)?;
        engine.ask("DELETE", &format!("/containers/{id}?force=1"), None)?;
        let bare = floor.round()?;
        if round > 0 {
            row.add("naru", took);
            row.add("floor", bare);
        }
    }
    Ok(row)
}

/// `POST /exec/…/start`, detached.
pub fn exec(bench: &Bench, rounds: usize) -> Result<Row> {
    let mut engine = Connection::open(&bench.path("naru-run/naru.sock"))?;
    let body =
        json!({ "Image": "busybox", "Cmd": ["sleep", "100000"], "HostConfig": { "NetworkMode": "none" } });
    let created = engine.ask("POST", "/containers/create", Some(&body))?;
    let id = created["Id"].as_str().context("no id")?.to_owned();
    engine.ask("POST", &format!("/containers/{id}/start"), None)?;
    let pid = engine.ask("GET", &format!("/containers/{id}/json"), None)?["State"]["Pid"].to_string();
    let mut floor = Floor::start(&floor_program(bench)?, &["exec", &pid])?;
    let mut row = Row::new("exec: from the request until the program runs").at_most(2.5, "floor");
    for round in 0..=rounds {
        let created =
            engine.ask("POST", &format!("/containers/{id}/exec"), Some(&json!({ "Cmd": ["true"] })))?;
        let exec = created["Id"].as_str().context("no id")?.to_owned();
        let before = Instant::now();
        engine.ask("POST", &format!("/exec/{exec}/start"), Some(&json!({ "Detach": true })))?;
        let took = before.elapsed().as_secs_f64() * 1e3;
        let bare = floor.round()?;
        if round > 0 {
            row.add("naru", took);
            row.add("floor", bare);
        }
    }
    engine.ask("DELETE", &format!("/containers/{id}?force=1"), None)?;
    Ok(row)
}
