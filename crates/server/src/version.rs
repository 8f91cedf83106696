//! Which version a request speaks: `/v1.NN` is taken off the path before routing; without it the newest is meant.

use api::ApiVersion;

use crate::error::Error;

/// The version and the path without it. moby's pattern is `/v{version:[0-9.]+}/…`: anything else is simply another path.
pub(crate) fn split(path: &str) -> Result<(ApiVersion, &str), Error> {
    let Some((text, rest)) = path
        .strip_prefix("/v")
        .and_then(|path| path.split_once('/').map(|(text, _)| (text, &path[text.len()..])))
    else {
        return Ok((ApiVersion::MAX, path));
    };
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return Ok((ApiVersion::MAX, path));
    }
    let version = read(text);
    match version.refusal() {
        // The text that came, not our reading of it.
        Some(refusal) => Err(Error::invalid(refusal.replacen(&version.to_string(), text, 1))),
        None => Ok((version, rest)),
    }
}

/// As moby compares: parts between dots are numbers, missing ones are 0, those after the second do not matter here.
fn read(text: &str) -> ApiVersion {
    let mut numbers = text.split('.').map(|part| match part {
        "" => 0,
        digits => digits.parse().unwrap_or(u32::MAX),
    });
    ApiVersion { major: numbers.next().unwrap_or(0), minor: numbers.next().unwrap_or(0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_comes_off() {
        for (path, minor, rest) in [
            ("/v1.41/info", 41, "/info"),
            ("/v1.24/_ping", 24, "/_ping"),
            ("/info", 51, "/info"),
            ("/", 51, "/"),
            ("/volumes", 51, "/volumes"),
            ("/vx1.2/info", 51, "/vx1.2/info"),
            ("/v/info", 51, "/v/info"),
            ("/v1.51", 51, "/v1.51"),
            ("/v1.51/", 51, "/"),
        ] {
            let (version, found) = split(path).unwrap();
            assert_eq!((version, found), (ApiVersion::v1(minor), rest), "{path}");
        }
    }

    #[test]
    fn what_we_do_not_speak_is_refused_in_dockers_words() {
        for (path, text) in [
            (
                "/v1.12/info",
                "client version 1.12 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version",
            ),
            (
                "/v1/info",
                "client version 1 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version",
            ),
            ("/v1.52/info", "client version 1.52 is too new. Maximum supported API version is 1.51"),
            (
                "/v1.99999999999/info",
                "client version 1.99999999999 is too new. Maximum supported API version is 1.51",
            ),
            ("/v2.0/info", "client version 2.0 is too new. Maximum supported API version is 1.51"),
        ] {
            let error = split(path).unwrap_err();
            assert_eq!((error.message.as_str(), error.status().as_u16()), (text, 400), "{path}");
        }
    }
}
