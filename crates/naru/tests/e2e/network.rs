//! The default bridge: addresses, NAT's front door, published ports.

use crate::world::{World, busybox_archive, eventually, run};

#[test]
fn containers_on_the_bridge_reach_each_other_and_have_an_address() {
    let world = World::new();
    world
        .naru([
            "run",
            "-d",
            "--name",
            "web",
            "busybox",
            "sh",
            "-c",
            "mkdir /www; echo hi > /www/index.html; httpd -f -h /www",
        ])
        .ok();
    let address =
        world.naru(["inspect", "-f", "{{.NetworkSettings.Networks.bridge.IPAddress}}", "web"]).line();
    assert!(!address.is_empty());
    let url = format!("http://{address}/");
    eventually("the other container reaches it", || {
        world.naru(["run", "--rm", "busybox", "wget", "-qO-", &url]).stdout == "hi\n"
    });
    assert_eq!(run(world.command("curl").args(["-s", &url])).ok(), "hi\n");
}

#[test]
fn published_ports_answer_on_every_local_address_until_the_container_is_gone() {
    let world = World::new();
    let serve = "mkdir /www; echo hi > /www/index.html; httpd -f -h /www";
    world.naru(["run", "-d", "--name", "web", "-p", "18080:80", "busybox", "sh", "-c", serve]).ok();
    let get = |host: &str| {
        run(world.command("curl").args(["-s", "-m", "5", &format!("http://{host}:18080/")])).stdout
    };
    for host in ["127.0.0.1", "[::1]"] {
        eventually(host, || get(host) == "hi\n");
    }
    assert_eq!(world.naru(["port", "web"]).ok(), "80/tcp -> 0.0.0.0:18080\n80/tcp -> [::]:18080\n");
    world
        .naru(["run", "-d", "--name", "second", "-p", "18080:80", "busybox", "sleep", "1000"])
        .fails(125, "port is already allocated");
    world.naru(["rm", "-f", "web"]).ok();
    assert_eq!(get("127.0.0.1"), "");
    world.naru(["run", "-d", "-p", "18080:80", "busybox", "sleep", "1000"]).ok();
}

#[test]
fn udp_is_published_too() {
    let world = World::new();
    world.naru(["run", "-d", "--name", "udp", "-p", "15353:53/udp", "busybox", "sleep", "1000"]).ok();
    // Nobody listens inside: the kernel there counts what arrives.
    let arrived =
        || world.naru(["exec", "udp", "awk", "/^Udp: [0-9]/ { print $3 }", "/proc/net/snmp"]).line();
    assert_eq!(arrived(), "0");
    eventually("a datagram arrives", || {
        run(world.command("bash").args(["-c", "echo ping > /dev/udp/127.0.0.1/15353"])).ok();
        arrived() != "0"
    });
}

#[test]
fn containers_on_a_network_of_their_own_find_each_other_by_name() {
    let world = World::new();
    world.naru(["network", "create", "shop"]).ok();
    let serve = "mkdir /www; echo hi > /www/index.html; httpd -f -h /www";
    let web = [
        "run",
        "-d",
        "--name",
        "web",
        "--network",
        "shop",
        "--network-alias",
        "front",
        "busybox",
        "sh",
        "-c",
        serve,
    ];
    world.naru(web).ok();
    for name in ["web", "front", "web.shop"] {
        let url = format!("http://{name}/");
        eventually(name, || {
            world.naru(["run", "--rm", "--network", "shop", "busybox", "wget", "-qO-", &url]).stdout == "hi\n"
        });
    }
    let resolver =
        world.naru(["run", "--rm", "--network", "shop", "busybox", "cat", "/etc/resolv.conf"]).ok();
    assert!(resolver.starts_with("nameserver 127.0.0.11\n"), "{resolver}");
}

#[test]
fn none_has_only_loopback_and_host_has_the_hosts() {
    let world = World::new();
    assert_eq!(
        world.naru(["run", "--rm", "--network", "none", "busybox", "ls", "/sys/class/net"]).line(),
        "lo"
    );
    let inside =
        world.naru(["run", "--rm", "--network", "host", "busybox", "readlink", "/proc/self/ns/net"]).line();
    let outside = run(world.command("readlink").arg("/proc/self/ns/net")).line();
    assert_eq!(inside, outside);
}

#[test]
fn the_doctor_says_who_reaches_a_port_and_what_is_in_the_way() {
    let world = World::new();
    let serve = "mkdir /www; echo hi > /www/index.html; httpd -f -h /www";
    world.naru(["run", "-d", "--name", "web", "-p", "18080:80", "busybox", "sh", "-c", serve]).ok();
    world.naru(["run", "-d", "--name", "deaf", "-p", "127.0.0.1:18081:81", "busybox", "sleep", "1000"]).ok();
    let doctor = || world.naru(["network", "doctor"]).stdout;
    eventually("the doctor finds the server", || {
        doctor().contains(
            "web 0.0.0.0:18080 -> 80/tcp, network bridge\n  yes     this host by 127.0.0.1, translated\n",
        )
    });
    let text = doctor();
    assert!(text.contains("  yes     this host by ::1, relayed\n"), "{text}");
    assert!(text.contains("nothing in deaf listens on port 81/tcp"), "{text}");
    assert!(text.contains("it is published on 127.0.0.1 alone"), "{text}");
    let drop = "table inet late { chain out { type filter hook output priority 10; tcp dport 80 drop; }; }";
    run(world.command("nft").arg(drop)).ok();
    let text = doctor();
    assert!(
        text.contains("  no      this host by 127.0.0.1\n          table inet late chain out rule "),
        "{text}"
    );
    assert_eq!(run(world.command("curl").args(["-s", "-m", "2", "http://127.0.0.1:18080/"])).stdout, "");
    let json = world.naru(["network", "doctor", "--format", "json", "--from", "192.0.2.1"]).stdout;
    let diagnosis: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let ports = diagnosis["Ports"].as_array().expect("ports");
    let clients =
        ports.iter().filter(|port| port["Container"] == "web").flat_map(|port| port["Clients"].as_array());
    assert!(
        clients.flatten().any(|client| client["Kind"] == "this-host" && client["Reached"] == "no"),
        "{json}"
    );
    world.naru(["network", "doctor", "--from", "nobody"]).fails(1, "invalid IP address: nobody");
}

#[test]
fn where_containers_may_not_talk_links_let_them() {
    let world = World::empty();
    let file = world.path("daemon.json");
    std::fs::write(&file, r#"{"icc": false}"#).expect("write the engine's settings");
    run(world.naru_command().env("NARU_DAEMON_JSON", &file).arg("version")).ok();
    world.naru(["load", "-q", "-i", busybox_archive().to_str().expect("UTF-8 path")]).ok();
    let serve = "mkdir /www; echo hi > /www/index.html; httpd -f -h /www";
    world.naru(["run", "-d", "--name", "web", "--expose", "80", "busybox", "sh", "-c", serve]).ok();
    let address =
        || world.naru(["inspect", "-f", "{{.NetworkSettings.Networks.bridge.IPAddress}}", "web"]).line();
    let url = format!("http://{}/", address());
    eventually("it serves", || run(world.command("curl").args(["-s", &url])).stdout == "hi\n");
    let get = |url: &str| format!("busybox timeout 2 busybox wget -qO- {url}; :");
    assert_eq!(world.naru(["run", "--rm", "busybox", "sh", "-c", &get(&url)]).stdout, "");
    world.docker(["run", "-d", "--name", "client", "--link", "web:db", "busybox", "sleep", "1000"]).ok();
    let linked = |url: &str| world.naru(["exec", "client", "sh", "-c", &get(url)]).stdout;
    assert_eq!(linked(&url), "hi\n");
    // It comes back with another address, and the way with it; that of before leads nowhere.
    world.naru(["stop", "-t", "0", "web"]).ok();
    world.naru(["start", "web"]).ok();
    let url = format!("http://{}/", address());
    eventually("the way to the new address", || linked(&url) == "hi\n");
}
