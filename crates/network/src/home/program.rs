//! The programs that can make a way out, and how each is called. Both get the same addresses, so that nothing else depends on
//! which of them it is.

use std::ffi::OsString;
use std::fmt;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

/// Which program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Of passt.
    Pasta,
    /// Of libslirp.
    Slirp4netns,
}

impl Kind {
    /// The best first: pasta passes on segments without a TCP of its own.
    pub const ALL: [Self; 2] = [Self::Pasta, Self::Slirp4netns];

    /// The program's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pasta => "pasta",
            Self::Slirp4netns => "slirp4netns",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A program that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Which it is.
    pub kind: Kind,
    /// Where.
    pub path: PathBuf,
}

/// The link that it makes.
pub(super) const LINK: &str = "tap0";
/// The largest packet that both take.
const MTU: &str = "65520";

impl Program {
    /// What to call it with, for the namespace behind `netns` and addresses from `subnet`.
    ///
    /// Nothing of the host's loopback is within reach, as with rootless Docker and Podman: what listens there listens there for
    /// the host's users alone.
    pub(super) fn arguments(&self, netns: &Path, subnet: Ipv4Net) -> Vec<OsString> {
        let at = |host: u32| Ipv4Addr::from(u32::from(subnet.network()) + host).to_string();
        let words: Vec<String> = match self.kind {
            // Without `--no-netns-quit` versions differ in what they watch; the holder's end ends it.
            Kind::Pasta => vec![
                "--foreground".into(),
                "--quiet".into(),
                "--config-net".into(),
                "--no-map-gw".into(),
                "--no-netns-quit".into(),
                "--tcp-ports=none".into(),
                "--udp-ports=none".into(),
                "--tcp-ns=none".into(),
                "--udp-ns=none".into(),
                format!("--ns-ifname={LINK}"),
                format!("--address={}", at(100)),
                format!("--netmask={}", subnet.netmask()),
                format!("--gateway={}", at(2)),
                format!("--mtu={MTU}"),
            ],
            Kind::Slirp4netns => vec![
                "--configure".into(),
                "--disable-host-loopback".into(),
                "--netns-type=path".into(),
                format!("--cidr={subnet}"),
                format!("--mtu={MTU}"),
            ],
        };
        let mut arguments: Vec<OsString> = words.into_iter().map(OsString::from).collect();
        match self.kind {
            Kind::Pasta => arguments.extend(["--netns".into(), netns.into()]),
            Kind::Slirp4netns => arguments.extend([netns.into(), LINK.into()]),
        }
        arguments
    }

    /// As the holder is told of it: `pasta=/usr/bin/pasta`.
    pub(super) fn to_argument(&self) -> OsString {
        let mut text = OsString::from(format!("{}=", self.kind));
        text.push(&self.path);
        text
    }

    /// The inverse.
    pub(super) fn from_argument(text: &OsString) -> Option<Self> {
        use std::os::unix::ffi::OsStrExt;
        let bytes = text.as_bytes();
        let kind = Kind::ALL.into_iter().find(|kind| {
            bytes.strip_prefix(kind.name().as_bytes()).is_some_and(|rest| rest.starts_with(b"="))
        })?;
        let path = std::ffi::OsStr::from_bytes(&bytes[kind.name().len() + 1..]);
        Some(Self { kind, path: path.into() })
    }
}

/// Whether a line that a program says tells what went wrong with it.
pub(super) fn is_telling(line: &str) -> bool {
    // pasta says everything to the system's log as well, and complains where it has none.
    !line.trim().is_empty() && !line.contains("bytes to syslog")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_travel_as_arguments() {
        for kind in Kind::ALL {
            let program = Program { kind, path: PathBuf::from("/opt/a=b/x") };
            assert_eq!(Program::from_argument(&program.to_argument()), Some(program));
        }
        assert_eq!(Program::from_argument(&"vpnkit=/x".into()), None);
        assert_eq!(Program::from_argument(&"pasta".into()), None);
    }

    #[test]
    fn both_get_the_same_addresses() {
        let subnet = Ipv4Net::new_assert(Ipv4Addr::new(10, 0, 3, 0), 24);
        let call = |kind| {
            let program = Program { kind, path: PathBuf::new() };
            let words = program.arguments(Path::new("/proc/7/fd/3"), subnet);
            words.iter().map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
        };
        let pasta = call(Kind::Pasta);
        assert!(pasta.contains("--address=10.0.3.100 --netmask=255.255.255.0 --gateway=10.0.3.2"), "{pasta}");
        assert!(pasta.ends_with("--netns /proc/7/fd/3"), "{pasta}");
        // Of these it takes .100 and .2 by itself.
        let slirp4netns = call(Kind::Slirp4netns);
        assert!(slirp4netns.contains("--cidr=10.0.3.0/24"), "{slirp4netns}");
        assert!(slirp4netns.ends_with("/proc/7/fd/3 tap0"), "{slirp4netns}");
    }
}
