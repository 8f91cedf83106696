//! The whole server: a container and a host in network namespaces of their own, zone files as the engine writes them, servers
//! upstream that the tests play.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use netlink::nft::{Family, Nft};
use netlink::route::{Batch, LinkChange, LinkRef, Route};
use network::files::{Zone, ZoneHost};
use network::{Attachment, Endpoint};

use super::NameServer;
use crate::poller::{Poller, Token};
use crate::protocol::NamesSpec;
use crate::timers::{Timer, Timers};

const A: u16 = 1;
const PTR: u16 = 12;
const TXT: u16 = 16;
const AAAA: u16 = 28;
const PATIENCE: Duration = Duration::from_secs(8);

struct World {
    host: OwnedFd,
    container: OwnedFd,
    folder: tempfile::TempDir,
    stop: Arc<AtomicBool>,
    server: Option<JoinHandle<()>>,
}

/// A network namespace with loopback up.
fn netns() -> OwnedFd {
    let make = || {
        sys::namespace::unshare(sys::clone::NEWNET).expect("these tests need root");
        let mut batch = Batch::new();
        batch.set_link(LinkRef::Index(1), &LinkChange { up: Some(true), ..LinkChange::default() });
        Route::open().unwrap().run(batch).unwrap();
        File::open("/proc/thread-self/ns/net").unwrap().into()
    };
    std::thread::spawn(make).join().unwrap()
}

fn endpoint(network: &str, gateway: Option<&str>) -> Endpoint {
    serde_json::from_value(serde_json::json!({
        "network_id": format!("{network}-id"), "network_name": network, "endpoint_id": "e", "container_id": "c",
        "container_name": "me", "ip": "10.1.0.9", "prefix": 24, "gateway": gateway, "ipv6": null, "prefix6": 0,
        "gateway6": null, "mac": null, "ifname": "eth0", "host_ifname": "", "links": [["mydb", "shop-db-1"]],
    }))
    .unwrap()
}

fn zone(network: &str, hosts: &[(&[&str], &[&str])]) -> Zone {
    let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
    let hosts = hosts.iter().map(|(names, addresses)| ZoneHost {
        names: owned(names),
        addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
    });
    Zone { network: network.to_owned(), hosts: hosts.collect() }
}

impl World {
    /// A server for a container in network `shop`, with these lines in the host's resolv.conf and these `--dns`.
    fn start(resolv_conf: &str, servers: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("etc")).unwrap();
        std::fs::create_dir(folder.path().join("zones")).unwrap();
        std::fs::write(folder.path().join("etc/resolv.conf"), resolv_conf).unwrap();
        let mut world = Self {
            host: netns(),
            container: netns(),
            folder,
            stop: Arc::new(AtomicBool::new(false)),
            server: None,
        };
        world.attach(&[endpoint("shop", Some("10.1.0.1"))]);
        world.write_zone(&zone(
            "shop",
            &[
                (&["shop-db-1", "db"], &["10.1.0.2", "fd00::2"]),
                (&["shop-web-1", "web"], &["10.1.0.3"]),
                (&["shop-web-2", "web"], &["10.1.0.4"]),
            ],
        ));
        let spec = NamesSpec {
            attachment: world.folder.path().join("attachment.json"),
            zones: world.folder.path().join("zones"),
            servers: servers.iter().map(|server| (*server).to_owned()).collect(),
            host: Vec::new(),
        };
        let root = world.folder.path().to_owned();
        let host = world.host.try_clone().unwrap();
        let container = world.container.try_clone().unwrap();
        let stop = world.stop.clone();
        let (started, has_started) = std::sync::mpsc::channel();
        world.server = Some(std::thread::spawn(move || {
            sys::namespace::setns(host, sys::clone::NEWNET).unwrap();
            let poller = Poller::new().unwrap();
            let mut server = NameServer::start_below(&poller, spec, container, root).unwrap();
            started.send(()).unwrap();
            let (mut timers, mut buffer) = (Timers::default(), vec![0; 16 << 10]);
            while !stop.load(Ordering::Relaxed) {
                let pause = timers.next().unwrap_or(Duration::from_millis(20)).min(Duration::from_millis(20));
                let ready = |token, flags| match token {
                    Token::Names(key) => server.ready(key, flags, &mut buffer, &mut timers),
                    other => panic!("{other:?}"),
                };
                poller.wait(Some(pause), ready).unwrap();
                while timers.due() == Some(Timer::Names) {
                    server.tick(&mut timers);
                }
            }
        }));
        has_started.recv().unwrap();
        world
    }

    fn attach(&self, endpoints: &[Endpoint]) {
        let attachment = Attachment { endpoints: endpoints.to_vec(), ..Attachment::default() };
        let bytes = serde_json::to_vec(&attachment).unwrap();
        sys::fsutil::write_atomic(self.folder.path().join("attachment.json"), &bytes).unwrap();
    }

    fn write_zone(&self, zone: &Zone) {
        zone.write(&self.folder.path().join(format!("zones/{}-id.json", zone.network))).unwrap();
    }

    /// Asks from the container over UDP.
    fn ask(&self, name: &str, kind: u16) -> Answer {
        let reply = sys::in_netns(&self.container, || {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            // Connected: an answer from another port than 53 would not be heard.
            socket.connect("127.0.0.11:53").unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            socket.send(&question(name, kind)).unwrap();
            let mut buffer = [0; 4096];
            let count = socket.recv(&mut buffer).unwrap();
            buffer[..count].to_vec()
        });
        Answer::read(&reply.unwrap())
    }

    /// Asks several questions on one connection.
    fn ask_by_tcp(&self, names: &[&str]) -> Vec<Answer> {
        let ask = || {
            let mut stream = TcpStream::connect("127.0.0.11:53").unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            for name in names {
                write_message(&mut stream, &question(name, A));
            }
            names.iter().map(|_| Answer::read(&read_message(&mut stream))).collect()
        };
        sys::in_netns(&self.container, ask).unwrap()
    }

    fn addresses(&self, name: &str) -> Vec<IpAddr> {
        let answer = self.ask(name, A);
        assert_eq!(answer.code, 0, "{name}");
        answer.addresses
    }

    /// A server that answers every question, over UDP and TCP, with this code and (if it is 0) this address.
    fn upstream(&self, netns: impl AsFd, at: &str, code: u8, address: &'static str) {
        let at: SocketAddr = at.parse().unwrap();
        let bind = || (UdpSocket::bind(at).unwrap(), TcpListener::bind(at).unwrap());
        let (datagrams, listener) = sys::in_netns(netns, bind).unwrap();
        let answer = move |message: &mut Vec<u8>| {
            message[2] |= 0x80;
            message[3] = 0x80 | code;
            message[7] = u8::from(code == 0);
            if code == 0 {
                message.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4]);
                message.extend(address.parse::<std::net::Ipv4Addr>().unwrap().octets());
            }
        };
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok((count, client)) = datagrams.recv_from(&mut buffer) {
                let mut message = buffer[..count].to_vec();
                answer(&mut message);
                let _ = datagrams.send_to(&message, client);
            }
        });
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let mut message = read_message(&mut stream);
                answer(&mut message);
                write_message(&mut stream, &message);
            }
        });
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.server.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            assert!(ended.is_none_or(|ended| ended.is_ok()), "the server panicked");
        }
    }
}

fn question(name: &str, kind: u16) -> Vec<u8> {
    let mut message = vec![0xab, 0xcd, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        message.push(label.len() as u8);
        message.extend(label.as_bytes());
    }
    message.push(0);
    message.extend(kind.to_be_bytes());
    message.extend([0, 1]);
    message
}

fn write_message(stream: &mut TcpStream, message: &[u8]) {
    stream.write_all(&[&(message.len() as u16).to_be_bytes(), message].concat()).unwrap();
}

fn read_message(stream: &mut TcpStream) -> Vec<u8> {
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut message = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut message).unwrap();
    message
}

#[derive(Debug, Default)]
struct Answer {
    code: u8,
    addresses: Vec<IpAddr>,
    pointer: Option<String>,
}

impl Answer {
    fn read(message: &[u8]) -> Self {
        assert_eq!(message[..2], [0xab, 0xcd]);
        assert!(message[2] & 0x80 != 0);
        let mut answer = Self { code: message[3] & 0x0f, ..Self::default() };
        let mut at = 12 + message[12..].iter().position(|byte| *byte == 0).unwrap() + 5;
        for _ in 0..message[7] {
            let kind = message[at + 3];
            let data = &message[at + 12..at + 12 + usize::from(message[at + 11])];
            at += 12 + data.len();
            match u16::from(kind) {
                A => answer.addresses.push(<[u8; 4]>::try_from(data).unwrap().into()),
                AAAA => answer.addresses.push(<[u8; 16]>::try_from(data).unwrap().into()),
                PTR => {
                    let text: String =
                        data.iter().map(|byte| if *byte < 32 { '.' } else { char::from(*byte) }).collect();
                    answer.pointer = Some(text.trim_matches('.').to_owned());
                }
                kind => panic!("record of type {kind}"),
            }
        }
        answer
    }
}

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn containers_find_each_other() {
    let world = World::start("nameserver 127.0.0.1\n", &[]);
    assert_eq!(world.addresses("db"), ips(&["10.1.0.2"]));
    assert_eq!(world.addresses("SHOP-DB-1.shop"), ips(&["10.1.0.2"]));
    assert_eq!(world.addresses("mydb"), ips(&["10.1.0.2"]));
    assert_eq!(world.ask("db", AAAA).addresses, ips(&["fd00::2"]));
    assert_eq!(world.ask("2.0.1.10.in-addr.arpa", PTR).pointer.as_deref(), Some("shop-db-1.shop"));
    assert_eq!(world.addresses("host.docker.internal"), ips(&["10.1.0.1"]));
    // The name exists: "no such name" would make clients give up on its addresses too.
    for kind in [AAAA, TXT] {
        let answer = world.ask("web", kind);
        assert_eq!((answer.code, answer.addresses), (0, vec![]));
    }
    let answers = world.ask_by_tcp(&["db", "shop-web-1", "db"]);
    let answers: Vec<_> = answers.into_iter().flat_map(|answer| answer.addresses).collect();
    assert_eq!(answers, ips(&["10.1.0.2", "10.1.0.3", "10.1.0.2"]));
}

#[test]
fn all_containers_of_a_service_take_turns() {
    let world = World::start("", &[]);
    let first: Vec<IpAddr> = (0..4).map(|_| world.addresses("web")[0]).collect();
    let mut sorted = first.clone();
    sorted.sort();
    assert_eq!(sorted, ips(&["10.1.0.3", "10.1.0.3", "10.1.0.4", "10.1.0.4"]), "{first:?}");
}

#[test]
fn who_comes_and_goes_is_seen_at_once() {
    let world = World::start("nameserver 127.0.0.1\n", &[]);
    world.upstream(&world.host, "127.0.0.1:53", 3, "");
    assert_eq!(world.ask("cache", A).code, 3);
    world.write_zone(&zone("shop", &[(&["shop-cache-1", "cache"], &["10.1.0.7"])]));
    assert_eq!(world.addresses("cache"), ips(&["10.1.0.7"]));
    assert_eq!(world.ask("db", A).code, 3);
    // Another network, connected while the container runs.
    world.write_zone(&zone("lab", &[(&["probe"], &["10.2.0.2"])]));
    assert_eq!(world.ask("probe", A).code, 3);
    world.attach(&[endpoint("shop", Some("10.1.0.1")), endpoint("lab", None)]);
    assert_eq!(world.addresses("probe.lab"), ips(&["10.2.0.2"]));
}

#[test]
fn other_names_are_asked_of_the_hosts_servers() {
    let world = World::start("nameserver 127.0.0.1\nnameserver 127.0.0.2\nnameserver 127.0.0.3\n", &[]);
    // The first does not exist, the second cannot help.
    world.upstream(&world.host, "127.0.0.2:53", 2, "");
    world.upstream(&world.host, "127.0.0.3:53", 0, "192.0.2.3");
    assert_eq!(world.addresses("example.org"), ips(&["192.0.2.3"]));
    let answers = world.ask_by_tcp(&["example.org", "db", "example.net"]);
    let answers: Vec<_> = answers.into_iter().flat_map(|answer| answer.addresses).collect();
    assert_eq!(answers, ips(&["192.0.2.3", "10.1.0.2", "192.0.2.3"]));
    // The host moves to another network.
    world.upstream(&world.host, "127.0.0.4:53", 0, "192.0.2.4");
    std::fs::write(world.folder.path().join("etc/resolv.conf"), "nameserver 127.0.0.4\n").unwrap();
    assert_eq!(world.addresses("example.org"), ips(&["192.0.2.4"]));
}

#[test]
fn a_silent_server_is_followed_by_the_next() {
    let world = World::start("nameserver 127.0.0.1\nnameserver 127.0.0.2\n", &[]);
    let _silent = sys::in_netns(&world.host, || UdpSocket::bind("127.0.0.1:53").unwrap()).unwrap();
    world.upstream(&world.host, "127.0.0.2:53", 0, "192.0.2.2");
    let began = Instant::now();
    assert_eq!(world.addresses("example.org"), ips(&["192.0.2.2"]));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let world = World::start("nameserver 127.0.0.1\n", &[]);
    assert_eq!(world.ask("example.org", A).code, 2);
    assert_eq!(world.ask_by_tcp(&["example.org"])[0].code, 2);
}

#[test]
fn servers_that_the_user_names_are_asked_from_inside() {
    let world = World::start("nameserver 127.0.0.1\n", &["127.0.0.1"]);
    world.upstream(&world.host, "127.0.0.1:53", 0, "192.0.2.1");
    world.upstream(&world.container, "127.0.0.1:53", 0, "192.0.2.2");
    assert_eq!(world.addresses("example.org"), ips(&["192.0.2.2"]));
    assert_eq!(world.ask_by_tcp(&["example.org"])[0].addresses, ips(&["192.0.2.2"]));
}

#[test]
fn without_a_way_out_names_do_not_get_out_either() {
    let world = World::start("nameserver 127.0.0.1\n", &[]);
    world.upstream(&world.host, "127.0.0.1:53", 0, "192.0.2.1");
    world.attach(&[endpoint("shop", None)]);
    assert_eq!(world.ask("secret.example.org", A).code, 2);
    assert_eq!(world.addresses("db"), ips(&["10.1.0.2"]));
}

#[test]
fn a_container_may_have_a_name_server_of_its_own() {
    let world = World::start("", &[]);
    world.upstream(&world.container, "0.0.0.0:53", 0, "192.0.2.53");
    assert_eq!(world.addresses("db"), ips(&["10.1.0.2"]));
    let own = sys::in_netns(&world.container, || {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect("127.0.0.1:53").unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.send(&question("db", A)).unwrap();
        let mut buffer = [0; 512];
        let count = socket.recv(&mut buffer).unwrap();
        Answer::read(&buffer[..count]).addresses
    });
    assert_eq!(own.unwrap(), ips(&["192.0.2.53"]));
}

#[test]
fn a_start_in_the_same_namespace_takes_the_place_of_the_last() {
    let container = netns();
    let start = || {
        let poller = Poller::new().unwrap();
        NameServer::start(&poller, NamesSpec::default(), container.try_clone().unwrap()).unwrap();
    };
    start();
    start();
    let rules = || Nft::open().unwrap().rules(Family::Ipv4, "naru_names", "output").unwrap().len();
    assert_eq!(sys::in_netns(&container, rules).unwrap(), 4);
}
