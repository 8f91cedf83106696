//! Writes tar archives: ustar headers, with a pax header before those that ustar can't express.
//!
//! Deterministic: the same entries give the same bytes. No user or group names, no access or change times, times in whole
//! seconds: what Docker writes.

use std::io::{self, Write};

use super::{BLOCK, Kind, Time, XATTR_PREFIX, pax};

/// What to write before an entry's data.
#[derive(Clone, Debug)]
pub(crate) struct Header<'a> {
    /// Without a leading slash; folders end with one.
    pub path: &'a [u8],
    pub link: &'a [u8],
    pub kind: Kind,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub mtime: Time,
    /// Bytes of data that will follow; zero for all but files.
    pub size: u64,
    pub device: (u32, u32),
    pub xattrs: &'a [(Vec<u8>, Vec<u8>)],
}

impl<'a> Header<'a> {
    pub fn file(path: &'a [u8], size: u64) -> Header<'a> {
        Header::new(path, Kind::File, 0o644, size)
    }

    pub fn directory(path: &'a [u8], mode: u32) -> Header<'a> {
        Header::new(path, Kind::Directory, mode, 0)
    }

    fn new(path: &'a [u8], kind: Kind, mode: u32, size: u64) -> Header<'a> {
        let mtime = Time::default();
        Header { path, link: b"", kind, mode, uid: 0, gid: 0, mtime, size, device: (0, 0), xattrs: &[] }
    }
}

/// A tar being written.
pub(crate) struct Writer<W> {
    out: W,
    /// Data that the last header promised and that has not come yet.
    owed: u64,
    padding: usize,
}

const ZEROS: [u8; BLOCK] = [0; BLOCK];

impl<W: Write> Writer<W> {
    pub fn new(out: W) -> Writer<W> {
        Writer { out, owed: 0, padding: 0 }
    }

    /// Begins an entry. Its data is then written with [`Writer::data`].
    pub fn entry(&mut self, header: &Header<'_>) -> io::Result<()> {
        self.end_entry()?;
        let mut records = Vec::new();
        let mut xattrs: Vec<_> = header.xattrs.iter().collect();
        xattrs.sort();
        for (name, value) in xattrs {
            pax::write(&mut records, &[XATTR_PREFIX, name].concat(), value);
        }
        let (prefix, name) = match split_path(header.path) {
            Some(split) => split,
            None => {
                pax::write(&mut records, b"path", header.path);
                (&b""[..], &header.path[..100.min(header.path.len())])
            }
        };
        if header.link.len() > 100 {
            pax::write(&mut records, b"linkpath", header.link);
        }
        for (key, value) in [(&b"uid"[..], header.uid), (b"gid", header.gid)] {
            if value > 0o7777777 {
                pax::write(&mut records, key, value.to_string().as_bytes());
            }
        }
        if header.size >= 1 << 33 {
            pax::write(&mut records, b"size", header.size.to_string().as_bytes());
        }
        if !(0..1 << 33).contains(&header.mtime.seconds) {
            pax::write(&mut records, b"mtime", header.mtime.seconds.to_string().as_bytes());
        }
        if !records.is_empty() {
            let pax_header = Header { mode: 0o644, ..Header::file(b"", records.len() as u64) };
            self.out.write_all(&block(&pax_header, b"", b"PaxHeaders.0/entry", b'x'))?;
            self.out.write_all(&records)?;
            self.out.write_all(&ZEROS[..padding(records.len() as u64)])?;
        }
        let flag = match header.kind {
            Kind::File => b'0',
            Kind::HardLink => b'1',
            Kind::Symlink => b'2',
            Kind::Char => b'3',
            Kind::Block => b'4',
            Kind::Directory => b'5',
            Kind::Fifo => b'6',
            Kind::Other(flag) => flag,
        };
        self.out.write_all(&block(header, prefix, name, flag))?;
        self.owed = header.size;
        self.padding = padding(header.size);
        Ok(())
    }

    /// Writes data of the current entry; more than its size is an error.
    pub fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        let count = bytes.len() as u64;
        self.owed =
            self.owed.checked_sub(count).ok_or_else(|| io::Error::other("file grew while it was read"))?;
        self.out.write_all(bytes)
    }

    /// A whole file in memory.
    pub fn file(&mut self, header: &Header<'_>, bytes: &[u8]) -> io::Result<()> {
        self.entry(&Header { size: bytes.len() as u64, ..header.clone() })?;
        self.data(bytes)
    }

    /// Writes the end mark and gives the output back.
    pub fn finish(mut self) -> io::Result<W> {
        self.end_entry()?;
        self.out.write_all(&ZEROS)?;
        self.out.write_all(&ZEROS)?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn end_entry(&mut self) -> io::Result<()> {
        if self.owed > 0 {
            return Err(io::Error::other("file shrank while it was read"));
        }
        self.out.write_all(&ZEROS[..std::mem::take(&mut self.padding)])
    }
}

fn padding(size: u64) -> usize {
    (size.wrapping_neg() % BLOCK as u64) as usize
}

/// Splits a path into ustar's prefix and name, if it fits.
fn split_path(path: &[u8]) -> Option<(&[u8], &[u8])> {
    if path.len() <= 100 {
        return Some((b"", path));
    }
    // A folder's own trailing slash must not be the one that is dropped.
    let last = path.len() - usize::from(path.ends_with(b"/"));
    let at = path[..last.min(156)].iter().rposition(|byte| *byte == b'/')?;
    let (prefix, name) = (&path[..at], &path[at + 1..]);
    (!prefix.is_empty() && !name.is_empty() && name.len() <= 100).then_some((prefix, name))
}

fn block(header: &Header<'_>, prefix: &[u8], name: &[u8], flag: u8) -> [u8; BLOCK] {
    let mut block = ZEROS;
    let mut put = |start: usize, bytes: &[u8]| block[start..start + bytes.len()].copy_from_slice(bytes);
    put(0, name);
    put(100, octal(u64::from(header.mode & 0o7777), 7).as_bytes());
    put(108, octal(u64::from(header.uid), 7).as_bytes());
    put(116, octal(u64::from(header.gid), 7).as_bytes());
    put(124, octal(header.size, 11).as_bytes());
    put(136, octal(u64::try_from(header.mtime.seconds).unwrap_or(0), 11).as_bytes());
    put(148, b"        ");
    put(156, &[flag]);
    put(157, &header.link[..header.link.len().min(100)]);
    put(257, b"ustar\x0000");
    put(329, octal(u64::from(header.device.0), 7).as_bytes());
    put(337, octal(u64::from(header.device.1), 7).as_bytes());
    put(345, prefix);
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    block
}

/// Octal in exactly `digits` digits; what doesn't fit stands in a pax record instead.
fn octal(value: u64, digits: usize) -> String {
    let value = if value >> (3 * digits) == 0 { value } else { 0 };
    format!("{value:0digits$o}")
}
