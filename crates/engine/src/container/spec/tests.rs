//! The spec of whole configurations, on the runtime's real defaults.

use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxNamespaceType, Mount};

use super::*;
use crate::container::mounts::{Kind, MountPoint, Recursion};

fn spec_with(config: &str, host: &str, edit: impl FnOnce(&mut Input<'_>)) -> Spec {
    let config: ContainerConfig = serde_json::from_str(config).unwrap();
    let host: HostConfig = serde_json::from_str(host).unwrap();
    let mut engine = EngineConfig::new("/root-dir", "/run-dir");
    engine.exe = "/usr/bin/naru".into();
    let mut input = Input {
        config: &config,
        host: &host,
        engine: &engine,
        last_capability: 40,
        cgroup_v2: true,
        hostname: "box".into(),
        mounts: Vec::new(),
        shm: None,
        joined: Joined::default(),
        apparmor: false,
        linked: Vec::new(),
    };
    edit(&mut input);
    build(runtime::spec_default(&crate::facts::example()), &input).unwrap()
}

fn spec(config: &str, host: &str) -> Spec {
    spec_with(config, host, |_| ())
}

fn mount<'a>(spec: &'a Spec, destination: &str) -> Option<&'a Mount> {
    spec.mounts().iter().flatten().find(|mount| mount.destination() == Path::new(destination))
}

fn options(spec: &Spec, destination: &str) -> String {
    mount(spec, destination).unwrap().options().clone().unwrap_or_default().join(",")
}

fn namespaces(spec: &Spec) -> Vec<LinuxNamespaceType> {
    let list = spec.linux().as_ref().unwrap().namespaces().clone().unwrap();
    list.iter().map(|namespace| namespace.typ()).collect()
}

#[test]
fn a_default_container() {
    let spec = spec(r#"{"Entrypoint":["/e"],"Cmd":["a","b"],"WorkingDir":"/srv"}"#, "{}");
    let process = spec.process().as_ref().unwrap();
    assert_eq!(process.args().as_ref().unwrap(), &["/e", "a", "b"]);
    assert_eq!(process.cwd(), Path::new("/srv"));
    assert_eq!(process.capabilities().as_ref().unwrap().bounding().as_ref().unwrap().len(), 14);
    assert!(process.capabilities().as_ref().unwrap().ambient().is_none());
    assert_eq!(process.no_new_privileges(), Some(false));
    assert_eq!(spec.hostname().as_deref(), Some("box"));
    assert_eq!(spec.root().as_ref().unwrap().readonly(), Some(false));
    let linux = spec.linux().as_ref().unwrap();
    assert!(linux.masked_paths().as_ref().unwrap().contains(&"/proc/kcore".to_owned()));
    assert_eq!(linux.sysctl().as_ref().unwrap()["net.ipv4.ip_unprivileged_port_start"], "0");
    assert!(options(&spec, "/dev/shm").contains("size=67108864"));
    let kinds = namespaces(&spec);
    for kind in [
        LinuxNamespaceType::Mount,
        LinuxNamespaceType::Network,
        LinuxNamespaceType::Pid,
        LinuxNamespaceType::Ipc,
        LinuxNamespaceType::Uts,
        LinuxNamespaceType::Cgroup,
    ] {
        assert_eq!(kinds.iter().filter(|have| **have == kind).count(), 1, "{kind:?}");
    }
}

#[test]
fn privileged_is_open() {
    let spec = spec("{}", r#"{"Privileged":true}"#);
    let linux = spec.linux().as_ref().unwrap();
    assert_eq!((linux.masked_paths(), linux.readonly_paths()), (&None, &None));
    assert!(!options(&spec, "/sys").split(',').any(|option| option == "ro"));
    assert!(!options(&spec, "/sys/fs/cgroup").split(',').any(|option| option == "ro"));
    let rules = linux.resources().as_ref().unwrap().devices().clone().unwrap();
    assert_eq!((rules.len(), rules[0].allow()), (1, true));
    let caps = spec.process().as_ref().unwrap().capabilities().clone().unwrap();
    assert_eq!(caps.effective().as_ref().unwrap().len(), 41);
}

#[test]
fn the_hosts_namespaces() {
    let spec = spec(
        "{}",
        r#"{"NetworkMode":"host","PidMode":"host","IpcMode":"host","UTSMode":"host","CgroupnsMode":"host"}"#,
    );
    assert_eq!(namespaces(&spec), [LinuxNamespaceType::Time, LinuxNamespaceType::Mount]);
    assert_eq!(spec.hostname(), &None);
    assert_eq!(spec.linux().as_ref().unwrap().sysctl(), &None);
    assert_eq!(mount(&spec, "/dev/shm").unwrap().typ().as_deref(), Some("bind"));
}

#[test]
fn joined_namespaces_and_memory() {
    let spec = spec_with("{}", r#"{"PidMode":"container:x","IpcMode":"container:x"}"#, |input| {
        input.joined = Joined { pid: Some("/proc/7/ns/pid".into()), ipc: Some("/proc/7/ns/ipc".into()) };
        input.shm = Some("/run-dir/x/shm".into());
    });
    let list = spec.linux().as_ref().unwrap().namespaces().clone().unwrap();
    let path = |kind| list.iter().find(|namespace| namespace.typ() == kind).unwrap().path().clone();
    assert_eq!(path(LinuxNamespaceType::Pid), Some(PathBuf::from("/proc/7/ns/pid")));
    assert_eq!(path(LinuxNamespaceType::Ipc), Some(PathBuf::from("/proc/7/ns/ipc")));
    assert_eq!(mount(&spec, "/dev/shm").unwrap().source(), &Some(PathBuf::from("/run-dir/x/shm")));
}

#[test]
fn users_mounts_replace_the_defaults_and_come_in_order() {
    let point = |destination: &str, read_only| MountPoint {
        read_only,
        propagation: "rslave".into(),
        ..MountPoint::new(Kind::Bind, "/src", destination)
    };
    let spec = spec_with("{}", r#"{"Tmpfs":{"/run":"size=1m"},"Init":true}"#, |input| {
        input.mounts = [point("/a/b/c", true), point("/dev", false), point("/a", false)]
            .iter()
            .map(|point| SpecMount::of(point, "/src".into()))
            .collect();
    });
    assert_eq!(options(&spec, "/a/b/c"), "rbind,rslave,ro,rro");
    assert!(mount(&spec, "/dev/shm").is_none() && mount(&spec, "/dev/pts").is_none());
    let destinations: Vec<_> =
        spec.mounts().iter().flatten().map(|mount| mount.destination().display().to_string()).collect();
    let place = |path: &str| destinations.iter().position(|have| have == path).unwrap();
    assert!(place("/a") < place("/a/b/c"));
    assert_eq!(options(&spec, "/run"), "noexec,nosuid,nodev,size=1m");
    assert_eq!(spec.linux().as_ref().unwrap().rootfs_propagation().as_deref(), Some("slave"));
    assert_eq!(mount(&spec, INIT_PATH).unwrap().source(), &Some(PathBuf::from("/usr/bin/naru")));
    assert_eq!(spec.process().as_ref().unwrap().args().as_ref().unwrap()[..2], [INIT_PATH, "--"]);
}

#[test]
fn read_only_binds_can_stop_at_the_top() {
    let point = MountPoint {
        read_only: true,
        read_only_recursion: Recursion::Never,
        ..MountPoint::new(Kind::Bind, "/s", "/d")
    };
    let spec = spec_with("{}", "{}", |input| input.mounts = vec![SpecMount::of(&point, "/s".into())]);
    assert_eq!(options(&spec, "/d"), "rbind,rprivate,ro");
}

#[test]
fn masks_can_be_replaced() {
    let spec = spec("{}", r#"{"MaskedPaths":["/secret"],"ReadonlyPaths":[]}"#);
    let linux = spec.linux().as_ref().unwrap();
    assert_eq!(linux.masked_paths().as_ref().unwrap(), &["/secret"]);
    assert_eq!(linux.readonly_paths().as_ref().unwrap(), &Vec::<String>::new());
}
