//! A running container's `/etc/hosts` when its addresses change. The container has the file mounted, so it is changed in place:
//! a new file under its name would not be seen inside. What users wrote into it stays.

use std::fs::OpenOptions;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::IpAddr;
use std::path::Path;

use network::files::{Hosts, hosts};

/// Takes the lines of `gone` out and puts the container's own name at `come` behind the rest.
pub(crate) fn update(
    path: &Path,
    hostname: &str,
    domain: &str,
    gone: &[IpAddr],
    come: &[IpAddr],
) -> io::Result<()> {
    rewrite(path, |before| edited(before, hostname, domain, gone, come))
}

/// Replaces a file's text in place.
pub(super) fn rewrite(path: &Path, edit: impl FnOnce(&str) -> String) -> io::Result<()> {
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let mut before = String::new();
    file.read_to_string(&mut before)?;
    let after = edit(&before);
    if after == before {
        return Ok(());
    }
    file.seek(SeekFrom::Start(0))?;
    file.write_all(after.as_bytes())?;
    file.set_len(after.len() as u64)
}

fn edited(before: &str, hostname: &str, domain: &str, gone: &[IpAddr], come: &[IpAddr]) -> String {
    let own = Hosts {
        hostname: hostname.to_owned(),
        domain: domain.to_owned(),
        addresses: come.to_vec(),
        ..Hosts::default()
    };
    let is_gone = |line: &&str| {
        let address = line.split_ascii_whitespace().next().and_then(|word| word.parse::<IpAddr>().ok());
        address.is_some_and(|address| gone.contains(&address) || come.contains(&address))
    };
    let mut text: String = before.split_inclusive('\n').filter(|line| !is_gone(line)).collect();
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    // The loopback's line comes first in a whole file.
    text.extend(hosts(&own).split_inclusive('\n').skip(1));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_lines_come_and_go_and_others_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hosts");
        std::fs::write(&path, "127.0.0.1\tlocalhost\n172.17.0.2\tweb\n# mine\n10.1.1.1 db").unwrap();
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        update(&path, "web", "", &[], &[address("10.9.0.2"), address("fd00::2")]).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(
            text,
            "127.0.0.1\tlocalhost\n172.17.0.2\tweb\n# mine\n10.1.1.1 db\n10.9.0.2\tweb\nfd00::2\tweb\n"
        );
        update(&path, "web", "", &[address("172.17.0.2"), address("10.9.0.2"), address("fd00::2")], &[])
            .unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "127.0.0.1\tlocalhost\n# mine\n10.1.1.1 db\n");
    }
}
