//! The third part of `-v source:destination:mode`: a comma list of options, each kind at most once (moby's `volume/mounts`).

/// A mode, taken apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Mode {
    pub read_only: bool,
    /// Empty when not given.
    pub propagation: String,
    pub no_copy: bool,
}

pub(crate) const PROPAGATIONS: &[&str] = &["private", "rprivate", "slave", "rslave", "shared", "rshared"];
const CONSISTENCIES: &[&str] = &["consistent", "cached", "delegated", "default"];

/// Reads a mode; None when it is none.
pub(crate) fn parse(text: &str) -> Option<Mode> {
    let mut mode = Mode::default();
    if text.is_empty() {
        return Some(mode);
    }
    let (mut access, mut label, mut consistency) = (0, 0, 0);
    for option in text.split(',') {
        match option {
            "ro" | "rw" => {
                access += 1;
                mode.read_only = option == "ro";
            }
            "z" | "Z" => label += 1,
            "nocopy" if !mode.no_copy => mode.no_copy = true,
            _ if CONSISTENCIES.contains(&option) => consistency += 1,
            _ if PROPAGATIONS.contains(&option) && mode.propagation.is_empty() => {
                mode.propagation = option.to_owned();
            }
            _ => return None,
        }
    }
    (access <= 1 && label <= 1 && consistency <= 1).then_some(mode)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes() {
        for good in ["", "ro", "rw", "z", "Z,ro", "ro,rslave,z", "nocopy", "cached,ro", "rw,shared,delegated"]
        {
            assert!(parse(good).is_some(), "{good}");
        }
        for bad in ["/x", "ro,rw", "z,Z", "rslave,rshared", "foo", "ro,", "nocopy,nocopy", "RO"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
        let expected = Mode { read_only: true, propagation: "rslave".into(), no_copy: true };
        assert_eq!(parse("ro,rslave,nocopy"), Some(expected));
    }
}
