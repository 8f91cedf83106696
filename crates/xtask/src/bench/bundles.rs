//! The bare runtimes, which only run a prepared bundle: `naru oci run` beside crun and runc, of a static `true` with runc's default
//! configuration. In a mount namespace without the v2 part of hybrid cgroups, which crun refuses.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::peers::{Bench, find};
use super::table::{self, Row};
use super::timed;

/// Set in the copy of this program that measures: the bundle and the number of rounds follow.
pub const APART: &str = "--bundles";

/// Makes the bundle and measures.
pub fn print(bench: &Bench, rounds: usize) -> Result<()> {
    let Some(runc) = find("runc") else {
        println!("left out: bundles: runc is not installed");
        return Ok(());
    };
    let bundle = make(bench, &runc)?;
    let status = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c"])
        .arg("! [ -d /sys/fs/cgroup/unified ] || umount /sys/fs/cgroup/unified; exec \"$0\" \"$@\"")
        .arg(std::env::current_exe().context("find this program")?)
        .args(["bench", super::INSIDE, "--rounds", &rounds.to_string(), APART])
        .args([bundle.as_os_str(), bench.naru().program().as_os_str()])
        .status()
        .context("run unshare (util-linux)")?;
    ensure!(status.success(), "bundles: failed");
    Ok(())
}

/// runc's default configuration without a terminal.
fn make(bench: &Bench, runc: &Path) -> Result<PathBuf> {
    let bundle = bench.path("bundle");
    std::fs::create_dir_all(bundle.join("rootfs/bin"))?;
    let quiet = super::launch::compile(bench, "quiet", "int main(void) { return 0; }", &["-static"])?;
    std::fs::copy(quiet, bundle.join("rootfs/bin/true"))?;
    let output = Command::new(runc).arg("spec").current_dir(&bundle).output()?;
    ensure!(output.status.success(), "runc spec: {}", String::from_utf8_lossy(&output.stderr));
    let path = bundle.join("config.json");
    let mut config: serde_json::Value = serde_json::from_slice(&std::fs::read(&path)?)?;
    config["process"]["terminal"] = false.into();
    config["process"]["args"] = serde_json::json!(["/bin/true"]);
    std::fs::write(path, serde_json::to_vec(&config)?)?;
    Ok(bundle)
}

/// In the copy: all runtimes, round by round.
pub fn measure(bundle: &Path, naru: &Path, rounds: usize) -> Result<()> {
    let runtimes: Vec<(&str, PathBuf, &[&str])> = [("naru", Some(naru.to_owned()), &["oci"][..])]
        .into_iter()
        .chain(["crun", "runc"].map(|name| (name, find(name), &[][..])))
        .filter_map(|(name, program, words)| Some((name, program?, words)))
        .collect();
    let state = tempfile::tempdir()?;
    let run = |name: &str, program: &Path, words: &[&str], round: usize| {
        let mut command = Command::new(program);
        command.args(words).arg("--root").arg(state.path().join(name)).args(["run", "--bundle"]);
        command.arg(bundle).arg(format!("bench-{name}-{round}")).stdin(Stdio::null());
        command
    };
    let mut row = Row::new("oci run of a bundle, runc's default configuration")
        .at_most(0.8, "crun")
        .at_most(0.3, "runc");
    let mut refused = Vec::new();
    for round in 0..=rounds {
        for (name, program, words) in &runtimes {
            if refused.contains(name) {
                continue;
            }
            match timed(run(name, program, words, round)) {
                Ok(took) if round > 0 => row.add(name, took),
                Ok(_) => {}
                // A runtime may refuse this machine's cgroup layout: then it is no peer here.
                Err(error) if round == 0 && *name != "naru" => {
                    println!("left out: {error:#}");
                    refused.push(name);
                }
                Err(error) => return Err(error),
            }
        }
    }
    table::print(&[row])
}
