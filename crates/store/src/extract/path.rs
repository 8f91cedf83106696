//! Names in archives: made clean before anything touches the file system.

use crate::error::Error;

/// A path without empty parts, `.` and `..`; relative, no slash at either end. Empty is the root.
///
/// Cleaning is lexical, as everywhere in Docker: `a/../b` is `b` even if `a` is a link.
///
/// # Errors
/// When the path climbs above the root.
pub(crate) fn clean(path: &[u8]) -> Result<Vec<u8>, Climbs> {
    let mut clean: Vec<u8> = Vec::with_capacity(path.len());
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                if clean.is_empty() {
                    return Err(Climbs);
                }
                let parent = clean.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                clean.truncate(parent);
            }
            part => {
                if !clean.is_empty() {
                    clean.push(b'/');
                }
                clean.extend_from_slice(part);
            }
        }
    }
    Ok(clean)
}

/// As [`clean`], for paths that users type: `..` at the root stays at the root, as in a shell.
pub(crate) fn clean_user_path(path: &[u8]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join(&b'/')
}

/// The path leads above its root.
#[derive(Debug)]
pub(crate) struct Climbs;

/// Splits a clean path into folder and last name.
pub(crate) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

/// `folder/name`, for a clean folder.
pub(crate) fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    match (folder, name) {
        (b"", name) => name.to_vec(),
        (folder, b"") => folder.to_vec(),
        (folder, name) => [folder, b"/", name].concat(),
    }
}

/// A name as messages show it: quoted, escaped, and cut when it is endless.
pub(crate) fn show(path: &[u8]) -> String {
    let text = String::from_utf8_lossy(path);
    match text.char_indices().nth(256) {
        Some((cut, _)) => format!("{:?}…", &text[..cut]),
        None => format!("{text:?}"),
    }
}

/// The error for an entry that can't be accepted.
pub(crate) fn refuse(path: &[u8], why: &str) -> Error {
    Error::corrupt(format!("entry {}: {why}", show(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_and_climbing_is_noticed() {
        let check = |path: &str, want: Option<&str>| {
            let got = clean(path.as_bytes()).ok();
            assert_eq!(got.as_deref(), want.map(str::as_bytes), "{path}");
        };
        check("./a//b/./c/", Some("a/b/c"));
        check("/etc/passwd", Some("etc/passwd"));
        check("a/../b", Some("b"));
        check("a/b/../..", Some(""));
        check("./", Some(""));
        check("", Some(""));
        check("..", None);
        check("a/../../b", None);
        check("/../b", None);
        check("..a/..b", Some("..a/..b"));
        assert_eq!(clean_user_path(b"/../../a/./b/.."), b"a");
    }
}
