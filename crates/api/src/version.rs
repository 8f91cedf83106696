//! API versions: `major.minor`, compared as numbers.

use std::fmt;
use std::str::FromStr;

/// A version of the Engine API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiVersion {
    /// Always 1 so far.
    pub major: u32,
    /// What `/v1.NN/` counts.
    pub minor: u32,
}

impl ApiVersion {
    /// The newest we speak; used for requests without a version.
    pub const MAX: Self = Self::v1(51);
    /// The oldest we speak.
    pub const MIN: Self = Self::v1(24);

    /// Version 1.`minor`.
    pub const fn v1(minor: u32) -> Self {
        Self { major: 1, minor }
    }

    /// Why a client of this version is not served, in Docker's words, or `None`.
    pub fn refusal(self) -> Option<String> {
        if self < Self::MIN {
            Some(format!(
                "client version {self} is too old. Minimum supported API version is {}, please upgrade your client to a newer version",
                Self::MIN
            ))
        } else if self > Self::MAX {
            Some(format!("client version {self} is too new. Maximum supported API version is {}", Self::MAX))
        } else {
            None
        }
    }
}

impl Default for ApiVersion {
    fn default() -> Self {
        Self::MAX
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Not of the form `1.51`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidVersion;

impl fmt::Display for InvalidVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("API version must be of the form MAJOR.MINOR")
    }
}

impl std::error::Error for InvalidVersion {}

impl FromStr for ApiVersion {
    type Err = InvalidVersion;

    fn from_str(text: &str) -> Result<Self, InvalidVersion> {
        let number = |part: &str| match part.bytes().all(|byte| byte.is_ascii_digit()) {
            true => part.parse().map_err(|_| InvalidVersion),
            false => Err(InvalidVersion),
        };
        let (major, minor) = text.split_once('.').ok_or(InvalidVersion)?;
        Ok(Self { major: number(major)?, minor: number(minor)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_numbers() {
        assert!("1.9".parse::<ApiVersion>().unwrap() < ApiVersion::v1(24));
        assert!("1.100".parse::<ApiVersion>().unwrap() > ApiVersion::MAX);
        for wrong in ["1", "1.", ".51", "1.5x", "v1.51", "1.-1", "1.+5", "1.99999999999"] {
            assert!(wrong.parse::<ApiVersion>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn refusals_are_in_dockers_words() {
        let refusal = |text: &str| text.parse::<ApiVersion>().unwrap().refusal();
        assert_eq!(
            refusal("1.12").unwrap(),
            "client version 1.12 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version"
        );
        assert_eq!(
            refusal("1.99").unwrap(),
            "client version 1.99 is too new. Maximum supported API version is 1.51"
        );
        assert_eq!(refusal("1.24"), None);
        assert_eq!(refusal("1.51"), None);
    }
}
