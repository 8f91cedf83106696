//! `--platform`: what a user types, and what the engine takes.

use image::Platform;

use super::Failure;

/// The JSON of an OCI platform for `os[/arch[/variant]]`.
pub fn json(text: &str) -> anyhow::Result<String> {
    let platform =
        Platform::parse(text).map_err(|error| Failure::new(1, format!("invalid platform: {error}")))?;
    Ok(serde_json::to_string(&platform)?)
}

/// The same for several.
pub fn json_all(texts: &[String]) -> anyhow::Result<Vec<String>> {
    texts.iter().map(|text| json(text)).collect()
}
