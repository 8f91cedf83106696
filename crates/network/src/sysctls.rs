//! Kernel settings of one interface (`com.docker.network.endpoint.sysctls`): `net.X.Y.IFNAME.Z=V`, separated by commas.

use std::fs;

use crate::error::{Error, Result};
use crate::sandbox::Sandbox;

/// The endpoint option that they are given in.
pub const SYSCTLS: &str = "com.docker.network.endpoint.sysctls";

/// Family, table, key and value.
type Setting<'a> = (&'a str, &'a str, &'a str, &'a str);

/// Parsed; the Err is the setting that cannot be understood.
fn parse(text: &str) -> impl Iterator<Item = std::result::Result<Setting<'_>, &str>> {
    text.split(',').filter(|setting| !setting.is_empty()).map(|setting| {
        let parts: Vec<&str> = setting.splitn(5, '.').collect();
        match parts[..] {
            // The CLI may have written the placeholder in lower case.
            ["net", family @ ("ipv4" | "ipv6" | "mpls"), table, ifname, rest]
                if ifname.eq_ignore_ascii_case("ifname") && !table.contains('/') =>
            {
                match rest.split_once('=') {
                    Some((key, value)) if !key.is_empty() && !key.contains(['/', '.']) => {
                        Ok((family, table, key, value))
                    }
                    _ => Err(setting),
                }
            }
            _ => Err(setting),
        }
    })
}

/// The settings in `text` that cannot be understood.
pub fn unknown_sysctls(text: &str) -> Vec<&str> {
    parse(text).filter_map(|setting| setting.err()).collect()
}

/// Writes them for an interface inside the sandbox.
pub(crate) fn apply(text: &str, sandbox: &Sandbox, ifname: &str) -> Result<()> {
    use std::os::fd::AsFd;
    let mut writes = Vec::new();
    for setting in parse(text) {
        let (family, table, key, value) = setting.map_err(|setting| {
            Error::invalid(format!("unrecognised network interface sysctl '{setting}'"))
        })?;
        writes.push((format!("/proc/sys/net/{family}/{table}/{ifname}/{key}"), value));
    }
    let written = sys::in_netns(sandbox.as_fd(), || {
        writes.iter().try_for_each(|(path, value)| {
            fs::write(path, value).map_err(|error| Error::host(format!("write {value} to {path}"), error))
        })
    });
    written.map_err(|error| Error::host("enter the container's network namespace", error))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_name_the_interface_by_a_placeholder() {
        let good = "net.ipv4.conf.IFNAME.log_martians=1,net.ipv6.conf.ifname.accept_ra=2";
        let parsed: Vec<_> = parse(good).map(|setting| setting.unwrap()).collect();
        assert_eq!(parsed, [("ipv4", "conf", "log_martians", "1"), ("ipv6", "conf", "accept_ra", "2")]);
        for bad in [
            "net.ipv4.conf.eth0.log_martians=1",
            "net.ipv4.conf.IFNAME.log_martians",
            "net.core.conf.IFNAME.x=1",
            "kernel.x=1",
            "net.ipv4.conf.IFNAME.../../x=1",
        ] {
            assert_eq!(unknown_sysctls(bad), [bad]);
        }
    }
}
