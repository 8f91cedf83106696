//! From an OCI configuration to a [`LaunchPlan`]: names become numbers, options become flags, contradictions become errors. Pure:
//! looks at nothing but its arguments, so what it makes can be stored and compared.

mod linux;
mod process;
mod resources;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use oci_spec::runtime as oci;
use oci_spec::runtime::Spec;

use crate::defaults::HostFacts;
use crate::error::PlanError;
use crate::plan::*;

pub(crate) use linux::namespaces;
use linux::{plan_mount, root_propagation, sysctls};
use process::{memory_policy, process_plan};
pub use resources::plan_resources;
use resources::{devices, resources};

/// What a plan takes from elsewhere than the OCI configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanOptions {
    /// The root file system (the configuration's `root.path` is not looked at, `root.readonly` is).
    pub rootfs: RootFs,
    /// The cgroup's path, "/naru/<id>"; `None` takes `linux.cgroupsPath`, and without that there is no cgroup.
    pub cgroup_path: Option<String>,
    /// Takes the place of `process.user`.
    pub user: Option<UserSpec>,
    /// Takes the place of `linux.seccomp`.
    pub seccomp: Option<seccomp::Program>,
    /// Where relative paths of bind mounts start, and what hooks are told.
    pub bundle: PathBuf,
    /// The container's id, for hooks.
    pub id: String,
    /// The machine.
    pub host: HostFacts,
}

type Result<T, E = PlanError> = std::result::Result<T, E>;

fn fail<T>(message: impl Into<String>) -> Result<T> {
    Err(PlanError::new(message))
}

/// Turns an OCI configuration into a plan. Looks at nothing but its arguments.
pub fn plan(spec: &Spec, options: &PlanOptions) -> Result<LaunchPlan> {
    let empty = oci::Linux::default();
    let linux = spec.linux().as_ref().unwrap_or(&empty);
    let Some(process) = spec.process() else { return fail("process: missing") };
    let namespaces = namespaces(linux)?;
    let cgroup = match (&options.cgroup_path, linux.cgroups_path()) {
        (Some(path), _) => Some(path.clone()),
        (None, Some(path)) => Some(format!("/{}", text(path)?.trim_start_matches('/'))),
        (None, None) => None,
    };
    let mounts: Vec<Mount> = spec
        .mounts()
        .iter()
        .flatten()
        .map(|mount| plan_mount(mount, &options.bundle))
        .collect::<Result<_>>()?;
    let populate_dev = !mounts.iter().any(|mount| {
        matches!(mount.source, MountSource::Bind { .. }) && mount.target.trim_end_matches('/') == "/dev"
    });
    let seccomp = match (&options.seccomp, linux.seccomp()) {
        (Some(program), _) => Some(program.clone()),
        (None, Some(rules)) => Some(compile(rules)?),
        (None, None) => None,
    };
    let mut first = process_plan(process, options.user.clone(), seccomp, options.host.last_capability)?;
    first.create_cwd = true;
    first.seccomp_listener = listener(spec, linux, options)?;
    if let Some(personality) = linux.personality() {
        first.scheduling.personality = Some(match personality.domain() {
            oci::LinuxPersonalityDomain::PerLinux => 0,
            oci::LinuxPersonalityDomain::PerLinux32 => 8,
        });
    }
    first.scheduling.memory_policy = linux.memory_policy().as_ref().map(memory_policy).transpose()?;
    Ok(LaunchPlan {
        process: first,
        rootfs: options.rootfs.clone(),
        rootfs_readonly: spec.root().as_ref().and_then(|root| root.readonly()).unwrap_or(false),
        rootfs_propagation: linux
            .rootfs_propagation()
            .as_deref()
            .map(root_propagation)
            .transpose()?
            .flatten(),
        hostname: spec.hostname().clone().filter(|name| !name.is_empty()),
        domainname: spec.domainname().clone().filter(|name| !name.is_empty()),
        sysctls: sysctls(linux, &namespaces)?,
        devices: if populate_dev { devices(linux)? } else { Vec::new() },
        populate_dev,
        mounts,
        masked_paths: linux.masked_paths().clone().unwrap_or_default(),
        readonly_paths: linux.readonly_paths().clone().unwrap_or_default(),
        scope: None,
        resources: resources(linux, cgroup.is_some())?,
        cgroup,
        hooks: hooks(spec, &options.id, &options.bundle)?,
        namespaces,
    })
}

/// A process's own part of a configuration, for [`crate::exec`]: `process.user` is replaced by `user` if given, the filter is
/// `seccomp`.
pub fn plan_process(
    process: &oci::Process,
    user: Option<UserSpec>,
    seccomp: Option<seccomp::Program>,
) -> Result<ExecPlan> {
    process_plan(process, user, seccomp, sys::caps::NAMES.len() as u32 - 1)
}

/// The filter of an OCI configuration.
pub fn compile(rules: &oci::LinuxSeccomp) -> Result<seccomp::Program> {
    // Both sides are the specification's JSON.
    serde_json::to_value(rules)
        .and_then(serde_json::from_value::<seccomp::Rules>)
        .map_err(seccomp::Error::from)
        .and_then(|rules| seccomp::compile_rules(&rules))
        .map_err(|error| PlanError::new(format!("linux.seccomp: {error}")))
}

fn listener(spec: &Spec, linux: &oci::Linux, options: &PlanOptions) -> Result<Option<SeccompListener>> {
    let Some(seccomp) = linux.seccomp().as_ref().filter(|_| options.seccomp.is_none()) else {
        return Ok(None);
    };
    let notifies = |rule: &oci::LinuxSyscall| rule.action() == oci::LinuxSeccompAction::ScmpActNotify;
    let notifies = seccomp.syscalls().iter().flatten().any(notifies);
    match seccomp.listener_path().as_ref().filter(|path| !path.as_os_str().is_empty()) {
        None if notifies => fail("linux.seccomp.listenerPath: missing, and a rule says SCMP_ACT_NOTIFY"),
        Some(path) if notifies => Ok(Some(SeccompListener {
            path: path.clone(),
            metadata: seccomp.listener_metadata().clone().unwrap_or_default(),
            id: options.id.clone(),
            bundle: options.bundle.clone(),
            annotations: annotations(spec),
        })),
        _ => Ok(None),
    }
}

fn annotations(spec: &Spec) -> BTreeMap<String, String> {
    spec.annotations().iter().flatten().map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().ok_or_else(|| PlanError::new(format!("path {} is not UTF-8", path.display())))
}

/// The hooks of the container `id`, if there are any.
pub(crate) fn hooks(spec: &Spec, id: &str, bundle: &Path) -> Result<Option<Hooks>> {
    let Some(hooks) = spec.hooks() else { return Ok(None) };
    let list = |hooks: &Option<Vec<oci::Hook>>| {
        let hook = |hook: &oci::Hook| {
            if !hook.path().is_absolute() {
                return fail(format!("hook {}: the path must be absolute", hook.path().display()));
            }
            Ok(Hook {
                path: hook.path().clone(),
                args: hook.args().clone().unwrap_or_default(),
                env: hook.env().clone().unwrap_or_default(),
                timeout: hook.timeout().and_then(|seconds| u64::try_from(seconds).ok()),
            })
        };
        hooks.iter().flatten().map(hook).collect::<Result<Vec<_>>>()
    };
    #[allow(deprecated, reason = "the prestart hooks are deprecated, and much used")]
    let prestart = list(hooks.prestart())?;
    let planned = Hooks {
        prestart,
        create_runtime: list(hooks.create_runtime())?,
        create_container: list(hooks.create_container())?,
        start_container: list(hooks.start_container())?,
        poststart: list(hooks.poststart())?,
        poststop: list(hooks.poststop())?,
        ..Hooks::default()
    };
    if planned == Hooks::default() {
        return Ok(None);
    }
    Ok(Some(Hooks {
        id: id.to_owned(),
        bundle: bundle.to_owned(),
        annotations: annotations(spec),
        ..planned
    }))
}
