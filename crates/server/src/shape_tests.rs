//! Versions against what each of them must see.

use serde::Serialize;
use serde_json::{Value, json};

use super::*;

fn create(minor: u32, wire: Value) -> Result<(Vec<String>, ContainerCreateRequest), String> {
    let mut request: ContainerCreateRequest = serde_json::from_value(wire).unwrap();
    match create_request(v(minor), &mut request) {
        Ok(warnings) => Ok((warnings, request)),
        Err(error) => Err(error.message),
    }
}

fn wire(value: impl Serialize) -> Value {
    serde_json::to_value(value).unwrap()
}

#[test]
fn old_defaults_are_filled_in() {
    let host = |minor| create(minor, json!({"Image": "x"})).unwrap().1.host_config.unwrap();
    assert_eq!((host(39).ipc_mode.as_str(), host(39).cgroupns_mode.as_str()), ("shareable", "host"));
    assert_eq!((host(40).ipc_mode.as_str(), host(40).cgroupns_mode.as_str()), ("", "host"));
    assert_eq!((host(51).ipc_mode.as_str(), host(51).cgroupns_mode.as_str()), ("", ""));
}

#[test]
fn fields_a_version_does_not_know_have_no_effect() {
    let request = json!({
        "Image": "x", "Healthcheck": {"StartInterval": 5},
        "HostConfig": {"Annotations": {"a": "b"}, "Mounts": [
            {"Type": "bind", "BindOptions": {"CreateMountpoint": true, "ReadOnlyForceRecursive": true}},
            {"Type": "volume", "VolumeOptions": {"Subpath": "s"}},
            {"Type": "tmpfs", "TmpfsOptions": {"Options": [["exec"]]}},
        ]},
    });
    let (_, old) = create(41, request.clone()).unwrap();
    let host = wire(old.host_config);
    assert_eq!(old.config.healthcheck.unwrap().start_interval, 0);
    assert_eq!(host.get("Annotations"), None);
    assert_eq!(host["Mounts"][0]["BindOptions"], json!({"ReadOnlyNonRecursive": true}));
    assert_eq!(host["Mounts"][1]["VolumeOptions"], json!({}));
    assert_eq!(host["Mounts"][2]["TmpfsOptions"], json!({}));
    let (_, new) = create(51, request.clone()).unwrap();
    assert_eq!(wire(new.host_config)["Mounts"], request["HostConfig"]["Mounts"]);
}

#[test]
fn no_pids_limit_is_written_in_three_ways() {
    for limit in [json!(null), json!(0), json!(-1)] {
        let (_, request) = create(51, json!({"Image": "x", "HostConfig": {"PidsLimit": limit}})).unwrap();
        assert_eq!(request.host_config.unwrap().resources.pids_limit, None, "{limit}");
    }
}

#[test]
fn the_containers_mac_address_moves_to_its_endpoint() {
    let mac = "02:42:ac:11:00:02";
    let request = json!({"Image": "x", "MacAddress": mac, "HostConfig": {"NetworkMode": "mine"}});
    for (minor, warned) in [(43, 0), (51, 1)] {
        let (warnings, request) = create(minor, request.clone()).unwrap();
        assert_eq!((warnings.len(), request.config.mac_address.as_str()), (warned, ""));
        let endpoints = request.networking_config.unwrap().endpoints_config.unwrap();
        assert_eq!(endpoints["mine"].as_ref().unwrap().mac_address, mac);
    }
    let conflict = json!({"MacAddress": mac, "NetworkingConfig": {"EndpointsConfig": {"default": {"MacAddress": "02:00:00:00:00:01"}}}});
    assert!(create(51, conflict).unwrap_err().contains("must match"));
    assert!(create(43, json!({"MacAddress": mac, "HostConfig": {"NetworkMode": "host"}})).is_err());
}

#[test]
fn several_endpoints_need_1_44() {
    let request = json!({"NetworkingConfig": {"EndpointsConfig": {"a": null, "b": {}}}});
    assert!(create(43, request.clone()).unwrap_err().contains("a, b"));
    assert!(create(44, request).is_ok());
    assert!(create(47, json!({"HostConfig": {"Mounts": [{"Type": "image"}]}})).is_err());
}

#[test]
fn image_lists_by_version() {
    let image = |minor| {
        let mut image = ImageSummary {
            size: 7,
            containers: 3,
            repo_tags: Some(vec![]),
            descriptor: Some(OciDescriptor::default()),
            ..Default::default()
        };
        image_summary(v(minor), &mut image);
        wire(image)
    };
    assert_eq!((&image(42)["RepoTags"], &image(43)["RepoTags"]), (&json!(["<none>:<none>"]), &json!([])));
    assert_eq!((image(43).get("VirtualSize"), image(44).get("VirtualSize")), (Some(&json!(7)), None));
    assert!(image(47).get("Descriptor").is_none() && image(48).get("Descriptor").is_some());
    assert_eq!((&image(50)["Containers"], &image(51)["Containers"]), (&json!(-1), &json!(3)));
}

#[test]
fn image_configurations_by_version() {
    let image = |minor| {
        let config = ImageConfig {
            cmd: Some(vec!["sh".to_owned()].into()),
            stop_signal: "INT".into(),
            ..Default::default()
        };
        let mut image =
            ImageInspect { id: "sha256:x".into(), size: 7, config: Some(config), ..Default::default() };
        image_inspect(v(minor), &mut image);
        wire(image)
    };
    let (old, new) = (image(49), image(51));
    assert_eq!((&old["Config"]["Hostname"], new["Config"].get("Hostname")), (&json!(""), None));
    for image in [&old, &new] {
        assert_eq!(image["Config"]["Cmd"], json!(["sh"]));
        assert_eq!(image["Config"]["Env"], Value::Null);
        assert_eq!(image["Config"]["StopSignal"], "INT");
        assert_eq!(image["Config"].get("Shell"), None);
        assert_eq!(image["Id"], "sha256:x");
    }
    assert_eq!(
        (image(43)["VirtualSize"].clone(), image(43)["Created"].clone()),
        (json!(7), json!("0001-01-01T00:00:00Z"))
    );
    assert_eq!((new.get("VirtualSize"), new.get("Created")), (None, None));
}

#[test]
fn info_by_version() {
    let at = |minor| {
        let mut answer = SystemInfo {
            runc_commit: Commit { id: "abc".into(), ..Default::default() },
            firewall_backend: Some(FirewallInfo { driver: "nftables".into(), info: None }),
            containerd: Some(ContainerdInfo::default()),
            ..Default::default()
        };
        info(v(minor), &mut answer);
        wire(answer)
    };
    assert_eq!((at(41).get("KernelMemory"), at(42).get("KernelMemory")), (Some(&json!(true)), None));
    assert!(at(45).get("Containerd").is_none() && at(46).get("Containerd").is_some());
    assert!(at(48).get("FirewallBackend").is_none() && at(49).get("FirewallBackend").is_some());
    assert_eq!(
        (&at(48)["RuncCommit"], &at(49)["RuncCommit"]),
        (&json!({"ID": "abc", "Expected": "abc"}), &json!({"ID": "abc"}))
    );
    assert!(at(49).get("BridgeNfIptables").is_some() && at(50).get("BridgeNfIptables").is_none());
}

#[test]
fn container_aliases_had_the_short_id_before_1_45() {
    let at = |minor| {
        let mut answer: ContainerInspectResponse = serde_json::from_value(json!({
            "Id": "0123456789abcdef", "Config": {"Hostname": "h"},
            "NetworkSettings": {"Networks": {"mine": {"Aliases": ["a"]}, "bridge": {"Aliases": null}}},
        }))
        .unwrap();
        container_inspect(v(minor), &mut answer);
        wire(answer)["NetworkSettings"]["Networks"].clone()
    };
    assert_eq!(at(44)["mine"]["Aliases"], json!(["a", "0123456789ab", "h"]));
    assert_eq!(at(45)["mine"]["Aliases"], json!(["a"]));
    assert_eq!(at(44)["bridge"]["Aliases"], Value::Null);
}
