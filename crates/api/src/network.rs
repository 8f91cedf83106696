//! Networks and endpoints on the wire.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::go::model;

model! {
    /// Endpoints asked for at create, by network name or id.
    pub struct NetworkingConfig {
        "EndpointsConfig" => endpoints_config: Option<BTreeMap<String, Option<EndpointSettings>>>,
    }

    /// A container's place in a network: what was asked for, then what it got.
    pub struct EndpointSettings {
        "IPAMConfig" => ipam_config: Option<EndpointIpamConfig>,
        "Links" => links: Option<Vec<String>>,
        "Aliases" => aliases: Option<Vec<String>>,
        "MacAddress" => mac_address: String,
        "DriverOpts" => driver_opts: Option<BTreeMap<String, String>>,
        "GwPriority" => gw_priority: i64,
        "NetworkID" => network_id: String,
        "EndpointID" => endpoint_id: String,
        "Gateway" => gateway: String,
        "IPAddress" => ip_address: String,
        "IPPrefixLen" => ip_prefix_len: i64,
        "IPv6Gateway" => ipv6_gateway: String,
        "GlobalIPv6Address" => global_ipv6_address: String,
        "GlobalIPv6PrefixLen" => global_ipv6_prefix_len: i64,
        "DNSNames" => dns_names: Option<Vec<String>>,
    }

    /// Addresses asked for.
    pub struct EndpointIpamConfig {
        "IPv4Address" omitempty => ipv4_address: String,
        "IPv6Address" omitempty => ipv6_address: String,
        "LinkLocalIPs" omitempty => link_local_ips: Option<Vec<String>>,
    }

    /// An address and its prefix length.
    pub struct Address {
        "Addr" => addr: String,
        "PrefixLen" => prefix_len: i64,
    }

    /// A network, as listed and inspected.
    pub struct Network {
        "Name" => name: String,
        "Id" => id: String,
        "Created" => created: String,
        /// local, global or swarm.
        "Scope" => scope: String,
        "Driver" => driver: String,
        "EnableIPv4" => enable_ipv4: bool,
        "EnableIPv6" => enable_ipv6: bool,
        "IPAM" => ipam: Ipam,
        "Internal" => internal: bool,
        "Attachable" => attachable: bool,
        "Ingress" => ingress: bool,
        "ConfigFrom" => config_from: ConfigReference,
        "ConfigOnly" => config_only: bool,
        /// By container id; empty in lists.
        "Containers" => containers: Option<BTreeMap<String, NetworkContainer>>,
        "Options" => options: Option<BTreeMap<String, String>>,
        "Labels" => labels: Option<BTreeMap<String, String>>,
        "Peers" omitempty => peers: Option<Vec<Value>>,
        "Services" omitempty => services: Option<BTreeMap<String, Value>>,
    }

    /// Address management of a network.
    pub struct Ipam {
        "Driver" => driver: String,
        "Options" => options: Option<BTreeMap<String, String>>,
        "Config" => config: Option<Vec<IpamConfig>>,
    }

    /// One subnet of a network.
    pub struct IpamConfig {
        "Subnet" omitempty => subnet: String,
        "IPRange" omitempty => ip_range: String,
        "Gateway" omitempty => gateway: String,
        "AuxiliaryAddresses" omitempty => auxiliary_addresses: Option<BTreeMap<String, String>>,
    }

    /// The network whose configuration is used.
    pub struct ConfigReference {
        "Network" => network: String,
    }

    /// A container in a network's inspection.
    pub struct NetworkContainer {
        "Name" => name: String,
        "EndpointID" => endpoint_id: String,
        "MacAddress" => mac_address: String,
        "IPv4Address" => ipv4_address: String,
        "IPv6Address" => ipv6_address: String,
    }

    /// Body of `POST /networks/create`.
    pub struct NetworkCreateRequest {
        "Name" => name: String,
        "CheckDuplicate" omitempty => check_duplicate: Option<bool>,
        "Driver" => driver: String,
        "Scope" => scope: String,
        "EnableIPv4" omitempty => enable_ipv4: Option<bool>,
        "EnableIPv6" omitempty => enable_ipv6: Option<bool>,
        "IPAM" => ipam: Option<Ipam>,
        "Internal" => internal: bool,
        "Attachable" => attachable: bool,
        "Ingress" => ingress: bool,
        "ConfigOnly" => config_only: bool,
        "ConfigFrom" => config_from: Option<ConfigReference>,
        "Options" => options: Option<BTreeMap<String, String>>,
        "Labels" => labels: Option<BTreeMap<String, String>>,
    }

    /// Answer to `POST /networks/create`.
    pub struct NetworkCreateResponse {
        "Id" => id: String,
        "Warning" => warning: String,
    }

    /// Body of `POST /networks/{id}/connect`.
    pub struct NetworkConnectRequest {
        "Container" => container: String,
        "EndpointConfig" omitempty => endpoint_config: Option<EndpointSettings>,
    }

    /// Body of `POST /networks/{id}/disconnect`.
    pub struct NetworkDisconnectRequest {
        "Container" => container: String,
        "Force" => force: bool,
    }

    /// Answer to `POST /networks/prune`.
    pub struct NetworkPruneResponse {
        "NetworksDeleted" => networks_deleted: Option<Vec<String>>,
    }
}
