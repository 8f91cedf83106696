//! The table of flags that `run` and `create` share.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use api::{DeviceRequest, Mount, RestartPolicy, ThrottleDevice, Ulimit, WeightDevice};

use super::device::Device;
use super::mount::Volume;
use super::network::Attachment;
use super::port::Published;
use super::{device, env, mount, network, port, resource};

/// Flags of a new container, each in the form it is sent in as far as it stands alone.
#[derive(Debug, Clone, Default, clap::Args)]
#[rustfmt::skip]
pub struct ContainerFlags {
    /// Add a custom host-to-IP mapping (host:ip)
    #[arg(long, value_name = "list", value_parser = add_host)] pub add_host: Vec<String>,
    /// Add an annotation to the container (passed through to the OCI runtime)
    #[arg(long, value_name = "map")] pub annotation: Vec<String>,
    /// Attach to STDIN, STDOUT or STDERR
    #[arg(short, long, value_name = "list", value_parser = stream)] pub attach: Vec<String>,
    /// Block IO (relative weight), between 10 and 1000, or 0 to disable
    #[arg(long, value_name = "uint16")] pub blkio_weight: Option<u16>,
    /// Block IO weight (relative device weight)
    #[arg(long, value_name = "list", value_parser = resource::weight)] pub blkio_weight_device: Vec<WeightDevice>,
    /// Add Linux capabilities
    #[arg(long, value_name = "list")] pub cap_add: Vec<String>,
    /// Drop Linux capabilities
    #[arg(long, value_name = "list")] pub cap_drop: Vec<String>,
    /// Optional parent cgroup for the container
    #[arg(long)] pub cgroup_parent: Option<String>,
    /// Cgroup namespace to use (host|private)
    #[arg(long)] pub cgroupns: Option<String>,
    /// Write the container ID to the file
    #[arg(long)] pub cidfile: Option<String>,
    /// CPU count (Windows only)
    #[arg(long, value_name = "int")] pub cpu_count: Option<i64>,
    /// CPU percent (Windows only)
    #[arg(long, value_name = "int")] pub cpu_percent: Option<i64>,
    /// Limit CPU CFS (Completely Fair Scheduler) period
    #[arg(long, value_name = "int")] pub cpu_period: Option<i64>,
    /// Limit CPU CFS (Completely Fair Scheduler) quota
    #[arg(long, value_name = "int")] pub cpu_quota: Option<i64>,
    /// Limit CPU real-time period in microseconds
    #[arg(long, value_name = "int")] pub cpu_rt_period: Option<i64>,
    /// Limit CPU real-time runtime in microseconds
    #[arg(long, value_name = "int")] pub cpu_rt_runtime: Option<i64>,
    /// CPU shares (relative weight)
    #[arg(short, long, value_name = "int")] pub cpu_shares: Option<i64>,
    /// Number of CPUs
    #[arg(long, value_name = "decimal", value_parser = resource::cpus)] pub cpus: Option<i64>,
    /// CPUs in which to allow execution (0-3, 0,1)
    #[arg(long)] pub cpuset_cpus: Option<String>,
    /// MEMs in which to allow execution (0-3, 0,1)
    #[arg(long)] pub cpuset_mems: Option<String>,
    /// Add a host device to the container
    #[arg(long, value_name = "list", value_parser = device::device)] pub device: Vec<Device>,
    /// Add a rule to the cgroup allowed devices list
    #[arg(long, value_name = "list", value_parser = device::cgroup_rule)] pub device_cgroup_rule: Vec<String>,
    /// Limit read rate (bytes per second) from a device
    #[arg(long, value_name = "list", value_parser = resource::bytes_per_second)] pub device_read_bps: Vec<ThrottleDevice>,
    /// Limit read rate (IO per second) from a device
    #[arg(long, value_name = "list", value_parser = resource::operations_per_second)] pub device_read_iops: Vec<ThrottleDevice>,
    /// Limit write rate (bytes per second) to a device
    #[arg(long, value_name = "list", value_parser = resource::bytes_per_second)] pub device_write_bps: Vec<ThrottleDevice>,
    /// Limit write rate (IO per second) to a device
    #[arg(long, value_name = "list", value_parser = resource::operations_per_second)] pub device_write_iops: Vec<ThrottleDevice>,
    /// Skip image verification
    #[arg(long, hide = true)] pub disable_content_trust: bool,
    /// Set custom DNS servers
    #[arg(long, value_name = "list")] pub dns: Vec<IpAddr>,
    /// Set DNS options
    #[arg(long, alias = "dns-opt", value_name = "list")] pub dns_option: Vec<String>,
    /// Set custom DNS search domains
    #[arg(long, value_name = "list")] pub dns_search: Vec<String>,
    /// Container NIS domain name
    #[arg(long)] pub domainname: Option<String>,
    /// Overwrite the default ENTRYPOINT of the image
    #[arg(long)] pub entrypoint: Option<String>,
    /// Set environment variables
    #[arg(short, long, value_name = "list", value_parser = env::env_flag)] pub env: Vec<String>,
    /// Read in a file of environment variables
    #[arg(long, value_name = "list")] pub env_file: Vec<String>,
    /// Expose a port or a range of ports
    #[arg(long, value_name = "list")] pub expose: Vec<String>,
    /// GPU devices to add to the container ('all' to pass all GPUs)
    #[arg(long, value_name = "gpu-request", value_parser = device::gpus)] pub gpus: Vec<DeviceRequest>,
    /// Add additional groups to join
    #[arg(long, value_name = "list")] pub group_add: Vec<String>,
    /// Command to run to check health
    #[arg(long)] pub health_cmd: Option<String>,
    /// Time between running the check (ms|s|m|h)
    #[arg(long, value_name = "duration", value_parser = term::duration::parse)] pub health_interval: Option<i64>,
    /// Consecutive failures needed to report unhealthy
    #[arg(long, value_name = "int")] pub health_retries: Option<i64>,
    /// Time between running the check during the start period (ms|s|m|h)
    #[arg(long, value_name = "duration", value_parser = term::duration::parse)] pub health_start_interval: Option<i64>,
    /// Start period for the container to initialize before starting health-retries countdown (ms|s|m|h)
    #[arg(long, value_name = "duration", value_parser = term::duration::parse)] pub health_start_period: Option<i64>,
    /// Maximum time to allow one check to run (ms|s|m|h)
    #[arg(long, value_name = "duration", value_parser = term::duration::parse)] pub health_timeout: Option<i64>,
    /// Container host name
    #[arg(short = 'h', long)] pub hostname: Option<String>,
    /// Run an init inside the container that forwards signals and reaps processes
    #[arg(long, num_args = 0..=1, value_parser = clap::builder::ValueParser::new(super::super::flags::parse_bool))] pub init: Option<bool>,
    /// Keep STDIN open even if not attached
    #[arg(short, long)] pub interactive: bool,
    /// Maximum IO bandwidth limit for the system drive (Windows only)
    #[arg(long, value_name = "bytes", value_parser = term::size::parse)] pub io_maxbandwidth: Option<i64>,
    /// Maximum IOps limit for the system drive (Windows only)
    #[arg(long, value_name = "uint")] pub io_maxiops: Option<u64>,
    /// IPv4 address (e.g., 172.30.100.104)
    #[arg(long)] pub ip: Option<Ipv4Addr>,
    /// IPv6 address (e.g., 2001:db8::33)
    #[arg(long)] pub ip6: Option<Ipv6Addr>,
    /// IPC mode to use
    #[arg(long)] pub ipc: Option<String>,
    /// Container isolation technology
    #[arg(long)] pub isolation: Option<String>,
    /// Kernel memory limit
    #[arg(long, hide = true, value_name = "bytes", value_parser = term::size::parse)] pub kernel_memory: Option<i64>,
    /// Set meta data on a container
    #[arg(short, long, value_name = "list", value_parser = env::label_flag)] pub label: Vec<String>,
    /// Read in a line delimited file of labels
    #[arg(long, value_name = "list")] pub label_file: Vec<String>,
    /// Add link to another container
    #[arg(long, value_name = "list")] pub link: Vec<String>,
    /// Container IPv4/IPv6 link-local addresses
    #[arg(long, value_name = "list")] pub link_local_ip: Vec<IpAddr>,
    /// Logging driver for the container
    #[arg(long)] pub log_driver: Option<String>,
    /// Log driver options
    #[arg(long, value_name = "list")] pub log_opt: Vec<String>,
    /// Container MAC address (e.g., 92:d0:c6:0a:29:33)
    #[arg(long)] pub mac_address: Option<String>,
    /// Memory limit
    #[arg(short, long, value_name = "bytes", value_parser = term::size::parse)] pub memory: Option<i64>,
    /// Memory soft limit
    #[arg(long, value_name = "bytes", value_parser = term::size::parse)] pub memory_reservation: Option<i64>,
    /// Swap limit equal to memory plus swap: '-1' to enable unlimited swap
    #[arg(long, value_name = "bytes", value_parser = resource::memory_swap)] pub memory_swap: Option<i64>,
    /// Tune container memory swappiness (0 to 100)
    #[arg(long, value_name = "int", value_parser = resource::swappiness)] pub memory_swappiness: Option<i64>,
    /// Attach a filesystem mount to the container
    #[arg(long, value_name = "mount", value_parser = mount::mount)] pub mount: Vec<Mount>,
    /// Assign a name to the container
    #[arg(long)] pub name: Option<String>,
    /// Connect a container to a network
    #[arg(long, alias = "net", value_name = "network", value_parser = network::attachment)] pub network: Vec<Attachment>,
    /// Add network-scoped alias for the container
    #[arg(long, alias = "net-alias", value_name = "list")] pub network_alias: Vec<String>,
    /// Disable any container-specified HEALTHCHECK
    #[arg(long)] pub no_healthcheck: bool,
    /// Disable OOM Killer
    #[arg(long)] pub oom_kill_disable: bool,
    /// Tune host's OOM preferences (-1000 to 1000)
    #[arg(long, value_name = "int")] pub oom_score_adj: Option<i64>,
    /// PID namespace to use
    #[arg(long)] pub pid: Option<String>,
    /// Tune container pids limit (set -1 for unlimited)
    #[arg(long, value_name = "int")] pub pids_limit: Option<i64>,
    /// Set platform if server is multi-platform capable
    #[arg(long)] pub platform: Option<String>,
    /// Give extended privileges to this container
    #[arg(long)] pub privileged: bool,
    /// Publish a container's port(s) to the host
    #[arg(short, long, value_name = "list")] pub publish: Vec<String>,
    /// Publish all exposed ports to random ports
    #[arg(short = 'P', long)] pub publish_all: bool,
    /// Pull image before running ("always", "missing", "never")
    #[arg(long, default_value = "missing")] pub pull: String,
    /// Suppress the pull output
    #[arg(short, long)] pub quiet: bool,
    /// Mount the container's root filesystem as read only
    #[arg(long)] pub read_only: bool,
    /// Restart policy to apply when a container exits
    #[arg(long)] pub restart: Option<String>,
    /// Automatically remove the container and its associated anonymous volumes when it exits
    #[arg(long)] pub rm: bool,
    /// Runtime to use for this container
    #[arg(long)] pub runtime: Option<String>,
    /// Security Options
    #[arg(long, value_name = "list")] pub security_opt: Vec<String>,
    /// Size of /dev/shm
    #[arg(long, value_name = "bytes", value_parser = term::size::parse)] pub shm_size: Option<i64>,
    /// Signal to stop the container
    #[arg(long)] pub stop_signal: Option<String>,
    /// Timeout (in seconds) to stop a container
    #[arg(long, value_name = "int")] pub stop_timeout: Option<i64>,
    /// Storage driver options for the container
    #[arg(long, value_name = "list")] pub storage_opt: Vec<String>,
    /// Sysctl options
    #[arg(long, value_name = "map")] pub sysctl: Vec<String>,
    /// Mount a tmpfs directory
    #[arg(long, value_name = "list")] pub tmpfs: Vec<String>,
    /// Allocate a pseudo-TTY
    #[arg(short, long)] pub tty: bool,
    /// Ulimit options
    #[arg(long, value_name = "ulimit", value_parser = resource::ulimit)] pub ulimit: Vec<Ulimit>,
    /// Username or UID (format: <name|uid>[:<group|gid>])
    #[arg(short, long)] pub user: Option<String>,
    /// User namespace to use
    #[arg(long)] pub userns: Option<String>,
    /// UTS namespace to use
    #[arg(long)] pub uts: Option<String>,
    /// Bind mount a volume
    #[arg(short, long, value_name = "list")] pub volume: Vec<String>,
    /// Optional volume driver for the container
    #[arg(long)] pub volume_driver: Option<String>,
    /// Mount volumes from the specified container(s)
    #[arg(long, value_name = "list")] pub volumes_from: Vec<String>,
    /// Working directory inside the container
    #[arg(short, long)] pub workdir: Option<String>,
}

impl ContainerFlags {
    /// `--restart`, parsed.
    pub fn restart_policy(&self) -> Result<RestartPolicy, String> {
        resource::restart(self.restart.as_deref().unwrap_or("no"))
    }

    /// All `-v`.
    pub fn volumes(&self) -> Result<Vec<Volume>, String> {
        self.volume.iter().map(|text| mount::volume(text)).collect()
    }

    /// All `-p`.
    pub fn published(&self) -> Result<Vec<Published>, String> {
        let lists = self.publish.iter().map(|text| port::publish(text)).collect::<Result<Vec<_>, _>>()?;
        Ok(lists.into_iter().flatten().collect())
    }
}

fn stream(text: &str) -> Result<String, String> {
    let lower = text.to_lowercase();
    match lower.as_str() {
        "stdin" | "stdout" | "stderr" => Ok(lower),
        _ => Err("valid streams are STDIN, STDOUT and STDERR".to_owned()),
    }
}

/// `host:ip` or `host=ip`, the address perhaps in brackets; `host-gateway` is the engine's to resolve.
fn add_host(text: &str) -> Result<String, String> {
    let pair = text.split_once('=').or_else(|| text.split_once(':')).filter(|(name, _)| !name.is_empty());
    let (name, address) = pair.ok_or_else(|| format!("bad format for add-host: \"{text}\""))?;
    let bare = address.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(address);
    match bare == "host-gateway" || bare.parse::<IpAddr>().is_ok() {
        true => Ok(format!("{name}:{bare}")),
        false => Err(format!("invalid IP address in add-host: \"{address}\"")),
    }
}
