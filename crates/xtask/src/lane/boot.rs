//! One boot of the emulated machine: started, listened to, and ended in time whatever it does. A boot that does not come up is
//! tried once more, a test never.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::guest;

const EMULATOR: &str = "qemu-system-x86_64";
/// Bytes of the disk; what nobody wrote takes no room.
const DISK: u64 = 1 << 30;
/// From power-on to the first word of our init.
const BOOT: Duration = Duration::from_secs(120);
/// From there to its last.
const TESTS: Duration = Duration::from_secs(1500);

/// Whether there is an emulator.
pub fn is_possible() -> bool {
    let version =
        Command::new(EMULATOR).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    cfg!(target_arch = "x86_64") && version.is_ok_and(|status| status.success())
}

/// Boots the kernel with the archive and returns what init ended with.
pub fn run(kernel: &Path, archive: &Path, role: &str) -> Result<u32> {
    if let Some(code) = attempt(kernel, archive, role)? {
        return Ok(code);
    }
    println!("lane: the machine did not come up, once more");
    attempt(kernel, archive, role)?.context("the machine did not come up, twice")
}

/// `None`: init never said a word.
fn attempt(kernel: &Path, archive: &Path, role: &str) -> Result<Option<u32>> {
    let machine = Machine::start(kernel, archive, role)?;
    let start = Instant::now();
    let mut deadline = start + BOOT;
    let mut is_up = false;
    loop {
        match machine.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) if line == guest::READY => {
                println!("lane: up after {:.1} s", start.elapsed().as_secs_f64());
                (is_up, deadline) = (true, Instant::now() + TESTS);
            }
            Ok(line) => match line.strip_prefix(guest::EXIT) {
                Some(code) => {
                    println!("lane: done after {:.1} s", start.elapsed().as_secs_f64());
                    return Ok(Some(
                        code.trim().parse().with_context(|| format!("the guest said {line:?}"))?,
                    ));
                }
                None => println!("  {line}"),
            },
            Err(_) if !is_up => return Ok(None),
            Err(RecvTimeoutError::Timeout) => bail!("the tests were not done after {} s", TESTS.as_secs()),
            Err(RecvTimeoutError::Disconnected) => bail!("the machine stopped before the tests were done"),
        }
    }
}

/// A running emulator; killed when dropped.
struct Machine {
    child: Child,
    lines: Receiver<String>,
    _disk: tempfile::NamedTempFile,
}

impl Machine {
    fn start(kernel: &Path, archive: &Path, role: &str) -> Result<Self> {
        // One processor: with two, emulated kernels have crashed. All output is on the serial line.
        let append = format!(
            "console=ttyS0 quiet mitigations=off no_timer_check panic=-1 cgroup_no_v1=all rdinit={} -- {}",
            guest::INIT,
            role
        );
        let disk = tempfile::NamedTempFile::new().context("make the machine's disk")?;
        disk.as_file().set_len(DISK).context("make the machine's disk")?;
        let drive = format!("file={},format=raw,if=virtio,cache=unsafe", disk.path().display());
        let mut child = Command::new(EMULATOR)
            .args(["-machine", "q35", "-accel", "tcg", "-smp", "1", "-cpu", "max", "-m", "3072"])
            .args(["-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio"])
            .arg("-kernel")
            .arg(kernel)
            .arg("-initrd")
            .arg(archive)
            .args(["-append", &append, "-drive", &drive])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("run {EMULATOR}"))?;
        let output = child.stdout.take().context("the emulator's output")?;
        let (sender, lines) = channel();
        // Ends with the emulator.
        std::thread::spawn(move || {
            for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).trim_end().to_owned();
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self { child, lines, _disk: disk })
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
