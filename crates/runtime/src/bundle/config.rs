//! A bundle: reading `config.json`, saying which field is wrong, and making a plan of it.

use std::path::{Path, PathBuf};

use oci_spec::runtime::Spec;
use serde::de::DeserializeOwned;

use super::error::{Error, Result};
use super::place::{cgroup_path, scope};
use crate::defaults::HostFacts;
use crate::plan::{ExecPlan, Hooks, LaunchPlan, Namespaces, RootFs};
use crate::{PlanOptions, plan, plan_process, plan_resources};

/// A bundle that was read.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// Its folder, an absolute path.
    pub path: PathBuf,
    /// Its configuration.
    pub spec: Spec,
    /// Capabilities in it that nobody knows, and that nobody is given: the specification wants a warning.
    pub ignored: Vec<String>,
}

impl Bundle {
    /// Reads the bundle in `folder`.
    pub fn load(folder: &Path) -> Result<Self> {
        let path = std::path::absolute(folder).map_err(Error::io(format!("bundle {}", folder.display())))?;
        let file = path.join("config.json");
        let text = std::fs::read(&file).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => {
                Error::Config(format!("JSON specification file {} not found", file.display()))
            }
            _ => Error::Io { doing: format!("read {}", file.display()), source },
        })?;
        let (spec, ignored) = parse_known(&text, "config.json")?;
        check(&spec)?;
        Ok(Self { path, spec, ignored })
    }

    /// The root file system's folder.
    pub fn rootfs(&self) -> Result<PathBuf> {
        match self.spec.root() {
            Some(root) if !root.path().as_os_str().is_empty() => Ok(self.path.join(root.path())),
            _ => Err(Error::Config("config.json: root.path: missing".to_owned())),
        }
    }

    /// `linux.cgroupsPath`; empty if it says nothing.
    pub(super) fn cgroups_path(&self) -> String {
        let path = self.spec.linux().as_ref().and_then(|linux| linux.cgroups_path().as_deref());
        path.map(|path| path.to_string_lossy().into_owned()).unwrap_or_default()
    }

    /// Its namespaces.
    pub fn namespaces(&self) -> Result<Namespaces> {
        let linux = self.spec.linux().clone().unwrap_or_default();
        Ok(crate::planning::namespaces(&linux)?)
    }

    /// What is to be executed. `systemd`: the manager that keeps the cgroup; `linux.cgroupsPath` is `slice:prefix:name` then.
    pub fn plan(
        &self,
        id: &str,
        systemd: Option<&cgroup::Manager>,
        host: &cgroup::Host,
    ) -> Result<LaunchPlan> {
        let options = PlanOptions {
            rootfs: RootFs::Directory { path: self.rootfs()? },
            cgroup_path: Some(cgroup_path(&self.cgroups_path(), id, systemd)?),
            user: None,
            seccomp: None,
            bundle: self.path.clone(),
            id: id.to_owned(),
            host: HostFacts::with_cgroups(host.clone()),
        };
        let mut plan = plan(&self.spec, &options)?;
        if let Some(manager) = systemd {
            plan.scope = scope(&self.cgroups_path(), id, manager)?;
        }
        Ok(plan)
    }

    /// Those of its hooks that run in the runtime's own namespaces, and the rest; `None` if there are none of the former.
    pub fn outer_hooks(&self, id: &str) -> Result<Option<Hooks>> {
        let hooks = crate::planning::hooks(&self.spec, id, &self.path)?;
        Ok(hooks.filter(crate::hooks::has_outer))
    }
}

/// The plan of another process, described in a file as `process` is in `config.json`; `first` is the container's.
pub fn process_plan(text: &[u8], file: &str, first: &ExecPlan) -> Result<ExecPlan> {
    let (process, _) = parse_known::<oci_spec::runtime::Process>(text, file)?;
    let plan = plan_process(&process, None, first.seccomp.clone())
        .map_err(|error| Error::Config(format!("{file}: {error}")))?;
    Ok(ExecPlan { seccomp_listener: first.seccomp_listener.clone(), ..plan })
}

/// Limits that are described in a file as `linux.resources` is in `config.json`.
pub fn resources_plan(text: &[u8], file: &str) -> Result<cgroup::Resources> {
    let resources: oci_spec::runtime::LinuxResources = parse(text, file)?;
    plan_resources(&resources).map_err(|error| Error::Config(format!("{file}: {error}")))
}

/// As [`parse`], without the capabilities that nobody knows, which are returned.
fn parse_known<T: DeserializeOwned>(text: &[u8], file: &str) -> Result<(T, Vec<String>)> {
    parse(text, file).map(|parsed| (parsed, Vec::new())).or_else(|error| {
        // Most have none, and are read once.
        let Ok(mut value) = serde_json::from_slice::<serde_json::Value>(text) else { return Err(error) };
        let ignored = forget_unknown(&mut value);
        if ignored.is_empty() {
            return Err(error);
        }
        Ok((parse(value.to_string().as_bytes(), file)?, ignored))
    })
}

fn forget_unknown(value: &mut serde_json::Value) -> Vec<String> {
    let process = if value.get("process").is_some() { &mut value["process"] } else { value };
    let mut ignored = Vec::new();
    let sets = process.get_mut("capabilities").and_then(|sets| sets.as_object_mut());
    for names in sets.into_iter().flat_map(|sets| sets.values_mut()).filter_map(|set| set.as_array_mut()) {
        names.retain(|name| {
            let Some(name) = name.as_str().filter(|name| sys::caps::parse(name).is_none()) else {
                return true;
            };
            if !ignored.iter().any(|known| known == name) {
                ignored.push(name.to_owned());
            }
            false
        });
    }
    ignored
}

/// Unknown fields are passed over. A wrong one is looked for by a second, slower reading.
fn parse<T: DeserializeOwned>(text: &[u8], file: &str) -> Result<T> {
    serde_json::from_slice(text).map_err(|error| {
        let mut reader = serde_json::Deserializer::from_slice(text);
        Error::Config(match serde_path_to_error::deserialize::<_, T>(&mut reader) {
            Err(error) if error.inner().is_data() => {
                format!("{file}: {}: {}", error.path(), error.inner())
            }
            _ => format!("{file}: {error}"),
        })
    })
}

fn check(spec: &Spec) -> Result<()> {
    let fail = |message: String| Err(Error::Config(format!("config.json: {message}")));
    let version = spec.version();
    let numbers = version.split(['-', '+']).next().unwrap_or_default().split('.');
    let numbers: Vec<Option<u32>> = numbers.map(|number| number.parse().ok()).collect();
    match numbers.as_slice() {
        [Some(1), Some(_), Some(_)] => {}
        _ if version.is_empty() => return fail("ociVersion: missing".to_owned()),
        _ => return fail(format!("ociVersion: unsupported version {version:?}")),
    }
    let Some(linux) = spec.linux() else { return Ok(()) };
    if linux.intel_rdt().is_some() {
        return fail("linux.intelRdt: not supported".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(json: &str) -> String {
        match parse(json.as_bytes(), "config.json").and_then(|spec| check(&spec)) {
            Err(error) => error.to_string(),
            Ok(()) => "accepted".to_owned(),
        }
    }

    #[test]
    fn a_wrong_field_is_named() {
        let process =
            |user: &str| format!(r#"{{"ociVersion":"1.0.2","process":{{"cwd":"/","user":{user}}}}}"#);
        let error = refusal(&process(r#"{"uid":"root","gid":0}"#));
        assert!(error.starts_with("config.json: process.user.uid: invalid type: string"), "{error}");
        let error = refusal(r#"{"ociVersion":"1.0.2","mounts":[{"destination":"/a"},{"destination":7}]}"#);
        assert!(error.starts_with("config.json: mounts[1].destination: invalid type"), "{error}");
        assert!(refusal("{").starts_with("config.json: EOF"), "{}", refusal("{"));
        assert_eq!(refusal(r#"{"ociVersion":"1.3.0-rc.1","unknown":{"a":1}}"#), "accepted");
        assert_eq!(refusal("{}"), "config.json: ociVersion: missing");
        assert_eq!(
            refusal(r#"{"ociVersion":"2.0.0"}"#),
            "config.json: ociVersion: unsupported version \"2.0.0\""
        );
        assert_eq!(
            refusal(r#"{"ociVersion":"1.0.0","linux":{"intelRdt":{"closID":"a"}}}"#),
            "config.json: linux.intelRdt: not supported"
        );
    }
}
