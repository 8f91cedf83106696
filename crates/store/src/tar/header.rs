//! One 512-byte header block: checksum, dialect, fields.

use super::BLOCK;

/// Which dialect a block is written in; decides what the last 257 bytes mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    V7,
    Ustar,
    Star,
    Gnu,
}

/// A header block.
pub(super) struct Block<'a>(pub &'a [u8; BLOCK]);

impl<'a> Block<'a> {
    fn field(&self, start: usize, len: usize) -> &'a [u8] {
        &self.0[start..start + len]
    }

    pub fn name(&self) -> &'a [u8] {
        text(self.field(0, 100))
    }
    pub fn mode(&self) -> Option<i64> {
        number(self.field(100, 8))
    }
    pub fn uid(&self) -> Option<i64> {
        number(self.field(108, 8))
    }
    pub fn gid(&self) -> Option<i64> {
        number(self.field(116, 8))
    }
    pub fn size(&self) -> Option<i64> {
        number(self.field(124, 12))
    }
    pub fn mtime(&self) -> Option<i64> {
        number(self.field(136, 12))
    }
    pub fn type_flag(&self) -> u8 {
        self.0[156]
    }
    pub fn link_name(&self) -> &'a [u8] {
        text(self.field(157, 100))
    }
    pub fn dev_major(&self) -> Option<i64> {
        number(self.field(329, 8))
    }
    pub fn dev_minor(&self) -> Option<i64> {
        number(self.field(337, 8))
    }

    /// What stands before the name, with a slash between.
    pub fn prefix(&self) -> &'a [u8] {
        match self.dialect() {
            Dialect::Ustar => text(self.field(345, 155)),
            Dialect::Star => text(self.field(345, 131)),
            // Go before 1.8 (and so, old Docker) wrote a prefix into GNU headers, where access and change time belong.
            // Like Go since, take it for a prefix when it can't be times but is readable text.
            Dialect::Gnu => {
                let time = |start| self.0[start] == 0 || number(self.field(start, 12)).is_some();
                let prefix = text(self.field(345, 155));
                if time(345) && time(357) || !prefix.is_ascii() { b"" } else { prefix }
            }
            Dialect::V7 => b"",
        }
    }

    pub fn dialect(&self) -> Dialect {
        match self.field(257, 8) {
            b"ustar\x0000" if self.field(508, 4) == b"tar\0" => Dialect::Star,
            // Some writers leave the version blank.
            magic if magic.starts_with(b"ustar\0") => Dialect::Ustar,
            b"ustar  \0" => Dialect::Gnu,
            _ => Dialect::V7,
        }
    }

    /// Historic writers summed signed bytes; both sums are accepted, as everywhere.
    pub fn checksum_matches(&self) -> bool {
        let Some(stored) = number(self.field(148, 8)) else { return false };
        let (mut unsigned, mut signed) = (0i64, 0i64);
        for (at, byte) in self.0.iter().enumerate() {
            let byte = if (148..156).contains(&at) { b' ' } else { *byte };
            unsigned += i64::from(byte);
            signed += i64::from(byte as i8);
        }
        stored == unsigned || stored == signed
    }

    pub fn is_zero(&self) -> bool {
        self.0.iter().all(|byte| *byte == 0)
    }
}

/// A text field ends at its first NUL.
pub(super) fn text(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    &field[..end]
}

/// A numeric field: octal digits with spaces and NULs around, or GNU's base-256 when the top bit is set.
pub(super) fn number(field: &[u8]) -> Option<i64> {
    if field.first().is_some_and(|byte| byte & 0x80 != 0) {
        return base256(field);
    }
    let is_pad = |byte: &u8| *byte == b' ' || *byte == 0;
    let start = field.iter().position(|byte| !is_pad(byte)).unwrap_or(field.len());
    let digits = &field[start..];
    let digits = &digits[..digits.iter().position(is_pad).unwrap_or(digits.len())];
    digits.iter().try_fold(0i64, |value, digit| match digit {
        b'0'..=b'7' => value.checked_mul(8)?.checked_add(i64::from(digit - b'0')),
        _ => None,
    })
}

/// Two's complement, big endian; the top bit only marks the form, the next one is the sign.
fn base256(field: &[u8]) -> Option<i64> {
    let negative = field[0] & 0x40 != 0;
    let invert = if negative { 0xff } else { 0x00 };
    let mut value: u64 = 0;
    for (at, byte) in field.iter().enumerate() {
        let mut byte = byte ^ invert;
        if at == 0 {
            byte &= 0x7f;
        }
        if value >> 56 != 0 {
            return None;
        }
        value = value << 8 | u64::from(byte);
    }
    let value = i64::try_from(value).ok()?;
    Some(if negative { !value } else { value })
}
