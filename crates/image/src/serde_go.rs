//! Reading JSON the way Go's decoder reads it: `null` is the zero value.

use serde::{Deserialize, Deserializer};

/// For `#[serde(default, deserialize_with = "null_default")]`: `null` and absent both give the default.
pub(crate) fn null_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
