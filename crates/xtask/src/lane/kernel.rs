//! A distribution's kernel: fetched with the distribution's own tool (which checks signatures), unpacked and kept, never installed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::output;

/// Debian's kernel for virtual machines: small, and with every cgroup controller.
pub const DEFAULT: &str = "linux-image-cloud-amd64";

/// An unpacked kernel.
pub struct Kernel {
    /// As `uname -r` says.
    pub release: String,
    /// What the emulator boots.
    pub image: PathBuf,
    /// Where its modules are.
    modules: PathBuf,
}

/// Fetches and unpacks the kernel that a package stands for, unless that was done before. `None` when there is no such package.
pub fn fetch(folder: &Path, package: &str) -> Result<Option<Kernel>> {
    let Some(package) = real_package(package)? else { return Ok(None) };
    let unpacked = folder.join(&package);
    if !unpacked.exists() {
        std::fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
        // Half of it is never taken for all of it: the last step is a rename.
        let work = tempfile::tempdir_in(folder).context("make a folder for the kernel")?;
        output(Command::new("apt-get").args(["download", "-qq", &package]).current_dir(&work))?;
        let archive = only_file(work.path(), "")?;
        let content = work.path().join("content");
        output(Command::new("dpkg-deb").arg("-x").arg(archive).arg(&content))?;
        std::fs::rename(&content, &unpacked).with_context(|| format!("create {}", unpacked.display()))?;
    }
    let image = only_file(&unpacked.join("boot"), "vmlinuz-")?;
    let name = image.file_name().unwrap_or_default().to_string_lossy();
    let release = name.trim_start_matches("vmlinuz-").to_owned();
    let modules = unpacked.join("lib/modules").join(&release);
    Ok(Some(Kernel { release, image, modules }))
}

/// `linux-image-cloud-amd64` depends on the kernel that is the present one.
fn real_package(package: &str) -> Result<Option<String>> {
    let Ok(output) = Command::new("apt-cache").args(["depends", package]).output() else { return Ok(None) };
    if !output.status.success() || output.stdout.is_empty() {
        return Ok(None);
    }
    let text = String::from_utf8(output.stdout).context("apt-cache's answer")?;
    let depends = text.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
    let kernel = depends.into_iter().find(|name| name.starts_with("linux-image-"));
    Ok(Some(kernel.unwrap_or(package).to_owned()))
}

fn only_file(folder: &Path, prefix: &str) -> Result<PathBuf> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))?;
    let mut paths = entries.filter_map(|entry| entry.ok()).map(|entry| entry.path());
    let begins = |path: &PathBuf| {
        path.is_file()
            && path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(prefix))
    };
    paths.find(begins).with_context(|| format!("no file {prefix}… in {}", folder.display()))
}

impl Kernel {
    /// The contents of these modules and all that they need, in an order in which they can be loaded. What this kernel has built
    /// in has no file and is left out.
    pub fn modules(&self, wanted: &[&str]) -> Result<Vec<Vec<u8>>> {
        let mut files = BTreeMap::new();
        list(&self.modules, &mut files)?;
        let mut order = Vec::new();
        for name in wanted {
            self.add(name, &files, &mut order)?;
        }
        Ok(order.into_iter().map(|(_, content)| content).collect())
    }

    fn add(
        &self,
        name: &str,
        files: &BTreeMap<String, PathBuf>,
        order: &mut Vec<(String, Vec<u8>)>,
    ) -> Result<()> {
        let Some(file) = files.get(name) else { return Ok(()) };
        if order.iter().any(|(there, _)| there == name) {
            return Ok(());
        }
        let content = match file.extension().is_some_and(|extension| extension == "xz") {
            true => output(Command::new("xz").arg("-dc").arg(file))?,
            false => std::fs::read(file).with_context(|| format!("read {}", file.display()))?,
        };
        for needed in needs(&content) {
            self.add(&needed, files, order)?;
        }
        order.push((name.to_owned(), content));
        Ok(())
    }
}

/// Module names to files, in a whole tree. Names are written with `_`, file names with either.
fn list(folder: &Path, files: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    for entry in std::fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))? {
        let path = entry.with_context(|| format!("list {}", folder.display()))?.path();
        if path.is_dir() {
            list(&path, files)?;
        } else if let Some((name, _)) =
            path.file_name().and_then(|name| name.to_str()).and_then(|name| name.split_once(".ko"))
        {
            files.insert(name.replace('-', "_"), path.clone());
        }
    }
    Ok(())
}

/// What a module needs: its section `.modinfo` holds texts ended by zeros, one of them `depends=a,b`.
fn needs(module: &[u8]) -> Vec<String> {
    let text = module.split(|byte| *byte == 0).find_map(|text| text.strip_prefix(b"depends="));
    let text = String::from_utf8_lossy(text.unwrap_or_default()).replace('-', "_");
    text.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}
