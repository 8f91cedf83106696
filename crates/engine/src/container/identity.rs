//! Whom a container's `User` means, by the container's own `/etc/passwd` and `/etc/group`.

use std::fs::File;
use std::io::Read;
use std::os::fd::BorrowedFd;

use rustix::fs::OFlags;

use super::root;
use crate::error::{Error, Result};

/// Longer files are a container's mischief.
const LONGEST: u64 = 1 << 20;

/// User and group id of `name|uid[:group|gid]`.
pub(crate) fn of(root: BorrowedFd<'_>, user: &str) -> Result<(u32, u32)> {
    resolve(user, &read(root, "/etc/passwd"), &read(root, "/etc/group"))
}

fn read(root: BorrowedFd<'_>, path: &str) -> String {
    let mut text = String::new();
    // An image without the file has numbers only.
    if let Ok(file) = root::open(root, path, OFlags::RDONLY | OFlags::NONBLOCK) {
        let _ = File::from(file).take(LONGEST).read_to_string(&mut text);
    }
    text
}

fn resolve(user: &str, passwd: &str, group: &str) -> Result<(u32, u32)> {
    let (user, wanted_group) = user.split_once(':').unwrap_or((user, ""));
    let lines = |text: &str, key: &str, number: usize| -> Option<Vec<String>> {
        let line = text.lines().map(|line| line.split(':').map(str::to_owned).collect::<Vec<_>>());
        line.into_iter().find(|fields| {
            fields.first().is_some_and(|name| name == key) || fields.get(number).is_some_and(|id| id == key)
        })
    };
    let missing = |what: &str, name: &str| {
        Error::invalid(format!(
            "unable to find {what} {name}: no matching entries in {} file",
            if what == "user" { "passwd" } else { "group" }
        ))
    };
    let entry = lines(passwd, user, 2);
    let uid = match &entry {
        Some(fields) => fields.get(2).and_then(|id| id.parse().ok()),
        None => user.parse().ok(),
    };
    let uid = uid.ok_or_else(|| missing("user", user))?;
    let gid = match wanted_group {
        "" => entry.and_then(|fields| fields.get(3)?.parse().ok()).unwrap_or(0),
        name => match lines(group, name, 2) {
            Some(fields) => fields.get(2).and_then(|id| id.parse().ok()),
            None => name.parse().ok(),
        }
        .ok_or_else(|| missing("group", name))?,
    };
    Ok((uid, gid))
}

#[cfg(test)]
mod tests {
    use super::resolve;

    #[test]
    fn names_and_numbers_are_looked_up_in_the_containers_files() {
        let passwd = "root:x:0:0::/:/bin/sh\napp:x:1000:1001::/:/bin/sh\n";
        let group = "root:x:0:\nstaff:x:50:app\n";
        let check = |user: &str, expected| assert_eq!(resolve(user, passwd, group).ok(), expected, "{user}");
        check("app", Some((1000, 1001)));
        check("1000", Some((1000, 1001)));
        check("7", Some((7, 0)));
        check("app:staff", Some((1000, 50)));
        check("7:8", Some((7, 8)));
        check("nobody", None);
        check("app:nobody", None);
        let error = resolve("nobody", passwd, group).unwrap_err();
        assert_eq!(error.message, "unable to find user nobody: no matching entries in passwd file");
    }
}
