//! Many containers, eight at a time, started and removed: how many a second, and what is left of them.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Result, ensure};

use super::peers::{Bench, Peer};
use super::timed;

const AT_ONCE: usize = 8;

/// How many of ours; the others get fewer, since theirs take so long.
const OURS: usize = 500;
const THEIRS: usize = 60;

pub fn print(bench: &Bench) -> Result<()> {
    println!("run --rm, no network, {AT_ONCE} at a time");
    let before = left(bench)?;
    let mut rates = Vec::new();
    for peer in &bench.peers {
        let count = if peer.name == "naru" { OURS } else { THEIRS };
        let rate = rate(peer, count)?;
        println!("  {:<10} {rate:>9.1} containers a second ({count})", peer.name);
        rates.push(rate);
    }
    let after = left(bench)?;
    println!("  left of {OURS}: {after:?}, before: {before:?}");
    ensure!(before == after, "something is left of {OURS} containers");
    if let Some(best) = rates.iter().skip(1).copied().reduce(f64::max) {
        println!("  {:.1} × the next", rates[0] / best);
    }
    Ok(())
}

fn rate(peer: &Peer, count: usize) -> Result<f64> {
    let next = AtomicUsize::new(0);
    let work = || -> Result<()> {
        while next.fetch_add(1, Ordering::Relaxed) < count {
            timed(peer.command(&["run", "--rm", "--network", "none", "busybox", "true"]))?;
        }
        Ok(())
    };
    let start = Instant::now();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| match thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })?;
    Ok(count as f64 / start.elapsed().as_secs_f64())
}

/// What containers leave if something goes wrong: processes, mounts, cgroups, folders, links.
fn left(bench: &Bench) -> Result<[(&'static str, usize); 5]> {
    let entries = |path: &Path| std::fs::read_dir(path).map_or(0, Iterator::count);
    let processes = std::fs::read_dir("/proc")?.flatten().filter(|entry| {
        std::fs::read(entry.path().join("cmdline"))
            .is_ok_and(|line| String::from_utf8_lossy(&line).contains("\0monitor"))
    });
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
    let ours = bench.path("naru");
    let roots = std::fs::read_dir("/sys/fs/cgroup")?.flatten().map(|hierarchy| hierarchy.path());
    let cgroups = roots.chain(["/sys/fs/cgroup".into()]).map(|root| {
        let folders = std::fs::read_dir(root.join("naru-bench")).into_iter().flatten().flatten();
        folders.filter(|entry| entry.path().is_dir()).count()
    });
    Ok([
        ("monitors", processes.count()),
        ("mounts", mounts.lines().filter(|line| line.contains(&ours.display().to_string())).count()),
        ("cgroups", cgroups.sum()),
        ("folders", entries(&ours.join("containers")) + entries(&bench.path("naru-run/network"))),
        ("links", entries(Path::new("/sys/class/net"))),
    ])
}
