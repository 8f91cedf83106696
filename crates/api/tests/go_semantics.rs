//! The model against bytes as Docker's client and daemon write them: what comes in goes out unchanged, null stays null.

use api::*;
use serde_json::{Value, json};

/// Reads `wire` as `T` and expects to write exactly the same, in the same order.
fn faithful<T: serde::Serialize + serde::de::DeserializeOwned>(wire: &str) -> T {
    let value: T = serde_json::from_str(wire).unwrap_or_else(|error| panic!("{error}: {wire}"));
    assert_eq!(serde_json::to_string(&value).unwrap(), wire);
    value
}

#[test]
fn a_create_request_of_docker_cli_28_is_read_and_written_back() {
    let wire = r#"{"Hostname":"","Domainname":"","User":"","AttachStdin":false,"AttachStdout":true,"AttachStderr":true,"Tty":false,"OpenStdin":false,"StdinOnce":false,"Env":["A=b"],"Cmd":["true"],"Image":"busybox","Volumes":{},"WorkingDir":"","Entrypoint":null,"OnBuild":null,"Labels":{},"HostConfig":{"Binds":null,"ContainerIDFile":"","LogConfig":{"Type":"","Config":{}},"NetworkMode":"default","PortBindings":{"80/tcp":[{"HostIp":"","HostPort":"8080"}]},"RestartPolicy":{"Name":"no","MaximumRetryCount":0},"AutoRemove":true,"VolumeDriver":"","VolumesFrom":null,"ConsoleSize":[24,80],"CapAdd":null,"CapDrop":null,"CgroupnsMode":"","Dns":[],"DnsOptions":[],"DnsSearch":[],"ExtraHosts":null,"GroupAdd":null,"IpcMode":"","Cgroup":"","Links":null,"OomScoreAdj":0,"PidMode":"","Privileged":false,"PublishAllPorts":false,"ReadonlyRootfs":false,"SecurityOpt":null,"UTSMode":"","UsernsMode":"","ShmSize":0,"Isolation":"","CpuShares":0,"Memory":6291456,"NanoCpus":0,"CgroupParent":"","BlkioWeight":0,"BlkioWeightDevice":[],"BlkioDeviceReadBps":[],"BlkioDeviceWriteBps":[],"BlkioDeviceReadIOps":[],"BlkioDeviceWriteIOps":[],"CpuPeriod":0,"CpuQuota":0,"CpuRealtimePeriod":0,"CpuRealtimeRuntime":0,"CpusetCpus":"","CpusetMems":"","Devices":[],"DeviceCgroupRules":null,"DeviceRequests":null,"MemoryReservation":0,"MemorySwap":0,"MemorySwappiness":-1,"OomKillDisable":false,"PidsLimit":0,"Ulimits":[],"CpuCount":0,"CpuPercent":0,"IOMaximumIOps":0,"IOMaximumBandwidth":0,"MaskedPaths":null,"ReadonlyPaths":null},"NetworkingConfig":{"EndpointsConfig":{"default":{"IPAMConfig":null,"Links":null,"Aliases":null,"MacAddress":"","DriverOpts":null,"GwPriority":0,"NetworkID":"","EndpointID":"","Gateway":"","IPAddress":"","IPPrefixLen":0,"IPv6Gateway":"","GlobalIPv6Address":"","GlobalIPv6PrefixLen":0,"DNSNames":null}}}}"#;
    let request: ContainerCreateRequest = serde_json::from_str(wire).unwrap();
    // Key order differs (the host part is beside the flattened configuration): compare as values.
    assert_eq!(serde_json::to_value(&request).unwrap(), serde_json::from_str::<Value>(wire).unwrap());
    assert_eq!(request.config.image, "busybox");
    let host = request.host_config.unwrap();
    assert_eq!((host.binds, host.resources.memory, host.resources.devices), (None, 6291456, Some(vec![])));
    assert_eq!(host.port_bindings.unwrap()["80/tcp"].as_ref().unwrap()[0].host_port, "8080");
}

#[test]
fn the_zero_host_config_has_dockers_nulls() {
    let wire = serde_json::to_value(HostConfig::default()).unwrap();
    for null in ["Binds", "Links", "Devices", "CapAdd", "PortBindings", "OomKillDisable", "MaskedPaths"] {
        assert_eq!(wire.get(null), Some(&Value::Null), "{null}");
    }
    for absent in ["Init", "Mounts", "Tmpfs", "Sysctls", "Runtime", "Annotations", "KernelMemory"] {
        assert_eq!(wire.get(absent), None, "{absent}");
    }
    assert_eq!(wire["ConsoleSize"], json!([0, 0]));
}

#[test]
fn null_and_missing_are_the_zero_value() {
    let config: ContainerConfig = serde_json::from_str(
        r#"{"Hostname":null,"Tty":null,"StopTimeout":null,"Labels":null,"ExposedPorts":{"80/tcp":null},"Cmd":"one"}"#,
    )
    .unwrap();
    assert_eq!(config.hostname, "");
    assert_eq!(config.stop_timeout, None);
    assert!(config.exposed_ports.unwrap().contains_key("80/tcp"));
    assert_eq!(config.cmd.unwrap().0, ["one"]);
}

#[test]
fn an_empty_pointer_is_kept_where_go_keeps_it() {
    let host = HostConfig { init: Some(false), ..Default::default() };
    assert_eq!(serde_json::to_value(&host).unwrap()["Init"], json!(false));
    let config =
        ContainerConfig { stop_timeout: Some(0), exposed_ports: Some(Set::new()), ..Default::default() };
    let wire = serde_json::to_value(&config).unwrap();
    assert_eq!((&wire["StopTimeout"], wire.get("ExposedPorts")), (&json!(0), None));
}

#[test]
fn unknown_fields_come_back() {
    let wire =
        json!({"Image": "x", "HostConfig": {"Memory": 1, "FutureLimit": {"a": [1]}}, "FutureFlag": true});
    let request: ContainerCreateRequest = serde_json::from_value(wire).unwrap();
    assert_eq!(request.config.extra["FutureFlag"], json!(true));
    assert_eq!(request.config.extra.len(), 1);
    let host = request.host_config.unwrap();
    assert_eq!((host.extra.len(), &host.extra["FutureLimit"]), (1, &json!({"a": [1]})));
}

#[test]
fn small_answers_are_dockers_bytes() {
    faithful::<IdResponse>(r#"{"Id":"abc"}"#);
    faithful::<ContainerCreateResponse>(r#"{"Id":"abc","Warnings":[]}"#);
    faithful::<ContainerWaitResponse>(r#"{"StatusCode":0}"#);
    faithful::<ContainerWaitResponse>(r#"{"StatusCode":1,"Error":{"Message":"boom"}}"#);
    faithful::<NetworkCreateResponse>(r#"{"Id":"abc","Warning":""}"#);
    faithful::<VolumeListResponse>(r#"{"Volumes":[],"Warnings":null}"#);
    faithful::<ImageDeleteResponseItem>(r#"{"Untagged":"busybox:latest"}"#);
    faithful::<ErrorResponse>(r#"{"message":"page not found"}"#);
    faithful::<ContainerPruneResponse>(r#"{"ContainersDeleted":null,"SpaceReclaimed":0}"#);
    faithful::<EventMessage>(
        r#"{"status":"start","id":"abc","from":"busybox","Type":"container","Action":"start","Actor":{"ID":"abc","Attributes":{"image":"busybox","name":"x"}},"scope":"local","time":1700000000,"timeNano":1700000000000000001}"#,
    );
    faithful::<JsonMessage>(
        r#"{"status":"Downloading","progressDetail":{"current":1,"total":2},"progress":"[====>]","id":"abc"}"#,
    );
    faithful::<JsonMessage>(r#"{"status":"Pulling fs layer","progressDetail":{},"id":"abc"}"#);
    faithful::<JsonMessage>(r#"{"errorDetail":{"message":"no"},"error":"no"}"#);
    faithful::<Volume>(
        r#"{"CreatedAt":"2026-01-01T00:00:00Z","Driver":"local","Labels":null,"Mountpoint":"/m","Name":"v","Options":null,"Scope":"local"}"#,
    );
    faithful::<ExecInspectResponse>(
        r#"{"ID":"e","Running":true,"ExitCode":null,"ProcessConfig":{"tty":false,"entrypoint":"sh","arguments":[],"privileged":false},"OpenStdin":false,"OpenStderr":true,"OpenStdout":true,"CanRemove":false,"ContainerID":"c","DetachKeys":"","Pid":1}"#,
    );
}

#[test]
fn modes_are_gos() {
    assert_eq!(PathStat::mode_from_unix(0o040755), 2147484141);
    assert_eq!(PathStat::mode_from_unix(0o100644), 0o644);
    assert_eq!(PathStat::mode_from_unix(0o120777), 134218239);
    assert_eq!(PathStat::mode_from_unix(0o041777), (1 << 31) | (1 << 20) | 0o777);
}
