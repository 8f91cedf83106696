//! Where a container's cgroup lies. `linux.cgroupsPath` is a path, or, for those who let systemd keep the cgroups,
//! `slice:prefix:name`: the scope `prefix-name.scope` in that slice. Both name a place in the same tree; systemd is asked to make the
//! scope when the container is launched.

use super::error::{Error, Result};

/// The path inside the cgroup file systems.
pub fn cgroup_path(path: &str, id: &str, systemd: Option<&cgroup::Manager>) -> Result<String> {
    if let Some(manager) = systemd {
        let (slice, unit) = parts(path, id, manager)?;
        return Ok(format!("{}/{unit}", expand_slice(&slice)?));
    }
    let path = path.trim_matches('/');
    Ok(format!("/{}", if path.is_empty() { id } else { path }))
}

/// The scope that a container's cgroup is to be, kept by `manager`; `None` for a slice, which holds no processes of its own and whose
/// folder is made by us.
pub fn scope(path: &str, id: &str, manager: &cgroup::Manager) -> Result<Option<cgroup::Scope>> {
    let (slice, unit) = parts(path, id, manager)?;
    Ok(unit.ends_with(".scope").then(|| cgroup::Scope {
        manager: manager.clone(),
        unit,
        slice,
        description: format!("Naru container {id}"),
    }))
}

/// Slice and unit.
fn parts(path: &str, id: &str, manager: &cgroup::Manager) -> Result<(String, String)> {
    let parts: Vec<&str> = match path {
        "" => vec!["", "naru", id],
        path => path.split(':').collect(),
    };
    let [slice, prefix, name] = parts.as_slice() else {
        return Err(Error::Config(format!(
            "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got {path:?} instead"
        )));
    };
    let slice = if slice.is_empty() { manager.default_slice() } else { slice };
    let unit = match (name.ends_with(".slice"), prefix.is_empty()) {
        (true, _) => (*name).to_owned(),
        (false, true) => format!("{name}.scope"),
        (false, false) => format!("{prefix}-{name}.scope"),
    };
    Ok((slice.to_owned(), unit))
}

/// systemd.slice(5): "a-b.slice" lies in "a.slice"; "-.slice" is the root.
fn expand_slice(slice: &str) -> Result<String> {
    let bad = || Error::Config(format!("invalid slice name: {slice:?}"));
    let name = slice.strip_suffix(".slice").filter(|name| !name.contains('/')).ok_or_else(bad)?;
    if name == "-" {
        return Ok(String::new());
    }
    let (mut path, mut prefix) = (String::new(), String::new());
    for part in name.split('-') {
        if part.is_empty() {
            return Err(bad());
        }
        prefix.push_str(part);
        path.push_str(&format!("/{prefix}.slice"));
        prefix.push('-');
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let place = |path: &str, systemd: bool| {
            let manager = systemd.then(|| cgroup::Manager::system(None));
            cgroup_path(path, "one", manager.as_ref()).map_err(|error| error.to_string())
        };
        assert_eq!(place("", false).unwrap(), "/one");
        assert_eq!(place("/docker/abc", false).unwrap(), "/docker/abc");
        assert_eq!(place("pods/abc", false).unwrap(), "/pods/abc");
        assert_eq!(place("", true).unwrap(), "/system.slice/naru-one.scope");
        assert_eq!(
            place("user-1000.slice:libpod:abc", true).unwrap(),
            "/user.slice/user-1000.slice/libpod-abc.scope"
        );
        let user = cgroup::Manager::user(None, "/run/user/7".as_ref());
        assert_eq!(cgroup_path("", "one", Some(&user)).unwrap(), "/user.slice/naru-one.scope");
        assert_eq!(place("-.slice::abc", true).unwrap(), "/abc.scope");
        assert_eq!(place(":docker:abc", true).unwrap(), "/system.slice/docker-abc.scope");
        assert!(place("/docker/abc", true).unwrap_err().contains("slice:prefix:name"));
        assert!(place("a--b.slice:x:y", true).unwrap_err().contains("invalid slice name"));
        assert!(place("../etc.slice:x:y", true).unwrap_err().contains("invalid slice name"));
    }
}
