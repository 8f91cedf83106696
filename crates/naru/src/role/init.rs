//! `--init`: the first process of a container, which reaps orphans and passes signals on. See `runtime::init`.

use std::ffi::OsString;

/// Runs the command behind `--` as a child; its exit code.
pub fn run(arguments: &[OsString]) -> i32 {
    let arguments = arguments.strip_prefix(&[OsString::from("--")]).unwrap_or(arguments);
    let words: Vec<String> = arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    runtime::init(&words)
}
