//! Rules about the text of the sources: where `unsafe`, printing, the environment and process exit may appear, that every
//! file says what it owns, and that nothing names the machine it was written on.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The crates that may print, read the environment and exit: the binary, and the tools that are not shipped.
const LOUD_CRATES: &[&str] = &["naru", "xtask", "testkit", "e2e"];

/// Text that the product's other crates must not hold, outside tests, and why.
const QUIET: &[(&str, &str)] = &[
    ("println!", "only the binary prints"),
    ("eprintln!", "only the binary prints"),
    ("print!(", "only the binary prints"),
    ("env::var", "only the binary reads the environment"),
    ("process::exit", "only the binary exits"),
];

pub fn check(root: &Path) -> Result<Vec<String>> {
    let mut faults = Vec::new();
    for folder in sorted(&root.join("crates"))? {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut files = Vec::new();
        rust_files(&folder, &mut files)?;
        for file in files {
            let text = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
            let shown = file.strip_prefix(root).unwrap_or(&file).display().to_string();
            faults.extend(file_faults(&name, &shown, &text));
        }
    }
    Ok(faults)
}

fn file_faults(name: &str, shown: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let is_root = ["src/lib.rs", "src/main.rs"].iter().any(|root| shown.ends_with(root));
    let is_test = shown.contains("/tests/")
        || shown.contains("/benches/")
        || shown.contains("/examples/")
        || shown.ends_with("tests.rs");
    if name != "sys" && is_root && !text.contains("#![forbid(unsafe_code)]") {
        faults.push(format!("{shown}: no #![forbid(unsafe_code)]: unsafe code lives in crate sys alone"));
    }
    if !text.starts_with("//!") {
        faults.push(format!("{shown}: no opening comment that says what the file owns"));
    }
    for (number, line) in shipped_lines(text) {
        if line.contains(concat!("/wo", "rk/")) {
            faults.push(format!("{shown}:{number}: names a path of one machine"));
        }
        if LOUD_CRATES.contains(&name) || is_test {
            continue;
        }
        for (word, why) in QUIET.iter().filter(|(word, _)| has_word(line, word)) {
            faults.push(format!("{shown}:{number}: {}: {why}", word.trim_end_matches('(')));
        }
    }
    faults
}

/// The lines that ship: no comments, and nothing from the file's test module on.
fn shipped_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line))
        .take_while(|(_, line)| line.trim() != "#[cfg(test)]")
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for path in sorted(folder)? {
        if path.is_dir() {
            rust_files(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

fn sorted(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_can_be_broken() {
        let text = "fn f() { println!(\"x\"); std::process::exit(1) }\n";
        let faults = file_faults("store", "crates/store/src/lib.rs", text);
        assert_eq!(faults.len(), 4, "{faults:?}");
    }

    #[test]
    fn tests_and_the_binary_may_print() {
        let text = "//! Doc.\n#![forbid(unsafe_code)]\n#[cfg(test)]\nmod tests { fn f() { println!() } }\n";
        assert!(file_faults("store", "crates/store/src/lib.rs", text).is_empty());
        let text = "//! Doc.\n#![forbid(unsafe_code)]\nfn f() { println!() }\n";
        assert!(file_faults("naru", "crates/naru/src/main.rs", text).is_empty());
    }
}
