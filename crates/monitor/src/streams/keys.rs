//! The detach keys: a sequence of bytes that, typed by a client, disconnects it instead of reaching the terminal.

/// Looks for the sequence in what a client types.
#[derive(Debug, Default)]
pub(super) struct DetachKeys {
    keys: Vec<u8>,
    /// So many bytes of the sequence were typed; they are held back until it is clear what they are.
    typed: usize,
}

impl DetachKeys {
    pub fn new(keys: Vec<u8>) -> Self {
        Self { keys, typed: 0 }
    }

    /// Whether there are any to look for.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Appends to `out` what is for the terminal. True when the sequence is complete; what comes after it is nobody's.
    pub fn filter(&mut self, input: &[u8], out: &mut Vec<u8>) -> bool {
        for byte in input {
            if self.keys.get(self.typed) != Some(byte) {
                out.extend_from_slice(&self.keys[..self.typed]);
                self.typed = 0;
            }
            if self.keys.get(self.typed) != Some(byte) {
                out.push(*byte);
                continue;
            }
            self.typed += 1;
            if self.typed == self.keys.len() {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_found_and_everything_else_passes() {
        for (keys, chunks, passed, detached) in [
            (&b"\x10\x11"[..], &[&b"ls\n"[..]][..], &b"ls\n"[..], false),
            (b"\x10\x11", &[b"a\x10\x11b"], b"a", true),
            (b"\x10\x11", &[b"a\x10", b"\x11"], b"a", true),
            (b"\x10\x11", &[b"\x10", b"x\x10"], b"\x10x", false),
            (b"\x10\x11", &[b"\x10\x10\x11"], b"\x10", true),
            (b"q", &[b"abq"], b"ab", true),
            (b"", &[b"abc"], b"abc", false),
        ] {
            let mut filter = DetachKeys::new(keys.to_vec());
            let mut out = Vec::new();
            let found = chunks.iter().any(|chunk| filter.filter(chunk, &mut out));
            assert_eq!((out.as_slice(), found), (passed, detached), "{keys:?} in {chunks:?}");
        }
    }
}
