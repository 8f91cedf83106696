//! The user's terminal: its size, raw mode with a guard that ends it, and the keys that detach from a container.

use std::io;
use std::os::fd::AsFd;

use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr};

/// Rows and columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Size {
    /// Rows.
    pub height: u16,
    /// Columns.
    pub width: u16,
}

/// Whether this is a terminal.
pub fn is_terminal(fd: impl AsFd) -> bool {
    isatty(fd)
}

/// The terminal's size; `None` when it is none, or does not know.
pub fn size(fd: impl AsFd) -> Option<Size> {
    let size = tcgetwinsize(fd).ok()?;
    Some(Size { height: size.ws_row, width: size.ws_col })
}

/// Raw mode of a terminal, until dropped.
#[derive(Debug)]
pub struct RawMode<F: AsFd> {
    fd: F,
    before: Termios,
}

impl<F: AsFd> RawMode<F> {
    /// Bytes arrive as they are typed and nothing is echoed, translated or turned into a signal.
    pub fn enter(fd: F) -> io::Result<Self> {
        let before = tcgetattr(&fd)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(&fd, OptionalActions::Now, &raw)?;
        Ok(Self { fd, before })
    }
}

impl<F: AsFd> Drop for RawMode<F> {
    fn drop(&mut self) {
        // The terminal may be gone; there is nobody to tell.
        let _ = tcsetattr(&self.fd, OptionalActions::Now, &self.before);
    }
}

/// The keys that detach when no others are configured: ctrl-p, ctrl-q.
pub const DETACH_KEYS: [u8; 2] = [16, 17];

/// Reads a key sequence such as `ctrl-p,ctrl-q` or `a,b`; the error text is moby's.
pub fn parse_keys(text: &str) -> Result<Vec<u8>, String> {
    text.split(',')
        .map(|key| match key.as_bytes() {
            [byte] => Ok(*byte),
            [b'c' | b'C', b't' | b'T', b'r' | b'R', b'l' | b'L', b'-', key] => match key.to_ascii_lowercase()
            {
                letter @ b'a'..=b'z' => Ok(letter - b'a' + 1),
                b'@' => Ok(0),
                b'[' => Ok(27),
                b'\\' => Ok(28),
                b']' => Ok(29),
                b'^' => Ok(30),
                b'_' => Ok(31),
                _ => Err(format!("Unknown character: '{}'", String::from_utf8_lossy(&[*key]))),
            },
            _ => Err(format!("Unknown character: '{key}'")),
        })
        .collect()
}

/// Finds the detach keys in what a user types.
#[derive(Debug)]
pub struct DetachKeys {
    keys: Vec<u8>,
    /// How many of them were the last bytes.
    matched: usize,
}

impl DetachKeys {
    /// Looks for `keys`; without any, for nothing.
    pub fn new(keys: Vec<u8>) -> Self {
        Self { keys, matched: 0 }
    }

    /// Takes typed bytes; puts what is to be sent into `out` and says whether the sequence is complete. Keys that may be the
    /// beginning of the sequence are held back until it is clear that they are not.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> bool {
        if self.keys.is_empty() {
            out.extend_from_slice(bytes);
            return false;
        }
        for byte in bytes {
            if *byte == self.keys[self.matched] {
                self.matched += 1;
                if self.matched == self.keys.len() {
                    return true;
                }
                continue;
            }
            out.extend_from_slice(&self.keys[..std::mem::take(&mut self.matched)]);
            if *byte == self.keys[0] && self.keys.len() > 1 {
                self.matched = 1;
            } else {
                out.push(*byte);
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_sequences() {
        assert_eq!(parse_keys("ctrl-p,ctrl-q"), Ok(vec![16, 17]));
        assert_eq!(parse_keys("ctrl-@,ctrl-\\,x"), Ok(vec![0, 28, b'x']));
        assert_eq!(parse_keys("ctrl-1"), Err("Unknown character: '1'".to_owned()));
        assert_eq!(parse_keys("foo"), Err("Unknown character: 'foo'".to_owned()));
        assert_eq!(parse_keys(""), Err("Unknown character: ''".to_owned()));
    }

    #[test]
    fn detach_keys_are_found_across_reads_and_swallowed() {
        let mut keys = DetachKeys::new(DETACH_KEYS.to_vec());
        let mut out = Vec::new();
        assert!(!keys.feed(b"a\x10b\x10\x10", &mut out));
        assert!(keys.feed(b"\x11rest", &mut out));
        assert_eq!(out, b"a\x10b\x10");
    }

    #[test]
    fn raw_mode_ends_with_its_guard() {
        use rustix::fs::{Mode, OFlags};
        use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let slave = rustix::fs::open(
            ptsname(&master, Vec::new()).unwrap(),
            OFlags::RDWR | OFlags::NOCTTY,
            Mode::empty(),
        )
        .unwrap();
        let modes = |fd: &rustix::fd::OwnedFd| tcgetattr(fd).unwrap().local_modes;
        let before = modes(&slave);
        let raw = RawMode::enter(&slave).unwrap();
        assert_ne!(modes(&slave), before);
        drop(raw);
        assert_eq!(modes(&slave), before);
        assert!(is_terminal(&slave));
        assert!(!is_terminal(std::fs::File::open("/dev/null").unwrap()));
    }
}
