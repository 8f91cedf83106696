//! Who a process runs as: `user[:group]` looked up in the container's own /etc/passwd and /etc/group, by Docker's rules (moby
//! `sys/user`, `GetExecUser`). Reads the two files inside the container's root and nothing else.

use std::borrow::Cow;

use rustix::io::Errno;

use crate::error::{LaunchError, LaunchErrorKind, Result};
use crate::plan::UserSpec;
use crate::root::Root;

/// The greatest id that Docker takes.
const MAX_ID: i64 = 2_147_483_647;

/// Larger account files are not ours to read.
const MAX_FILE: usize = 16 << 20;
/// Larger ones are read by the new process itself, whose memory is its own.
const MAX_SMALL_FILE: usize = 64 << 10;

/// Resolved ids.
#[derive(Debug, PartialEq, Eq)]
pub struct Identity {
    pub uid: u32,
    pub gid: u32,
    /// All supplementary groups.
    pub groups: Vec<u32>,
    /// The home folder; only looked up for a [`UserSpec::Name`].
    pub home: Option<String>,
}

/// Looks a user up.
pub fn resolve(user: &UserSpec, root: &Root) -> Result<Identity> {
    let read = |path: &str| root.read(path, MAX_FILE).unwrap_or_default().unwrap_or_default();
    match user {
        UserSpec::Ids { uid, gid, additional } => Ok(given(*uid, *gid, additional)),
        UserSpec::Name { spec, groups } => {
            look_up(spec, groups, &text(&read("/etc/passwd")), &text(&read("/etc/group")))
        }
    }
}

/// As [`resolve`], for a process whose memory is not its own: `None` if that takes much of it.
pub fn resolve_small(user: &UserSpec, root: &Root) -> Result<Option<Identity>> {
    let read = |path: &str| match root.read(path, MAX_SMALL_FILE) {
        Err(Errno::FBIG) => None,
        result => Some(result.unwrap_or_default().unwrap_or_default()),
    };
    match user {
        UserSpec::Ids { uid, gid, additional } => Ok(Some(given(*uid, *gid, additional))),
        UserSpec::Name { spec, groups } => match (read("/etc/passwd"), read("/etc/group")) {
            (Some(passwd), Some(group)) => look_up(spec, groups, &text(&passwd), &text(&group)).map(Some),
            _ => Ok(None),
        },
    }
}

fn given(uid: u32, gid: u32, additional: &[u32]) -> Identity {
    Identity { uid, gid, groups: additional.to_vec(), home: None }
}

fn text(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

struct User<'a> {
    name: &'a str,
    uid: Option<i64>,
    gid: i64,
    home: &'a str,
}

fn users(text: &str) -> impl Iterator<Item = User<'_>> {
    lines(text).map(|line| {
        let mut fields = line.split(':');
        let mut next = || fields.next().unwrap_or_default();
        let (name, _, uid, gid, _, home) = (next(), next(), next(), next(), next(), next());
        User { name, uid: uid.parse().ok(), gid: gid.parse().unwrap_or(0), home }
    })
}

/// (name, gid, members)
fn groups(text: &str) -> impl Iterator<Item = (&str, Option<i64>, &str)> {
    lines(text).map(|line| {
        let mut fields = line.split(':');
        let mut next = || fields.next().unwrap_or_default();
        let (name, _, gid, members) = (next(), next(), next(), next());
        (name, gid.parse().ok(), members)
    })
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn fail<T>(message: String) -> Result<T> {
    Err(LaunchError::new(LaunchErrorKind::InvalidUser, "user", message))
}

fn id(number: i64) -> Result<u32> {
    match u32::try_from(number) {
        Ok(id) if number <= MAX_ID => Ok(id),
        _ => fail(format!("uids and gids must be in range 0-{MAX_ID}")),
    }
}

fn look_up(spec: &str, more: &[String], passwd: &str, group: &str) -> Result<Identity> {
    let (user, wanted_group) = spec.split_once(':').unwrap_or((spec, ""));
    let user_number: Option<i64> = if user.is_empty() { Some(0) } else { user.parse().ok() };
    let found = users(passwd).find(|entry| {
        (!user.is_empty() && entry.name == user) || (user_number.is_some() && entry.uid == user_number)
    });
    let (uid, mut gid, name, home) = match (&found, user_number) {
        (Some(entry), _) => (id(entry.uid.unwrap_or(0))?, id(entry.gid)?, entry.name, entry.home),
        (None, Some(number)) => (id(number)?, 0, "", ""),
        (None, None) => {
            return fail(format!("unable to find user {user}: no matching entries in passwd file"));
        }
    };
    let mut additional = Vec::new();
    if wanted_group.is_empty() {
        if !name.is_empty() {
            let member = |members: &str| members.split(',').any(|member| member.trim() == name);
            for (_, number, _) in groups(group).filter(|(_, _, members)| member(members)) {
                additional.push(id(number.unwrap_or(0))?);
            }
        }
    } else {
        gid = find_group(wanted_group, group)?;
    }
    for one in more {
        additional.push(find_group(one, group)?);
    }
    // The primary group is a supplementary one too: or a process could shed it, and with it a denial of access to that group.
    let mut all = vec![gid];
    for one in additional {
        if !all.contains(&one) {
            all.push(one);
        }
    }
    let home = if home.is_empty() { "/" } else { home };
    Ok(Identity { uid, gid, groups: all, home: Some(home.to_owned()) })
}

fn find_group(wanted: &str, text: &str) -> Result<u32> {
    let number: Option<i64> = wanted.parse().ok();
    let found = groups(text).find(|(name, gid, _)| *name == wanted || (number.is_some() && *gid == number));
    match (found, number) {
        (Some((_, gid, _)), _) => id(gid.unwrap_or(0)),
        (None, Some(number)) => id(number),
        (None, None) => fail(format!("unable to find group {wanted}: no matching entries in group file")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n# comment\n\nweb:x:33:33:web:/var/www:/bin/false\n1000:x:7:8::/seven:\n";
    const GROUP: &str = "root:x:0:\nwheel:x:10:root,web\nweb:x:33:web\nvideo:x:44:\n";

    fn check(spec: &str, more: &[&str]) -> String {
        let more: Vec<String> = more.iter().map(|name| (*name).to_owned()).collect();
        match look_up(spec, &more, PASSWD, GROUP) {
            Ok(found) => {
                let groups: Vec<String> = found.groups.iter().map(u32::to_string).collect();
                format!(
                    "{}:{} [{}] {}",
                    found.uid,
                    found.gid,
                    groups.join(" "),
                    found.home.unwrap_or_default()
                )
            }
            Err(error) => error.message,
        }
    }

    #[test]
    fn names_and_numbers() {
        for (spec, more, expected) in [
            ("", &[][..], "0:0 [0 10] /root"),
            ("root", &[], "0:0 [0 10] /root"),
            ("0", &[], "0:0 [0 10] /root"),
            ("web", &[], "33:33 [33 10] /var/www"),
            ("33:video", &["wheel", "999"], "33:44 [44 10 999] /var/www"),
            ("web:0", &[], "33:0 [0] /var/www"),
            ("1234", &[], "1234:0 [0] /"),
            ("1234:5678", &[], "1234:5678 [5678] /"),
            // A name made of digits wins, as it stands first.
            ("1000", &[], "7:8 [8] /seven"),
            ("nobody", &[], "unable to find user nobody: no matching entries in passwd file"),
            ("web:none", &[], "unable to find group none: no matching entries in group file"),
            ("web", &["none"], "unable to find group none: no matching entries in group file"),
            ("2147483648", &[], "uids and gids must be in range 0-2147483647"),
            ("-1", &[], "uids and gids must be in range 0-2147483647"),
        ] {
            assert_eq!(check(spec, more), expected, "{spec}");
        }
    }
}
