//! Bridge networks with real traffic.

mod world;

use std::net::IpAddr;

use network::{EndpointSpec, ErrorKind, NetworkSpec, PoolSpec, Proto};
use world::{HOST, NEIGHBOUR, at, eventually, ip, no_tcp, serve_tcp, tcp, world, world_with};

fn spec(name: &str) -> NetworkSpec {
    NetworkSpec { name: name.to_owned(), ..NetworkSpec::default() }
}

fn with_subnet(name: &str, subnet: &str) -> NetworkSpec {
    let pool = PoolSpec { subnet: subnet.to_owned(), ..PoolSpec::default() };
    NetworkSpec { pools: vec![pool], ..spec(name) }
}

#[test]
fn containers_reach_each_other_and_the_outside() {
    world(|world| {
        let (one, two) = (world.container("one", "bridge"), world.container("two", "bridge"));
        assert_eq!(one.ip(), ip("172.17.0.2"));
        assert_eq!(two.ip(), ip("172.17.0.3"));
        assert_eq!(one.endpoint.gateway, Some("172.17.0.1".parse().unwrap()));
        assert_eq!(one.endpoint.mac.unwrap().to_string(), "02:42:ac:11:00:02");
        two.serve_tcp(80);
        serve_tcp(&world.neighbour, 80);
        serve_tcp(&world.host, 80);
        assert_eq!(tcp(&one.netns, at(two.ip(), 80)), Some(one.ip()));
        assert_eq!(tcp(&one.netns, at(NEIGHBOUR, 80)), Some(HOST), "the way out has the host's address");
        assert_eq!(tcp(&one.netns, at(ip("172.17.0.1"), 80)), Some(one.ip()));
        assert_eq!(tcp(&world.host, at(two.ip(), 80)), Some(ip("172.17.0.1")));
        assert!(one.shell("ip -o addr show eth0").contains("inet 172.17.0.2/16 brd 172.17.255.255"));
        assert!(one.shell("ip -o -4 route").contains("default via 172.17.0.1 dev eth0"));
        assert!(!one.shell("ip -o addr show eth0").contains("inet6"));
        assert_eq!(one.shell("cat /proc/sys/net/ipv4/ip_unprivileged_port_start"), "0\n");
        assert_eq!(one.shell("cat /proc/sys/net/ipv4/ping_group_range"), "0\t2147483647\n");
    });
}

#[test]
fn the_first_packet_of_a_container_is_not_lost() {
    world(|world| {
        serve_tcp(&world.host, 80);
        for name in ["cold", "warm", "warm too"] {
            let container = world.container(name, "bridge");
            let start = std::time::Instant::now();
            assert!(tcp(&container.netns, at(ip("172.17.0.1"), 80)).is_some());
            // A lost ARP request is repeated after a second.
            assert!(start.elapsed().as_millis() < 800, "{name}: {:?}", start.elapsed());
        }
    });
}

#[test]
fn neighbours_cannot_reach_unpublished_ports() {
    world(|world| {
        let one = world.container("one", "bridge");
        one.serve_tcp(80);
        sys::in_netns(&world.neighbour, || world::shell("ip route add 172.17.0.0/16 via 203.0.113.1"))
            .unwrap();
        assert!(tcp(&world.host, at(one.ip(), 80)).is_some());
        assert!(no_tcp(&world.neighbour, at(one.ip(), 80)));
    });
}

#[test]
fn networks_are_apart_from_each_other() {
    world(|world| {
        let red = world.networks.create(spec("red")).unwrap();
        assert_eq!(red.pools[0].subnet.to_string(), "172.16.0.0/24");
        let blue = world.networks.create(spec("blue")).unwrap();
        assert_eq!(blue.pools[0].subnet.to_string(), "172.16.1.0/24");
        let (red, blue) = (world.container("red", "red"), world.container("blue", "blue"));
        red.serve_tcp(80);
        blue.serve_tcp(80);
        assert!(no_tcp(&red.netns, at(blue.ip(), 80)));
        assert!(no_tcp(&blue.netns, at(red.ip(), 80)));

        // In both, a container reaches both; its way out is by the network whose name comes first.
        let mut sandbox = red.sandbox();
        let spec = EndpointSpec {
            container_id: red.id().to_owned(),
            container_name: "red".to_owned(),
            ..EndpointSpec::default()
        };
        let second = world.networks.connect("blue", &mut sandbox, spec).unwrap();
        drop(sandbox);
        assert_eq!(second.ifname, "eth1");
        assert!(tcp(&red.netns, at(blue.ip(), 80)).is_some());
        assert!(red.shell("ip -o -4 route").contains("default via 172.16.1.1 dev eth1"));
        assert_eq!(world.networks.get("blue").unwrap().endpoints.len(), 2);

        let netns = red.netns.try_clone().unwrap();
        world.networks.disconnect("blue", red.id(), Some(netns)).unwrap();
        assert!(no_tcp(&red.netns, at(blue.ip(), 80)));
        assert!(red.shell("ip -o -4 route").contains("default via 172.16.0.1 dev eth0"));
        assert_eq!(world.networks.attachment(red.id()).endpoints.len(), 1);
        let error = world.networks.disconnect("blue", red.id(), None).unwrap_err();
        assert_eq!(error.to_string(), format!("container {} is not connected to network blue", red.id()));
    });
}

#[test]
fn an_internal_network_has_no_way_out_or_in() {
    world(|world| {
        world.networks.create(NetworkSpec { internal: true, ..spec("inside") }).unwrap();
        let (one, two) = (world.container("one", "inside"), world.container("two", "inside"));
        let other = world.container("other", "bridge");
        two.serve_tcp(80);
        other.serve_tcp(80);
        serve_tcp(&world.neighbour, 80);
        assert_eq!(one.endpoint.gateway, None);
        assert!(tcp(&one.netns, at(two.ip(), 80)).is_some());
        one.shell("ip route add default via 172.16.0.1");
        assert!(no_tcp(&one.netns, at(NEIGHBOUR, 80)));
        assert!(no_tcp(&one.netns, at(other.ip(), 80)));
        assert!(no_tcp(&other.netns, at(two.ip(), 80)));
    });
}

#[test]
fn without_icc_containers_of_a_network_are_apart() {
    world(|world| {
        let options = [("com.docker.network.bridge.enable_icc".to_owned(), "false".to_owned())].into();
        world.networks.create(NetworkSpec { options, ..spec("quiet") }).unwrap();
        let (one, two) = (world.container("one", "quiet"), world.container("two", "quiet"));
        two.serve_tcp(80);
        serve_tcp(&world.neighbour, 80);
        assert!(no_tcp(&one.netns, at(two.ip(), 80)));
        // By the host as router no more than directly.
        one.shell("ip route add 172.16.0.3/32 via 172.16.0.1");
        assert!(no_tcp(&one.netns, at(two.ip(), 80)));
        assert!(tcp(&one.netns, at(NEIGHBOUR, 80)).is_some());
    });
}

#[test]
fn without_icc_links_open_the_ports_of_the_linked_alone() {
    for br_netfilter in ["1", "0"] {
        world_with(
            |config| config.icc = false,
            move |world| {
                world.shell(&format!(
                    "for f in /proc/sys/net/bridge/bridge-nf-call-ip*; do [ ! -e $f ] || echo {br_netfilter} > $f; done"
                ));
                let container = |name: &str| world.container(name, "bridge");
                let (web, db, other) = (container("web"), container("db"), container("other"));
                for server in [&web, &db, &other] {
                    server.serve_tcp(80);
                }
                db.serve_tcp(81);
                let db_ip = db.endpoint.ip.unwrap();
                assert!(no_tcp(&web.netns, at(db.ip(), 80)));
                world.networks.link(web.id(), &[(db_ip, Proto::Tcp, 80), (db_ip, Proto::Udp, 80)]).unwrap();
                assert_eq!(tcp(&web.netns, at(db.ip(), 80)), Some(web.ip()), "with its own address");
                assert!(no_tcp(&web.netns, at(db.ip(), 81)), "a port that is not exposed");
                assert!(no_tcp(&db.netns, at(web.ip(), 80)), "the other way");
                assert!(no_tcp(&other.netns, at(db.ip(), 80)), "one that is not linked");
                assert!(no_tcp(&web.netns, at(other.ip(), 80)), "one that it is not linked to");

                // They come back with what somebody flushed, are known to the next engine, and go with either end.
                let linked = || world.shell("nft list ruleset").matches(" . 80").count();
                assert_eq!(linked(), 2, "{}", world.shell("nft list ruleset"));
                world.shell("nft flush ruleset");
                eventually("links after a flush", || linked() == 2);
                assert_eq!(world.restart().attachment(web.id()).links.len(), 2);
                assert!(world.networks.release(db.id()).is_empty());
                assert_eq!(linked(), 0);
                assert_eq!(world.networks.attachment(web.id()).links, []);
                assert!(no_tcp(&web.netns, at(db.ip(), 80)));
            },
        );
    }
}

#[test]
fn addresses_and_names_can_be_chosen() {
    world(|world| {
        world.networks.create(with_subnet("mine", "10.77.0.0/24")).unwrap();
        let chosen = || EndpointSpec {
            container_name: "chosen".to_owned(),
            ipv4: Some("10.77.0.77".parse().unwrap()),
            mac: Some("02:00:00:00:00:77".parse().unwrap()),
            ifname: Some("net0".to_owned()),
            ..EndpointSpec::default()
        };
        // The first is made cold, those after it in place of a warm one that has other addresses.
        for round in 0..3 {
            let container = world.container_with("mine", chosen());
            let text = container.shell("ip addr show net0");
            assert!(text.contains("10.77.0.77/24") && text.contains("02:00:00:00:00:77"), "{round}: {text}");
            assert_eq!(container.shell("ip -o link").lines().count(), 2, "{round}");
            let error = {
                let mut sandbox = world.networks.sandbox(Some("mine")).unwrap();
                world.networks.connect("mine", &mut sandbox, chosen()).unwrap_err()
            };
            assert_eq!(error.to_string(), "Address already in use");
            assert!(world.networks.release(container.id()).is_empty());
        }
        let mut sandbox = world.networks.sandbox(Some("mine")).unwrap();
        let outside = EndpointSpec { ipv4: Some("10.78.0.1".parse().unwrap()), ..chosen() };
        let error = world.networks.connect("mine", &mut sandbox, outside).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidParameter);
        assert!(error.to_string().ends_with("no configured subnet contains IP address 10.78.0.1"), "{error}");
        let error = world.networks.connect("bridge", &mut sandbox, chosen()).unwrap_err();
        assert_eq!(error.to_string(), "user specified IP address is supported on user defined networks only");
    });
}

#[test]
fn warm_sandboxes_do_not_keep_addresses_from_containers() {
    world(|world| {
        // Five addresses for containers.
        world.networks.create(with_subnet("small", "10.77.0.0/29")).unwrap();
        let containers: Vec<_> =
            (0..5).map(|number| world.container(&format!("c{number}"), "small")).collect();
        let mut addresses: Vec<IpAddr> = containers.iter().map(|container| container.ip()).collect();
        addresses.sort();
        addresses.dedup();
        assert_eq!(addresses.len(), 5);
        let mut sandbox = world.networks.sandbox(Some("small")).unwrap();
        let error = world.networks.connect("small", &mut sandbox, EndpointSpec::default()).unwrap_err();
        assert!(error.to_string().starts_with("no available IPv4 addresses"), "{error}");
        for container in &containers {
            assert!(world.networks.release(container.id()).is_empty());
        }
        assert_eq!(world.networks.get("small").unwrap().endpoints.len(), 0);
        world.networks.remove("small").unwrap();
    });
}

#[test]
fn a_network_goes_when_nobody_is_in_it() {
    world(|world| {
        let red = world.networks.create(spec("red")).unwrap();
        let bridge = format!("br-{}", &red.id[..12]);
        let container = world.container("web", "red");
        let error = world.networks.remove("red").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Forbidden);
        let id = &container.endpoint.endpoint_id[..12];
        assert_eq!(
            error.to_string(),
            format!(
                "error while removing network: network red has active endpoints (name:\"web\" id:\"{id}\")"
            )
        );
        assert!(world.shell("nft list table inet naru").contains(&bridge));
        assert!(world.networks.release(container.id()).is_empty());
        assert_eq!(world.networks.remove(&red.id[..10]).unwrap().name, "red");
        assert_eq!(world.networks.get("red").unwrap_err().to_string(), "network red not found");
        assert!(!world.shell("ip -o link").contains(&bridge));
        assert!(!world.shell("nft list table inet naru").contains(&bridge));
        for name in ["bridge", "host", "none"] {
            let error = world.networks.remove(name).unwrap_err().to_string();
            assert_eq!(error, format!("{name} is a pre-defined network and cannot be removed"));
        }
    });
}

#[test]
fn requests_are_refused_in_dockers_words() {
    world(|world| {
        world.networks.create(with_subnet("taken", "10.77.0.0/24")).unwrap();
        let range = |subnet: &str, ip_range: &str, gateway: &str| NetworkSpec {
            pools: vec![PoolSpec {
                subnet: subnet.to_owned(),
                ip_range: ip_range.to_owned(),
                gateway: gateway.to_owned(),
                ..PoolSpec::default()
            }],
            ..spec("new")
        };
        let cases = [
            (spec("taken"), "network with name taken already exists"),
            (spec("bridge"), "operation is not permitted on predefined bridge network "),
            (
                with_subnet("new", "10.77.0.0/16"),
                "invalid pool request: Pool overlaps with other one on this address space",
            ),
            (
                with_subnet("new", "10.78.0.5/24"),
                "invalid network config:\ninvalid subnet 10.78.0.5/24: it should be 10.78.0.0/24",
            ),
            (
                with_subnet("new", "nonsense"),
                "invalid network config:\ninvalid subnet nonsense: invalid CIDR block notation",
            ),
            (
                range("10.78.0.0/24", "10.79.0.0/25", ""),
                "invalid network config:\ninvalid ip-range 10.79.0.0/25: parent subnet 10.78.0.0/24 doesn't contain ip-range",
            ),
            (
                range("10.78.0.0/24", "", "10.79.0.1"),
                "invalid network config:\ninvalid gateway 10.79.0.1: parent subnet 10.78.0.0/24 doesn't contain this address",
            ),
            (
                NetworkSpec { driver: "host".to_owned(), ..spec("new") },
                "only one instance of \"host\" network is allowed",
            ),
            (
                NetworkSpec { driver: "nosuch".to_owned(), ..spec("new") },
                "could not find plugin nosuch in v1 plugin registry: plugin not found",
            ),
        ];
        for (spec, want) in cases {
            assert_eq!(world.networks.create(spec).unwrap_err().to_string(), want);
        }
        assert_eq!(world.networks.list().len(), 4);
        let links = world.shell("ip -o link");
        assert_eq!(links.matches("br-").count(), 1, "{links}");
    });
}

#[test]
fn subnets_of_the_host_are_not_taken() {
    world_with(
        |_| {
            world::shell("ip route add 172.17.0.0/16 via 203.0.113.2");
            world::shell("ip addr add 172.16.0.9/22 dev wan0");
        },
        |world| {
            let subnet = |name: &str| world.networks.get(name).unwrap().pools[0].subnet.to_string();
            assert_eq!(subnet("bridge"), "172.18.0.0/16");
            world.networks.create(spec("red")).unwrap();
            assert_eq!(subnet("red"), "172.16.4.0/24");
            // The host starts to route to it before anybody used it.
            world.shell("ip route add 172.18.5.0/24 via 203.0.113.2");
            let container = world.container("one", "bridge");
            assert_eq!(container.ip(), ip("172.19.0.2"));
            assert_eq!(subnet("bridge"), "172.19.0.0/16");
        },
    );
}

#[test]
fn nothing_is_changed_on_the_host_before_the_first_use() {
    world(|world| {
        assert_eq!(world.networks.list().len(), 3);
        assert_eq!(world.shell("ip -o link").lines().count(), 2);
        assert_eq!(world.shell("nft list ruleset"), "");
        assert_eq!(world.shell("cat /proc/sys/net/ipv4/ip_forward"), "0\n");
        let names: Vec<_> = world.networks.list().into_iter().map(|network| network.name).collect();
        assert_eq!(names, ["bridge", "host", "none"]);
        let ids = |networks: &network::Networks| -> Vec<String> {
            networks.list().into_iter().map(|network| network.id).collect()
        };
        assert_eq!(ids(&world.networks), ids(&world.restart()), "their ids are kept");
    });
}

#[test]
fn turning_forwarding_on_does_not_make_a_router_for_the_neighbours() {
    world(|world| {
        // Another uplink with a host behind it.
        world
            .shell("ip link add lan0 type veth peer name lan1 && ip link set lan0 up && ip link set lan1 up");
        world.shell("ip addr add 198.51.100.1/24 dev lan0");
        let _one = world.container("one", "bridge");
        assert_eq!(world.shell("cat /proc/sys/net/ipv4/ip_forward"), "1\n");
        // veth links are not noted: they are containers' of somebody else. This world's uplinks are veths, so name one.
        let text = world.shell("nft list chain inet naru forward");
        assert!(text.contains("iifname @uplinks oifname @uplinks drop"), "{text}");
    });
}

#[test]
fn host_and_none_have_records_and_no_links() {
    world(|world| {
        for network in ["host", "none"] {
            let container = world.container(network, network);
            assert_eq!(container.endpoint.ip, None);
            assert_eq!(container.endpoint.ifname, "");
            assert_eq!(world.networks.get(network).unwrap().endpoints.len(), 1);
            assert!(world.networks.release(container.id()).is_empty());
            assert_eq!(world.networks.get(network).unwrap().endpoints.len(), 0);
        }
        assert_eq!(world.shell("ip -o link").lines().count(), 2);
    });
}
