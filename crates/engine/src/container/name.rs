//! Names and ids of containers: what a name may be, and making up one for those who give none.

use rustix::rand::{GetRandomFlags, getrandom};

use crate::error::{Error, Result};

const ADJECTIVES: &[&str] = &[
    "able", "agile", "amber", "ample", "apt", "astute", "awake", "balmy", "blithe", "bold", "breezy",
    "bright", "brisk", "buoyant", "calm", "candid", "cheery", "civil", "clear", "clever", "coastal", "cosy",
    "crisp", "curious", "daring", "dapper", "deft", "eager", "earnest", "easy", "fair", "fearless", "fleet",
    "fond", "fresh", "frugal", "gentle", "glad", "golden", "graceful", "grand", "hardy", "hearty", "honest",
    "humble", "jolly", "joyful", "keen", "kind", "lively", "loyal", "lucid", "lucky", "mellow", "merry",
    "mild", "modest", "neat", "nimble", "noble", "patient", "placid", "plucky", "polite", "proud", "quick",
    "quiet", "ready", "robust", "sage", "serene", "shining", "silent", "silver", "smart", "snug", "sober",
    "spry", "stable", "steady", "sturdy", "sunny", "swift", "tidy", "tireless", "tranquil", "trusty",
    "upbeat", "valiant", "vivid", "warm", "wary", "willing", "windward", "wise", "witty", "worthy", "zesty",
];

/// Navigators, shipwrights, makers of maps and of lights on the coast.
const SURNAMES: &[&str] = &[
    "amundsen",
    "anson",
    "barents",
    "beaufort",
    "behaim",
    "bering",
    "bougainville",
    "bowditch",
    "brunel",
    "byrd",
    "cabot",
    "cartier",
    "cassini",
    "champlain",
    "chapman",
    "colomb",
    "conrad",
    "cook",
    "dampier",
    "davis",
    "dias",
    "drake",
    "earhart",
    "ericson",
    "eudoxus",
    "fitzroy",
    "flinders",
    "franklin",
    "fresnel",
    "freydis",
    "frobisher",
    "fulton",
    "gama",
    "gerritsz",
    "halley",
    "harrison",
    "himilco",
    "hokule",
    "hondius",
    "hudson",
    "ibnbattuta",
    "jang",
    "johnson",
    "joyon",
    "kaveli",
    "kenner",
    "knox",
    "kotzebue",
    "kuroshio",
    "laperouse",
    "lighthill",
    "lindeman",
    "lovell",
    "mackenzie",
    "magellan",
    "maury",
    "mercator",
    "moitessier",
    "nansen",
    "nares",
    "nordenskiold",
    "okada",
    "ortelius",
    "palmer",
    "parry",
    "peary",
    "pytheas",
    "quiros",
    "ross",
    "scoresby",
    "scott",
    "selkirk",
    "severin",
    "shackleton",
    "slocum",
    "smeaton",
    "stevens",
    "stevenson",
    "sunsin",
    "tabei",
    "tabarly",
    "tasman",
    "torres",
    "tupaia",
    "vancouver",
    "vespucci",
    "villiers",
    "voss",
    "waldo",
    "weddell",
    "wharton",
    "wilkes",
    "yishi",
    "zhenghe",
];

/// 32 random bytes as hex, never with twelve digits at the front: a short id must not look like a number.
pub(crate) fn new_id() -> String {
    loop {
        let mut bytes = [0; 32];
        random(&mut bytes);
        let id = image::hex_encode(&bytes);
        if !id.bytes().take(12).all(|byte| byte.is_ascii_digit()) {
            return id;
        }
    }
}

/// The first twelve digits of an id.
pub(crate) fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

/// A name like `brisk_mercator`; with `attempt` above zero, with a digit behind it, as names run out.
pub(crate) fn generate(attempt: u32) -> String {
    let mut bytes = [0; 5];
    random(&mut bytes);
    let pick = |words: &[&'static str], low: u8, high: u8| -> &'static str {
        words
            .get(usize::from(u16::from_le_bytes([low, high])) % words.len().max(1))
            .copied()
            .unwrap_or("naru")
    };
    let (adjective, surname) = (pick(ADJECTIVES, bytes[0], bytes[1]), pick(SURNAMES, bytes[2], bytes[3]));
    match attempt {
        0 => format!("{adjective}_{surname}"),
        _ => format!("{adjective}_{surname}{}", bytes[4] % 10),
    }
}

fn random(bytes: &mut [u8]) {
    let mut filled = 0;
    while filled < bytes.len() {
        // Fails only when a signal comes before the pool is ready, at boot.
        filled += getrandom(&mut bytes[filled..], GetRandomFlags::empty()).unwrap_or(0);
    }
}

/// Takes the slash of the wire off a name and checks it.
pub(crate) fn check(name: &str) -> Result<String> {
    let bare = name.strip_prefix('/').unwrap_or(name);
    let mut bytes = bare.bytes();
    let first = bytes.next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    let rest = bytes.len() > 0
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'));
    match first && rest {
        true => Ok(bare.to_owned()),
        false => Err(Error::invalid(format!(
            "Invalid container name ({name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_docker_takes_and_does_not() {
        for good in ["ab", "/web", "a.b-c_d", "0a", &"x".repeat(10_000)] {
            assert_eq!(check(good).unwrap(), good.trim_start_matches('/'));
        }
        for bad in ["", "a", "/", "-ab", "_ab", ".ab", "a b", "a/b", "ä0", "//ab", "ab\n"] {
            let error = check(bad).unwrap_err();
            assert_eq!(
                error.message,
                format!("Invalid container name ({bad}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")
            );
            assert_eq!(error.kind, api::ErrorKind::InvalidParameter);
        }
    }

    #[test]
    fn made_up_names_and_ids_are_valid_and_differ() {
        let names: std::collections::BTreeSet<String> = (0..50).map(|_| generate(0)).collect();
        assert!(names.len() > 30);
        assert!(names.iter().all(|name| check(name).is_ok()));
        assert!(check(&generate(1)).is_ok());
        let id = new_id();
        assert_eq!((id.len(), short(&id).len()), (64, 12));
        assert_ne!(id, new_id());
    }
}
