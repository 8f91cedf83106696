//! Requests that must be refused, with Docker's texts.

use super::*;

fn refusal(config: &str, host: &str) -> String {
    let config: ContainerConfig = serde_json::from_str(config).unwrap();
    let host: HostConfig = serde_json::from_str(host).unwrap();
    check(&config, &host, 2).map_or_else(|error| error.message, |()| String::new())
}

#[test]
fn each_mistake_has_dockers_text() {
    for (config, host, text) in [
        ("{}", "{}", ""),
        (
            r#"{"WorkingDir":"tmp"}"#,
            "{}",
            "the working directory 'tmp' is invalid, it needs to be an absolute path",
        ),
        (r#"{"StopSignal":"SIGFOO"}"#, "{}", "invalid signal: SIGFOO"),
        (r#"{"Env":["=x"]}"#, "{}", "invalid environment variable: =x"),
        (r#"{"Healthcheck":{"Interval":5}}"#, "{}", "Interval in Healthcheck cannot be less than 1ms"),
        (r#"{"Healthcheck":{"Retries":-1}}"#, "{}", "Retries in Healthcheck cannot be negative"),
        ("{}", r#"{"Memory":1000}"#, "Minimum memory limit allowed is 6MB"),
        (
            "{}",
            r#"{"Memory":8388608,"MemorySwap":7000000}"#,
            "Minimum memoryswap limit should be larger than memory limit, see usage",
        ),
        (
            "{}",
            r#"{"MemorySwap":7000000}"#,
            "You should always set the Memory limit when using Memoryswap limit, see usage",
        ),
        ("{}", r#"{"MemorySwappiness":101}"#, "Invalid value: 101, valid memory swappiness range is 0-100"),
        (
            "{}",
            r#"{"NanoCpus":3000000000}"#,
            "range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available",
        ),
        (
            "{}",
            r#"{"NanoCpus":1,"CpuQuota":5000}"#,
            "Conflicting options: Nano CPUs and CPU Quota cannot both be set",
        ),
        (
            "{}",
            r#"{"CpuPeriod":10}"#,
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
        ),
        ("{}", r#"{"CpusetCpus":"1-"}"#, "Invalid value 1- for cpuset cpus."),
        (
            "{}",
            r#"{"AutoRemove":true,"RestartPolicy":{"Name":"always"}}"#,
            "can't create 'AutoRemove' container with restart policy",
        ),
        (
            "{}",
            r#"{"RestartPolicy":{"Name":"sometimes"}}"#,
            "invalid restart policy: unknown policy 'sometimes'; use one of 'always', 'no', 'on-failure', or 'unless-stopped'",
        ),
        (
            "{}",
            r#"{"RestartPolicy":{"Name":"always","MaximumRetryCount":3}}"#,
            "invalid restart policy: maximum retry count can only be used with 'on-failure'",
        ),
        ("{}", r#"{"CapAdd":["NET_FOO"]}"#, "invalid CapAdd: unknown capability: \"NET_FOO\""),
        ("{}", r#"{"SecurityOpt":["what"]}"#, "invalid --security-opt 1: \"what\""),
        ("{}", r#"{"ExtraHosts":["nocolon"]}"#, "bad format for add-host: \"nocolon\""),
        ("{}", r#"{"ExtraHosts":["a:300.0.0.1"]}"#, "invalid IP address in add-host: \"300.0.0.1\""),
        ("{}", r#"{"ExtraHosts":["a:::1","b:host-gateway","c=[::1]"]}"#, ""),
        ("{}", r#"{"PidMode":"x"}"#, "invalid PID mode: x"),
        ("{}", r#"{"IpcMode":"container:"}"#, "invalid IPC mode: container:"),
        ("{}", r#"{"OomScoreAdj":2000}"#, "Invalid value 2000, range for oom score adj is [-1000, 1000]"),
        ("{}", r#"{"ShmSize":-1}"#, "SHM size can not be less than 0"),
        ("{}", r#"{"Runtime":"kata"}"#, "unknown or invalid runtime name: kata"),
        (
            "{}",
            r#"{"Runtime":"io.containerd.runsc.v1"}"#,
            "unknown or invalid runtime name: io.containerd.runsc.v1",
        ),
        ("{}", r#"{"Ulimits":[{"Name":"fish"}]}"#, "invalid ulimit type: fish"),
        (
            "{}",
            r#"{"NetworkMode":"host","Sysctls":{"net.ipv4.ip_forward":"1"}}"#,
            "sysctl 'net.ipv4.ip_forward' not allowed in host network namespace",
        ),
        (r#"{"Hostname":"h"}"#, r#"{"UTSMode":"host"}"#, "conflicting options: hostname and the UTS mode"),
        (
            r#"{"Hostname":"h"}"#,
            r#"{"NetworkMode":"container:x"}"#,
            "conflicting options: hostname and the network mode",
        ),
        (
            "{}",
            r#"{"NetworkMode":"container:x","PublishAllPorts":true}"#,
            "conflicting options: port publishing and the container type network mode",
        ),
        (
            "{}",
            r#"{"DeviceRequests":[{"Driver":"","Count":-1,"Capabilities":[["gpu"]]}]}"#,
            "could not select device driver \"\" with capabilities: [[gpu]]",
        ),
    ] {
        assert_eq!(refusal(config, host), text, "{config} {host}");
    }
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let text = refusal(r#"{"WorkingDir":"x"}"#, r#"{"Memory":1,"PortBindings":{"x":[]}}"#);
    assert_eq!(text.lines().count(), 3, "{text}");
}

#[test]
fn something_must_run() {
    let config = |json| serde_json::from_str::<ContainerConfig>(json).unwrap();
    assert_eq!(check_command(&config("{}")).unwrap_err().message, "no command specified");
    assert!(check_command(&config(r#"{"Cmd":["x"]}"#)).is_ok());
    assert!(check_command(&config(r#"{"Entrypoint":["x"]}"#)).is_ok());
}
