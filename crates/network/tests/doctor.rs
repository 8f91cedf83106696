//! What `network doctor` says about a published port, beside a connection that is really tried: for every kind of client, in every
//! scenario, the two must be the same. Monitors, which serve relays, are played by the test.

mod world;

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

use network::doctor::{Diagnosis, Examination, Level, Reached, Who};
use network::{NetworkSpec, PortSpec, Proto};
use world::*;

const FAR4: &str = "198.51.100.77";
const FAR6: &str = "2001:db8:ffff::77";

/// A host with a container on the default bridge, a second one beside it and a third on a network of its own, a neighbour, and
/// somebody beyond the neighbour.
struct House<'a> {
    world: &'a World,
    web: Container,
    other: Container,
    apart: Container,
}

/// Publishes port 80 of `web` after the commands of `before`, runs those of `after`, and compares. `expected` names some clients
/// and what they get, so that both being wrong in the same way is noticed.
fn compare(
    before: &'static str,
    ports: &'static [PortSpec],
    after: &'static str,
    expected: &'static [(&'static str, Reached)],
) {
    world(move |world| {
        world.shell("ip route add default via 203.0.113.2; ip -6 route add default via 2001:db8::2");
        world.shell(
            "ip link add other0 type veth peer name other1; ip link set other0 up; ip link set other1 up",
        );
        let far = format!(
            "ip addr add {FAR4}/32 dev lo; ip addr add {FAR6}/128 dev lo nodad; ip -6 addr show tentative"
        );
        sys::in_netns(&world.neighbour, || shell(&far)).unwrap();
        eventually("addresses are usable", || world.shell("ip -6 addr show tentative").is_empty());
        world.shell(before);
        world.networks.create(NetworkSpec { name: "apart".to_owned(), ..NetworkSpec::default() }).unwrap();
        let house = House {
            world,
            web: world.container("web", "bridge"),
            other: world.container("other", "bridge"),
            apart: world.container("apart", "apart"),
        };
        house.web.serve_tcp(80);
        serve_relays(world.networks.publish(ports, &house.web.endpoint).unwrap());
        world.shell(after);
        let diagnosis = world.networks.diagnose(&Examination::default()).unwrap();
        house.agrees(&diagnosis, expected);
        for container in [&house.web, &house.other, &house.apart] {
            assert!(world.networks.release(container.id()).is_empty());
        }
    });
}

impl House<'_> {
    fn agrees(&self, diagnosis: &Diagnosis, expected: &[(&str, Reached)]) {
        let mut lines = Vec::new();
        let mut wrong = Vec::new();
        for port in &diagnosis.ports {
            for reach in &port.clients {
                let to = SocketAddr::new(reach.to, port.binding.host_port);
                let verdict = &reach.verdict;
                let line = format!("{} by {to}: {:?} {:?}", reach.who, verdict.reached, verdict.decided_by);
                let really = match (&reach.who, verdict.reached) {
                    // Nobody else can even send to it.
                    (Who::Hosts(link), Reached::No) if link == "any link" => false,
                    (_, Reached::Unknown) => {
                        lines.push(line);
                        continue;
                    }
                    (who, said) => self.connects(who, to, said == Reached::Yes),
                };
                if really != (verdict.reached == Reached::Yes) {
                    wrong.push(format!("{line}; really: {really}"));
                }
                lines.push(line);
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}\nof {lines:#?}");
        for (beginning, reached) in expected {
            let wanted = format!("{beginning}: {reached:?}");
            assert!(lines.iter().any(|line| line.starts_with(&wanted)), "{wanted} is not among {lines:#?}");
        }
    }

    /// Tries it; longer where a connection is expected.
    fn connects(&self, who: &Who, to: SocketAddr, expected: bool) -> bool {
        let far: IpAddr = if to.is_ipv4() { FAR4 } else { FAR6 }.parse().unwrap();
        let try_from = |netns: &OwnedFd| if expected { tcp(netns, to).is_some() } else { !no_tcp(netns, to) };
        match who {
            Who::This => try_from(&self.world.host),
            Who::Near(_) => try_from(&self.world.neighbour),
            Who::Far(_) => connect_as(&self.world.neighbour, far, to, expected),
            Who::Hosts(_) => {
                let near = try_from(&self.world.neighbour);
                let far = connect_as(&self.world.neighbour, far, to, expected);
                assert_eq!(near, far, "near and far are said to be alike");
                near
            }
            Who::Asked(address) => connect_as(&self.world.neighbour, *address, to, expected),
            Who::Containers(network) if network == "bridge" => try_from(&self.other.netns),
            Who::Containers(_) => try_from(&self.apart.netns),
        }
    }
}

/// Whether somebody with this address gets an answer.
fn connect_as(netns: &OwnedFd, from: IpAddr, to: SocketAddr, expected: bool) -> bool {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with, sockopt};
    let patience = Duration::from_millis(if expected { 20_000 } else { 400 });
    sys::in_netns(netns, || {
        let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
        // It bounds connect(2) as well.
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(patience)).unwrap();
        bind(&socket, &SocketAddr::new(from, 0)).unwrap();
        if connect(&socket, &to).is_err() {
            return false;
        }
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(patience)).unwrap();
        std::io::Read::read(&mut &stream, &mut [0; 64]).is_ok_and(|count| count > 0)
    })
    .unwrap()
}

const ANY: &[PortSpec] =
    &[PortSpec { host_ip: None, host_ports: (8080, 8080), container_port: 80, proto: Proto::Tcp }];
const YES: Reached = Reached::Yes;
const NO: Reached = Reached::No;
const UNKNOWN: Reached = Reached::Unknown;

#[test]
fn with_no_rules_but_ours_everybody_reaches_it() {
    let expected = &[
        ("other hosts by wan0 by 203.0.113.1:8080", YES),
        ("other hosts by wan0 by [2001:db8::1]:8080", YES),
        ("this host by 127.0.0.1:8080", YES),
        ("this host by [::1]:8080", YES),
        ("this host by 203.0.113.1:8080", YES),
        ("containers of bridge by 172.17.0.1:8080", YES),
        ("containers of apart by 172.16.0.1:8080", YES),
    ];
    compare("", ANY, "", expected);
}

#[test]
fn a_port_on_the_loopback_is_this_hosts_alone() {
    const LOOPBACK: &[PortSpec] = &[PortSpec {
        host_ip: Some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)),
        host_ports: (8080, 8080),
        container_port: 80,
        proto: Proto::Tcp,
    }];
    compare(
        "",
        LOOPBACK,
        "",
        &[("other hosts by any link by 127.0.0.1:8080", NO), ("this host by 127.0.0.1:8080", YES)],
    );
}

#[test]
fn a_port_on_one_address_is_followed_by_that_address() {
    const ONE: &[PortSpec] =
        &[PortSpec { host_ip: Some(HOST), host_ports: (8080, 8080), container_port: 80, proto: Proto::Tcp }];
    compare(
        "",
        ONE,
        "",
        &[("other hosts by wan0 by 203.0.113.1:8080", YES), ("containers of apart by 203.0.113.1:8080", YES)],
    );
}

#[test]
fn host_policies_of_drop() {
    let rules = "nft -f - <<'END'
        table inet filter {
            chain input { type filter hook input priority 0; policy drop; ct state established,related accept; iif lo accept; }
            chain forward { type filter hook forward priority 0; policy drop; }
            chain output { type filter hook output priority 0; policy accept; }
        }\nEND";
    compare(
        rules,
        ANY,
        "",
        &[
            ("other hosts by wan0 by 203.0.113.1:8080", YES),
            ("other hosts by wan0 by [2001:db8::1]:8080", NO),
        ],
    );
}

#[test]
fn rules_after_ours_drop_what_ours_let_pass() {
    let late = |rule: &str| {
        let text = format!(
            "nft 'table inet late {{ chain forward {{ type filter hook forward priority 10; {rule}; }}; }}'"
        );
        Box::leak(text.into_boxed_str()) as &'static str
    };
    const OTHERS: &str = "other hosts by wan0 by 203.0.113.1:8080";
    compare(
        "",
        ANY,
        late("tcp dport 80 drop"),
        &[
            ("other hosts by wan0 by 203.0.113.1:8080", NO),
            ("this host by 127.0.0.1:8080", YES),
            ("containers of apart by 172.16.0.1:8080", NO),
        ],
    );
    compare("", ANY, late("iifname \"naru0\" tcp sport 80 drop"), &[(OTHERS, NO)]);
    compare(
        "",
        ANY,
        late("ct status dnat iifname != \"naru0\" tcp dport vmap { 80 : drop, 443 : accept }"),
        &[(OTHERS, NO)],
    );
    compare(
        "",
        ANY,
        late("ip saddr 203.0.113.0/24 drop"),
        &[
            ("hosts in the subnet of wan0 by 203.0.113.1:8080", NO),
            ("hosts beyond wan0 by 203.0.113.1:8080", YES),
        ],
    );
    compare(
        "",
        ANY,
        late("ip saddr { 198.51.100.0-198.51.100.99, 192.0.2.1 } reject"),
        &[("hosts beyond wan0 by 203.0.113.1:8080", NO)],
    );
    compare(
        "",
        ANY,
        late("meta mark set 7; meta mark 7 tcp dport 1-79 drop; meta mark != 7 drop"),
        &[(OTHERS, YES)],
    );
    compare("", ANY, late("limit rate 1/hour drop"), &[(OTHERS, UNKNOWN)]);
    compare("", ANY, late("limit rate 1/hour log"), &[(OTHERS, YES)]);
    compare("", ANY, late("tcp sport 1-1023 drop"), &[(OTHERS, NO)]);
}

#[test]
fn rules_before_translation_and_on_the_hosts_own_way() {
    let raw = "nft 'table ip raw2 { chain pre { type filter hook prerouting priority -300; iifname \"wan0\" tcp dport 8080 drop; }; }'";
    compare(
        "",
        ANY,
        raw,
        &[
            ("other hosts by wan0 by 203.0.113.1:8080", NO),
            ("other hosts by wan0 by [2001:db8::1]:8080", YES),
        ],
    );
    let out =
        "nft 'table inet out { chain out { type filter hook output priority 0; tcp dport 80 drop; }; }'";
    compare(
        "",
        ANY,
        out,
        &[
            ("other hosts by wan0 by 203.0.113.1:8080", YES),
            ("this host by 127.0.0.1:8080", NO),
            ("this host by [::1]:8080", NO),
        ],
    );
    let away = "nft 'table ip away { chain pre { type nat hook prerouting priority -150; tcp dport 8080 dnat to 203.0.113.2:81; }; }'";
    compare("", ANY, away, &[("other hosts by wan0 by 203.0.113.1:8080", NO)]);
    let reverse = "nft 'table ip6 rpf { chain pre { type filter hook prerouting priority -290; fib saddr . iif oif missing drop; }; }'";
    compare("", ANY, reverse, &[("other hosts by wan0 by [2001:db8::1]:8080", YES)]);
}

#[test]
fn rules_of_iptables() {
    let docker = "iptables -P FORWARD DROP; iptables -N DOCKER-USER; iptables -A FORWARD -j DOCKER-USER; \
                  iptables -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT";
    compare(docker, ANY, "", &[("other hosts by wan0 by 203.0.113.1:8080", YES)]);
    let first = "iptables -I FORWARD -i wan0 -p tcp -m multiport --dports 80,443 -j REJECT";
    compare(
        docker,
        ANY,
        first,
        &[("other hosts by wan0 by 203.0.113.1:8080", NO), ("containers of apart by 172.16.0.1:8080", YES)],
    );
    let states = "iptables -I FORWARD -m conntrack --ctstate NEW -m addrtype ! --src-type LOCAL -m tcp -p tcp --dport 80 -j DROP";
    compare("", ANY, states, &[("other hosts by wan0 by 203.0.113.1:8080", NO)]);
}

#[test]
fn switches_and_routes_of_the_host() {
    compare(
        "",
        ANY,
        "echo 0 > /proc/sys/net/ipv4/conf/wan0/forwarding",
        &[("other hosts by wan0 by 203.0.113.1:8080", NO), ("this host by 203.0.113.1:8080", YES)],
    );
    compare(
        "",
        ANY,
        "echo 1 > /proc/sys/net/ipv4/conf/wan0/rp_filter; ip route add 203.0.113.2/32 dev other0",
        &[("hosts in the subnet of wan0 by 203.0.113.1:8080", NO)],
    );
    compare(
        "",
        ANY,
        "ip route add 172.17.0.2/32 dev other0",
        &[("other hosts by wan0 by 203.0.113.1:8080", NO), ("this host by [::1]:8080", NO)],
    );
}

#[test]
fn a_client_can_be_named() {
    world(|world| {
        let web = world.container("web", "bridge");
        let _published = world.networks.publish(ANY, &web.endpoint).unwrap();
        world.shell("nft 'table inet late { chain forward { type filter hook forward priority 10; ip saddr 203.0.113.7 drop comment \"banned\"; }; }'");
        let examine = |from: &str| {
            let examination = Examination { from: Some(ip(from)), ..Examination::default() };
            let diagnosis = world.networks.diagnose(&examination).unwrap();
            let clients = diagnosis.ports.into_iter().flat_map(|port| port.clients);
            clients.into_iter().find(|reach| matches!(reach.who, Who::Asked(_))).unwrap().verdict
        };
        assert_eq!(examine("203.0.113.8").reached, YES);
        let banned = examine("203.0.113.7");
        assert_eq!(banned.reached, NO);
        let text = banned.decided_by.unwrap();
        assert!(text.starts_with("table inet late chain forward rule "), "{text}");
        assert!(
            text.contains("(ip saddr 203.0.113.7 drop), comment \"banned\" drops the connection"),
            "{text}"
        );
    });
}

#[test]
fn what_is_wrong_with_the_host_is_found() {
    world(|world| {
        let web = world.container("web", "bridge");
        world.shell("ip route add 172.17.0.0/17 via 203.0.113.2; echo 0 > /proc/sys/net/ipv4/ip_forward");
        let taken = std::net::TcpListener::bind("0.0.0.0:9090").unwrap();
        let port = PortSpec { host_ports: (9090, 9090), ..ANY[0].clone() };
        let examination = Examination { waiting: vec![("next".to_owned(), port)], ..Examination::default() };
        let findings = world.networks.diagnose(&examination).unwrap().findings;
        let pid = std::process::id();
        for (level, text) in [
            (Level::Problem, "subnet 172.17.0.0/16 of network bridge overlaps with 172.17.0.0/17".to_owned()),
            (Level::Problem, "net.ipv4.ip_forward is 0".to_owned()),
            (Level::Problem, "port 9090/tcp that container next asks for is taken by doctor".to_owned()),
            (Level::Problem, format!("(pid {pid})")),
        ] {
            let found = findings.iter().any(|finding| finding.level == level && finding.text.contains(&text));
            assert!(found, "{text} is not among {findings:#?}");
        }
        drop(taken);
        assert!(world.networks.release(web.id()).is_empty());
    });
}
