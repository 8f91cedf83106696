//! All flags together become one request. Pure, apart from the files that flags name.

use std::collections::BTreeMap;

use api::{
    ConsoleSize, ContainerConfig, ContainerCreateRequest, DeviceRequest, EmptyObject, HealthConfig,
    HostConfig, LogConfig, PortMap, Resources, StrSlice,
};

use super::device::Device;
use super::flags::ContainerFlags;
use super::mount::Volume;
use super::{env, network, port, security};

/// What the request takes from elsewhere than the flags.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// The container's first terminal: rows, columns.
    pub console: Option<(u16, u16)>,
    /// Proxy variables of config.json.
    pub proxies: Vec<(String, String)>,
    /// `-d`: nothing is attached.
    pub detach: bool,
}

impl ContainerFlags {
    /// The body of `POST /containers/create`.
    pub fn request(
        &self,
        image: &str,
        command: &[String],
        surroundings: &Surroundings,
    ) -> anyhow::Result<ContainerCreateRequest> {
        let restart_policy = self.restart_policy().map_err(anyhow::Error::msg)?;
        if self.rm && !matches!(restart_policy.name.as_str(), "" | "no") {
            anyhow::bail!("conflicting options: cannot specify both --restart and --rm");
        }
        let (network_mode, networking_config) = network::networks(self).map_err(anyhow::Error::msg)?;
        let volumes = self.volumes().map_err(anyhow::Error::msg)?;
        let security = security::security(&self.security_opt)?;
        let bare_paths = security.bare_system_paths.then(Vec::new);
        let host_config = HostConfig {
            binds: Some(binds(&volumes)),
            container_id_file: text(&self.cidfile),
            log_config: self.log_config()?,
            network_mode,
            port_bindings: Some(self.port_bindings()?),
            restart_policy,
            auto_remove: self.rm,
            volume_driver: text(&self.volume_driver),
            volumes_from: list(&self.volumes_from),
            console_size: surroundings
                .console
                .map_or(ConsoleSize::default(), |(rows, columns)| ConsoleSize([rows.into(), columns.into()])),
            annotations: some_map(&self.annotation),
            cap_add: list(&self.cap_add).map(StrSlice),
            cap_drop: list(&self.cap_drop).map(StrSlice),
            cgroupns_mode: text(&self.cgroupns),
            dns: Some(self.dns.iter().map(ToString::to_string).collect()),
            dns_options: Some(self.dns_option.clone()),
            dns_search: Some(self.dns_search.clone()),
            extra_hosts: list(&self.add_host),
            group_add: list(&self.group_add),
            ipc_mode: text(&self.ipc),
            links: list(&self.link),
            oom_score_adj: self.oom_score_adj.unwrap_or_default(),
            pid_mode: text(&self.pid),
            privileged: self.privileged,
            publish_all_ports: self.publish_all,
            readonly_rootfs: self.read_only,
            security_opt: list(&security.options),
            storage_opt: some_map(&self.storage_opt),
            tmpfs: self.tmpfs_mounts(),
            uts_mode: text(&self.uts),
            userns_mode: text(&self.userns),
            shm_size: self.shm_size.unwrap_or_default(),
            sysctls: some_map(&self.sysctl),
            runtime: text(&self.runtime),
            isolation: text(&self.isolation),
            resources: self.resources(),
            mounts: list(&self.mount),
            masked_paths: bare_paths.clone(),
            readonly_paths: bare_paths,
            init: self.init,
            ..HostConfig::default()
        };
        Ok(ContainerCreateRequest {
            config: self.config(image, command, &volumes, surroundings)?,
            host_config: Some(host_config),
            networking_config,
        })
    }

    fn config(
        &self,
        image: &str,
        command: &[String],
        volumes: &[Volume],
        surroundings: &Surroundings,
    ) -> anyhow::Result<ContainerConfig> {
        let attach = |stream: &str| match self.attach.is_empty() {
            _ if surroundings.detach => false,
            true => stream != "stdin" || self.interactive,
            false => self.attach.iter().any(|attached| attached == stream),
        };
        let mut environment = env::environment(&self.env_file, &self.env)?;
        for (name, value) in &surroundings.proxies {
            let given = |line: &String| line.split('=').next() == Some(name);
            if !environment.iter().any(given) {
                environment.push(format!("{name}={value}"));
            }
        }
        let anonymous = volumes.iter().filter_map(|volume| match volume {
            Volume::Anonymous(path) => Some((path.clone(), EmptyObject {})),
            Volume::Bind(_) => None,
        });
        Ok(ContainerConfig {
            hostname: text(&self.hostname),
            domainname: text(&self.domainname),
            user: text(&self.user),
            attach_stdin: attach("stdin"),
            attach_stdout: attach("stdout"),
            attach_stderr: attach("stderr"),
            exposed_ports: Some(self.exposed_ports()?).filter(|ports: &api::Set| !ports.is_empty()),
            tty: self.tty,
            open_stdin: self.interactive,
            // The container's stdin ends with the client that gave it.
            stdin_once: self.interactive && attach("stdin"),
            env: Some(environment),
            cmd: list(command).map(StrSlice),
            healthcheck: self.health()?,
            image: image.to_owned(),
            volumes: Some(anonymous.collect()),
            working_dir: text(&self.workdir),
            entrypoint: self.entrypoint.clone().map(|program| StrSlice(vec![program])),
            labels: Some(env::labels(&self.label_file, &self.label)?),
            stop_signal: text(&self.stop_signal),
            stop_timeout: self.stop_timeout,
            ..ContainerConfig::default()
        })
    }

    fn tmpfs_mounts(&self) -> Option<BTreeMap<String, String>> {
        let split = |text: &String| {
            let (path, options) = text.split_once(':').unwrap_or((text, ""));
            (path.to_owned(), options.to_owned())
        };
        (!self.tmpfs.is_empty()).then(|| self.tmpfs.iter().map(split).collect())
    }

    fn port_bindings(&self) -> anyhow::Result<PortMap> {
        let mut map = PortMap::new();
        for published in self.published().map_err(anyhow::Error::msg)? {
            map.entry(published.container).or_default().get_or_insert_default().push(published.host);
        }
        Ok(map)
    }

    fn exposed_ports(&self) -> anyhow::Result<api::Set> {
        let mut ports: api::Set =
            self.port_bindings()?.into_keys().map(|port| (port, EmptyObject {})).collect();
        for text in &self.expose {
            let exposed = port::expose(text).map_err(anyhow::Error::msg)?;
            ports.extend(exposed.into_iter().map(|port| (port, EmptyObject {})));
        }
        Ok(ports)
    }

    fn log_config(&self) -> anyhow::Result<LogConfig> {
        let typ = text(&self.log_driver);
        if typ == "none" && !self.log_opt.is_empty() {
            anyhow::bail!("invalid logging opts for driver none");
        }
        Ok(LogConfig { typ, config: Some(env::map(&self.log_opt)) })
    }

    fn health(&self) -> anyhow::Result<Option<HealthConfig>> {
        let times = [
            ("interval", self.health_interval),
            ("timeout", self.health_timeout),
            ("start-period", self.health_start_period),
            ("start-interval", self.health_start_interval),
            ("retries", self.health_retries),
        ];
        let command = self.health_cmd.as_deref().filter(|command| !command.is_empty());
        let given = command.is_some() || times.iter().any(|(_, value)| value.is_some_and(|value| value != 0));
        if self.no_healthcheck {
            anyhow::ensure!(!given, "--no-healthcheck conflicts with --health-* options");
            return Ok(Some(HealthConfig { test: Some(vec!["NONE".to_owned()]), ..HealthConfig::default() }));
        }
        if let Some((name, _)) = times.iter().find(|(_, value)| value.is_some_and(i64::is_negative)) {
            anyhow::bail!("--health-{name} cannot be negative");
        }
        let [interval, timeout, start_period, start_interval, retries] =
            times.map(|(_, value)| value.unwrap_or_default());
        Ok(given.then(|| HealthConfig {
            test: command.map(|command| vec!["CMD-SHELL".to_owned(), command.to_owned()]),
            interval,
            timeout,
            start_period,
            start_interval,
            retries,
        }))
    }

    fn resources(&self) -> Resources {
        let mut devices = Vec::new();
        let mut cdi = Vec::new();
        for device in &self.device {
            match device {
                Device::Node(mapping) => devices.push(mapping.clone()),
                Device::Cdi(name) => cdi.push(name.clone()),
            }
        }
        let mut requests = self.gpus.clone();
        if !cdi.is_empty() {
            requests.push(DeviceRequest {
                driver: "cdi".to_owned(),
                device_ids: Some(cdi),
                ..DeviceRequest::default()
            });
        }
        Resources {
            cpu_shares: self.cpu_shares.unwrap_or_default(),
            memory: self.memory.unwrap_or_default(),
            nano_cpus: self.cpus.unwrap_or_default(),
            cgroup_parent: text(&self.cgroup_parent),
            blkio_weight: self.blkio_weight.unwrap_or_default(),
            blkio_weight_device: list(&self.blkio_weight_device),
            blkio_device_read_bps: list(&self.device_read_bps),
            blkio_device_write_bps: list(&self.device_write_bps),
            blkio_device_read_iops: list(&self.device_read_iops),
            blkio_device_write_iops: list(&self.device_write_iops),
            cpu_period: self.cpu_period.unwrap_or_default(),
            cpu_quota: self.cpu_quota.unwrap_or_default(),
            cpu_realtime_period: self.cpu_rt_period.unwrap_or_default(),
            cpu_realtime_runtime: self.cpu_rt_runtime.unwrap_or_default(),
            cpuset_cpus: text(&self.cpuset_cpus),
            cpuset_mems: text(&self.cpuset_mems),
            devices: list(&devices),
            device_cgroup_rules: list(&self.device_cgroup_rule),
            device_requests: list(&requests),
            kernel_memory: self.kernel_memory.unwrap_or_default(),
            memory_reservation: self.memory_reservation.unwrap_or_default(),
            memory_swap: self.memory_swap.unwrap_or_default(),
            memory_swappiness: self.memory_swappiness.filter(|value| *value >= 0),
            oom_kill_disable: self.oom_kill_disable.then_some(true),
            pids_limit: self.pids_limit.filter(|limit| *limit != 0),
            ulimits: list(&self.ulimit),
            cpu_count: self.cpu_count.unwrap_or_default(),
            cpu_percent: self.cpu_percent.unwrap_or_default(),
            io_maximum_iops: self.io_maxiops.unwrap_or_default(),
            io_maximum_bandwidth: self
                .io_maxbandwidth
                .and_then(|bytes| u64::try_from(bytes).ok())
                .unwrap_or_default(),
            ..Resources::default()
        }
    }
}

fn binds(volumes: &[Volume]) -> Vec<String> {
    let bind = |volume: &Volume| match volume {
        Volume::Bind(spec) => Some(spec.clone()),
        Volume::Anonymous(_) => None,
    };
    volumes.iter().filter_map(bind).collect()
}

fn text(value: &Option<String>) -> String {
    value.clone().unwrap_or_default()
}

fn list<T: Clone>(values: &[T]) -> Option<Vec<T>> {
    (!values.is_empty()).then(|| values.to_vec())
}

fn some_map(pairs: &[String]) -> Option<BTreeMap<String, String>> {
    (!pairs.is_empty()).then(|| env::map(pairs))
}
