//! Flags to requests, as tables: what is typed, and what is sent or said.

use api::{ContainerCreateRequest, PortBinding};
use clap::{Args, Command, FromArgMatches};
use serde_json::{Value, json};

use super::port::{expose, publish};
use super::{ContainerFlags, Surroundings, device, mount, network, resource, security};

fn request(words: &[&str]) -> anyhow::Result<ContainerCreateRequest> {
    let command =
        ContainerFlags::augment_args(Command::new("run").no_binary_name(true).disable_help_flag(true));
    let matches = command.args_override_self(true).try_get_matches_from(words)?;
    let flags = ContainerFlags::from_arg_matches(&matches)?;
    flags.request("busybox", &["sh".to_owned()], &Surroundings::default())
}

/// The value at a JSON pointer of the request for these flags.
fn sent(words: &[&str], pointer: &str) -> Value {
    let value = serde_json::to_value(request(words).unwrap()).unwrap();
    value.pointer(pointer).cloned().unwrap_or(Value::Null)
}

#[test]
fn each_flag_lands_in_its_field() {
    for (words, pointer, value) in [
        (&["--memory=64m"][..], "/HostConfig/Memory", json!(64 << 20)),
        (&["--memory-swap=-1"], "/HostConfig/MemorySwap", json!(-1)),
        (&["--cpus=1.5"], "/HostConfig/NanoCpus", json!(1_500_000_000)),
        (&["--pids-limit=-1"], "/HostConfig/PidsLimit", json!(-1)),
        (&["--memory-swappiness=-1"], "/HostConfig/MemorySwappiness", Value::Null),
        (&["--entrypoint="], "/Entrypoint", json!([""])),
        (&["--stop-timeout=0"], "/StopTimeout", json!(0)),
        (&["--init=false"], "/HostConfig/Init", json!(false)),
        (&[], "/HostConfig/Init", Value::Null),
        (
            &["--restart=on-failure:3"],
            "/HostConfig/RestartPolicy",
            json!({"Name": "on-failure", "MaximumRetryCount": 3}),
        ),
        (&["--volume=/a:/b:ro", "--volume=/c"], "/HostConfig/Binds", json!(["/a:/b:ro"])),
        (&["--volume=/a:/b:ro", "--volume=/c"], "/Volumes", json!({"/c": {}})),
        (&["--tmpfs=/t:size=1m"], "/HostConfig/Tmpfs", json!({"/t": "size=1m"})),
        (&["--publish=8080:80"], "/ExposedPorts", json!({"80/tcp": {}})),
        (&["--label=a=b", "--label=c"], "/Labels", json!({"a": "b", "c": ""})),
        (&["--env=A=1", "--env=NARU_TEST_IS_NOT_SET"], "/Env", json!(["A=1", "NARU_TEST_IS_NOT_SET"])),
        (
            &["--add-host=a:1.2.3.4", "--add-host=b=[::1]"],
            "/HostConfig/ExtraHosts",
            json!(["a:1.2.3.4", "b:::1"]),
        ),
        (&["--no-healthcheck"], "/Healthcheck/Test", json!(["NONE"])),
        (&["--health-cmd=x", "--health-interval=2s"], "/Healthcheck/Interval", json!(2_000_000_000_i64)),
        (&["--security-opt=systempaths=unconfined"], "/HostConfig/MaskedPaths", json!([])),
        (
            &["--network=net", "--ip=1.2.3.4"],
            "/NetworkingConfig/EndpointsConfig/net/IPAMConfig",
            json!({"IPv4Address": "1.2.3.4"}),
        ),
        (&["--network=net"], "/HostConfig/NetworkMode", json!("net")),
        (&[], "/HostConfig/NetworkMode", json!("default")),
        (&[], "/AttachStdin", json!(false)),
        (&["--interactive"], "/StdinOnce", json!(true)),
        (&["--attach=stdin"], "/AttachStdout", json!(false)),
        (
            &["--device=vendor.com/gpu=all"],
            "/HostConfig/DeviceRequests/0/DeviceIDs",
            json!(["vendor.com/gpu=all"]),
        ),
    ] {
        assert_eq!(sent(words, pointer), value, "{words:?} {pointer}");
    }
}

#[test]
fn contradictions_are_named() {
    for (words, text) in [
        (&["--rm", "--restart=always"][..], "conflicting options: cannot specify both --restart and --rm"),
        (&["--no-healthcheck", "--health-cmd=x"], "--no-healthcheck conflicts with --health-* options"),
        (&["--health-retries=-1"], "--health-retries cannot be negative"),
        (&["--log-driver=none", "--log-opt=a=b"], "invalid logging opts for driver none"),
        (
            &["--network=a", "--network=bridge"],
            "cannot attach both user-defined and non-user-defined network-modes",
        ),
        (&["--network=a", "--network=a"], "network \"a\" is specified multiple times"),
        (
            &["--network=name=a,ip=1.2.3.4", "--ip=1.2.3.4"],
            "cannot specify both --ip and per-network IPv4 address",
        ),
        (&["--network-alias=a"], "network-scoped aliases are only supported for user-defined networks"),
        (&["--mac-address=zz"], "zz is not a valid mac address"),
        (&["--volume=:/b"], "invalid spec: :/b: empty section between colons"),
        (&["--publish=99999:80"], "invalid hostPort: 99999"),
        (&["--security-opt=what"], "invalid --security-opt: \"what\""),
        (&["--restart=on-failure:x"], "maximum retry count must be an integer"),
        (&["--env-file=/nonexistent"], "open /nonexistent: no such file or directory"),
    ] {
        let error = request(words).expect_err(text).to_string();
        assert!(error.contains(text), "{words:?}: {error}");
    }
}

#[test]
fn ports() {
    let table = |text: &str| -> Vec<String> {
        let show = |PortBinding { host_ip, host_port }: PortBinding| format!("{host_ip}|{host_port}");
        publish(text)
            .unwrap()
            .into_iter()
            .map(|port| format!("{} {}", port.container, show(port.host)))
            .collect()
    };
    assert_eq!(table("80"), ["80/tcp |"]);
    assert_eq!(table("8080:80/UDP"), ["80/udp |8080"]);
    assert_eq!(table("127.0.0.1::80"), ["80/tcp 127.0.0.1|"]);
    assert_eq!(table("[::1]:9:9/sctp"), ["9/sctp ::1|9"]);
    assert_eq!(table("1-2:3-4"), ["3/tcp |1", "4/tcp |2"]);
    assert_eq!(table("1000-1010:7"), ["7/tcp |1000-1010"]);
    assert_eq!(table("published=80,target=90,protocol=udp"), ["90/udp |80"]);
    for (text, reason) in [
        ("1-2:1-3", "invalid ranges specified for container and host Ports: 1-3 and 1-2"),
        ("80/foo", "invalid proto: foo"),
        ("1.2.3:80:80", "invalid IP address: 1.2.3"),
        ("80:", "no port specified: 80:<empty>"),
        ("a:80", "invalid hostPort: a"),
        ("80:x", "invalid containerPort: x"),
        ("target=1,x", "invalid publish opts format (should be name=value but got 'x')"),
    ] {
        assert_eq!(publish(text), Err(reason.to_owned()));
    }
    assert_eq!(expose("5-6/udp").unwrap(), ["5/udp", "6/udp"]);
    assert!(expose("1:2").unwrap_err().starts_with("invalid port format for --expose"));
}

#[test]
fn mounts() {
    let sent = |text: &str| serde_json::to_value(mount::mount(text).unwrap()).unwrap();
    assert_eq!(
        sent("type=bind,src=/a,dst=/b,ro"),
        json!({"Type": "bind", "Source": "/a", "Target": "/b", "ReadOnly": true})
    );
    assert_eq!(
        sent("source=v,target=/v,volume-nocopy,volume-opt=o=1"),
        json!({"Type": "volume", "Source": "v", "Target": "/v",
               "VolumeOptions": {"NoCopy": true, "DriverConfig": {"Options": {"o": "1"}}}})
    );
    assert_eq!(
        sent("type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=1777"),
        json!({"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 1 << 20, "Mode": 0o1777}})
    );
    for (text, reason) in [
        ("type=bind,src=/a", "target is required"),
        ("foo=bar", "unexpected key 'foo' in 'foo=bar'"),
        ("type=bind,src=/a,dst=/b,volume-nocopy", "cannot mix 'volume-*' options with mount type 'bind'"),
        ("dst=/b,whatever", "invalid field 'whatever' must be a key=value pair"),
        ("dst=/b,ro=maybe", "invalid value for ro: maybe"),
    ] {
        assert_eq!(mount::mount(text), Err(reason.to_owned()));
    }
    let here = std::env::current_dir().unwrap();
    assert_eq!(mount::volume("./x/../y:/b"), Ok(mount::Volume::Bind(format!("{}/y:/b", here.display()))));
}

#[test]
fn limits_devices_and_the_rest() {
    let limit = |text: &str| resource::ulimit(text).map(|limit| (limit.soft, limit.hard));
    assert_eq!(limit("nofile=5:10"), Ok((5, 10)));
    assert_eq!(limit("nofile=5"), Ok((5, 5)));
    assert_eq!(limit("core=-1"), Ok((-1, -1)));
    assert_eq!(
        limit("nofile=5:3"),
        Err("ulimit soft limit must be less than or equal to hard limit: 5 > 3".to_owned())
    );
    assert_eq!(limit("what=1"), Err("invalid ulimit type: what".to_owned()));
    assert_eq!(resource::cpus("0.123456789"), Ok(123_456_789));
    assert_eq!(resource::cpus(".5"), Ok(500_000_000));
    assert_eq!(resource::cpus("0.1234567891"), Err("value is too precise".to_owned()));
    assert!(resource::cpus("x").is_err());
    assert_eq!(resource::bytes_per_second("/dev/sda:1mb").unwrap().rate, 1 << 20);
    assert!(resource::weight("/dev/sda:5").is_err());
    assert!(device::device("/dev/a:/dev/b:rx").is_err());
    assert_eq!(
        device::device("/dev/a:r"),
        Ok(device::Device::Node(api::DeviceMapping {
            path_on_host: "/dev/a".to_owned(),
            path_in_container: "/dev/a".to_owned(),
            cgroup_permissions: "r".to_owned()
        }))
    );
    assert!(device::cgroup_rule("c 1:* rwm").is_ok() && device::cgroup_rule("c 1 rwm").is_err());
    assert_eq!(device::gpus("all").unwrap().count, -1);
    assert_eq!(device::gpus("\"device=0,1\"").unwrap().device_ids.unwrap(), ["0", "1"]);
    let long = network::attachment("name=n,alias=a,alias=b,gw-priority=5").unwrap();
    assert_eq!((long.target.as_str(), long.settings.gw_priority), ("n", 5));
    assert_eq!(network::attachment("ip=1.2.3.4"), Err("network name/id is not specified".to_owned()));
    assert!(
        security::security(&["seccomp=/nonexistent".to_owned()])
            .unwrap_err()
            .to_string()
            .starts_with("opening seccomp profile")
    );
}

#[test]
fn environment_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("env");
    let read = |text: &str| {
        std::fs::write(&path, text).unwrap();
        super::environment(&[path.to_str().unwrap().to_owned()], &["A=2".to_owned()])
    };
    assert_eq!(
        read("\u{feff}A=1\n# no\n\n  B=x y\nNARU_TEST_IS_NOT_SET\n").unwrap(),
        ["A=1", "B=x y", "A=2"]
    );
    assert!(read("a b=1").unwrap_err().to_string().ends_with("variable 'a b' contains whitespaces"));
    assert!(read("=1").unwrap_err().to_string().ends_with("no variable name on line '=1'"));
}
