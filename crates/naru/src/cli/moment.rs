//! `--since` and `--until`.

use term::time;

use super::Failure;

/// What the engine is asked for a flag's text, with the flag's name in errors.
pub fn flag(name: &str, text: Option<&str>) -> anyhow::Result<String> {
    plain(text).map_err(|error| Failure::new(1, format!("invalid value for \"{name}\": {error}")).into())
}

/// What the engine is asked for a flag's text; nothing for none.
pub fn plain(text: Option<&str>) -> Result<String, String> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(String::new()) };
    let zone = jiff::tz::TimeZone::try_system().unwrap_or(jiff::tz::TimeZone::UTC);
    let now = jiff::Timestamp::now().to_zoned_datetime(zone);
    time::timestamp(text, &now)
}
