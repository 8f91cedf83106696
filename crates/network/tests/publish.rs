//! Published ports with real traffic: who reaches them, who does not, and whom the container sees. Monitors, which serve relays,
//! are not here: what these tests see, the rules do, but where a test says otherwise.

mod world;

use std::net::{IpAddr, Ipv4Addr, TcpListener};

use network::{Endpoint, EndpointSpec, NetworkSpec, PortSpec, Proto, Published};
use world::*;

const ANY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const HOST6: &str = "2001:db8::1";
const NEIGHBOUR6: &str = "2001:db8::2";

fn spec(name: &str, options: &[(&str, &str)]) -> NetworkSpec {
    let option =
        |(key, value): &(&str, &str)| (format!("com.docker.network.bridge.{key}"), (*value).to_owned());
    NetworkSpec {
        name: name.to_owned(),
        options: options.iter().map(option).collect(),
        ..NetworkSpec::default()
    }
}

fn publish(world: &World, port: PortSpec, endpoint: &Endpoint) -> Published {
    world.networks.publish(&[port], endpoint).unwrap()
}

fn refusal(world: &World, port: PortSpec, endpoint: &Endpoint) -> String {
    let error = world.networks.publish(&[port], endpoint).unwrap_err().to_string();
    let prefix = format!(
        "driver failed programming external connectivity on endpoint {} ({}): ",
        endpoint.container_name, endpoint.endpoint_id
    );
    error.strip_prefix(&prefix).unwrap_or_else(|| panic!("{error}")).to_owned()
}

fn on(address: &str, port: PortSpec) -> PortSpec {
    PortSpec { host_ip: Some(ip(address)), ..port }
}

/// The neighbour sends what is for these addresses to the host.
fn route_by_host(world: &World, subnet: &str) {
    let gateway = if subnet.contains(':') { HOST6.to_owned() } else { HOST.to_string() };
    sys::in_netns(&world.neighbour, || shell(&format!("ip route add {subnet} via {gateway}"))).unwrap();
}

#[test]
fn a_published_port_is_reached_from_everywhere() {
    world(reached_from_everywhere);
}

/// With br_netfilter, which Docker and Kubernetes load, packets between the ports of a bridge pass the rules of routers.
#[test]
fn a_published_port_is_reached_where_bridges_are_not_filtered() {
    world(|world| {
        world.shell("for f in /proc/sys/net/bridge/bridge-nf-call-ip*; do [ ! -e $f ] || echo 0 > $f; done");
        reached_from_everywhere(world);
    });
}

fn reached_from_everywhere(world: &World) {
    let web = world.container("web", "bridge");
    let other = world.container("other", "bridge");
    world.networks.create(spec("apart", &[])).unwrap();
    let apart = world.container("apart", "apart");
    web.serve_tcp(80);
    web.serve_udp(53);
    let ports = [port(8080, 80, Proto::Tcp), port(5353, 53, Proto::Udp)];
    let published = world.networks.publish(&ports, &web.endpoint).unwrap();
    assert_eq!(published.bindings.len(), 4, "each on IPv4 and IPv6: {:?}", published.bindings);

    assert_eq!(tcp(&world.neighbour, at(HOST, 8080)), Some(NEIGHBOUR), "the client's address is preserved");
    assert_eq!(udp(&world.neighbour, at(HOST, 5353)), Some(NEIGHBOUR));
    for address in [HOST, LOOPBACK, ip("172.17.0.1")] {
        assert!(tcp(&world.host, at(address, 8080)).is_some(), "from the host by {address}");
        assert!(udp(&world.host, at(address, 5353)).is_some(), "from the host by {address}");
    }
    for (who, container) in [("itself", &web), ("a neighbour", &other), ("another network", &apart)] {
        for address in [HOST, ip("172.17.0.1")] {
            assert!(tcp(&container.netns, at(address, 8080)).is_some(), "from {who} by {address}");
            assert!(udp(&container.netns, at(address, 5353)).is_some(), "from {who} by {address}");
        }
    }
    // Another network sees who asks: it is not the host.
    assert_eq!(tcp(&apart.netns, at(HOST, 8080)), Some(apart.ip()));

    assert!(world.networks.release(web.id()).is_empty());
    drop(published);
    assert!(no_tcp(&world.neighbour, at(HOST, 8080)));
}

#[test]
fn a_published_port_is_reached_by_ipv6() {
    world(|world| {
        world.networks.create(NetworkSpec { ipv6: Some(true), ..spec("dual", &[]) }).unwrap();
        let (web, other) = (world.container("web", "dual"), world.container("other", "dual"));
        web.serve_tcp(80);
        web.serve_udp(53);
        let _tcp = publish(world, port(8080, 80, Proto::Tcp), &web.endpoint);
        let _udp = publish(world, on(HOST6, port(5353, 53, Proto::Udp)), &web.endpoint);
        assert_eq!(tcp(&world.neighbour, at(ip(HOST6), 8080)), Some(ip(NEIGHBOUR6)));
        assert_eq!(udp(&world.neighbour, at(ip(HOST6), 5353)), Some(ip(NEIGHBOUR6)));
        assert!(tcp(&world.host, at(ip(HOST6), 8080)).is_some());
        assert!(tcp(&other.netns, at(ip(HOST6), 8080)).is_some());
        assert!(tcp(&web.netns, at(ip(HOST6), 8080)).is_some());
        // Out with the host's address, and not in without being published.
        serve_tcp(&world.neighbour, 80);
        assert_eq!(tcp(&web.netns, at(ip(NEIGHBOUR6), 80)), Some(ip(HOST6)));
        route_by_host(world, "fd00::/8");
        assert!(no_tcp(&world.neighbour, at(web.endpoint.ipv6.unwrap().into(), 80)));
    });
}

#[test]
fn a_port_is_its_holders_alone() {
    world(|world| {
        let (web, second) = (world.container("web", "bridge"), world.container("second", "bridge"));
        let published = publish(world, port(8080, 80, Proto::Tcp), &web.endpoint);
        assert_eq!(
            refusal(world, port(8080, 80, Proto::Tcp), &second.endpoint),
            "Bind for 0.0.0.0:8080 failed: port is already allocated"
        );
        assert_eq!(
            refusal(world, on("127.0.0.1", port(8080, 80, Proto::Tcp)), &second.endpoint),
            "Bind for 127.0.0.1:8080 failed: port is already allocated"
        );
        // The same number of another protocol is another port.
        drop(publish(world, port(8080, 80, Proto::Udp), &second.endpoint));
        assert!(TcpListener::bind((ANY, 8080)).is_err(), "another program cannot take it");

        let taken = TcpListener::bind((ANY, 9090)).unwrap();
        assert_eq!(
            refusal(world, port(9090, 80, Proto::Tcp), &second.endpoint),
            format!(
                "Bind for 0.0.0.0:9090 failed: port is already allocated: \
                 failed to bind host port for 0.0.0.0:9090:{}:80/tcp: address already in use",
                second.ip()
            )
        );
        drop(taken);
        assert!(
            world.networks.attachment(second.id()).bindings.iter().all(|binding| binding.proto == Proto::Udp)
        );

        assert!(world.networks.release(web.id()).is_empty());
        drop(published);
        let _second = publish(world, port(8080, 80, Proto::Tcp), &second.endpoint);
    });
}

#[test]
fn ports_of_a_range_and_random_ones() {
    world(|world| {
        let range = PortSpec { host_ports: (9000, 9002), ..port(0, 80, Proto::Tcp) };
        let containers: Vec<_> =
            (0..4).map(|number| world.container(&format!("c{number}"), "bridge")).collect();
        let mut held = Vec::new();
        for (container, wanted) in containers.iter().zip([9000, 9001, 9002]) {
            let published = publish(world, range.clone(), &container.endpoint);
            assert_eq!(bound(&published), wanted);
            container.serve_tcp(80);
            assert_eq!(tcp(&world.neighbour, at(HOST, wanted)), Some(NEIGHBOUR));
            held.push(published);
        }
        assert_eq!(
            refusal(world, range, &containers[3].endpoint),
            "Bind for 0.0.0.0:9000 failed: port is already allocated"
        );
        let random = publish(world, port(0, 80, Proto::Tcp), &containers[3].endpoint);
        let ports: Vec<u16> = random.bindings.iter().map(|binding| binding.host_port).collect();
        assert!(ports.len() == 2 && ports[0] == ports[1] && ports[0] >= 1024, "{ports:?}");
        containers[3].serve_tcp(80);
        assert!(tcp(&world.neighbour, at(HOST, ports[0])).is_some());
    });
}

#[test]
fn a_port_on_one_address_is_not_on_others() {
    world(|world| {
        let web = world.container("web", "bridge");
        web.serve_tcp(80);
        let _local = publish(world, on("127.0.0.1", port(8080, 80, Proto::Tcp)), &web.endpoint);
        let _outer = publish(world, on("203.0.113.1", port(8081, 80, Proto::Tcp)), &web.endpoint);
        assert!(tcp(&world.host, at(LOOPBACK, 8080)).is_some());
        assert!(no_tcp(&world.neighbour, at(HOST, 8080)));
        assert!(no_tcp(&world.host, at(HOST, 8080)));
        assert!(tcp(&world.neighbour, at(HOST, 8081)).is_some());
        assert!(no_tcp(&world.host, at(LOOPBACK, 8081)));
        // Not by going around the host's address either, and not to its loopback by routing it there.
        route_by_host(world, "172.17.0.0/16");
        assert!(no_tcp(&world.neighbour, at(web.ip(), 80)));
        let bent = || {
            shell(
                "sysctl -q net.ipv4.conf.eth0.route_localnet=1 && ip route add table 7 default via 203.0.113.1",
            );
            shell(
                "ip rule del pref 0 && ip rule add pref 10 lookup local && ip rule add pref 5 to 127.0.0.0/8 lookup 7",
            );
        };
        sys::in_netns(&world.neighbour, bent).unwrap();
        assert!(no_tcp(&world.neighbour, at(LOOPBACK, 8080)));
        assert_eq!(
            refusal(world, on("198.51.100.7", port(8082, 80, Proto::Tcp)), &web.endpoint),
            format!(
                "failed to bind host port for 198.51.100.7:8082:{}:80/tcp: cannot assign requested address",
                web.ip()
            )
        );
    });
}

#[test]
fn the_networks_own_binding_address_is_the_default() {
    world(|world| {
        world.networks.create(spec("local", &[("host_binding_ipv4", "127.0.0.1")])).unwrap();
        let web = world.container("web", "local");
        web.serve_tcp(80);
        let published = publish(world, port(8080, 80, Proto::Tcp), &web.endpoint);
        let addresses: Vec<_> = published.bindings.iter().map(|binding| binding.host_ip).collect();
        assert_eq!(addresses, [LOOPBACK]);
        assert!(tcp(&world.host, at(LOOPBACK, 8080)).is_some());
        assert!(no_tcp(&world.neighbour, at(HOST, 8080)));
    });
}

#[test]
fn sctp_has_rules_of_its_own() {
    world(|world| {
        let web = world.container("web", "bridge");
        let published = publish(world, port(8080, 80, Proto::Sctp), &web.endpoint);
        assert_eq!(bound(&published), 8080);
        assert!(published.relays.is_empty());
        assert!(world.shell("nft list map inet naru publish4").contains("sctp . 8080"));
        let second = world.container("second", "bridge");
        assert_eq!(
            refusal(world, port(8080, 80, Proto::Sctp), &second.endpoint),
            "Bind for 0.0.0.0:8080 failed: port is already allocated"
        );
        let random = publish(world, port(0, 80, Proto::Sctp), &second.endpoint);
        assert!(bound(&random) >= 1024, "{:?}", random.bindings);
    });
}

/// Kernels without SCTP have no such sockets, and translate it all the same: here both ends are raw sockets.
#[test]
fn sctp_packets_arrive_and_their_answers_come_back() {
    use rustix::net::{RecvFlags, SendFlags, ipproto, sockopt};
    world(|world| {
        let web = world.container("web", "bridge");
        let _published = publish(world, port(8080, 80, Proto::Sctp), &web.endpoint);
        let raw = |netns| {
            let open = || {
                let socket = rustix::net::socket(
                    rustix::net::AddressFamily::INET,
                    rustix::net::SocketType::RAW,
                    Some(ipproto::SCTP),
                )?;
                sockopt::set_socket_timeout(
                    &socket,
                    sockopt::Timeout::Recv,
                    Some(std::time::Duration::from_secs(20)),
                )?;
                rustix::io::Result::Ok(socket)
            };
            sys::in_netns(netns, open).unwrap().unwrap()
        };
        let (client, server) = (raw(&world.neighbour), raw(&web.netns));
        let mut buffer = [0; 256];
        let mut receive = |socket: &_| {
            let (count, _, from) =
                rustix::net::recvfrom(socket, &mut buffer[..], RecvFlags::empty()).unwrap();
            let from = std::net::SocketAddr::try_from(from.unwrap()).unwrap().ip();
            // Behind the IP header, which raw sockets are given.
            (from, buffer[usize::from(buffer[0] & 15) * 4..count].to_vec())
        };
        // INIT (RFC 9260, 3.3.2), answered with INIT ACK (3.3.3).
        let init = sctp([5000, 8080], 0, 1);
        rustix::net::sendto(&client, &init, SendFlags::empty(), &at(HOST, 0)).unwrap();
        let (from, packet) = receive(&server);
        assert_eq!(
            (from, &packet[..4]),
            (NEIGHBOUR, &[0x13, 0x88, 0, 80][..]),
            "the client's address, the container's port"
        );
        assert_eq!(packet, sctp([5000, 80], 0, 1), "and its checksum is right");
        let answer = sctp([80, 5000], 0x0102_0304, 2);
        rustix::net::sendto(&server, &answer, SendFlags::empty(), &at(NEIGHBOUR, 0)).unwrap();
        let (from, packet) = receive(&client);
        assert_eq!((from, packet), (HOST, sctp([8080, 5000], 0x0102_0304, 2)));
    });
}

/// A packet with one chunk: 1 INIT, 2 INIT ACK.
fn sctp(ports: [u16; 2], tag: u32, kind: u8) -> Vec<u8> {
    let mut packet: Vec<u8> = ports.iter().flat_map(|port| port.to_be_bytes()).collect();
    packet.extend(tag.to_be_bytes());
    packet.extend([0; 4]);
    // Initiate tag, window, streams out and in, first number.
    packet.extend([kind, 0, 0, 20]);
    packet.extend(0x0102_0304u32.to_be_bytes());
    packet.extend(65_536u32.to_be_bytes());
    packet.extend([0, 1, 0, 1]);
    packet.extend(1u32.to_be_bytes());
    // CRC32c (RFC 9260, appendix A), its low byte first.
    let mut crc = u32::MAX;
    for byte in &packet {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    packet[8..12].copy_from_slice(&(!crc).to_le_bytes());
    packet
}

#[test]
fn a_routed_network_opens_published_ports_and_keeps_addresses() {
    world(|world| {
        world.networks.create(spec("routed", &[("gateway_mode_ipv4", "routed")])).unwrap();
        let web = world.container("web", "routed");
        route_by_host(world, "172.16.0.0/24");
        web.serve_tcp(80);
        web.serve_tcp(81);
        serve_tcp(&world.neighbour, 80);
        assert_eq!(tcp(&web.netns, at(NEIGHBOUR, 80)), Some(web.ip()), "its own address on the way out");
        let published = publish(world, on("0.0.0.0", port(8080, 80, Proto::Tcp)), &web.endpoint);
        assert!(published.sockets.is_empty());
        assert_eq!(tcp(&world.neighbour, at(web.ip(), 80)), Some(NEIGHBOUR));
        assert!(no_tcp(&world.neighbour, at(web.ip(), 81)));
        assert!(no_tcp(&world.neighbour, at(HOST, 8080)));
        assert!(world.networks.release(web.id()).is_empty());
        assert!(!world.shell("nft list set inet naru open4").contains("elements"));
    });
}

#[test]
fn an_unprotected_network_is_open_to_who_has_a_route() {
    world(|world| {
        world.networks.create(spec("open", &[("gateway_mode_ipv4", "nat-unprotected")])).unwrap();
        let web = world.container("web", "open");
        route_by_host(world, "172.16.0.0/24");
        web.serve_tcp(81);
        serve_tcp(&world.neighbour, 80);
        assert_eq!(tcp(&world.neighbour, at(web.ip(), 81)), Some(NEIGHBOUR));
        assert_eq!(tcp(&web.netns, at(NEIGHBOUR, 80)), Some(HOST));
    });
}

#[test]
fn an_isolated_network_has_no_address_of_the_hosts() {
    world(|world| {
        let isolated = NetworkSpec { internal: true, ..spec("cell", &[("gateway_mode_ipv4", "isolated")]) };
        world.networks.create(isolated).unwrap();
        let (one, two) = (world.container("one", "cell"), world.container("two", "cell"));
        two.serve_tcp(80);
        assert!(tcp(&one.netns, at(two.ip(), 80)).is_some());
        assert!(no_tcp(&world.host, at(two.ip(), 80)));
        assert!(!world.shell("ip -o -4 addr").contains("172.16.0.1/"));
    });
}

#[test]
fn without_icc_published_ports_are_reached_all_the_same() {
    world(|world| {
        world.networks.create(spec("quiet", &[("enable_icc", "false")])).unwrap();
        let (web, other) = (world.container("web", "quiet"), world.container("other", "quiet"));
        web.serve_tcp(80);
        serve_relays(publish(world, port(8080, 80, Proto::Tcp), &web.endpoint));
        assert!(no_tcp(&other.netns, at(web.ip(), 80)));
        assert!(tcp(&other.netns, at(HOST, 8080)).is_some());
        assert!(tcp(&world.neighbour, at(HOST, 8080)).is_some());
    });
}

#[test]
fn ports_follow_a_container_from_network_to_network() {
    world(|world| {
        world.networks.create(spec("next", &[])).unwrap();
        let web = world.container("web", "bridge");
        web.serve_tcp(80);
        web.serve_udp(53);
        let ports = [port(8080, 80, Proto::Tcp), port(5353, 53, Proto::Udp)];
        let _published = world.networks.publish(&ports, &web.endpoint).unwrap();
        let reached = || tcp(&world.neighbour, at(HOST, 8080)) == Some(NEIGHBOUR);
        assert!(reached());
        let spec = EndpointSpec {
            container_id: web.id().to_owned(),
            container_name: "web".to_owned(),
            ..EndpointSpec::default()
        };
        let next = world.networks.connect("next", &mut web.sandbox(), spec).unwrap();
        assert!(reached());
        let leave = |network: &str| {
            world.networks.disconnect(network, web.id(), Some(web.netns.try_clone().unwrap())).unwrap();
        };
        leave("bridge");
        assert!(reached());
        assert_eq!(udp(&world.neighbour, at(HOST, 5353)), Some(NEIGHBOUR));
        assert!(tcp(&web.netns, at(HOST, 8080)).is_some());
        let bindings = world.networks.attachment(web.id()).bindings;
        assert_eq!(bindings[0].target, next.ip.map(IpAddr::V4));

        // Nobody else gets what is sent to it once it is nowhere.
        leave("next");
        let other = world.container_with("next", EndpointSpec::default());
        other.serve_tcp(80);
        assert!(!world.shell("nft list map inet naru publish4").contains("8080"));
        assert!(no_tcp(&world.neighbour, at(HOST, 8080)));
    });
}
