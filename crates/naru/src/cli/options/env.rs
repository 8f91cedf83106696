//! `-e`, `--env-file`, `--label`, `--label-file`: lines of `NAME=value`; a name alone stands for the value the caller's own
//! environment has.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, bail};

/// One `-e`. A name that our own environment lacks stays alone: it unsets what the image sets.
pub fn env_flag(text: &str) -> Result<String, String> {
    if text.is_empty() || text.starts_with('=') {
        return Err(format!("invalid environment variable: {text}"));
    }
    Ok(match text.contains('=') {
        true => text.to_owned(),
        false => own(text).unwrap_or_else(|| text.to_owned()),
    })
}

fn own(name: &str) -> Option<String> {
    std::env::var(name).ok().map(|value| format!("{name}={value}"))
}

/// Files first, so that flags win.
pub fn environment(files: &[String], flags: &[String]) -> anyhow::Result<Vec<String>> {
    let mut all = Vec::new();
    for file in files {
        all.extend(read(file, own)?);
    }
    all.extend(flags.iter().cloned());
    Ok(all)
}

/// Labels of files, then of flags.
pub fn labels(files: &[String], flags: &[String]) -> anyhow::Result<BTreeMap<String, String>> {
    let mut all = Vec::new();
    for file in files {
        all.extend(read(file, |name| Some(name.to_owned()))?);
    }
    all.extend(flags.iter().cloned());
    Ok(map(&all))
}

/// `name=value` pairs; a name alone has an empty value, and the last word counts.
pub fn map(pairs: &[String]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// One `--label`.
pub fn label_flag(text: &str) -> Result<String, String> {
    match text.is_empty() || text.starts_with('=') {
        true => Err(format!("invalid label '{text}': empty name")),
        false => Ok(text.to_owned()),
    }
}

fn read(path: &str, alone: impl Fn(&str) -> Option<String>) -> anyhow::Result<Vec<String>> {
    let bytes = std::fs::read(Path::new(path)).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => anyhow::anyhow!("open {path}: no such file or directory"),
        _ => anyhow::anyhow!("open {path}: {error}"),
    })?;
    let text = String::from_utf8(bytes)
        .ok()
        .with_context(|| format!("invalid env file ({path}): invalid utf8 bytes"))?;
    let mut lines = Vec::new();
    for line in text.trim_start_matches('\u{feff}').lines() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = line.split_once('=').map_or((line, None), |(name, value)| (name, Some(value)));
        if name.contains(char::is_whitespace) {
            bail!("invalid env file ({path}): variable '{name}' contains whitespaces");
        }
        if name.is_empty() {
            bail!("invalid env file ({path}): no variable name on line '{line}'");
        }
        match value {
            Some(_) => lines.push(line.to_owned()),
            None => lines.extend(alone(name)),
        }
    }
    Ok(lines)
}
