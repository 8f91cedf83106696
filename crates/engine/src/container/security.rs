//! Capabilities and `--security-opt`: from words to bit masks and choices. Pure.

use api::HostConfig;

use crate::error::{Error, Result};

/// The number of a capability, by its name with or without `CAP_`, in any case; `ALL` is none of them.
pub(crate) fn capability(name: &str) -> Option<u32> {
    match name.eq_ignore_ascii_case("all") {
        true => Some(u32::MAX),
        false => sys::caps::parse(name),
    }
}

/// Docker's fourteen.
pub(crate) const DEFAULT_CAPABILITIES: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

/// The capabilities of a container, of those that this kernel has (`last` is its highest).
pub(crate) fn capabilities(host: &HostConfig, last: u32) -> u64 {
    let all = sys::caps::ALL & (u64::MAX >> (63 - last.min(63)));
    if host.privileged {
        return all;
    }
    let mask = |list: &Option<api::StrSlice>| -> (u64, bool) {
        let numbers = list.iter().flat_map(|caps| caps.iter()).filter_map(|name| capability(name));
        numbers.fold((0, false), |(mask, every), number| match number {
            u32::MAX => (mask, true),
            number => (mask | 1 << number, every),
        })
    };
    let (add, add_all) = mask(&host.cap_add);
    let (drop, drop_all) = mask(&host.cap_drop);
    let defaults = DEFAULT_CAPABILITIES
        .iter()
        .filter_map(|name| sys::caps::parse(name))
        .fold(0, |mask, n| mask | 1 << n);
    all & match (add_all, drop_all) {
        (true, _) => all & !drop,
        (false, true) => add,
        (false, false) => defaults & !drop | add,
    }
}

/// Which filter of system calls.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Seccomp {
    /// The engine's default.
    #[default]
    Default,
    /// The built-in profile, whatever the engine's default.
    Builtin,
    Unconfined,
    /// A profile as JSON (clients send the file's content).
    Profile(String),
}

impl Seccomp {
    pub(crate) fn parse(text: &str) -> Self {
        match text {
            "unconfined" => Self::Unconfined,
            "builtin" => Self::Builtin,
            json => Self::Profile(json.to_owned()),
        }
    }
}

/// `SecurityOpt`, parsed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Options {
    pub seccomp: Seccomp,
    /// None = the engine's default.
    pub no_new_privileges: Option<bool>,
    pub apparmor: Option<String>,
    pub labels: Vec<String>,
    pub writable_cgroups: Option<bool>,
    /// Nothing masked, nothing read-only below /proc and /sys.
    pub unconfined_paths: bool,
}

impl Options {
    pub(crate) fn parse(host: &HostConfig) -> Result<Self> {
        let mut options = Self::default();
        for option in host.security_opt.iter().flatten() {
            match option.as_str() {
                "no-new-privileges" => {
                    options.no_new_privileges = Some(true);
                    continue;
                }
                "disable" => {
                    options.labels.push("disable".to_owned());
                    continue;
                }
                _ => {}
            }
            let separator = if option.contains('=') { '=' } else { ':' };
            let (key, value) = option
                .split_once(separator)
                .ok_or_else(|| Error::invalid(format!("invalid --security-opt 1: {option:?}")))?;
            let unknown = || Error::invalid(format!("invalid --security-opt 2: {option:?}"));
            match key {
                "label" => options.labels.push(value.to_owned()),
                "apparmor" => options.apparmor = Some(value.to_owned()),
                "seccomp" => {
                    options.seccomp = Seccomp::parse(value);
                    if let Seccomp::Profile(json) = &options.seccomp {
                        seccomp::Profile::parse(json.as_bytes())
                            .map_err(|error| Error::invalid(error.to_string()))?;
                    }
                }
                "no-new-privileges" => options.no_new_privileges = Some(go_bool(value).ok_or_else(unknown)?),
                "writable-cgroups" => options.writable_cgroups = Some(go_bool(value).ok_or_else(unknown)?),
                "systempaths" if value == "unconfined" => options.unconfined_paths = true,
                _ => return Err(unknown()),
            }
        }
        Ok(options)
    }
}

/// Go's `strconv.ParseBool`.
fn go_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(json: &str) -> Vec<String> {
        let mask = capabilities(&serde_json::from_str(json).unwrap(), 40);
        (0..64).filter(|number| mask >> number & 1 == 1).filter_map(sys::caps::name).collect()
    }

    #[test]
    fn capabilities_follow_dockers_table() {
        assert_eq!(names("{}").len(), 14);
        assert_eq!(names(r#"{"Privileged":true,"CapDrop":["ALL"]}"#).len(), 41);
        assert_eq!(names(r#"{"CapAdd":["ALL"],"CapDrop":["CAP_SYS_ADMIN"]}"#).len(), 40);
        assert_eq!(names(r#"{"CapDrop":["all"],"CapAdd":["net_admin"]}"#), ["CAP_NET_ADMIN"]);
        assert_eq!(names(r#"{"CapDrop":["ALL"]}"#), Vec::<String>::new());
        assert_eq!(names(r#"{"CapAdd":["SYS_PTRACE"],"CapDrop":["CHOWN","KILL"]}"#).len(), 13);
    }

    #[test]
    fn options_are_read() {
        let parse = |options: &[&str]| {
            let host = HostConfig {
                security_opt: Some(options.iter().map(|option| option.to_string()).collect()),
                ..Default::default()
            };
            Options::parse(&host)
        };
        let options =
            parse(&["no-new-privileges", "seccomp=unconfined", "apparmor=mine", "label:disable"]).unwrap();
        assert_eq!(options.no_new_privileges, Some(true));
        assert_eq!(options.seccomp, Seccomp::Unconfined);
        assert_eq!(options.apparmor.as_deref(), Some("mine"));
        assert_eq!(options.labels, ["disable"]);
        assert_eq!(parse(&["no-new-privileges:false"]).unwrap().no_new_privileges, Some(false));
        assert_eq!(parse(&["x=y"]).unwrap_err().message, "invalid --security-opt 2: \"x=y\"");
        assert_eq!(
            parse(&["no-new-privileges=maybe"]).unwrap_err().message,
            "invalid --security-opt 2: \"no-new-privileges=maybe\""
        );
    }
}
