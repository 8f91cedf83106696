//! Containers on the wire: configuration, create, inspect, list, stats and the small answers around them.
//! Field order is that of moby's `api/types/container`, because `docker inspect` prints our bytes in our order.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::go::model;
use crate::host_config::{HostConfig, PortMap, Resources, RestartPolicy, StrSlice};
use crate::image::OciDescriptor;
use crate::network::{Address, EndpointSettings, NetworkingConfig};

/// A set in Go's clothes: `{"80/tcp": {}}`.
pub type Set = BTreeMap<String, EmptyObject>;

/// The `{}` of Go's `struct{}`. Whatever object comes in, or `null`, is taken for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EmptyObject {}

impl Serialize for EmptyObject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_map(Some(0))?.end()
    }
}

impl<'de> Deserialize<'de> for EmptyObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::<BTreeMap<String, IgnoredAny>>::deserialize(deserializer).map(|_| Self {})
    }
}

model! {
    /// What runs in a container, independent of the host.
    pub struct ContainerConfig {
        "Hostname" => hostname: String,
        "Domainname" => domainname: String,
        "User" => user: String,
        "AttachStdin" => attach_stdin: bool,
        "AttachStdout" => attach_stdout: bool,
        "AttachStderr" => attach_stderr: bool,
        "ExposedPorts" omitempty => exposed_ports: Option<Set>,
        "Tty" => tty: bool,
        "OpenStdin" => open_stdin: bool,
        "StdinOnce" => stdin_once: bool,
        "Env" => env: Option<Vec<String>>,
        "Cmd" => cmd: Option<StrSlice>,
        "Healthcheck" omitempty => healthcheck: Option<HealthConfig>,
        "ArgsEscaped" omitempty => args_escaped: bool,
        "Image" => image: String,
        "Volumes" => volumes: Option<Set>,
        "WorkingDir" => working_dir: String,
        "Entrypoint" => entrypoint: Option<StrSlice>,
        "NetworkDisabled" omitempty => network_disabled: bool,
        "MacAddress" omitempty => mac_address: String,
        "OnBuild" => on_build: Option<Vec<String>>,
        "Labels" => labels: Option<BTreeMap<String, String>>,
        "StopSignal" omitempty => stop_signal: String,
        /// Seconds; -1 waits for ever.
        "StopTimeout" omitempty => stop_timeout: Option<i64>,
        "Shell" omitempty => shell: Option<StrSlice>,
        ..
        /// Fields this version does not know, kept for the tools that read them back.
        extra: BTreeMap<String, Value>,
    }

    /// A health probe; times in nanoseconds, 0 = inherit.
    pub struct HealthConfig {
        /// `[]` inherit, `["NONE"]`, `["CMD", args…]`, `["CMD-SHELL", command]`.
        "Test" omitempty => test: Option<Vec<String>>,
        "Interval" omitempty => interval: i64,
        "Timeout" omitempty => timeout: i64,
        "StartPeriod" omitempty => start_period: i64,
        "StartInterval" omitempty => start_interval: i64,
        "Retries" omitempty => retries: i64,
    }

    /// Body of `POST /containers/create`: the configuration with the host's part and the endpoints beside it.
    pub struct ContainerCreateRequest {
        "HostConfig" omitempty => host_config: Option<HostConfig>,
        "NetworkingConfig" omitempty => networking_config: Option<NetworkingConfig>,
        .. config: ContainerConfig,
    }

    /// Answer to `POST /containers/create`.
    pub struct ContainerCreateResponse {
        "Id" => id: String,
        "Warnings" => warnings: Option<Vec<String>>,
    }

    /// Body of `POST /containers/{id}/update`.
    pub struct ContainerUpdateRequest {
        .. resources: Resources,
        "RestartPolicy" => restart_policy: RestartPolicy,
    }

    /// Answer to `POST /containers/{id}/update`.
    pub struct ContainerUpdateResponse {
        "Warnings" => warnings: Option<Vec<String>>,
    }

    /// Answer to `GET /containers/{id}/json`.
    pub struct ContainerInspectResponse {
        "Id" => id: String,
        /// RFC 3339 with nanoseconds.
        "Created" => created: String,
        "Path" => path: String,
        "Args" => args: Option<Vec<String>>,
        "State" => state: Option<ContainerState>,
        /// Image id, `sha256:…`.
        "Image" => image: String,
        "ResolvConfPath" => resolv_conf_path: String,
        "HostnamePath" => hostname_path: String,
        "HostsPath" => hosts_path: String,
        "LogPath" => log_path: String,
        /// With the leading slash.
        "Name" => name: String,
        "RestartCount" => restart_count: i64,
        "Driver" => driver: String,
        "Platform" => platform: String,
        "MountLabel" => mount_label: String,
        "ProcessLabel" => process_label: String,
        "AppArmorProfile" => app_armor_profile: String,
        "ExecIDs" => exec_ids: Option<Vec<String>>,
        "HostConfig" => host_config: Option<HostConfig>,
        "GraphDriver" => graph_driver: DriverData,
        "SizeRw" omitempty => size_rw: Option<i64>,
        "SizeRootFs" omitempty => size_root_fs: Option<i64>,
        "Mounts" => mounts: Option<Vec<MountPoint>>,
        "Config" => config: Option<ContainerConfig>,
        "NetworkSettings" => network_settings: Option<NetworkSettings>,
        "ImageManifestDescriptor" omitempty => image_manifest_descriptor: Option<OciDescriptor>,
    }

    /// Where a storage driver keeps a root file system.
    pub struct DriverData {
        "Data" => data: Option<BTreeMap<String, String>>,
        "Name" => name: String,
    }

    /// A container's run state.
    pub struct ContainerState {
        /// created, running, paused, restarting, removing, exited or dead.
        "Status" => status: String,
        "Running" => running: bool,
        "Paused" => paused: bool,
        "Restarting" => restarting: bool,
        "OOMKilled" => oom_killed: bool,
        "Dead" => dead: bool,
        "Pid" => pid: i64,
        "ExitCode" => exit_code: i64,
        "Error" => error: String,
        "StartedAt" => started_at: String,
        "FinishedAt" => finished_at: String,
        "Health" omitempty => health: Option<Health>,
    }

    /// Results of the health probe.
    pub struct Health {
        /// none, starting, healthy or unhealthy.
        "Status" => status: String,
        "FailingStreak" => failing_streak: i64,
        "Log" => log: Option<Vec<HealthcheckResult>>,
    }

    /// One run of the health probe.
    pub struct HealthcheckResult {
        "Start" => start: String,
        "End" => end: String,
        "ExitCode" => exit_code: i64,
        "Output" => output: String,
    }

    /// A mount as `inspect` and `ps` show it.
    pub struct MountPoint {
        "Type" omitempty => typ: String,
        "Name" omitempty => name: String,
        "Source" => source: String,
        "Destination" => destination: String,
        "Driver" omitempty => driver: String,
        "Mode" => mode: String,
        "RW" => rw: bool,
        "Propagation" => propagation: String,
    }

    /// A container's network state; everything but `Networks`, `Ports` and the sandbox is the legacy view of the default bridge.
    pub struct NetworkSettings {
        "Bridge" => bridge: String,
        "SandboxID" => sandbox_id: String,
        "SandboxKey" => sandbox_key: String,
        "Ports" => ports: Option<PortMap>,
        "HairpinMode" => hairpin_mode: bool,
        "LinkLocalIPv6Address" => link_local_ipv6_address: String,
        "LinkLocalIPv6PrefixLen" => link_local_ipv6_prefix_len: i64,
        "SecondaryIPAddresses" => secondary_ip_addresses: Option<Vec<Address>>,
        "SecondaryIPv6Addresses" => secondary_ipv6_addresses: Option<Vec<Address>>,
        "EndpointID" => endpoint_id: String,
        "Gateway" => gateway: String,
        "GlobalIPv6Address" => global_ipv6_address: String,
        "GlobalIPv6PrefixLen" => global_ipv6_prefix_len: i64,
        "IPAddress" => ip_address: String,
        "IPPrefixLen" => ip_prefix_len: i64,
        "IPv6Gateway" => ipv6_gateway: String,
        "MacAddress" => mac_address: String,
        "Networks" => networks: Option<BTreeMap<String, EndpointSettings>>,
    }

    /// A line of `docker ps`.
    pub struct ContainerSummary {
        "Id" => id: String,
        "Names" => names: Option<Vec<String>>,
        "Image" => image: String,
        "ImageID" => image_id: String,
        "ImageManifestDescriptor" omitempty => image_manifest_descriptor: Option<OciDescriptor>,
        "Command" => command: String,
        /// Unix seconds.
        "Created" => created: i64,
        "Ports" => ports: Option<Vec<Port>>,
        "SizeRw" omitempty => size_rw: i64,
        "SizeRootFs" omitempty => size_root_fs: i64,
        "Labels" => labels: Option<BTreeMap<String, String>>,
        "State" => state: String,
        "Status" => status: String,
        "HostConfig" => host_config: ContainerSummaryHostConfig,
        "NetworkSettings" => network_settings: Option<ContainerSummaryNetworkSettings>,
        "Mounts" => mounts: Option<Vec<MountPoint>>,
    }

    /// The part of the host configuration that lists show.
    pub struct ContainerSummaryHostConfig {
        "NetworkMode" omitempty => network_mode: String,
        "Annotations" omitempty => annotations: Option<BTreeMap<String, String>>,
    }

    /// The part of the network state that lists show.
    pub struct ContainerSummaryNetworkSettings {
        "Networks" => networks: Option<BTreeMap<String, EndpointSettings>>,
    }

    /// An exposed or published port in a list.
    pub struct Port {
        "IP" omitempty => ip: String,
        "PrivatePort" => private_port: u16,
        "PublicPort" omitempty => public_port: u16,
        "Type" => typ: String,
    }

    /// A path that differs from the image; kind 0 changed, 1 added, 2 deleted.
    pub struct FilesystemChange {
        "Kind" => kind: i64,
        "Path" => path: String,
    }

    /// Answer to `GET /containers/{id}/top`.
    pub struct ContainerTopResponse {
        "Processes" => processes: Option<Vec<Vec<String>>>,
        "Titles" => titles: Option<Vec<String>>,
    }

    /// Answer to `POST /containers/{id}/wait`.
    pub struct ContainerWaitResponse {
        "StatusCode" => status_code: i64,
        "Error" omitempty => error: Option<ContainerWaitExitError>,
    }

    /// Why waiting failed.
    pub struct ContainerWaitExitError {
        "Message" omitempty => message: String,
    }

    /// `X-Docker-Container-Path-Stat`, base64 of this as JSON.
    pub struct PathStat {
        "name" => name: String,
        "size" => size: i64,
        /// Go's `os.FileMode`: permission bits, with type bits at Go's places (see [`PathStat::MODE_DIR`]).
        "mode" => mode: u32,
        "mtime" => mtime: String,
        "linkTarget" => link_target: String,
    }

    /// Answer to `POST /containers/prune`.
    pub struct ContainerPruneResponse {
        "ContainersDeleted" => containers_deleted: Option<Vec<String>>,
        "SpaceReclaimed" => space_reclaimed: u64,
    }

    /// Answer to commit: the new image's id. (`POST /containers/{id}/exec` answers the same shape.)
    pub struct IdResponse {
        "Id" => id: String,
    }
}

impl PathStat {
    /// Go's `fs.ModeDir`.
    pub const MODE_DIR: u32 = 1 << 31;
    /// Go's `fs.ModeSymlink`.
    pub const MODE_SYMLINK: u32 = 1 << 27;
    /// Go's `fs.ModeDevice`.
    pub const MODE_DEVICE: u32 = 1 << 26;
    /// Go's `fs.ModeNamedPipe`.
    pub const MODE_NAMED_PIPE: u32 = 1 << 25;
    /// Go's `fs.ModeSocket`.
    pub const MODE_SOCKET: u32 = 1 << 24;
    /// Go's `fs.ModeSetuid`.
    pub const MODE_SETUID: u32 = 1 << 23;
    /// Go's `fs.ModeSetgid`.
    pub const MODE_SETGID: u32 = 1 << 22;
    /// Go's `fs.ModeCharDevice`.
    pub const MODE_CHAR_DEVICE: u32 = 1 << 21;
    /// Go's `fs.ModeSticky`.
    pub const MODE_STICKY: u32 = 1 << 20;

    /// A `st_mode` in Go's layout.
    pub fn mode_from_unix(st_mode: u32) -> u32 {
        let kind = match st_mode & 0o170000 {
            0o040000 => Self::MODE_DIR,
            0o120000 => Self::MODE_SYMLINK,
            0o060000 => Self::MODE_DEVICE,
            0o020000 => Self::MODE_DEVICE | Self::MODE_CHAR_DEVICE,
            0o010000 => Self::MODE_NAMED_PIPE,
            0o140000 => Self::MODE_SOCKET,
            _ => 0,
        };
        let special = [(0o4000, Self::MODE_SETUID), (0o2000, Self::MODE_SETGID), (0o1000, Self::MODE_STICKY)];
        special
            .iter()
            .filter(|(bit, _)| st_mode & bit != 0)
            .fold(kind | (st_mode & 0o777), |mode, (_, go)| mode | go)
    }

    /// Whether the path is a folder.
    pub fn is_dir(&self) -> bool {
        self.mode & Self::MODE_DIR != 0
    }

    /// Whether the path is a symbolic link.
    pub fn is_symlink(&self) -> bool {
        self.mode & Self::MODE_SYMLINK != 0
    }
}
