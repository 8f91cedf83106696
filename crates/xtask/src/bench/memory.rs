//! What idles: the proportional set size of one container's helper process, and the resident size of the idle engine.

use std::fs;

use anyhow::{Context, Result};

use super::peers::Bench;

/// `(engine's name, what its command line starts with, what its per-container helper's command line holds)`.
const PROCESSES: &[(&str, &str, &str)] =
    &[("naru", "naru\0engine", "\0monitor"), ("docker", "dockerd", "containerd-shim")];

pub fn print(bench: &Bench) -> Result<()> {
    for peer in bench.peers.iter().filter(|peer| PROCESSES.iter().any(|(name, ..)| *name == peer.name)) {
        peer.ok(&["run", "-d", "--name", "idle", "--network", "none", "busybox", "sleep", "100000"])?;
    }
    // A monitor gives pages back a second after the last request.
    std::thread::sleep(std::time::Duration::from_secs(2));
    println!("memory with one idle container");
    for (name, engine, helper) in PROCESSES {
        let found: Vec<(u64, String)> = processes();
        let helpers: Vec<u64> =
            found.iter().filter(|(_, line)| line.contains(helper)).map(|(pid, _)| *pid).collect();
        let engines: Vec<u64> =
            found.iter().filter(|(_, line)| line.contains(engine)).map(|(pid, _)| *pid).collect();
        for pid in helpers {
            println!("  {name:<10} helper PSS {:>8} KiB", rollup(pid, "Pss:")?);
        }
        for pid in engines {
            println!("  {name:<10} engine RSS {:>8} KiB", rollup(pid, "Rss:")?);
        }
    }
    Ok(())
}

fn processes() -> Vec<(u64, String)> {
    let pids = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid: u64| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        Some((pid, String::from_utf8_lossy(&line).into_owned()))
    })
    .collect()
}

/// A field of `/proc/PID/smaps_rollup`, in KiB.
pub fn rollup(pid: u64, field: &str) -> Result<u64> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&path).with_context(|| path.clone())?;
    let line =
        text.lines().find(|line| line.starts_with(field)).with_context(|| format!("{field} in {path}"))?;
    line.split_whitespace()
        .nth(1)
        .and_then(|number| number.parse().ok())
        .with_context(|| format!("{field} in {path}"))
}

fn engine(name: &str) -> Result<u64> {
    let (_, engine, _) =
        PROCESSES.iter().find(|(known, ..)| *known == name).context("an engine of unknown looks")?;
    let found = processes().into_iter().find(|(_, line)| line.contains(engine));
    found.map(|(pid, _)| pid).with_context(|| format!("no engine of {name}"))
}

/// Counts the most resident memory of an engine from now on.
pub fn forget_peak(name: &str) -> Result<()> {
    let path = format!("/proc/{}/clear_refs", engine(name)?);
    fs::write(&path, "5").with_context(|| path.clone())
}

/// The most resident memory of an engine, in KiB.
pub fn peak(name: &str) -> Result<u64> {
    let path = format!("/proc/{}/status", engine(name)?);
    let text = fs::read_to_string(&path).with_context(|| path.clone())?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).with_context(|| path.clone())?;
    line.trim().trim_end_matches(" kB").parse().with_context(|| path.clone())
}
