//! What Go knows about the objects that `inspect` and templates show and JSON does not say: which objects are maps, which
//! nulls are empty lists, which fields are left out when empty, and which have another name in Go.

use term::template::{Kind, Nil, Schema, Value, Zero};

/// Containers, images, networks, volumes, versions and the system's description.
pub const OBJECTS: Schema = Schema { untyped: false, kind, absent, alias };

/// Events, which have small letters where other objects have capitals.
pub const EVENTS: Schema = Schema { untyped: false, kind, absent, alias: event_alias };

fn kind(parent: &str, name: &str) -> Kind {
    match (parent, name) {
        ("LogConfig", "Config") => Kind::Map(Zero::String),
        ("IPAM", "Config") | (_, "Configs") => Kind::Slice,
        ("NetworkSettings", "Ports") | (_, "PortBindings") => Kind::Map(Zero::Slice),
        ("VolumeOptions" | "DriverConfig" | "IPAM" | "", "Options") => Kind::Map(Zero::String),
        (
            _,
            "Labels" | "Annotations" | "DriverOpts" | "Sysctls" | "Tmpfs" | "StorageOpt" | "Data"
            | "Attributes" | "Details" | "AuxiliaryAddresses" | "annotations",
        ) => Kind::Map(Zero::String),
        ("", "Containers") | (_, "Networks" | "Services" | "IndexConfigs" | "Runtimes" | "Status") => {
            // `Status` of a container is a text, of a volume a map: kinds matter for objects and nulls only.
            Kind::Map(Zero::Pointer)
        }
        (_, "ExposedPorts" | "Volumes" | "EndpointsConfig") => Kind::Map(Zero::Pointer),
        (
            _,
            "Env"
            | "Cmd"
            | "Entrypoint"
            | "OnBuild"
            | "Shell"
            | "Args"
            | "ExecIDs"
            | "Mounts"
            | "Binds"
            | "VolumesFrom"
            | "CapAdd"
            | "CapDrop"
            | "Dns"
            | "DnsOptions"
            | "DnsSearch"
            | "ExtraHosts"
            | "GroupAdd"
            | "Links"
            | "SecurityOpt"
            | "Devices"
            | "DeviceCgroupRules"
            | "DeviceRequests"
            | "Ulimits"
            | "MaskedPaths"
            | "ReadonlyPaths"
            | "BlkioWeightDevice"
            | "BlkioDeviceReadBps"
            | "BlkioDeviceWriteBps"
            | "BlkioDeviceReadIOps"
            | "BlkioDeviceWriteIOps"
            | "Aliases"
            | "DNSNames"
            | "SecondaryIPAddresses"
            | "SecondaryIPv6Addresses"
            | "RepoTags"
            | "RepoDigests"
            | "Layers"
            | "Log"
            | "Peers"
            | "DriverStatus"
            | "Warnings"
            | "SecurityOptions"
            | "CDISpecDirs"
            | "GenericResources"
            | "Mirrors"
            | "Test"
            | "Components"
            | "Network"
            | "Authorization"
            | "Volume"
            | "InsecureRegistryCIDRs",
        ) => Kind::Slice,
        _ => Kind::Plain,
    }
}

fn absent(name: &str) -> Option<Value> {
    Some(match name {
        "Health"
        | "Healthcheck"
        | "SizeRw"
        | "SizeRootFs"
        | "Init"
        | "StopTimeout"
        | "ImageManifestDescriptor"
        | "UsageData"
        | "ClusterVolume"
        | "Descriptor"
        | "FirewallBackend"
        | "Containerd"
        | "BindOptions"
        | "VolumeOptions"
        | "TmpfsOptions"
        | "ImageOptions"
        | "Platform" => Value::Nil(Nil::Pointer),
        "Tmpfs" | "Sysctls" | "StorageOpt" | "Annotations" | "ExposedPorts" | "Services" | "Details" => {
            Value::Nil(Nil::Map)
        }
        "Mounts" | "Shell" | "Peers" | "Manifests" | "DefaultAddressPools" | "Layers" | "Components" => {
            Value::Nil(Nil::Slice)
        }
        "MacAddress" | "StopSignal" | "Runtime" | "Variant" | "OsVersion" | "Container" | "CgroupVersion"
        | "ProductLicense" | "status" | "id" | "from" | "scope" | "KernelVersion" | "BuildTime"
        | "MinAPIVersion" | "Subnet" | "IPRange" | "Gateway" => Value::string(""),
        "ArgsEscaped" | "NetworkDisabled" | "Experimental" | "ReadOnly" => Value::Bool(false),
        "time" | "timeNano" => Value::Int(0),
        _ => return None,
    })
}

fn alias(name: &str) -> Option<&'static str> {
    Some(match name {
        "ID" => "Id",
        "HostIP" => "HostIp",
        "APIVersion" => "ApiVersion",
        "CPUShares" => "CpuShares",
        "NanoCPUs" => "NanoCpus",
        "CPUPeriod" => "CpuPeriod",
        "CPUQuota" => "CpuQuota",
        "CPURealtimePeriod" => "CpuRealtimePeriod",
        "CPURealtimeRuntime" => "CpuRealtimeRuntime",
        "CPUCount" => "CpuCount",
        "CPUPercent" => "CpuPercent",
        "DNS" => "Dns",
        "DNSOptions" => "DnsOptions",
        "DNSSearch" => "DnsSearch",
        "CPUCfsPeriod" => "CpuCfsPeriod",
        "CPUCfsQuota" => "CpuCfsQuota",
        "HTTPProxy" => "HttpProxy",
        "HTTPSProxy" => "HttpsProxy",
        _ => return None,
    })
}

fn event_alias(name: &str) -> Option<&'static str> {
    Some(match name {
        "ID" => "id",
        "Status" => "status",
        "From" => "from",
        "Scope" => "scope",
        "Time" => "time",
        "TimeNano" => "timeNano",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use term::template::Template;

    #[test]
    fn what_templates_of_users_expect() {
        let container = OBJECTS
            .read(
                br#"{"Id":"abc","State":{"Status":"running","Pid":7},"Config":{"Labels":{"a":"1"},"Env":null,"Entrypoint":null,"ExposedPorts":{"80/tcp":{}}},
                    "HostConfig":{"Binds":null,"PortBindings":{},"LogConfig":{"Type":"json-file","Config":{}},"NanoCpus":5},
                    "NetworkSettings":{"Ports":{"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"8080"}]},"Networks":{"bridge":{"IPAddress":"172.17.0.2","IPAMConfig":null}}},
                    "Mounts":[{"Type":"volume","Name":"data","Destination":"/data"}]}"#,
            )
            .unwrap();
        for (template, text) in [
            ("{{.ID}}{{.Id}}", "abcabc"),
            ("{{.State.Status}} {{.State.Health}}", "running <nil>"),
            ("{{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}}", "none"),
            ("{{index .Config.Labels \"a\"}}{{index .Config.Labels \"b\"}}", "1"),
            ("{{.Config.Env}} {{.HostConfig.Binds}} {{.HostConfig.PortBindings}}", "[] [] map[]"),
            ("{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", "172.17.0.2"),
            ("{{.NetworkSettings.Networks.bridge.IPAddress}}", "172.17.0.2"),
            ("{{(index (index .NetworkSettings.Ports \"80/tcp\") 0).HostPort}}", "8080"),
            ("{{(index (index .NetworkSettings.Ports \"80/tcp\") 0).HostIP}}", "0.0.0.0"),
            ("{{range .Mounts}}{{.Name}}:{{.Destination}}{{end}}", "data:/data"),
            ("{{.HostConfig.NanoCPUs}} {{.HostConfig.LogConfig.Type}}", "5 json-file"),
            ("{{range $p, $c := .Config.ExposedPorts}}{{$p}}{{end}}", "80/tcp"),
        ] {
            let parsed = Template::parse("", template).unwrap();
            assert_eq!(parsed.execute(&container).as_deref(), Ok(text), "{template}");
        }
    }
}
