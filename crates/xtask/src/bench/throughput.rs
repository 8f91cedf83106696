//! iperf3 between containers, from the host to a published port by its own address, and through 127.0.0.1. Beside Docker as it is,
//! whose proxy serves 127.0.0.1, a second dockerd without the proxy runs in a network namespace of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::peers::{Bench, NO_PROXY, Peer, find};
use super::table::Row;

const IMAGE: &str = "iperf";
const PORT: &str = "5201";
const SECONDS: &str = "2";

/// Where a peer's containers run, and what its clients are told to connect to.
struct Side<'a> {
    peer: &'a Peer,
    /// The process whose network namespace is the host; None is ours.
    host: Option<u32>,
    server: String,
    program: String,
}

/// What is measured: where the client is, and what it connects to.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Containers,
    Published,
    Loopback,
    Loopback6,
}

pub fn measure(bench: &Bench, rounds: usize) -> Result<Vec<Row>> {
    let Some(iperf) = find("iperf3") else {
        println!("left out: iperf3 is not installed");
        return Ok(Vec::new());
    };
    let program = iperf.display().to_string();
    let layout = bench.path(IMAGE);
    image(&layout, &iperf)?;
    bench.push_layout(&layout, IMAGE)?;
    let without_proxy = bench.docker_without_proxy()?;
    let alone = without_proxy.iter().map(|(peer, pid)| (peer, Some(*pid)));
    let mut sides = Vec::new();
    for (peer, host) in bench.peers.iter().map(|peer| (peer, None)).chain(alone) {
        if peer.name == "podman" {
            continue;
        }
        match host {
            None => bench.give(peer, IMAGE)?,
            Some(_) => bench.copy(bench.naru(), peer, IMAGE)?,
        }
        // Engines side by side on one host need ports of their own.
        let publish = format!("{}:{PORT}", port_of(peer));
        peer.ok(&["run", "-d", "--name", "iperf-server", "-p", &publish, IMAGE, &program, "-s"])?;
        peer.ok(&["run", "-d", "--name", "iperf-client", IMAGE, "sleep", "100000"])?;
        let server =
            peer.ok(&["inspect", "-f", "{{.NetworkSettings.Networks.bridge.IPAddress}}", "iperf-server"])?;
        sides.push(Side { peer, host, server, program: program.clone() });
    }
    let unit = "Gbit/s";
    let mut rows = vec![
        (Way::Containers, Row::of("throughput, container to container", unit).at_least(0.98, NO_PROXY)),
        (Way::Published, Row::of("throughput, host to published port", unit).at_least(0.98, NO_PROXY)),
        (
            Way::Loopback,
            // Not the five times docker-proxy that one may wish for: plain loopback carries less than twice as much.
            Row::of("throughput, through 127.0.0.1", unit).at_least(0.98, NO_PROXY).at_least(1.0, "docker"),
        ),
        (Way::Loopback6, Row::of("throughput, through [::1]", unit).at_least(1.0, "docker")),
    ];
    for (way, row) in &mut rows {
        for round in 0..=rounds {
            for side in &sides {
                // Without its proxy, Docker has nothing there.
                if *way == Way::Loopback6 && side.host.is_some() {
                    continue;
                }
                let rate = side.measure(*way)?;
                // The first opens caches and starts the server's threads.
                if round > 0 {
                    row.add(&side.peer.name, rate);
                }
            }
        }
    }
    for side in &sides {
        side.peer.ok(&["rm", "-f", "iperf-server", "iperf-client"])?;
    }
    Ok(rows.into_iter().map(|(_, row)| row).collect())
}

fn port_of(peer: &Peer) -> String {
    let number = match peer.name.as_str() {
        "naru" => 15_201,
        "docker" => 15_202,
        _ => 15_203,
    };
    number.to_string()
}

impl Side<'_> {
    /// Gbit/s that arrive.
    fn measure(&self, way: Way) -> Result<f64> {
        let mut command = self.client(way);
        let output = command.output().context("run iperf3")?;
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "{}: {command:?}: {text}", self.peer.name);
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).context("iperf3's report")?;
        let rate = report["end"]["sum_received"]["bits_per_second"].as_f64();
        Ok(rate.context("iperf3 reports no rate")? / 1e9)
    }

    fn client(&self, way: Way) -> Command {
        let (port, gateway) = (port_of(self.peer), self.gateway());
        let address = match way {
            Way::Containers => {
                let program = self.program.as_str();
                return self.peer.command(&[
                    "exec",
                    "iperf-client",
                    program,
                    "-c",
                    &self.server,
                    "-J",
                    "-t",
                    SECONDS,
                ]);
            }
            Way::Published => &gateway,
            Way::Loopback => "127.0.0.1",
            Way::Loopback6 => "::1",
        };
        let mut command = match self.host {
            None => Command::new(&self.program),
            Some(pid) => {
                let mut command = Command::new("nsenter");
                command.args(["-n", "-t", &pid.to_string()]).arg(&self.program);
                command
            }
        };
        command.args(["-c", address, "-p", &port, "-J", "-t", SECONDS]).stdin(Stdio::null());
        command
    }

    /// The host's own address that is always there: the bridge's.
    fn gateway(&self) -> String {
        let server: std::net::Ipv4Addr = self.server.parse().unwrap_or(std::net::Ipv4Addr::LOCALHOST);
        let [a, b, ..] = server.octets();
        format!("{a}.{b}.0.1")
    }
}

/// iperf3 with the libraries that it asks for, over busybox.
fn image(layout: &Path, program: &Path) -> Result<()> {
    let output = Command::new("ldd").arg(program).output().context("run ldd")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let libraries = text.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from);
    let mut files: Vec<PathBuf> = libraries.collect();
    files.push(program.to_owned());
    super::image::busybox_with(layout, &files)
}
