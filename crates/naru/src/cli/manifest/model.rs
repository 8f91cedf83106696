//! One manifest of a list as the stock client's files and its `inspect --verbose` have it, and the list made of several.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::{Descriptor, Digest, Manifest, MediaType, Platform, Reference};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A manifest with where it came from and what it is for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ImageManifest {
    /// `registry/repository:tag` or `…@digest`.
    #[serde(rename = "Ref")]
    pub name: String,
    #[serde(rename = "Descriptor")]
    pub descriptor: Descriptor,
    /// The manifest's bytes, base64.
    #[serde(rename = "Raw", default)]
    pub raw: String,
    /// The manifest once more, by its kind.
    #[serde(rename = "SchemaV2Manifest", default, skip_serializing_if = "Option::is_none")]
    pub docker: Option<Box<RawValue>>,
    #[serde(rename = "OCIManifest", default, skip_serializing_if = "Option::is_none")]
    pub oci: Option<Box<RawValue>>,
}

impl ImageManifest {
    /// Of what a registry gave.
    pub fn new(name: &Reference, descriptor: Descriptor, bytes: &[u8]) -> anyhow::Result<Self> {
        let text = String::from_utf8(bytes.to_vec())?;
        let document = Some(RawValue::from_string(text)?);
        let (docker, oci) = match descriptor.media_type.is_docker() {
            true => (document, None),
            false => (None, document),
        };
        Ok(Self { name: name.to_string(), descriptor, raw: STANDARD.encode(bytes), docker, oci })
    }

    /// The manifest's bytes.
    pub fn bytes(&self) -> anyhow::Result<Vec<u8>> {
        let bytes = STANDARD.decode(&self.raw)?;
        anyhow::ensure!(
            Digest::sha256(&bytes) == self.descriptor.digest,
            "the stored manifest of {} is damaged",
            self.name
        );
        Ok(bytes)
    }

    /// The manifest itself.
    pub fn manifest(&self) -> anyhow::Result<Manifest> {
        Ok(Manifest::parse(&self.bytes()?)?)
    }

    /// Its name.
    pub fn reference(&self) -> anyhow::Result<Reference> {
        Ok(Reference::parse(&self.name)?)
    }
}

/// An entry of a list, in the order of the stock client's fields: the list's digest depends on it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    media_type: &'a MediaType,
    size: u64,
    digest: &'a Digest,
    platform: Target<'a>,
}

#[derive(Serialize)]
struct Target<'a> {
    architecture: &'a str,
    os: &'a str,
    #[serde(rename = "os.version", skip_serializing_if = "str::is_empty")]
    os_version: &'a str,
    #[serde(rename = "os.features", skip_serializing_if = "<[String]>::is_empty")]
    os_features: &'a [String],
    #[serde(skip_serializing_if = "str::is_empty")]
    variant: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List<'a> {
    schema_version: u64,
    media_type: &'a MediaType,
    manifests: Vec<Entry<'a>>,
}

/// The list of these manifests: its kind, and its bytes as the stock client writes them.
pub fn list(manifests: &[ImageManifest]) -> anyhow::Result<(MediaType, Vec<u8>)> {
    let unknown = Platform::default();
    let is_docker = manifests.first().is_none_or(|first| first.descriptor.media_type.is_docker());
    let media_type = if is_docker { MediaType::DOCKER_LIST } else { MediaType::OCI_INDEX };
    let entries = manifests.iter().map(|manifest| {
        let Descriptor { media_type, size, digest, platform, .. } = &manifest.descriptor;
        let platform = platform.as_ref().unwrap_or(&unknown);
        let platform = Target {
            architecture: &platform.architecture,
            os: &platform.os,
            os_version: &platform.os_version,
            os_features: &platform.os_features,
            variant: &platform.variant,
        };
        Entry { media_type, size: *size, digest, platform }
    });
    let list = List { schema_version: 2, media_type: &media_type, manifests: entries.collect() };
    let text = indent(&serde_json::to_string(&list)?, "   ");
    Ok((media_type, text.into_bytes()))
}

/// JSON with every value on a line of its own, as Go's `json.Indent`: order, numbers and strings stay what they are.
pub fn indent(json: &str, step: &str) -> String {
    let (mut out, mut depth, mut in_string, mut escaped) = (String::new(), 0, false, false);
    let mut tokens = json.chars().peekable();
    let newline = |out: &mut String, depth: usize| {
        out.push('\n');
        out.push_str(&step.repeat(depth));
    };
    while let Some(c) = tokens.next() {
        if in_string {
            out.push(c);
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        match c {
            ' ' | '\t' | '\n' | '\r' => {}
            '{' | '[' => {
                out.push(c);
                while tokens.next_if(|next| next.is_ascii_whitespace()).is_some() {}
                if let Some(end) = tokens.next_if(|next| matches!(next, '}' | ']')) {
                    out.push(end);
                } else {
                    depth += 1;
                    newline(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                newline(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                newline(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c => {
                in_string = c == '"';
                out.push(c);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_indented_as_go_does() {
        let json = r#"{"a": {}, "b":[ ],"c":[1, "x\\\" ,{}" ],"d":null}"#;
        let want = "{\n\t\"a\": {},\n\t\"b\": [],\n\t\"c\": [\n\t\t1,\n\t\t\"x\\\\\\\" ,{}\"\n\t],\n\t\"d\": null\n}";
        assert_eq!(indent(json, "\t"), want);
    }
}
