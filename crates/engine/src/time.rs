//! Times in queries (`since`, `until`): absent when empty, an error in Docker's words when unreadable.

use jiff::Timestamp;

use crate::error::{Error, Result};

/// Reads one; empty and `0` are None.
pub(crate) fn parse(text: &str, now: Timestamp) -> Result<Option<Timestamp>> {
    match text {
        "" | "0" => Ok(None),
        text => crate::when::parse(text, now)
            .map(Some)
            .ok_or_else(|| Error::invalid(format!("failed to parse value as time or duration: {text:?}"))),
    }
}
