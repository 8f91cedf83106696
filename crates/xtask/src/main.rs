//! The project's own chores: `cargo xtask tidy` checks the rules that no compiler checks, `cargo xtask bench` measures Naru
//! against whatever peers this machine has, `cargo xtask lane` runs tests on another kernel, with cgroup v2 only.

#![forbid(unsafe_code)]

mod bench;
mod lane;
mod tidy;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo xtask tidy
       cargo xtask bench [--rounds N] [--only run-none,run-bridge,exec,pull,pull-large,pull-delta,transfers,rmi-many,images,ps,memory,oci,launch,exec-floor,seccomp,many,network,network-many,names,throughput]
       cargo xtask lane [--kernel PACKAGE,…] [--only SUITE,…] [-- ARGUMENTS OF THE TESTS]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.first().map(String::as_str) {
        Some("tidy") => tidy::run(),
        Some("bench") => bench::run(&arguments[1..]),
        Some("lane") => lane::run(&arguments[1..]),
        Some(role) if lane::is_guest(role) => lane::guest(role),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
