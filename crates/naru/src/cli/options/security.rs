//! `--security-opt`: the engine may be elsewhere, so a seccomp profile is read here and sent as JSON; `systempaths=unconfined`
//! becomes empty lists of masked and read-only paths.

use anyhow::{Context as _, bail};

/// What the options come to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Security {
    pub options: Vec<String>,
    /// Neither masked nor read-only paths.
    pub bare_system_paths: bool,
}

/// Reads all `--security-opt`s.
pub fn security(flags: &[String]) -> anyhow::Result<Security> {
    let mut security = Security::default();
    for flag in flags {
        let (name, value) = match flag.split_once('=').or_else(|| flag.split_once(':')) {
            Some((name, value)) => (name, Some(value)),
            None => (flag.as_str(), None),
        };
        match (name, value) {
            ("systempaths", Some("unconfined")) => security.bare_system_paths = true,
            ("seccomp", Some("unconfined" | "builtin")) => security.options.push(flag.clone()),
            ("seccomp", Some(path)) => security.options.push(format!("seccomp={}", profile(path)?)),
            ("no-new-privileges", _) | (_, Some(_)) => security.options.push(flag.clone()),
            (_, None) => bail!("invalid --security-opt: \"{flag}\""),
        }
    }
    Ok(security)
}

fn profile(path: &str) -> anyhow::Result<String> {
    let text = std::fs::read(path).with_context(|| format!("opening seccomp profile ({path}) failed"))?;
    let json: serde_json::Value = serde_json::from_slice(&text)
        .with_context(|| format!("compacting json for seccomp profile ({path}) failed"))?;
    Ok(json.to_string())
}
