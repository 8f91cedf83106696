//! What installing Docker's default seccomp filter costs, beside the linear program that libseccomp makes of the same names. The
//! kernel runs a new filter for every call that there is, to learn which are always allowed: long ways cost here already.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::launch::compile;
use super::peers::Bench;
use super::table::Row;

/// Docker's default capabilities; the filter depends on them.
const CAPABILITIES: u64 = 0xa804_25fb;

pub fn install(bench: &Bench, rounds: usize) -> Result<Option<Row>> {
    let header = ["/usr/include/seccomp.h", "/usr/local/include/seccomp.h"];
    if !header.iter().any(|path| std::path::Path::new(path).exists()) {
        println!("left out: the filter beside libseccomp's: libseccomp-dev is not installed");
        return Ok(None);
    }
    let rules = seccomp::Profile::docker_default().resolve(CAPABILITIES, (6, 1))?;
    let ours = seccomp::compile_rules(&rules)?.instructions;
    // Its conditions are left out, which makes the other program shorter.
    let mut input = "1\n".to_owned();
    for name in rules
        .syscalls
        .iter()
        .filter(|rule| rule.action == seccomp::Action::Allow)
        .flat_map(|rule| &rule.names)
    {
        input.push_str(name);
        input.push('\n');
    }
    let linear = linear(bench, &input)?;
    println!("filter: {} instructions, libseccomp's {}", ours.len(), linear.len());
    let mut row = Row::new("installing the default seccomp filter").at_most(0.25, "libseccomp");
    for round in 0..=rounds * 4 {
        for (name, program) in [("naru", &ours), ("libseccomp", &linear)] {
            let took = timed(program)?;
            if round > 0 {
                row.add(name, took);
            }
        }
    }
    Ok(Some(row))
}

fn linear(bench: &Bench, input: &str) -> Result<Vec<u64>> {
    let program = compile(bench, "linear", include_str!("linear.c"), &["-lseccomp"])?;
    let mut child = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    child.stdin.take().context("its input")?.write_all(input.as_bytes())?;
    let mut bytes = Vec::new();
    child.stdout.take().context("its output")?.read_to_end(&mut bytes)?;
    ensure!(child.wait()?.success() && bytes.len().is_multiple_of(8), "libseccomp made no filter");
    Ok(bytes.chunks_exact(8).filter_map(|word| word.try_into().ok().map(u64::from_ne_bytes)).collect())
}

/// Milliseconds that a process needs to install a program. Each in a process of its own: filters add up.
fn timed(program: &[u64]) -> Result<f64> {
    let (ours, theirs) = rustix::pipe::pipe()?;
    let child = sys::clone3(0, None, || {
        let installed = rustix::thread::set_no_new_privs(true).map_err(std::io::Error::from).and_then(|()| {
            let before = Instant::now();
            sys::seccomp::install(program, 0)?;
            Ok(before.elapsed())
        });
        let Ok(took) = installed else { return 1 };
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        match rustix::io::write(&theirs, &nanoseconds.to_ne_bytes()) {
            Ok(8) => 0,
            _ => 1,
        }
    })?;
    drop(theirs);
    let mut bytes = [0; 8];
    let read = std::fs::File::from(ours).read_exact(&mut bytes);
    let pid = rustix::process::Pid::from_raw(child.pid).context("its pid")?;
    rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty())?;
    read.context("the filter was not installed")?;
    Ok(u64::from_ne_bytes(bytes) as f64 / 1e6)
}
