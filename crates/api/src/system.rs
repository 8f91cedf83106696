//! `/info`, `/version`, `/system/df`, `/auth` on the wire.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::container::ContainerSummary;
use crate::go::model;
use crate::image::ImageSummary;
use crate::volume::Volume;

model! {
    /// Answer to `GET /info`.
    pub struct SystemInfo {
        "ID" => id: String,
        "Containers" => containers: i64,
        "ContainersRunning" => containers_running: i64,
        "ContainersPaused" => containers_paused: i64,
        "ContainersStopped" => containers_stopped: i64,
        "Images" => images: i64,
        "Driver" => driver: String,
        "DriverStatus" => driver_status: Option<Vec<[String; 2]>>,
        "SystemStatus" omitempty => system_status: Option<Vec<[String; 2]>>,
        "Plugins" => plugins: PluginsInfo,
        "MemoryLimit" => memory_limit: bool,
        "SwapLimit" => swap_limit: bool,
        /// Before 1.42 only.
        "KernelMemory" omitempty => kernel_memory: bool,
        /// Before 1.42 only.
        "KernelMemoryTCP" omitempty => kernel_memory_tcp: bool,
        "CpuCfsPeriod" => cpu_cfs_period: bool,
        "CpuCfsQuota" => cpu_cfs_quota: bool,
        "CPUShares" => cpu_shares: bool,
        "CPUSet" => cpu_set: bool,
        "PidsLimit" => pids_limit: bool,
        "IPv4Forwarding" => ipv4_forwarding: bool,
        /// Before 1.50 only.
        "BridgeNfIptables" omitempty => bridge_nf_iptables: Option<bool>,
        /// Before 1.50 only.
        "BridgeNfIp6tables" omitempty => bridge_nf_ip6tables: Option<bool>,
        "Debug" => debug: bool,
        "NFd" => n_fd: i64,
        "OomKillDisable" => oom_kill_disable: bool,
        "NGoroutines" => n_goroutines: i64,
        "SystemTime" => system_time: String,
        "LoggingDriver" => logging_driver: String,
        "CgroupDriver" => cgroup_driver: String,
        "CgroupVersion" omitempty => cgroup_version: String,
        "NEventsListener" => n_events_listener: i64,
        "KernelVersion" => kernel_version: String,
        "OperatingSystem" => operating_system: String,
        "OSVersion" => os_version: String,
        "OSType" => os_type: String,
        "Architecture" => architecture: String,
        "IndexServerAddress" => index_server_address: String,
        "RegistryConfig" => registry_config: Option<RegistryServiceConfig>,
        "NCPU" => n_cpu: i64,
        "MemTotal" => mem_total: i64,
        "GenericResources" => generic_resources: Option<Vec<Value>>,
        "DockerRootDir" => docker_root_dir: String,
        "HttpProxy" => http_proxy: String,
        "HttpsProxy" => https_proxy: String,
        "NoProxy" => no_proxy: String,
        "Name" => name: String,
        "Labels" => labels: Option<Vec<String>>,
        "ExperimentalBuild" => experimental_build: bool,
        "ServerVersion" => server_version: String,
        "Runtimes" => runtimes: Option<BTreeMap<String, Runtime>>,
        "DefaultRuntime" => default_runtime: String,
        "Swarm" => swarm: SwarmInfo,
        "LiveRestoreEnabled" => live_restore_enabled: bool,
        "Isolation" => isolation: String,
        "InitBinary" => init_binary: String,
        "ContainerdCommit" => containerd_commit: Commit,
        "RuncCommit" => runc_commit: Commit,
        "InitCommit" => init_commit: Commit,
        "SecurityOptions" => security_options: Option<Vec<String>>,
        "ProductLicense" omitempty => product_license: String,
        "DefaultAddressPools" omitempty => default_address_pools: Option<Vec<AddressPool>>,
        /// From 1.49.
        "FirewallBackend" omitempty => firewall_backend: Option<FirewallInfo>,
        "CDISpecDirs" => cdi_spec_dirs: Option<Vec<String>>,
        /// From 1.50.
        "DiscoveredDevices" omitempty => discovered_devices: Option<Vec<DeviceInfo>>,
        /// From 1.46.
        "Containerd" omitempty => containerd: Option<ContainerdInfo>,
        "Warnings" => warnings: Option<Vec<String>>,
    }

    /// Drivers by area.
    pub struct PluginsInfo {
        "Volume" => volume: Option<Vec<String>>,
        "Network" => network: Option<Vec<String>>,
        "Authorization" => authorization: Option<Vec<String>>,
        "Log" => log: Option<Vec<String>>,
    }

    /// Registries as configured.
    pub struct RegistryServiceConfig {
        "InsecureRegistryCIDRs" => insecure_registry_cidrs: Option<Vec<String>>,
        "IndexConfigs" => index_configs: Option<BTreeMap<String, IndexInfo>>,
        "Mirrors" => mirrors: Option<Vec<String>>,
    }

    /// One registry as configured.
    pub struct IndexInfo {
        "Name" => name: String,
        "Mirrors" => mirrors: Option<Vec<String>>,
        "Secure" => secure: bool,
        "Official" => official: bool,
    }

    /// An OCI runtime by path.
    pub struct Runtime {
        "path" omitempty => path: String,
        "runtimeArgs" omitempty => runtime_args: Option<Vec<String>>,
        "options" omitempty => options: Option<Value>,
        "status" omitempty => status: Option<BTreeMap<String, String>>,
    }

    /// Version of a part; `Expected` before 1.49 only.
    pub struct Commit {
        "ID" => id: String,
        "Expected" omitempty => expected: String,
    }

    /// A pool that new networks take their subnets from; `size` is the prefix length.
    pub struct AddressPool {
        "Base" => base: String,
        "Size" => size: i64,
    }

    /// Who filters packets.
    pub struct FirewallInfo {
        "Driver" => driver: String,
        "Info" omitempty => info: Option<Vec<[String; 2]>>,
    }

    /// A device found by a device driver.
    pub struct DeviceInfo {
        "Source" => source: String,
        "ID" => id: String,
    }

    /// Connection to a containerd.
    pub struct ContainerdInfo {
        "Address" omitempty => address: String,
        "Namespaces" => namespaces: ContainerdNamespaces,
    }

    /// Namespaces used in containerd.
    pub struct ContainerdNamespaces {
        "Containers" => containers: String,
        "Plugins" => plugins: String,
    }

    /// Swarm membership; clients only look at `LocalNodeState` here, which is `inactive`.
    pub struct SwarmInfo {
        "NodeID" => node_id: String,
        "NodeAddr" => node_addr: String,
        "LocalNodeState" => local_node_state: String,
        "ControlAvailable" => control_available: bool,
        "Error" => error: String,
        "RemoteManagers" => remote_managers: Option<Vec<Value>>,
        "Nodes" omitempty => nodes: i64,
        "Managers" omitempty => managers: i64,
        "Cluster" omitempty => cluster: Option<Value>,
        "Warnings" omitempty => warnings: Option<Vec<String>>,
    }

    /// Answer to `GET /version`.
    pub struct SystemVersion {
        "Platform" => platform: SystemVersionPlatform,
        "Components" omitempty => components: Option<Vec<ComponentVersion>>,
        "Version" => version: String,
        "ApiVersion" => api_version: String,
        "MinAPIVersion" omitempty => min_api_version: String,
        "GitCommit" => git_commit: String,
        "GoVersion" => go_version: String,
        "Os" => os: String,
        "Arch" => arch: String,
        "KernelVersion" omitempty => kernel_version: String,
        "Experimental" omitempty => experimental: bool,
        "BuildTime" omitempty => build_time: String,
    }

    /// The product.
    pub struct SystemVersionPlatform {
        "Name" => name: String,
    }

    /// A part of the product.
    pub struct ComponentVersion {
        "Name" => name: String,
        "Version" => version: String,
        "Details" omitempty => details: Option<BTreeMap<String, String>>,
    }

    /// Answer to `GET /system/df`.
    pub struct SystemDataUsageResponse {
        "LayersSize" => layers_size: i64,
        "Images" => images: Option<Vec<ImageSummary>>,
        "Containers" => containers: Option<Vec<ContainerSummary>>,
        "Volumes" => volumes: Option<Vec<Volume>>,
        "BuildCache" => build_cache: Option<Vec<BuildCache>>,
        /// Before 1.42 only.
        "BuilderSize" omitempty => builder_size: i64,
    }

    /// A record of the build cache.
    pub struct BuildCache {
        "ID" => id: String,
        "Parent" omitempty => parent: String,
        /// The blank in the wire name is moby's.
        " Parents" omitempty => parents: Option<Vec<String>>,
        "Type" => typ: String,
        "Description" => description: String,
        "InUse" => in_use: bool,
        "Shared" => shared: bool,
        "Size" => size: i64,
        "CreatedAt" => created_at: String,
        "LastUsedAt" => last_used_at: Option<String>,
        "UsageCount" => usage_count: i64,
    }

    /// Answer to `POST /build/prune`.
    pub struct BuildPruneResponse {
        "CachesDeleted" => caches_deleted: Option<Vec<String>>,
        "SpaceReclaimed" => space_reclaimed: u64,
    }

    /// Credentials: body of `POST /auth`, and (base64url) the header `X-Registry-Auth`.
    pub struct AuthConfig {
        "username" omitempty => username: String,
        "password" omitempty => password: String,
        /// Base64 of `user:password`, as in `config.json`.
        "auth" omitempty => auth: String,
        "email" omitempty => email: String,
        "serveraddress" omitempty => server_address: String,
        /// OAuth2 refresh token.
        "identitytoken" omitempty => identity_token: String,
        /// Bearer token, sent as it is.
        "registrytoken" omitempty => registry_token: String,
    }

    /// Answer to `POST /auth`.
    pub struct SystemAuthResponse {
        "IdentityToken" => identity_token: String,
        "Status" => status: String,
    }

    /// Every error: `{"message": "…"}`.
    pub struct ErrorResponse {
        "message" => message: String,
    }
}
