//! Bytes that a non-blocking descriptor did not take yet. Holds no memory while there are none.

use rustix::io::Errno;

/// What is still to be written, in order.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    bytes: Vec<u8>,
    written: usize,
}

impl Backlog {
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub fn len(&self) -> usize {
        self.bytes.len() - self.written
    }

    /// Adds bytes without writing.
    pub fn push(&mut self, bytes: &[u8]) {
        // What is written is thrown away when it is the larger part: each byte is moved at most once on average.
        if self.written > self.bytes.len() / 2 {
            self.bytes.drain(..self.written);
            self.written = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Writes as much as `write` takes; an error other than "not now" is final.
    pub fn flush(&mut self, mut write: impl FnMut(&[u8]) -> Result<usize, Errno>) -> Result<(), Errno> {
        let count = write_some(&self.bytes[self.written..], &mut write)?;
        self.written += count;
        if self.written == self.bytes.len() {
            *self = Self::default();
        }
        Ok(())
    }

    /// Writes `bytes` behind what is there already, and keeps what `write` does not take.
    pub fn send(
        &mut self,
        bytes: &[u8],
        mut write: impl FnMut(&[u8]) -> Result<usize, Errno>,
    ) -> Result<(), Errno> {
        let count = if self.is_empty() { write_some(bytes, &mut write)? } else { 0 };
        self.push(&bytes[count..]);
        Ok(())
    }
}

fn write_some(bytes: &[u8], write: &mut impl FnMut(&[u8]) -> Result<usize, Errno>) -> Result<usize, Errno> {
    let mut written = 0;
    while written < bytes.len() {
        match write(&bytes[written..]) {
            // A terminal can say 0 for "not now".
            Ok(0) | Err(Errno::AGAIN) => break,
            Ok(count) => written += count,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_in_order_whatever_is_taken() {
        let mut backlog = Backlog::default();
        let mut taken = Vec::new();
        let mut sent = Vec::new();
        let mut room = 0;
        for number in 0..200_u8 {
            let piece = vec![number; usize::from(number % 7)];
            sent.extend_from_slice(&piece);
            room += 3;
            let mut write = |bytes: &[u8]| {
                let count = bytes.len().min(2).min(room);
                room -= count;
                taken.extend_from_slice(&bytes[..count]);
                if count == 0 { Err(Errno::AGAIN) } else { Ok(count) }
            };
            backlog.send(&piece, &mut write).unwrap();
            backlog.flush(&mut write).unwrap();
        }
        backlog
            .flush(|bytes| {
                taken.extend_from_slice(bytes);
                Ok(bytes.len())
            })
            .unwrap();
        assert!(backlog.is_empty() && backlog.bytes.capacity() == 0);
        assert_eq!(taken, sent);
        assert_eq!(backlog.send(b"x", |_| Err(Errno::PIPE)), Err(Errno::PIPE));
    }
}
