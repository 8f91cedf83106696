//! `cargo xtask bench`: Naru against the peers that are installed, in one run, interleaved round by round, so that a noisy
//! machine is noisy for all of them. Prints medians in milliseconds and each peer's ratio to Naru; the ratios are the result.
//!
//! Everything happens inside a network and mount namespace of its own with temporary roots, and is gone afterwards.

mod api;
mod bundles;
mod filter;
mod image;
mod images;
mod launch;
mod many;
mod memory;
mod names;
mod network;
mod peers;
mod table;
mod throughput;

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use peers::{Bench, Peer};
use table::Row;

/// Set in the copy of this program that runs inside the namespaces.
const INSIDE: &str = "--inside";

struct Options {
    rounds: usize,
    only: Vec<String>,
    inside: bool,
    /// See [`bundles::APART`]: the bundle and the program.
    bundles: Option<(PathBuf, PathBuf)>,
}

const NAMES: &str = "run-none, run-bridge, exec, pull, pull-large, pull-delta, transfers, rmi-many, images, ps, memory, oci, launch, exec-floor, seccomp, many, network, network-many, names, throughput";

pub fn run(arguments: &[String]) -> Result<()> {
    if arguments.first().is_some_and(|argument| argument == names::ASK) {
        return names::ask();
    }
    let options = Options::parse(arguments)?;
    if let Some((bundle, naru)) = &options.bundles {
        return bundles::measure(bundle, naru, options.rounds);
    }
    if !options.inside {
        return enter_namespaces(arguments);
    }
    let root = crate::tidy::workspace_root()?;
    let naru = release_binary(&root)?;
    let size = std::fs::metadata(&naru).with_context(|| format!("{}", naru.display()))?.len();
    println!("binary: {:.1} MiB", size as f64 / 1_048_576.0);

    let bench = Bench::start(naru)?;
    let wanted = |name: &str| options.only.is_empty() || options.only.iter().any(|only| only == name);
    let mut rows = Vec::new();
    if wanted("run-none") {
        let command = |peer: &Peer| peer.command(&["run", "--rm", "--network", "none", "busybox", "true"]);
        rows.push(measure("run --rm, no network", &bench.peers, options.rounds, command)?);
    }
    if wanted("run-bridge") {
        let command = |peer: &Peer| peer.command(&["run", "--rm", "busybox", "true"]);
        rows.push(measure("run --rm, bridge", &bench.peers, options.rounds, command)?);
    }
    if wanted("exec") {
        for peer in &bench.peers {
            peer.ok(&["run", "-d", "--name", "target", "--network", "none", "busybox", "sleep", "100000"])?;
        }
        rows.push(measure("exec true", &bench.peers, options.rounds, |peer| {
            peer.command(&["exec", "target", "true"])
        })?);
        for peer in &bench.peers {
            peer.ok(&["rm", "-f", "target"])?;
        }
    }
    let few = options.rounds.clamp(1, 5);
    if wanted("pull") {
        rows.push(bench.pull("large", "pull, 200 MB in 5 gzip layers", few, image::large)?);
    }
    if wanted("pull-large") {
        rows.push(bench.pull("huge", "pull, 1 GB in 5 gzip layers", few.min(3), image::huge)?);
    }
    if wanted("pull-delta") {
        rows.push(bench.pull_delta(few)?);
    }
    if wanted("transfers") {
        rows.extend(bench.transfers(few)?);
    }
    if wanted("rmi-many") {
        rows.push(bench.remove_many(few.min(3))?);
    }
    if wanted("images") {
        rows.push(bench.list_images(options.rounds)?);
    }
    if wanted("ps") {
        for peer in &bench.peers {
            for _ in 0..100 {
                peer.ok(&["create", "--network", "none", "busybox", "true"])?;
            }
        }
        rows.push(measure("ps -a, 100 containers", &bench.peers, options.rounds, |peer| {
            peer.command(&["ps", "-a"])
        })?);
    }
    if wanted("launch") {
        rows.extend(launch::start(&bench, options.rounds)?);
    }
    if wanted("exec-floor") {
        rows.extend(launch::exec(&bench, options.rounds)?);
    }
    if wanted("seccomp") {
        rows.extend(filter::install(&bench, options.rounds)?);
    }
    if wanted("network") {
        rows.extend(network::starts(&bench, options.rounds)?);
    }
    if wanted("network-many") {
        rows.extend(network::many(&bench)?);
    }
    if wanted("names") {
        rows.extend(names::measure(&bench, few)?);
    }
    if wanted("throughput") {
        rows.extend(throughput::measure(&bench, few)?);
    }
    let held = table::print(&rows);
    if wanted("memory") {
        memory::print(&bench)?;
    }
    let bundles = if wanted("oci") { bundles::print(&bench, options.rounds) } else { Ok(()) };
    if wanted("many") {
        many::print(&bench)?;
    }
    held.and(bundles)
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self> {
        let mut options = Self { rounds: 15, only: Vec::new(), inside: false, bundles: None };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                INSIDE => options.inside = true,
                "--rounds" => {
                    let value = arguments.next().context("--rounds takes a number")?;
                    options.rounds = value.parse().with_context(|| format!("--rounds {value}"))?;
                }
                "--only" => {
                    let value = arguments.next().with_context(|| format!("--only takes names: {NAMES}"))?;
                    options.only = value.split(',').map(str::to_owned).collect();
                }
                bundles::APART => {
                    let (bundle, naru) = (arguments.next(), arguments.next());
                    options.bundles = bundle.zip(naru).map(|(bundle, naru)| (bundle.into(), naru.into()));
                }
                other => bail!("unknown option {other}"),
            }
        }
        ensure!(options.rounds > 0, "--rounds must be at least 1");
        Ok(options)
    }
}

/// Runs this program again inside fresh namespaces, with its loopback up.
fn enter_namespaces(arguments: &[String]) -> Result<()> {
    let root = crate::tidy::workspace_root()?;
    let built = Command::new(env!("CARGO"))
        .args(["build", "--release", "--locked", "-p", "naru"])
        .current_dir(root)
        .status();
    ensure!(built.context("run cargo build")?.success(), "the release build failed");
    let status = Command::new("unshare")
        .args([
            "--net",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "--mount-proc",
            "--propagation",
            "private",
            "sh",
            "-c",
        ])
        .arg("ip link set lo up && exec \"$0\" \"$@\"")
        .arg(std::env::current_exe().context("find this program")?)
        .args(["bench", INSIDE])
        .args(arguments)
        .status()
        .context("run unshare (util-linux)")?;
    ensure!(status.success(), "the benchmark failed");
    Ok(())
}

fn release_binary(root: &std::path::Path) -> Result<PathBuf> {
    let target = root.join("target");
    let triples = std::fs::read_dir(&target)?.flatten().map(|entry| entry.path().join("release/naru"));
    triples
        .chain([target.join("release/naru")])
        .find(|path| path.is_file())
        .context("no release binary in target/")
}

/// Runs the command once for each peer and round, in turn, after one unmeasured round.
fn measure(name: &str, peers: &[Peer], rounds: usize, command: impl Fn(&Peer) -> Command) -> Result<Row> {
    let mut row = Row::new(name);
    for round in 0..=rounds {
        for peer in peers {
            let took = timed(command(peer)).with_context(|| format!("{name}: {}", peer.name))?;
            if round > 0 {
                row.add(&peer.name, took);
            }
        }
    }
    Ok(row)
}

/// Milliseconds from spawn to exit of a command that must succeed.
fn timed(mut command: Command) -> Result<f64> {
    let start = Instant::now();
    let output = command.output().with_context(|| format!("run {command:?}"))?;
    let took = start.elapsed().as_secs_f64() * 1e3;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(took)
}
