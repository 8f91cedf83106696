//! Tar headers in every dialect, byte by byte: what a generated layer is written with.

/// How a header is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Dialect {
    V7,
    Ustar,
    Gnu,
    Pax,
}

/// How the holes of a sparse file are told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sparse {
    OldGnu,
    Pax00,
    Pax01,
    Pax10,
}

/// Offset and length.
pub type Fragments = Vec<(u64, u64)>;

/// One entry of a layer.
#[derive(Clone, Debug)]
pub struct Item {
    pub dialect: Dialect,
    pub flag: u8,
    pub path: Vec<u8>,
    pub link: Vec<u8>,
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    /// Seconds and nanoseconds; the latter only reach the archive in pax.
    pub mtime: (i64, u32),
    pub device: (u32, u32),
    pub data: Vec<u8>,
    pub xattrs: Vec<(String, Vec<u8>)>,
    /// Kind of map, size of the file, and where the parts of `data` go.
    pub sparse: Option<(Sparse, u64, Fragments)>,
}

impl Item {
    pub fn new(flag: u8, path: &[u8]) -> Item {
        Item {
            dialect: Dialect::Ustar,
            flag,
            path: path.to_vec(),
            link: Vec::new(),
            mode: if flag == b'5' { 0o755 } else { 0o644 },
            uid: 0,
            gid: 0,
            mtime: (1_000_000_000, 0),
            device: (0, 0),
            data: Vec::new(),
            xattrs: Vec::new(),
            sparse: None,
        }
    }
}

/// Appends an entry with whatever extra headers its dialect needs for it.
pub fn write(out: &mut Vec<u8>, item: &Item) {
    let mut records = Vec::new();
    if item.dialect == Dialect::Pax {
        pax_records(&mut records, item);
    }
    if item.dialect == Dialect::Gnu {
        for (flag, text) in [(b'L', &item.path), (b'K', &item.link)] {
            if text.len() > 100 {
                let body = [text.as_slice(), b"\0"].concat();
                special(out, flag, b"././@LongLink", &body, Dialect::Gnu);
            }
        }
    }
    if !records.is_empty() {
        special(out, b'x', b"PaxHeaders/0", &records, Dialect::Ustar);
    }
    let (mut body, mut extensions) = (item.data.clone(), Vec::new());
    let mut block = header(item, body.len() as u64);
    match &item.sparse {
        Some((Sparse::OldGnu, size, map)) => extensions = gnu_map(&mut block, *size, map),
        Some((Sparse::Pax10, _, map)) => {
            let numbers = map.iter().flat_map(|(offset, length)| [*offset, *length]);
            let lines = std::iter::once(map.len() as u64).chain(numbers);
            let mut text: Vec<u8> = lines.flat_map(|number| format!("{number}\n").into_bytes()).collect();
            text.resize(text.len().next_multiple_of(512), 0);
            body = [text, body].concat();
            octal(&mut block[124..136], body.len() as u64);
        }
        _ => {}
    }
    checksum(&mut block);
    out.extend_from_slice(&block);
    out.extend_from_slice(&extensions);
    out.extend_from_slice(&body);
    out.resize(out.len().next_multiple_of(512), 0);
}

fn pax_records(records: &mut Vec<u8>, item: &Item) {
    let sparse = item.sparse.as_ref();
    if item.path.len() > 100 && !matches!(sparse, Some((Sparse::Pax01 | Sparse::Pax10, ..))) {
        record(records, "path", &item.path);
    }
    if item.link.len() > 100 {
        record(records, "linkpath", &item.link);
    }
    for (key, id) in [("uid", item.uid), ("gid", item.gid)] {
        if id > 0o7_777_777 {
            record(records, key, id.to_string().as_bytes());
        }
    }
    match item.mtime {
        (0.., 0) => {}
        (seconds, 0) => record(records, "mtime", seconds.to_string().as_bytes()),
        (seconds @ 0.., nanoseconds) => {
            record(records, "mtime", format!("{seconds}.{nanoseconds:09}").as_bytes())
        }
        // Decimals count away from zero in a negative number.
        (seconds, nanoseconds) => {
            let text = format!("-{}.{:09}", -(seconds + 1), 1_000_000_000 - nanoseconds);
            record(records, "mtime", text.as_bytes());
        }
    }
    for (name, value) in &item.xattrs {
        record(records, &format!("SCHILY.xattr.{name}"), value);
    }
    let Some((kind, size, map)) = sparse else { return };
    let size = size.to_string();
    match kind {
        Sparse::OldGnu => {}
        Sparse::Pax00 => {
            record(records, "GNU.sparse.size", size.as_bytes());
            record(records, "GNU.sparse.numblocks", map.len().to_string().as_bytes());
            for (offset, length) in map {
                record(records, "GNU.sparse.offset", offset.to_string().as_bytes());
                record(records, "GNU.sparse.numbytes", length.to_string().as_bytes());
            }
        }
        Sparse::Pax01 => {
            record(records, "GNU.sparse.size", size.as_bytes());
            record(records, "GNU.sparse.numblocks", map.len().to_string().as_bytes());
            let list: Vec<String> = map.iter().map(|(offset, length)| format!("{offset},{length}")).collect();
            record(records, "GNU.sparse.map", list.join(",").as_bytes());
            record(records, "GNU.sparse.name", &item.path);
        }
        Sparse::Pax10 => {
            record(records, "GNU.sparse.major", b"1");
            record(records, "GNU.sparse.minor", b"0");
            record(records, "GNU.sparse.name", &item.path);
            record(records, "GNU.sparse.realsize", size.as_bytes());
        }
    }
}

/// `<length> <key>=<value>\n`, the length counting itself.
pub fn record(out: &mut Vec<u8>, key: &str, value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + rest.to_string().len();
    length = rest + length.to_string().len();
    out.extend_from_slice(format!("{length} {key}=").as_bytes());
    out.extend_from_slice(value);
    out.push(b'\n');
}

/// A header that speaks about the entry after it.
pub fn special(out: &mut Vec<u8>, flag: u8, name: &[u8], body: &[u8], dialect: Dialect) {
    let item = Item { dialect, ..Item::new(flag, name) };
    let mut block = header(&item, body.len() as u64);
    checksum(&mut block);
    out.extend_from_slice(&block);
    out.extend_from_slice(body);
    out.resize(out.len().next_multiple_of(512), 0);
}

/// A header without its checksum.
pub fn header(item: &Item, size: u64) -> [u8; 512] {
    let mut block = [0u8; 512];
    let gnu = item.dialect == Dialect::Gnu;
    let (mut name, mut prefix) = (item.path.as_slice(), b"".as_slice());
    if item.dialect == Dialect::Ustar && name.len() > 100 {
        let slash = (0..name.len()).find(|at| name[*at] == b'/' && name.len() - at - 1 <= 100);
        let slash = slash.expect("a ustar name that can be split");
        (prefix, name) = (&name[..slash], &name[slash + 1..]);
    }
    put(&mut block, 0, &name[..name.len().min(100)]);
    octal(&mut block[100..108], u64::from(item.mode));
    for (at, id) in [(108, item.uid), (116, item.gid)] {
        match id > 0o7_777_777 {
            true if gnu => base256(&mut block[at..at + 8], id as i64),
            true => octal(&mut block[at..at + 8], 0),
            false => octal(&mut block[at..at + 8], id),
        }
    }
    octal(&mut block[124..136], size);
    match item.mtime.0 {
        seconds @ 0..=0o77_777_777_777 => octal(&mut block[136..148], seconds as u64),
        seconds if gnu => base256(&mut block[136..148], seconds),
        _ => octal(&mut block[136..148], 0),
    }
    block[156] = item.flag;
    put(&mut block, 157, &item.link[..item.link.len().min(100)]);
    match item.dialect {
        Dialect::V7 => return block,
        Dialect::Gnu => put(&mut block, 257, b"ustar  \0"),
        Dialect::Ustar | Dialect::Pax => put(&mut block, 257, b"ustar\x0000"),
    }
    put(&mut block, 265, b"root");
    put(&mut block, 297, b"root");
    octal(&mut block[329..337], u64::from(item.device.0));
    octal(&mut block[337..345], u64::from(item.device.1));
    put(&mut block, 345, prefix);
    block
}

fn put(block: &mut [u8], at: usize, bytes: &[u8]) {
    block[at..at + bytes.len()].copy_from_slice(bytes);
}

/// Digits and a NUL at the end.
pub fn octal(field: &mut [u8], value: u64) {
    let text = format!("{value:0width$o}\0", width = field.len() - 1);
    field.copy_from_slice(text.as_bytes());
}

/// GNU's binary numbers, two's complement behind a marker bit.
pub fn base256(field: &mut [u8], value: i64) {
    let fill = if value < 0 { 0xff } else { 0 };
    field.fill(fill);
    let at = field.len() - 8;
    field[at..].copy_from_slice(&value.to_be_bytes());
    field[0] |= 0x80;
}

/// The old GNU form's map: four fragments in the header, the rest in blocks of 21.
fn gnu_map(block: &mut [u8; 512], size: u64, map: &[(u64, u64)]) -> Vec<u8> {
    let fragment = |field: &mut [u8], (offset, length): &(u64, u64)| {
        octal(&mut field[..12], *offset);
        octal(&mut field[12..24], *length);
    };
    for (at, part) in map.iter().take(4).enumerate() {
        fragment(&mut block[386 + at * 24..], part);
    }
    octal(&mut block[483..495], size);
    let rest = map.get(4..).unwrap_or_default();
    block[482] = u8::from(!rest.is_empty());
    let mut out = Vec::new();
    for (number, parts) in rest.chunks(21).enumerate() {
        let mut extension = [0u8; 512];
        for (at, part) in parts.iter().enumerate() {
            fragment(&mut extension[at * 24..], part);
        }
        extension[504] = u8::from((number + 1) * 21 < rest.len());
        out.extend_from_slice(&extension);
    }
    out
}

pub fn checksum(block: &mut [u8; 512]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}
