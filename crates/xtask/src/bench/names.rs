//! Names looked up in containers: answers per second and how long the slowest take, with a number of questions always under way,
//! and what an answer costs the process that gives it, which says the same on a busy machine. The asking is done by a copy of
//! this program inside the container's network namespace.

use std::net::UdpSocket;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::memory;
use super::peers::{Bench, Peer};
use super::table::Row;

/// Names the copy that asks: it stands for `bench`'s first argument.
pub const ASK: &str = "--ask-names";

const SERVER: &str = "127.0.0.11:53";
const NAME: &str = "server";
/// Questions that are under way at any time.
const WINDOW: u16 = 16;
const LASTING: Duration = Duration::from_secs(2);

pub fn measure(bench: &Bench, rounds: usize) -> Result<Vec<Row>> {
    let peers: Vec<&Peer> = bench.peers.iter().filter(|peer| peer.name != "podman").collect();
    let mut askers = Vec::new();
    for peer in &peers {
        peer.ok(&["network", "create", "names"])?;
        for name in [NAME, "asker"] {
            peer.ok(&["run", "-d", "--name", name, "--network", "names", "busybox", "sleep", "100000"])?;
        }
        let pid = peer.ok(&["inspect", "-f", "{{.State.Pid}}", "asker"])?;
        let server = answering(bench, peer, &pid)?;
        askers.push((*peer, pid, server));
    }
    let mut rows = vec![
        Row::of(&format!("names looked up in a container, {WINDOW} questions under way"), "answers/s")
            .at_least(2.0, "docker"),
        Row::new("  99 of 100 of them are answered within").at_most(1.0, "docker"),
        Row::of("  CPU of the process that answers, for each", "µs"),
        Row::of("memory of a monitor that answers for names (PSS)", "KiB").within(1.8 * 1024.0),
    ];
    for round in 0..=rounds {
        for (peer, pid, server) in &askers {
            let sample = ask_in(pid, *server)?;
            if round > 0 {
                rows.iter_mut().zip(sample).for_each(|(row, value)| row.add(&peer.name, value));
            }
        }
    }
    // A monitor gives pages back a second after the last request.
    std::thread::sleep(Duration::from_secs(2));
    for (peer, _, server) in askers.iter().filter(|(peer, ..)| peer.name == "naru") {
        rows[3].add(&peer.name, memory::rollup(u64::from(*server), "Pss:")? as f64);
    }
    for peer in &peers {
        peer.ok(&["rm", "-f", NAME, "asker"])?;
        peer.ok(&["network", "rm", "names"])?;
    }
    Ok(rows)
}

/// Answers per second, milliseconds within which 99 of 100 come, microseconds of CPU for each.
type Sample = [f64; 3];

/// The process that answers a container: its monitor, or the daemon.
fn answering(bench: &Bench, peer: &Peer, pid: &str) -> Result<u32> {
    if peer.name != "naru" {
        return bench.docker_pid().context("no dockerd");
    }
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).context("no parent")?;
    Ok(parent.trim().parse()?)
}

/// Microseconds of CPU that a process has used (proc(5): ticks of a hundredth of a second).
fn used(pid: u32) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let rest = text.rsplit(')').next().unwrap_or_default();
    let ticks: f64 =
        rest.split_whitespace().skip(11).take(2).filter_map(|word| word.parse::<f64>().ok()).sum();
    Ok(ticks * 1e4)
}

fn ask_in(pid: &str, server: u32) -> Result<Sample> {
    let before = used(server)?;
    let own = std::env::current_exe().context("find this program")?;
    let output = Command::new("nsenter").args(["-n", "-t", pid]).arg(own).args(["bench", ASK]).output()?;
    ensure!(output.status.success(), "ask for names: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    let mut words = text.split_whitespace().map(str::parse);
    match (words.next(), words.next()) {
        (Some(Ok(rate)), Some(Ok(slow))) => {
            let answers: f64 = rate * LASTING.as_secs_f64();
            Ok([rate, slow, (used(server)? - before) / answers])
        }
        _ => anyhow::bail!("ask for names: {text}"),
    }
}

/// Asks, in this network namespace, and prints what came of it.
pub fn ask() -> Result<()> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.connect(SERVER)?;
    socket.set_read_timeout(Some(Duration::from_secs(1)))?;
    let mut sent = vec![Instant::now(); usize::from(WINDOW)];
    for id in 0..WINDOW {
        sent[usize::from(id)] = Instant::now();
        socket.send(&question(id))?;
    }
    let mut took: Vec<f64> = Vec::new();
    let begun = Instant::now();
    let mut buffer = [0; 512];
    while begun.elapsed() < LASTING {
        let count = socket.recv(&mut buffer).context("no answer within a second")?;
        ensure!(count > 12 && buffer[3] & 15 == 0 && buffer[7] > 0, "not the answer that was asked for");
        let id = u16::from_be_bytes([buffer[0], buffer[1]]);
        let slot = sent.get_mut(usize::from(id)).context("an answer to no question")?;
        took.push(slot.elapsed().as_secs_f64() * 1e3);
        *slot = Instant::now();
        socket.send(&question(id))?;
    }
    let rate = took.len() as f64 / begun.elapsed().as_secs_f64();
    took.sort_by(f64::total_cmp);
    println!("{rate} {}", took[took.len() * 99 / 100]);
    Ok(())
}

/// `server` A IN, with recursion desired (RFC 1035 §4.1).
fn question(id: u16) -> Vec<u8> {
    let mut message = id.to_be_bytes().to_vec();
    message.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0, NAME.len() as u8]);
    message.extend(NAME.bytes());
    message.extend([0, 0, 1, 0, 1]);
    message
}
