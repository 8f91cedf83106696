//! Real containers from a busybox root, started as root. The launcher has to be single-threaded, which the standard harness is
//! not: this one runs every case by executing itself again with the case's name. Takes a filter like the standard one.

mod defaults;
mod errors;
mod exec;
mod isolation;
mod life;
mod mounts;
mod world;

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode, Stdio};

/// A name and what to do; it fails by a panic.
type Case = (&'static str, fn());

const ONE: &str = "--one-case";
/// In a container: be its first process and run what follows.
const INIT: &str = "--init";

fn main() -> ExitCode {
    let cases: Vec<Case> =
        [defaults::CASES, errors::CASES, mounts::CASES, exec::CASES, isolation::CASES, life::CASES].concat();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, name] = arguments.as_slice()
        && flag == ONE
    {
        let (_, body) = cases.iter().find(|(case, _)| case == name).expect("a case");
        body();
        return ExitCode::SUCCESS;
    }
    if let Some((flag, program)) = arguments.split_first()
        && flag == INIT
    {
        return ExitCode::from(u8::try_from(runtime::init(program)).expect("an exit code"));
    }
    if arguments.iter().any(|argument| argument == "--list") {
        for (name, _) in &cases {
            println!("{name}: test");
        }
        return ExitCode::SUCCESS;
    }
    if !rustix::process::geteuid().is_root() {
        println!("skipped: containers are started as root");
        return ExitCode::SUCCESS;
    }
    let filters: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let chosen: Vec<Case> = cases
        .into_iter()
        .filter(|(name, _)| filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str())))
        .collect();
    println!("\nrunning {} tests", chosen.len());
    let failed: Vec<&str> = chosen.into_iter().filter(|case| !run(case)).map(|(name, _)| name).collect();
    println!("\ntest result: {} failed {failed:?}\n", failed.len());
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run((name, _): &Case) -> bool {
    let program = std::env::current_exe().expect("own path");
    let output = Command::new(program).args([ONE, name]).stdin(Stdio::null()).output().expect("run a case");
    let passed = output.status.success();
    println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
    if !passed {
        let signal = output.status.signal().map(|signal| format!("killed by signal {signal}\n"));
        let texts = [String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)];
        println!("---- {name} ----\n{}{}", signal.unwrap_or_default(), texts.concat());
    }
    passed
}
