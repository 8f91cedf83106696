//! Sparse files: the four ways tar has to say where the data of a file with holes goes.
//!
//! GNU old (type `S`, map in the header and in extension blocks), pax 0.0 (repeated offset/numbytes records), 0.1 (one
//! comma-separated record), 1.0 (map as decimal lines before the data). Source: GNU tar manual, "Storing Sparse Files".

use super::BLOCK;
use super::header::{number, text};
use super::pax::{self, Records};

/// Where the stored data goes: offset and length, ascending, inside the file's size.
pub(super) type Map = Vec<(u64, u64)>;

/// More fragments than this are refused: the map is memory that an archive's author chooses.
const MAX_FRAGMENTS: usize = 1 << 20;

/// Entries in the main header of the GNU form, and whether an extension block follows.
pub(super) fn gnu_header(block: &[u8; BLOCK]) -> Option<(Map, bool, u64)> {
    let mut map = Map::new();
    gnu_entries(&block[386..482], &mut map)?;
    let real_size = u64::try_from(number(&block[483..495])?).ok()?;
    Some((map, block[482] != 0, real_size))
}

/// Entries in an extension block, and whether another follows.
pub(super) fn gnu_extension(block: &[u8; BLOCK], map: &mut Map) -> Option<bool> {
    gnu_entries(&block[..504], map)?;
    (map.len() <= MAX_FRAGMENTS).then_some(block[504] != 0)
}

fn gnu_entries(bytes: &[u8], map: &mut Map) -> Option<()> {
    for entry in bytes.chunks_exact(24) {
        if entry[0] == 0 {
            break;
        }
        map.push((u64::try_from(number(&entry[..12])?).ok()?, u64::try_from(number(&entry[12..])?).ok()?));
    }
    Some(())
}

/// What pax records say about sparseness.
pub(super) enum Pax {
    /// Not a sparse file.
    No,
    /// The map is in the records.
    Map(Map),
    /// The map stands before the data.
    InData,
    Malformed,
}

pub(super) fn from_pax(records: &Records) -> Pax {
    let (major, minor) = (pax::get(records, b"GNU.sparse.major"), pax::get(records, b"GNU.sparse.minor"));
    match (major, minor) {
        (Some(b"1"), Some(b"0")) => Pax::InData,
        (Some(b"0"), Some(b"0" | b"1")) | (None, None) => {
            let map = match pax::get(records, b"GNU.sparse.map") {
                Some(list) => comma_map(list),
                None => repeated_map(records),
            };
            match map {
                Some(map) if map.is_empty() && major.is_none() => Pax::No,
                Some(map) => Pax::Map(map),
                None => Pax::Malformed,
            }
        }
        _ => Pax::No,
    }
}

fn comma_map(list: &[u8]) -> Option<Map> {
    let list = std::str::from_utf8(list).ok()?;
    let numbers = list.split(',').map(|part| part.parse::<u64>().ok()).collect::<Option<Vec<_>>>()?;
    if numbers.len() % 2 != 0 || numbers.len() / 2 > MAX_FRAGMENTS {
        return None;
    }
    Some(numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect())
}

fn repeated_map(records: &Records) -> Option<Map> {
    let mut map = Map::new();
    let mut offset = None;
    for (key, value) in records {
        let value = || std::str::from_utf8(value).ok()?.parse::<u64>().ok();
        match key.as_slice() {
            b"GNU.sparse.offset" => match offset.replace(value()?) {
                None => {}
                Some(_) => return None,
            },
            b"GNU.sparse.numbytes" => map.push((offset.take()?, value()?)),
            _ => {}
        }
    }
    (offset.is_none() && map.len() <= MAX_FRAGMENTS).then_some(map)
}

/// Reads the decimal lines of the 1.0 form: a count, then offset and length for each fragment.
#[derive(Default)]
pub(super) struct LineMap {
    numbers: Vec<u64>,
    line: Vec<u8>,
}

impl LineMap {
    /// Takes one block; `Some(map)` when the map is complete (the rest of that block is padding).
    pub fn push(&mut self, block: &[u8; BLOCK]) -> Result<Option<Map>, ()> {
        for byte in block {
            if *byte != b'\n' {
                if self.line.len() >= 20 {
                    return Err(());
                }
                self.line.push(*byte);
                continue;
            }
            let number = std::str::from_utf8(text(&self.line)).ok().and_then(|line| line.parse().ok());
            self.line.clear();
            self.numbers.push(number.ok_or(())?);
            let count = usize::try_from(self.numbers[0]).unwrap_or(usize::MAX);
            if count > MAX_FRAGMENTS {
                return Err(());
            }
            if self.numbers.len() == 1 + 2 * count {
                let pairs = self.numbers[1..].chunks_exact(2);
                return Ok(Some(pairs.map(|pair| (pair[0], pair[1])).collect()));
            }
        }
        Ok(None)
    }
}

/// Whether the fragments ascend without overlap inside `size` and add up to what is stored.
pub(super) fn is_valid(map: &Map, size: u64, stored: u64) -> bool {
    let (mut end, mut total) = (0u64, 0u64);
    for (offset, length) in map {
        if *offset < end {
            return false;
        }
        match (offset.checked_add(*length), total.checked_add(*length)) {
            (Some(next), Some(sum)) if next <= size => (end, total) = (next, sum),
            _ => return false,
        }
    }
    total == stored
}
