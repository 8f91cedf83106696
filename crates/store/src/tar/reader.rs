//! Entry by entry through a tar stream.
//!
//! The rules for conflicting headers are those of Go's archive/tar, since it is what decides on other engines: the last
//! extended header before an entry counts, GNU long names win over pax paths, links and folders have no body whatever
//! their size field says, global headers are ignored. Data is lent from the input's buffer, not copied.

use std::borrow::Cow;
use std::io::{self, BufRead};

use super::header::{Block, text};
use super::pax::{self, Records};
use super::sparse::{self, LineMap, Map, Pax};
use super::{BLOCK, XATTR_PREFIX};

/// Extended headers and long names longer than this are refused (Go's limit).
const SPECIAL_MAX: u64 = 1 << 20;

/// Why a stream is not a tar.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    #[error("tar: {what} at byte {offset}")]
    Malformed { what: &'static str, offset: u64 },
    #[error("tar: archive ends in the middle of {what} at byte {offset}")]
    Truncated { what: &'static str, offset: u64 },
    /// The input below the tar failed.
    #[error("read archive")]
    Input(#[source] io::Error),
}

/// A point in time; nanoseconds count forward from the second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Time {
    pub seconds: i64,
    pub nanoseconds: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    HardLink,
    Symlink,
    Char,
    Block,
    Directory,
    Fifo,
    Other(u8),
}

/// One entry. Its data is read from the [`Reader`] before the next one is asked for, or skipped.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub path: Vec<u8>,
    pub link: Vec<u8>,
    pub kind: Kind,
    /// Permission bits with set-id and sticky.
    pub mode: u32,
    pub uid: i64,
    pub gid: i64,
    pub mtime: Time,
    pub atime: Option<Time>,
    /// Size of the file, holes included.
    pub size: u64,
    /// For a file with holes: where the stored data goes.
    pub sparse: Option<Map>,
    pub device: (u32, u32),
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Reads a tar.
pub(crate) struct Reader<R> {
    input: R,
    /// Bytes consumed, for messages.
    offset: u64,
    /// Stored data of the current entry not read yet, and the padding after it.
    data: u64,
    padding: u64,
    ended: bool,
}

/// What the special headers before an entry said.
#[derive(Default)]
struct Overrides {
    pax: Records,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
}

impl<R: BufRead> Reader<R> {
    pub fn new(input: R) -> Reader<R> {
        Reader { input, offset: 0, data: 0, padding: 0, ended: false }
    }

    /// The input, wherever the archive's end left it.
    pub fn into_input(self) -> R {
        self.input
    }

    /// The next entry; `None` at the end of the archive.
    pub fn next(&mut self) -> Result<Option<Entry>, TarError> {
        let mut overrides = Overrides::default();
        loop {
            self.skip_data()?;
            let Some(block) = self.header_block()? else { return Ok(None) };
            let header = Block(&block);
            let size = header.size().and_then(|size| u64::try_from(size).ok());
            match header.type_flag() {
                b'x' => {
                    let body = self.special(size)?;
                    overrides.pax =
                        pax::parse(&body).ok_or_else(|| self.malformed("extended header is damaged"))?;
                }
                b'g' => {
                    self.special(size)?;
                }
                b'L' => overrides.long_name = Some(text(&self.special(size)?).to_vec()),
                b'K' => overrides.long_link = Some(text(&self.special(size)?).to_vec()),
                _ => return self.entry(&block, overrides).map(Some),
            }
        }
    }

    /// Some of the current entry's stored data; empty when there is no more.
    pub fn chunk(&mut self) -> Result<&[u8], TarError> {
        if self.data == 0 {
            return Ok(&[]);
        }
        let (data, offset) = (self.data, self.offset);
        let buffer = fill(&mut self.input)?;
        if buffer.is_empty() {
            return Err(TarError::Truncated { what: "a file", offset });
        }
        let usable = usize::try_from(data).unwrap_or(usize::MAX).min(buffer.len());
        Ok(&buffer[..usable])
    }

    /// Marks bytes of the last chunk as read.
    pub fn consume(&mut self, count: usize) {
        self.input.consume(count);
        self.offset += count as u64;
        self.data -= count as u64;
    }

    /// Up to `limit` bytes of the current entry in memory; `None` when it has more.
    pub fn read_all(&mut self, limit: usize) -> Result<Option<Vec<u8>>, TarError> {
        if self.data > limit as u64 {
            return Ok(None);
        }
        let mut bytes = Vec::with_capacity(self.data as usize);
        loop {
            let chunk = self.chunk()?;
            if chunk.is_empty() {
                return Ok(Some(bytes));
            }
            bytes.extend_from_slice(chunk);
            let count = chunk.len();
            self.consume(count);
        }
    }

    fn malformed(&self, what: &'static str) -> TarError {
        TarError::Malformed { what, offset: self.offset.saturating_sub(BLOCK as u64) }
    }

    /// The next header block that is not the end mark.
    fn header_block(&mut self) -> Result<Option<[u8; BLOCK]>, TarError> {
        let mut block = [0; BLOCK];
        if self.ended || !self.read_block(&mut block)? {
            return Ok(None);
        }
        if Block(&block).is_zero() {
            // Two zero blocks end an archive; one and then nothing is accepted, one and then something is damage.
            self.ended = true;
            if self.read_block(&mut block)? && !Block(&block).is_zero() {
                return Err(self.malformed("header follows an end mark"));
            }
            return Ok(None);
        }
        if !Block(&block).checksum_matches() {
            return Err(self.malformed("header checksum does not match"));
        }
        Ok(Some(block))
    }

    /// False at a clean end of the input.
    fn read_block(&mut self, block: &mut [u8; BLOCK]) -> Result<bool, TarError> {
        let mut filled = 0;
        while filled < BLOCK {
            let buffer = fill(&mut self.input)?;
            if buffer.is_empty() {
                if filled == 0 {
                    return Ok(false);
                }
                return Err(TarError::Truncated { what: "a header", offset: self.offset });
            }
            let count = buffer.len().min(BLOCK - filled);
            block[filled..filled + count].copy_from_slice(&buffer[..count]);
            self.input.consume(count);
            self.offset += count as u64;
            filled += count;
        }
        Ok(true)
    }

    fn special(&mut self, size: Option<u64>) -> Result<Vec<u8>, TarError> {
        let size = size.ok_or_else(|| self.malformed("header has no valid size"))?;
        if size > SPECIAL_MAX {
            return Err(self.malformed("extended header is too long"));
        }
        self.set_data(size);
        self.read_all(SPECIAL_MAX as usize).map(Option::unwrap_or_default)
    }

    fn set_data(&mut self, size: u64) {
        self.data = size;
        self.padding = size.wrapping_neg() % BLOCK as u64;
    }

    fn skip_data(&mut self) -> Result<(), TarError> {
        while self.data > 0 {
            let count = self.chunk()?.len();
            self.consume(count);
        }
        // The padding of the last entry may be missing: Go reads such archives.
        while self.padding > 0 {
            let buffer = fill(&mut self.input)?;
            if buffer.is_empty() {
                self.padding = 0;
                break;
            }
            let count = buffer.len().min(self.padding as usize);
            self.input.consume(count);
            self.offset += count as u64;
            self.padding -= count as u64;
        }
        Ok(())
    }

    fn entry(&mut self, block: &[u8; BLOCK], overrides: Overrides) -> Result<Entry, TarError> {
        let header = Block(block);
        let bad = |what| TarError::Malformed { what, offset: self.offset.saturating_sub(BLOCK as u64) };
        let pax = &overrides.pax;
        let value = |key: &[u8]| pax::get(pax, key);
        let integer = |key: &[u8], field: Option<i64>, what| match value(key) {
            Some(text) => pax::integer(text).ok_or_else(|| bad(what)),
            None => field.ok_or_else(|| bad(what)),
        };
        let size = integer(b"size", header.size(), "header has no valid size")?;
        let size = u64::try_from(size).map_err(|_| bad("header has a negative size"))?;
        let time = |key: &[u8]| {
            value(key)
                .map(|text| pax::time(text).ok_or_else(|| bad("extended header has no valid time")))
                .transpose()
        };
        let field_time = || Some(Time { seconds: header.mtime()?, nanoseconds: 0 });
        let mtime = match time(b"mtime")? {
            Some(time) => time,
            None => field_time().ok_or_else(|| bad("header has no valid time"))?,
        };
        let mut entry = Entry {
            path: path_of(&header, &overrides),
            link: link_of(&header, &overrides),
            kind: Kind::File,
            mode: header.mode().ok_or_else(|| bad("header has no valid mode"))? as u32 & 0o7777,
            uid: integer(b"uid", header.uid(), "header has no valid owner")?,
            gid: integer(b"gid", header.gid(), "header has no valid group")?,
            mtime,
            atime: time(b"atime")?,
            size,
            sparse: None,
            device: (0, 0),
            xattrs: xattrs(pax),
        };
        entry.kind = kind_of(header.type_flag(), &entry.path);
        match entry.kind {
            Kind::File => self.file_body(block, &overrides.pax, &mut entry)?,
            Kind::Char | Kind::Block => {
                let number = |field: Option<i64>| field.and_then(|number| u32::try_from(number).ok());
                let (major, minor) = (number(header.dev_major()), number(header.dev_minor()));
                entry.device = major.zip(minor).ok_or_else(|| bad("header has no valid device number"))?;
                entry.size = 0;
            }
            Kind::Other(_) => self.set_data(size),
            _ => entry.size = 0,
        }
        Ok(entry)
    }

    /// Sets what is stored for a file and, for one with holes, where it goes.
    fn file_body(&mut self, block: &[u8; BLOCK], pax: &Records, entry: &mut Entry) -> Result<(), TarError> {
        let damaged = |reader: &Self| reader.malformed("sparse map is damaged");
        let stored = entry.size;
        if block[156] == b'S' {
            let (mut map, mut more, real_size) = sparse::gnu_header(block).ok_or_else(|| damaged(self))?;
            while more {
                let mut extension = [0; BLOCK];
                if !self.read_block(&mut extension)? {
                    return Err(TarError::Truncated { what: "a sparse map", offset: self.offset });
                }
                more = sparse::gnu_extension(&extension, &mut map).ok_or_else(|| damaged(self))?;
            }
            self.set_data(stored);
            return self.set_sparse(entry, map, real_size);
        }
        self.set_data(stored);
        let (map, in_data) = match sparse::from_pax(pax) {
            Pax::No => return Ok(()),
            Pax::Malformed => return Err(damaged(self)),
            Pax::Map(map) => (map, false),
            Pax::InData => (Map::new(), true),
        };
        let real_size =
            pax::get(pax, b"GNU.sparse.realsize").or(pax::get(pax, b"GNU.sparse.size")).map(pax::integer);
        let real_size = match real_size {
            Some(size) => size.and_then(|size| u64::try_from(size).ok()).ok_or_else(|| damaged(self))?,
            None => stored,
        };
        if let Some(name) = pax::get(pax, b"GNU.sparse.name") {
            entry.path = name.to_vec();
        }
        let map = if in_data { self.map_in_data()? } else { map };
        self.set_sparse(entry, map, real_size)
    }

    fn map_in_data(&mut self) -> Result<Map, TarError> {
        let mut lines = LineMap::default();
        loop {
            let mut block = [0; BLOCK];
            if self.data < BLOCK as u64 || !self.read_block(&mut block)? {
                return Err(self.malformed("sparse map is damaged"));
            }
            self.data -= BLOCK as u64;
            match lines.push(&block) {
                Ok(Some(map)) => return Ok(map),
                Ok(None) => {}
                Err(()) => return Err(self.malformed("sparse map is damaged")),
            }
        }
    }

    fn set_sparse(&self, entry: &mut Entry, map: Map, real_size: u64) -> Result<(), TarError> {
        if !sparse::is_valid(&map, real_size, self.data) {
            return Err(self.malformed("sparse map is damaged"));
        }
        entry.size = real_size;
        entry.sparse = Some(map);
        Ok(())
    }
}

fn fill<R: BufRead>(input: &mut R) -> Result<&[u8], TarError> {
    // A loop that returns the borrowed buffer is beyond the borrow checker, so an interrupted call is asked again here and
    // the filled buffer lent by a second call, which does no reading.
    loop {
        match input.fill_buf() {
            Ok(_) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(TarError::Input(error)),
        }
    }
    input.fill_buf().map_err(TarError::Input)
}

fn path_of(header: &Block<'_>, overrides: &Overrides) -> Vec<u8> {
    if let Some(name) = overrides.long_name.as_ref().filter(|name| !name.is_empty()) {
        return name.clone();
    }
    if let Some(path) = pax::get(&overrides.pax, b"path") {
        return path.to_vec();
    }
    match (header.prefix(), header.name()) {
        ([], name) => name.to_vec(),
        (prefix, name) => [prefix, b"/", name].concat(),
    }
}

fn link_of(header: &Block<'_>, overrides: &Overrides) -> Vec<u8> {
    let long = overrides.long_link.as_ref().filter(|name| !name.is_empty());
    let link = match (long, pax::get(&overrides.pax, b"linkpath")) {
        (Some(name), _) => Cow::Borrowed(name.as_slice()),
        (None, Some(path)) => Cow::Borrowed(path),
        (None, None) => Cow::Borrowed(header.link_name()),
    };
    link.into_owned()
}

fn kind_of(flag: u8, path: &[u8]) -> Kind {
    match flag {
        // Before POSIX, a folder was a file whose name ends with a slash.
        0 if path.ends_with(b"/") => Kind::Directory,
        0 | b'0' | b'S' => Kind::File,
        b'1' => Kind::HardLink,
        b'2' => Kind::Symlink,
        b'3' => Kind::Char,
        b'4' => Kind::Block,
        b'5' => Kind::Directory,
        b'6' => Kind::Fifo,
        other => Kind::Other(other),
    }
}

fn xattrs(records: &Records) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut xattrs: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    for (key, value) in records {
        let Some(name) = key.strip_prefix(XATTR_PREFIX) else { continue };
        match xattrs.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value.clone(),
            None => xattrs.push((name.to_vec(), value.clone())),
        }
    }
    // An empty value means "as if absent" (POSIX pax): there is no way to say an empty attribute.
    xattrs.retain(|(_, value)| !value.is_empty());
    xattrs
}
