//! The architecture's invariants as checks. Each rule returns the places that break it; `tidy` prints them all and fails if
//! there is one. The rules and their reasons are in ARCHITECTURE.md.

mod dependencies;
mod sources;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

pub fn run() -> Result<()> {
    let root = workspace_root()?;
    let mut faults = dependencies::check(&root)?;
    faults.extend(sources::check(&root)?);
    for fault in &faults {
        eprintln!("tidy: {fault}");
    }
    match faults.len() {
        0 => {
            println!("tidy: ok");
            Ok(())
        }
        count => bail!("{count} broken rule(s)"),
    }
}

/// The folder of the workspace manifest, from wherever cargo runs us.
pub fn workspace_root() -> Result<PathBuf> {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").context("run this as `cargo xtask`")?;
    let root = Path::new(&manifest).ancestors().nth(2).context("xtask sits in crates/xtask")?;
    Ok(root.to_path_buf())
}
