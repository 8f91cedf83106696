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
