//! Registry credentials in the header `X-Registry-Auth`: base64 of JSON; the alphabet should be base64url with padding, but clients have sent every kind.

use api::AuthConfig;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const TOLERANT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The credentials. Like moby, rubbish means no credentials: the registry says what is missing.
pub(crate) fn one(header: Option<&str>) -> Option<AuthConfig> {
    decode(header?).filter(|auth| *auth != AuthConfig::default())
}

fn decode(header: &str) -> Option<AuthConfig> {
    let text: String = header
        .trim()
        .chars()
        .map(|c| {
            if c == '+' {
                '-'
            } else if c == '/' {
                '_'
            } else {
                c
            }
        })
        .collect();
    let json = TOLERANT.decode(text).ok()?;
    serde_json::from_slice(&json).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};

    #[test]
    fn every_kind_of_base64_is_read() {
        // `ü>>>???` makes + and / appear.
        let json = r#"{"username":"me","password":"ü>>>???","serveraddress":"r.example"}"#;
        for encoded in [
            URL_SAFE.encode(json),
            URL_SAFE_NO_PAD.encode(json),
            STANDARD.encode(json),
            STANDARD_NO_PAD.encode(json),
        ] {
            let auth = one(Some(&encoded)).unwrap();
            assert_eq!((auth.username.as_str(), auth.password.as_str()), ("me", "ü>>>???"), "{encoded}");
        }
    }

    #[test]
    fn nothing_and_rubbish_are_no_credentials() {
        for header in [None, Some(""), Some("e30="), Some("bnVsbA=="), Some("!"), Some("bm90IGpzb24=")] {
            assert_eq!(one(header), None, "{header:?}");
        }
    }
}
