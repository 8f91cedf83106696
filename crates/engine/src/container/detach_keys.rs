//! `--detach-keys`: `ctrl-p,ctrl-q` as bytes.

use crate::error::{Error, Result};

/// What Docker uses when nothing is said.
const DEFAULT: [u8; 2] = [16, 17];

/// Reads a list of keys; an empty one is the default.
pub(crate) fn parse(text: &str) -> Result<Vec<u8>> {
    if text.is_empty() {
        return Ok(DEFAULT.to_vec());
    }
    let keys: Option<Vec<u8>> = text.split(',').map(key).collect();
    keys.ok_or_else(|| Error::invalid(format!("Invalid detach keys ({text}) provided")))
}

fn key(text: &str) -> Option<u8> {
    match text.as_bytes() {
        [key] => Some(*key),
        _ => match text.strip_prefix("ctrl-")?.as_bytes() {
            [letter @ b'a'..=b'z'] => Some(letter - b'a' + 1),
            [b'@'] => Some(0),
            [sign @ b'['..=b'_'] => Some(sign - b'[' + 27),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn keys_are_read_as_dockers_client_reads_them() {
        for (text, keys) in [
            ("", &[16, 17][..]),
            ("ctrl-p,ctrl-q", &[16, 17]),
            ("a", b"a"),
            ("ctrl-@,ctrl-[,ctrl-\\,ctrl-],ctrl-^,ctrl-_", &[0, 27, 28, 29, 30, 31]),
            ("ctrl-x,y", &[24, b'y']),
        ] {
            assert_eq!(parse(text).unwrap(), keys, "{text}");
        }
        for bad in ["ctrl-", "ctrl-A", "ab", "ctrl-p,", "alt-x"] {
            assert_eq!(parse(bad).unwrap_err().message, format!("Invalid detach keys ({bad}) provided"));
        }
    }
}
