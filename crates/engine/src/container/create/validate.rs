//! Is this a container we can make? Everything that is wrong is reported at once, in Docker's words, before anything is
//! made. Pure: looks at nothing but the request and the number of CPUs. Mounts are checked where they are parsed.

use std::net::IpAddr;

use api::{ContainerConfig, HealthConfig, HostConfig, RestartPolicy};

use super::ports;
use crate::container::launch::log;
use crate::container::modes::{self, Namespace, Network};
use crate::container::security;
use crate::error::{Error, ErrorKind, Result};
use crate::system::RUNTIMES;

const MIN_MEMORY: i64 = 6 << 20;

/// Checks configuration and host configuration together.
pub(crate) fn check(config: &ContainerConfig, host: &HostConfig, cpus: usize) -> Result<()> {
    let mut errors = Vec::new();
    check_config(config, &mut errors);
    check_host(host, cpus, &mut errors);
    errors.extend(storage_limit(host).err());
    ports::check(config, host, &mut errors);
    check_network_mode(config, host, &mut errors);
    one(errors)
}

/// `--storage-opt size=`: what the container may write, in bytes. There are no other options.
pub(crate) fn storage_limit(host: &HostConfig) -> Result<Option<u64>> {
    let mut limit = None;
    for (key, value) in host.storage_opt.iter().flatten() {
        if !key.eq_ignore_ascii_case("size") {
            return Err(Error::invalid(format!("Unknown option {key}")));
        }
        let bytes = log::ram_in_bytes(value).filter(|bytes| *bytes > 0);
        limit = Some(bytes.ok_or_else(|| Error::invalid(format!("invalid size: '{value}'")))?);
    }
    Ok(limit)
}

/// Several errors as one, a line each, as Go joins them.
pub(crate) fn one(errors: Vec<Error>) -> Result<()> {
    let kind = errors.first().map(|error| error.kind);
    match kind {
        None => Ok(()),
        Some(kind) => {
            let lines: Vec<String> = errors.into_iter().map(|error| error.message).collect();
            Err(Error::new(kind, lines.join("\n")))
        }
    }
}

fn check_config(config: &ContainerConfig, errors: &mut Vec<Error>) {
    let mut wrong = |message: String| errors.push(Error::invalid(message));
    if !config.working_dir.is_empty() && !config.working_dir.starts_with('/') {
        wrong(format!(
            "the working directory '{}' is invalid, it needs to be an absolute path",
            config.working_dir
        ));
    }
    if !config.stop_signal.is_empty() && sys::signal::parse(&config.stop_signal).is_none() {
        wrong(format!("invalid signal: {}", config.stop_signal));
    }
    for line in config.env.iter().flatten() {
        if line.is_empty() || line.starts_with('=') {
            wrong(format!("invalid environment variable: {line}"));
        }
        if line.contains('\0') {
            wrong("invalid environment variable: it contains a nul byte".to_owned());
        }
    }
    for word in config.entrypoint.iter().chain(&config.cmd).flat_map(|words| words.iter()) {
        if word.contains('\0') {
            wrong("invalid command: it contains a nul byte".to_owned());
        }
    }
    if config.hostname.len() > 64 {
        wrong(format!("invalid hostname: {:?} is longer than 64 bytes", config.hostname));
    }
    for path in config.volumes.iter().flat_map(|set| set.keys()) {
        errors.extend(
            crate::container::mounts::bind::check_destination(
                crate::container::mounts::Kind::Volume,
                path.rsplit(':').next().unwrap_or(path),
            )
            .err(),
        );
    }
    if let Some(health) = &config.healthcheck {
        check_health(health, errors);
    }
}

fn check_health(health: &HealthConfig, errors: &mut Vec<Error>) {
    const MILLISECOND: i64 = 1_000_000;
    for (value, name) in [
        (health.interval, "Interval"),
        (health.timeout, "Timeout"),
        (health.start_period, "StartPeriod"),
        (health.start_interval, "StartInterval"),
    ] {
        if value != 0 && value < MILLISECOND {
            errors.push(Error::invalid(format!("{name} in Healthcheck cannot be less than 1ms")));
        }
    }
    if health.retries < 0 {
        errors.push(Error::invalid("Retries in Healthcheck cannot be negative"));
    }
}

/// The restart policy by itself, as updates need it too.
pub(crate) fn check_restart(policy: &RestartPolicy) -> Result<()> {
    let wrong = |what: &str| Err(Error::invalid(format!("invalid restart policy: {what}")));
    let retries = policy.maximum_retry_count;
    match policy.name.as_str() {
        "" | "no" | "always" | "unless-stopped" => match retries {
            0 => Ok(()),
            _ if retries < 0 => {
                wrong("maximum retry count can only be used with 'on-failure' and cannot be negative")
            }
            _ => wrong("maximum retry count can only be used with 'on-failure'"),
        },
        "on-failure" if retries < 0 => wrong("maximum retry count cannot be negative"),
        "on-failure" => Ok(()),
        name => wrong(&format!(
            "unknown policy '{name}'; use one of 'always', 'no', 'on-failure', or 'unless-stopped'"
        )),
    }
}

fn check_host(host: &HostConfig, cpus: usize, errors: &mut Vec<Error>) {
    let restarts = !matches!(host.restart_policy.name.as_str(), "" | "no");
    if host.auto_remove && restarts {
        errors.push(Error::invalid("can't create 'AutoRemove' container with restart policy"));
    }
    errors.extend(check_restart(&host.restart_policy).err());
    for line in host.extra_hosts.iter().flatten() {
        errors.extend(check_extra_host(line).err());
    }
    for (list, name) in [(&host.cap_add, "CapAdd"), (&host.cap_drop, "CapDrop")] {
        for cap in list.iter().flat_map(|caps| caps.iter()) {
            if security::capability(cap).is_none() {
                errors.push(Error::invalid(format!("invalid {name}: unknown capability: {cap:?}")));
            }
        }
    }
    errors.extend(security::Options::parse(host).err());
    if !matches!(host.isolation.as_str(), "" | "default") {
        errors.push(Error::invalid(format!("invalid isolation '{}' on linux", host.isolation)));
    }
    if host.annotations.iter().flatten().any(|(key, _)| key.is_empty()) {
        errors.push(Error::invalid(
            "invalid Annotations: the empty string is not permitted as an annotation key",
        ));
    }
    if !host.runtime.is_empty() && !RUNTIMES.contains(&host.runtime.as_str()) {
        errors.push(Error::invalid(format!("unknown or invalid runtime name: {}", host.runtime)));
    }
    for group in [modes::pid(host).err(), modes::uts(host).err(), modes::user(host).err()] {
        errors.extend(group);
    }
    errors.extend(modes::ipc(host).err());
    errors.extend(modes::cgroup(host).err());
    if host.shm_size < 0 {
        errors.push(Error::invalid("SHM size can not be less than 0"));
    }
    if !(-1000..=1000).contains(&host.oom_score_adj) {
        errors.push(Error::invalid(format!(
            "Invalid value {}, range for oom score adj is [-1000, 1000]",
            host.oom_score_adj
        )));
    }
    for server in host.dns.iter().flatten() {
        if server.parse::<IpAddr>().is_err() {
            errors.push(Error::invalid(format!("invalid IP address: {server}")));
        }
    }
    check_sysctls(host, errors);
    check_resources(&host.resources, cpus, errors);
}

fn check_extra_host(line: &str) -> Result<()> {
    let bad = || Error::invalid(format!("bad format for add-host: {line:?}"));
    let (name, address) = line.split_once(['=', ':']).ok_or_else(bad)?;
    if name.is_empty() {
        return Err(bad());
    }
    let address = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
    match address == "host-gateway" || address.parse::<IpAddr>().is_ok() {
        true => Ok(()),
        false => Err(Error::invalid(format!("invalid IP address in add-host: {address:?}"))),
    }
}

fn check_sysctls(host: &HostConfig, errors: &mut Vec<Error>) {
    let host_network = host.network_mode == "host";
    let host_ipc = host.ipc_mode == "host";
    for name in host.sysctls.iter().flatten().map(|(name, _)| name) {
        if host_network && name.starts_with("net.") {
            errors.push(Error::invalid(format!("sysctl '{name}' not allowed in host network namespace")));
        }
        let of_ipc = name.starts_with("kernel.sem")
            || name.starts_with("kernel.shm")
            || name.starts_with("kernel.msg")
            || name.starts_with("fs.mqueue.");
        if host_ipc && of_ipc {
            errors.push(Error::invalid(format!("sysctl '{name}' not allowed in host ipc namespace")));
        }
    }
}

/// Limits, as updates need them too.
pub(crate) fn check_resources(resources: &api::Resources, cpus: usize, errors: &mut Vec<Error>) {
    let mut wrong = |message: String| errors.push(Error::invalid(message));
    if resources.memory != 0 && resources.memory < MIN_MEMORY {
        wrong("Minimum memory limit allowed is 6MB".to_owned());
    }
    if resources.memory > 0 && resources.memory_swap > 0 && resources.memory_swap < resources.memory {
        wrong("Minimum memoryswap limit should be larger than memory limit, see usage".to_owned());
    }
    if resources.memory == 0 && resources.memory_swap > 0 {
        wrong("You should always set the Memory limit when using Memoryswap limit, see usage".to_owned());
    }
    if let Some(swappiness) = resources.memory_swappiness
        && !(-1..=100).contains(&swappiness)
    {
        wrong(format!("Invalid value: {swappiness}, valid memory swappiness range is 0-100"));
    }
    if resources.memory_reservation > 0 && resources.memory_reservation < MIN_MEMORY {
        wrong("Minimum memory reservation allowed is 6MB".to_owned());
    }
    if resources.memory > 0 && resources.memory < resources.memory_reservation {
        wrong("Minimum memory limit can not be less than memory reservation limit, see usage".to_owned());
    }
    if resources.nano_cpus > 0 && resources.cpu_period > 0 {
        wrong("Conflicting options: Nano CPUs and CPU Period cannot both be set".to_owned());
    }
    if resources.nano_cpus > 0 && resources.cpu_quota > 0 {
        wrong("Conflicting options: Nano CPUs and CPU Quota cannot both be set".to_owned());
    }
    let most = i64::try_from(cpus).unwrap_or(i64::MAX).saturating_mul(1_000_000_000);
    if resources.nano_cpus < 0 || resources.nano_cpus > most {
        wrong(format!("range of CPUs is from 0.01 to {cpus}.00, as there are only {cpus} CPUs available"));
    }
    if resources.cpu_period != 0 && !(1000..=1_000_000).contains(&resources.cpu_period) {
        wrong(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)".to_owned(),
        );
    }
    if resources.cpu_quota > 0 && resources.cpu_quota < 1000 {
        wrong("CPU cfs quota can not be less than 1ms (i.e. 1000)".to_owned());
    }
    if resources.cpu_shares < 0 {
        wrong(format!("invalid CPU shares ({}): value must be a positive integer", resources.cpu_shares));
    }
    for (list, name) in [(&resources.cpuset_cpus, "cpus"), (&resources.cpuset_mems, "mems")] {
        if !list.is_empty() && !is_cpu_list(list) {
            wrong(format!("Invalid value {list} for cpuset {name}."));
        }
    }
    if resources.blkio_weight != 0 && !(10..=1000).contains(&resources.blkio_weight) {
        wrong("Range of blkio weight is from 10 to 1000".to_owned());
    }
    for ulimit in resources.ulimits.iter().flatten() {
        match super::super::spec::rlimit(ulimit) {
            None => wrong(format!("invalid ulimit type: {}", ulimit.name)),
            Some(_) if ulimit.hard >= 0 && (ulimit.soft > ulimit.hard || ulimit.soft < 0) => wrong(format!(
                "ulimit soft limit must be less than or equal to hard limit: {} > {}",
                ulimit.soft, ulimit.hard
            )),
            Some(_) => {}
        }
    }
    for rule in resources.device_cgroup_rules.iter().flatten() {
        if super::super::spec::device_rule(rule).is_none() {
            wrong(format!("invalid device cgroup rule format: '{rule}'"));
        }
    }
    for device in resources.devices.iter().flatten() {
        let permissions = &device.cgroup_permissions;
        if !permissions.bytes().all(|byte| b"rwm".contains(&byte)) {
            wrong(format!("invalid device mode: {permissions}"));
        }
    }
    for request in resources.device_requests.iter().flatten() {
        let driver = &request.driver;
        let capabilities: Vec<String> =
            request.capabilities.iter().flatten().map(|all| format!("[{}]", all.join(" "))).collect();
        wrong(format!(
            "could not select device driver {driver:?} with capabilities: [{}]",
            capabilities.join(" ")
        ));
    }
}

/// `0-3,5`.
fn is_cpu_list(text: &str) -> bool {
    text.split(',').all(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        matches!((first.trim().parse::<u16>(), last.trim().parse::<u16>()), (Ok(first), Ok(last)) if first <= last)
    })
}

fn check_network_mode(config: &ContainerConfig, host: &HostConfig, errors: &mut Vec<Error>) {
    let mut conflict = |message: &str| errors.push(Error::invalid(format!("conflicting options: {message}")));
    let mode = Network::parse(&host.network_mode);
    let has_links = host.links.as_ref().is_some_and(|links| !links.is_empty());
    if modes::uts(host) == Ok(Namespace::Host) && !config.hostname.is_empty() {
        conflict("hostname and the UTS mode");
    }
    if mode == Network::Host && has_links {
        conflict("host type networking can't be used with links. This would result in undefined behavior");
    }
    let Network::Container(other) = mode else { return };
    if other.is_empty() {
        errors.push(Error::invalid("invalid container format container:<name|id>"));
        return;
    }
    let given = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|list| !list.is_empty());
    if !config.hostname.is_empty() {
        conflict("hostname and the network mode");
    }
    if has_links {
        conflict("container type network can't be used with links. This would result in undefined behavior");
    }
    if given(&host.dns) {
        conflict("dns and the network mode");
    }
    if given(&host.extra_hosts) {
        conflict("custom host-to-IP mapping and the network mode");
    }
    if host.publish_all_ports || host.port_bindings.as_ref().is_some_and(|ports| !ports.is_empty()) {
        conflict("port publishing and the container type network mode");
    }
    if config.exposed_ports.as_ref().is_some_and(|ports| !ports.is_empty()) {
        conflict("port exposing and the container type network mode");
    }
}

impl PartialEq for Error {
    fn eq(&self, other: &Self) -> bool {
        (self.kind, &self.message) == (other.kind, &other.message)
    }
}

/// After merging with the image: there must be something to run.
pub(crate) fn check_command(config: &ContainerConfig) -> Result<()> {
    let words = |words: &Option<api::StrSlice>| words.as_ref().map_or(0, |words| words.len());
    match words(&config.entrypoint) + words(&config.cmd) {
        0 => Err(Error::new(ErrorKind::InvalidParameter, "no command specified")),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "validate_tests.rs"]
mod tests;
