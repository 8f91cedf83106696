//! Mount options as people write them ("ro", "noexec", "rslave", "size=64m") sorted into what the kernel's mount calls take.
//! The names are those of mount(8) and of the OCI runtime specification (config.md, "Linux mount options").

use sys::mount::attr;

use crate::plan::{Propagation, PropagationKind};

/// Options of one mount, sorted.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Options {
    pub set: u64,
    pub clear: u64,
    pub recursive_set: u64,
    pub recursive_clear: u64,
    pub propagation: Vec<Propagation>,
    /// Is a bind mount, and if so whether with all below.
    pub bind: Option<bool>,
    /// Flags of the file system itself rather than of the mount ("sync", "dirsync", "lazytime", "mand").
    pub superblock: Vec<String>,
    /// Everything else: options of the file system.
    pub data: Vec<(String, Option<String>)>,
    pub copy_up: bool,
    /// "idmap" (false) or "ridmap" (true).
    pub idmap: Option<bool>,
    /// "src-nofollow" / "dest-nofollow".
    pub nofollow: bool,
}

impl Options {
    /// Later options win over earlier ones.
    pub fn parse<'a>(options: impl IntoIterator<Item = &'a str>) -> Self {
        let mut sorted = Self::default();
        for option in options {
            sorted.add(option);
        }
        sorted
    }

    fn add(&mut self, option: &str) {
        if let Some((set, clear)) = attribute(option) {
            change(&mut self.set, &mut self.clear, set, clear);
            return;
        }
        if let Some((set, clear)) = option.strip_prefix('r').and_then(attribute) {
            change(&mut self.recursive_set, &mut self.recursive_clear, set, clear);
            return;
        }
        if let Some(kind) = propagation(option) {
            self.propagation.push(Propagation { kind, recursive: false });
            return;
        }
        if let Some(kind) = option.strip_prefix('r').and_then(propagation) {
            self.propagation.push(Propagation { kind, recursive: true });
            return;
        }
        match option {
            "bind" => self.bind = Some(false),
            "rbind" => self.bind = Some(true),
            "tmpcopyup" => self.copy_up = true,
            "idmap" => self.idmap = Some(false),
            "ridmap" => self.idmap = Some(true),
            "src-nofollow" | "dest-nofollow" | "nofollow" => self.nofollow = true,
            "sync" | "dirsync" | "lazytime" | "mand" | "iversion" => self.superblock.push(option.to_owned()),
            "async" | "nolazytime" | "nomand" | "noiversion" => {
                let lifted = option.strip_prefix("no").unwrap_or("sync");
                self.superblock.retain(|flag| flag != lifted);
            }
            // Words for mount(8) itself.
            "" | "defaults" | "remount" | "silent" | "loud" | "auto" | "noauto" | "user" | "nouser" => {}
            _ => self.data.push(match option.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (option.to_owned(), None),
            }),
        }
    }
}

/// A later option takes back an earlier one of the same field.
fn change(all_set: &mut u64, all_clear: &mut u64, set: u64, clear: u64) {
    *all_set = (*all_set & !clear) | set;
    *all_clear = (*all_clear & !set) | clear;
    if clear & attr::ATIME != 0 {
        // The access-time modes are one field, which has to be cleared as a whole to be set.
        *all_clear |= attr::ATIME;
    }
}

/// (bits to set, bits to clear).
fn attribute(name: &str) -> Option<(u64, u64)> {
    Some(match name {
        "ro" => (attr::RDONLY, 0),
        "rw" => (0, attr::RDONLY),
        "nosuid" => (attr::NOSUID, 0),
        "suid" => (0, attr::NOSUID),
        "nodev" => (attr::NODEV, 0),
        "dev" => (0, attr::NODEV),
        "noexec" => (attr::NOEXEC, 0),
        "exec" => (0, attr::NOEXEC),
        "nodiratime" => (attr::NODIRATIME, 0),
        "diratime" => (0, attr::NODIRATIME),
        "nosymfollow" => (attr::NOSYMFOLLOW, 0),
        "symfollow" => (0, attr::NOSYMFOLLOW),
        "noatime" => (attr::NOATIME, attr::ATIME),
        "strictatime" => (attr::STRICTATIME, attr::ATIME),
        "relatime" | "atime" | "norelatime" | "nostrictatime" => (attr::RELATIME, attr::ATIME),
        _ => return None,
    })
}

fn propagation(name: &str) -> Option<PropagationKind> {
    Some(match name {
        "private" => PropagationKind::Private,
        "slave" => PropagationKind::Slave,
        "shared" => PropagationKind::Shared,
        "unbindable" => PropagationKind::Unbindable,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorted() {
        let options =
            Options::parse("nosuid strictatime mode=755 size=65536k newinstance sync ro".split(' '));
        assert_eq!(options.set, attr::NOSUID | attr::STRICTATIME | attr::RDONLY);
        assert_eq!(options.clear, attr::ATIME);
        assert_eq!(options.superblock, ["sync"]);
        assert_eq!(
            options.data,
            [
                ("mode".into(), Some("755".into())),
                ("size".into(), Some("65536k".into())),
                ("newinstance".into(), None)
            ]
        );
        let bind = Options::parse("rbind ro rw rro rnoatime rslave private tmpcopyup".split(' '));
        assert_eq!((bind.bind, bind.set, bind.clear), (Some(true), 0, attr::RDONLY));
        assert_eq!(bind.recursive_set, attr::RDONLY | attr::NOATIME);
        assert_eq!(bind.recursive_clear, attr::ATIME);
        assert_eq!(bind.propagation.len(), 2);
        assert!(bind.copy_up && bind.propagation[0].recursive && !bind.propagation[1].recursive);
        assert_eq!(Options::parse(["relatime"]).data, []);
        assert_eq!(Options::parse(["noatime", "relatime"]).set, 0);
    }
}
