//! A compiled filter as data: what the launcher installs and what a stored launch plan carries.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A seccomp filter, ready to install with [`sys::seccomp::install`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// `struct sock_filter` packed into words, see [`sys::seccomp::instruction`]. In JSON base64 of their bytes.
    #[serde(with = "words")]
    pub instructions: Vec<u64>,
    /// `SECCOMP_FILTER_FLAG_*`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub flags: u64,
}

impl Program {
    /// Whether it lets a native call with these arguments pass.
    pub fn allows(&self, number: u32, arguments: [u64; 6]) -> bool {
        let audit = crate::arch::Machine::NATIVE.abi().audit();
        let answer = self.answer(Call { audit, number, arguments }).map(|(answer, _)| answer);
        matches!(answer, Some(crate::decide::answer::ALLOW | crate::decide::answer::LOG))
    }

    /// Runs it as the kernel would: the answer, and how many instructions it took. `None`: it is no filter of ours.
    pub(crate) fn answer(&self, call: Call) -> Option<(u32, usize)> {
        let word = |offset: u32| match offset {
            0 => Some(call.number),
            4 => Some(call.audit),
            offset => {
                let argument = call.arguments.get(usize::try_from(offset.checked_sub(16)? / 8).ok()?)?;
                Some((argument >> (offset % 8 * 8)) as u32)
            }
        };
        let (mut at, mut steps, mut accumulator) = (0_usize, 0, 0_u32);
        loop {
            let (code, yes, no, k) = sys::seccomp::unpack(*self.instructions.get(at)?);
            at += 1;
            steps += 1;
            let mut jump = |condition: bool| at += usize::from(if condition { yes } else { no });
            match code {
                0x20 => accumulator = word(k)?,
                0x54 => accumulator &= k,
                0x05 => at = at.checked_add(usize::try_from(k).ok()?)?,
                0x06 => return Some((k, steps)),
                0x15 => jump(accumulator == k),
                0x25 => jump(accumulator > k),
                0x35 => jump(accumulator >= k),
                _ => return None,
            }
        }
    }
}

/// What a filter sees of a call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    pub audit: u32,
    pub number: u32,
    pub arguments: [u64; 6],
}

fn is_zero(flags: &u64) -> bool {
    *flags == 0
}

mod words {
    use super::*;

    pub fn serialize<S: Serializer>(words: &[u64], serializer: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u64>, D::Error> {
        use serde::de::Error;
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text.as_bytes()).map_err(D::Error::custom)?;
        let (words, rest) = bytes.as_chunks::<8>();
        if !rest.is_empty() {
            return Err(D::Error::custom("the filter is cut off inside an instruction"));
        }
        Ok(words.iter().map(|bytes| u64::from_ne_bytes(*bytes)).collect())
    }
}
