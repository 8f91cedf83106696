//! The container's first process: command, environment, folder, capabilities, limits.

use std::path::PathBuf;

use api::{ContainerConfig, HostConfig};
use oci_spec::runtime::{Capability, LinuxCapabilities, Process};

use super::{INIT_PATH, Input, resources};
use crate::container::security::{self, Options};

const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub(super) fn process(input: &Input<'_>, security: &Options) -> Process {
    let (config, host) = (input.config, input.host);
    let mut process = Process::default();
    let mut args = command(config);
    if host.init.unwrap_or(input.engine.init) {
        args.splice(0..0, [INIT_PATH, "--"].map(str::to_owned));
    }
    let cwd = match config.working_dir.as_str() {
        "" => "/",
        folder => folder,
    };
    process
        .set_terminal(Some(config.tty))
        .set_args(Some(args))
        .set_env(Some(environment(config, &input.hostname, &input.linked)))
        .set_cwd(PathBuf::from(cwd))
        .set_capabilities(Some(oci_capabilities(security::capabilities(host, input.last_capability))))
        .set_no_new_privileges(Some(no_new_privileges(host, security, input.engine.no_new_privileges)))
        .set_oom_score_adj(
            Some(host.oom_score_adj).filter(|adjust| *adjust != 0).and_then(|adjust| adjust.try_into().ok()),
        )
        .set_apparmor_profile(apparmor(host, security).filter(|_| input.apparmor));
    let rlimits = resources::rlimits(&host.resources, &input.engine.default_ulimits);
    process.set_rlimits((!rlimits.is_empty()).then_some(rlimits));
    process
}

fn no_new_privileges(host: &HostConfig, security: &Options, default: bool) -> bool {
    security.no_new_privileges.unwrap_or(default && !host.privileged)
}

/// Only what was asked for by name: loading a profile of our own is not this crate's.
fn apparmor(host: &HostConfig, security: &Options) -> Option<String> {
    security
        .apparmor
        .clone()
        .filter(|profile| !(profile.is_empty() || host.privileged && profile == "unconfined"))
}

/// Entrypoint and command in one.
pub(crate) fn command(config: &ContainerConfig) -> Vec<String> {
    config.entrypoint.iter().chain(&config.cmd).flat_map(|words| words.iter().cloned()).collect()
}

/// Defaults and what links tell, then the configuration's over them. `NAME` without `=` takes a default away. HOME is the runtime's to set, which
/// knows the user.
pub(crate) fn environment(config: &ContainerConfig, hostname: &str, linked: &[String]) -> Vec<String> {
    let mut env = vec![DEFAULT_PATH.to_owned(), format!("HOSTNAME={hostname}")];
    if config.tty {
        env.push("TERM=xterm".to_owned());
    }
    env.extend_from_slice(linked);
    override_environment(&mut env, config.env.as_deref().unwrap_or_default());
    env
}

/// moby's `ReplaceOrAppendEnvVars`.
pub(crate) fn override_environment(env: &mut Vec<String>, with: &[String]) {
    for line in with {
        let key = line.split_once('=').map_or(line.as_str(), |(key, _)| key);
        let place = env.iter().position(|have| have.split_once('=').is_some_and(|(name, _)| name == key));
        match (place, line.contains('=')) {
            (Some(place), true) => env[place].clone_from(line),
            (Some(place), false) => drop(env.remove(place)),
            (None, true) => env.push(line.clone()),
            (None, false) => {}
        }
    }
}

/// A mask as the spec's sets; neither inheritable nor ambient (CVE-2022-24769).
pub(crate) fn oci_capabilities(mask: u64) -> LinuxCapabilities {
    let set: std::collections::HashSet<Capability> = (0..64)
        .filter(|number| mask >> number & 1 == 1)
        .filter_map(sys::caps::name)
        .filter_map(|name| name.strip_prefix("CAP_").and_then(|name| name.parse().ok()))
        .collect();
    let mut capabilities = LinuxCapabilities::default();
    capabilities
        .set_bounding(Some(set.clone()))
        .set_effective(Some(set.clone()))
        .set_permitted(Some(set))
        .set_inheritable(None)
        .set_ambient(None);
    capabilities
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_is_built_as_docker_builds_it() {
        let config: ContainerConfig =
            serde_json::from_str(r#"{"Tty":true,"Env":["A=1","PATH=/x","HOSTNAME","B=","NOVALUE"]}"#)
                .unwrap();
        assert_eq!(environment(&config, "h", &["A=2".to_owned()]), ["PATH=/x", "TERM=xterm", "A=1", "B="]);
        assert_eq!(environment(&ContainerConfig::default(), "h", &[]), [DEFAULT_PATH, "HOSTNAME=h"]);
    }
}
