//! `cargo xtask lane`: the tests that touch the kernel, run on a kernel that is not this machine's and whose only cgroup hierarchy
//! is version 2. The kernel is Debian's, unpacked and not installed; the machine is emulated by qemu without hardware help, so that
//! it runs wherever the tests run; its whole file system is an archive in memory that is made here.
//!
//! ```text
//! build tests ─ fetch kernel (kept under target/lane) ─ archive: init (this program), modules, busybox, tests
//!             ─ boot ─ init prints what the tests print, then `EXIT <n>` ─ power off
//! ```

mod archive;
mod boot;
mod guest;
mod kernel;
mod suites;

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use archive::Archive;
use kernel::Kernel;
use suites::Suite;

pub use guest::{is_role as is_guest, main as guest};

struct Options {
    kernels: Vec<String>,
    only: Vec<String>,
    arguments: Vec<String>,
}

/// Runs the chosen suites on each kernel. Where the emulator cannot be had it says so and succeeds.
pub fn run(arguments: &[String]) -> Result<()> {
    let options = Options::parse(arguments)?;
    if !boot::is_possible() {
        println!(
            "skipped: no qemu-system-x86_64 (package qemu-system-x86), so nothing was tested on cgroup v2"
        );
        return Ok(());
    }
    let root = crate::tidy::workspace_root()?;
    let suites = suites::build(&root, |suite| options.wants(suite))?;
    ensure!(!suites.is_empty(), "no suite has such a name");
    let mut result = Ok(());
    for package in &options.kernels {
        let Some(kernel) = kernel::fetch(&root.join("target/lane"), package)? else {
            println!("skipped: this distribution has no package {package}");
            continue;
        };
        println!("lane: Linux {} with cgroup v2 only", kernel.release);
        let (with_systemd, alone): (Vec<_>, Vec<_>) = suites.iter().partition(|suite| suite.systemd);
        for (suites, systemd) in [(alone, false), (with_systemd, true)] {
            if systemd && !Path::new(guest::SYSTEMD).exists() {
                println!("skipped: no systemd to boot (packages systemd, dbus)");
            } else if !suites.is_empty() {
                // Another one's word is wanted all the same.
                result = result.and(run_on(&kernel, &suites, systemd, &options.arguments));
            }
        }
    }
    result
}

fn run_on(kernel: &Kernel, suites: &[&Suite], systemd: bool, arguments: &[String]) -> Result<()> {
    let image = tempfile::NamedTempFile::new().context("make the file for the archive")?;
    let mut archive = Archive::create(image.path())?;
    archive.program(&std::env::current_exe().context("find this program")?, Path::new(guest::INIT))?;
    for (index, module) in kernel.modules(guest::MODULES)?.into_iter().enumerate() {
        archive.content(&Path::new(guest::MODULE_DIR).join(format!("{index:03}.ko")), &module)?;
    }
    for name in guest::PROGRAMS {
        archive.program_with_libraries(Path::new(name))?;
    }
    if systemd {
        for name in guest::SYSTEMD_PROGRAMS {
            archive.program_with_libraries(Path::new(name))?;
        }
        for folder in guest::SYSTEMD_FOLDERS {
            archive.tree(Path::new(folder))?;
        }
    }
    for suite in suites {
        for file in &suite.files {
            archive.program(file, file)?;
        }
    }
    let list: Vec<String> = suites.iter().map(|suite| suite.line(arguments)).collect();
    archive.content(Path::new(guest::LIST), list.join("\n").as_bytes())?;
    archive.finish()?;
    match boot::run(&kernel.image, image.path(), if systemd { guest::SYSTEMD_ROLE } else { guest::ROLE })? {
        0 => Ok(()),
        failed => bail!("{failed} suites failed on Linux {}", kernel.release),
    }
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self> {
        let mut options = Self { kernels: Vec::new(), only: Vec::new(), arguments: Vec::new() };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut names = |what: &str| {
                let value = arguments.next().with_context(|| format!("{argument} takes {what}"))?;
                Ok::<Vec<String>, anyhow::Error>(value.split(',').map(str::to_owned).collect())
            };
            match argument.as_str() {
                "--kernel" => options.kernels = names("names of packages")?,
                "--only" => options.only = names("names of suites")?,
                "--" => options.arguments.extend(arguments.by_ref().cloned()),
                other => bail!("unknown option {other}"),
            }
        }
        if options.kernels.is_empty() {
            options.kernels.push(kernel::DEFAULT.to_owned());
        }
        Ok(options)
    }

    fn wants(&self, suite: &Suite) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == suite.name)
    }
}

/// Runs a command of this machine and returns what it printed.
fn output(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.output().with_context(|| format!("run {command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(output.stdout)
}
