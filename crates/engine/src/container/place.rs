//! Where a container's cgroup lies, by the engine's driver: a folder below the parent, or a scope that systemd keeps in a slice.

use super::model::Container;
use crate::config::EngineConfig;
use crate::error::{Error, Result};

/// Docker's place for containers that name no slice.
const SLICE: &str = "system.slice";

impl Container {
    /// Path of its cgroup.
    pub(crate) fn cgroup_path(&self, config: &EngineConfig) -> String {
        path(config, &self.record().host.resources.cgroup_parent, &self.id)
    }

    /// The scope that its cgroup is; None where systemd has no part in it.
    pub(crate) fn scope(&self, config: &EngineConfig) -> Option<cgroup::Scope> {
        scope(config, &self.record().host.resources.cgroup_parent, &self.id)
    }
}

fn path(config: &EngineConfig, own: &str, id: &str) -> String {
    let parent = parent(config, own);
    match config.systemd.as_ref().map(|_| scope_path(parent, id)) {
        Some(Ok(path)) => path,
        _ => format!("/{}/{id}", parent.trim_matches('/')).replacen("//", "/", 1),
    }
}

fn scope(config: &EngineConfig, own: &str, id: &str) -> Option<cgroup::Scope> {
    let name = scope_name(parent(config, own), id);
    runtime::bundle::scope(&name, id, config.systemd.as_ref()?).ok().flatten()
}

/// The first that may be one: a container made when the engine had another driver may name a folder.
fn parent<'a>(config: &'a EngineConfig, own: &'a str) -> &'a str {
    let is_one = |parent: &&str| !parent.is_empty() && check(config, parent).is_ok();
    [own, &config.cgroup_parent, SLICE].into_iter().find(is_one).unwrap_or_default()
}

fn scope_name(slice: &str, id: &str) -> String {
    format!("{slice}:docker:{id}")
}

fn scope_path(slice: &str, id: &str) -> Result<String, runtime::bundle::Error> {
    runtime::bundle::cgroup_path(&scope_name(slice, id), id, Some(&cgroup::Manager::system(None)))
}

/// Refuses a parent that is none with this engine's driver.
pub(crate) fn check(config: &EngineConfig, parent: &str) -> Result<()> {
    let is_slice = || parent.ends_with(".slice") && !parent.contains(':') && scope_path(parent, "x").is_ok();
    if config.systemd.is_none() || parent.is_empty() || is_slice() {
        return Ok(());
    }
    let message = "cgroup-parent for systemd cgroup should be a valid slice named as \"xxx.slice\"";
    Err(Error::invalid(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(systemd: bool, parent: &str) -> EngineConfig {
        let mut config = EngineConfig::new("/nowhere", "/nowhere");
        config.systemd = systemd.then(|| cgroup::Manager::system(None));
        config.cgroup_parent = parent.to_owned();
        config
    }

    #[test]
    fn folders_are_below_the_parent() {
        for (engine, own, expected) in
            [("/naru", "", "/naru/abc"), ("/naru", "mine", "/mine/abc"), ("/naru", "a.slice", "/a.slice/abc")]
        {
            let config = config(false, engine);
            assert_eq!((path(&config, own, "abc").as_str(), scope(&config, own, "abc")), (expected, None));
        }
    }

    #[test]
    fn scopes_are_in_the_slice() {
        for (engine, own, folder, slice) in [
            ("system.slice", "", "/system.slice", "system.slice"),
            ("a-b.slice", "", "/a.slice/a-b.slice", "a-b.slice"),
            ("system.slice", "mine.slice", "/mine.slice", "mine.slice"),
            ("/naru", "mine", "/system.slice", "system.slice"),
            ("system.slice", "a--b.slice", "/system.slice", "system.slice"),
        ] {
            let config = config(true, engine);
            assert_eq!(path(&config, own, "abc"), format!("{folder}/docker-abc.scope"));
            let scope = scope(&config, own, "abc").unwrap();
            assert_eq!((scope.unit.as_str(), scope.slice.as_str()), ("docker-abc.scope", slice));
        }
    }

    #[test]
    fn parents_that_are_refused() {
        assert!(check(&config(false, ""), "mine").is_ok());
        let config = config(true, "");
        for parent in ["mine", "/mine.slice", "a--b.slice", "x:y.slice"] {
            assert!(check(&config, parent).is_err(), "{parent}");
        }
        assert!(check(&config, "mine.slice").is_ok() && check(&config, "").is_ok());
    }
}
