//! A host, its neighbour and containers, all in network namespaces of their own: each test has the whole world to itself, and it
//! goes with the test's thread.
#![allow(dead_code)]

use std::fs::File;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use netlink::route::{Batch, LinkChange, LinkRef, NewLink, Route, Veth};
use network::{Endpoint, EndpointSpec, NetworkConfig, Networks, PortSpec, Proto, Published, Sandbox};

pub const HOST: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1));
pub const NEIGHBOUR: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 2));
const PATIENCE: Duration = Duration::from_secs(20);
/// Long enough for an answer that comes, short enough to wait for one that must not.
const IMPATIENCE: Duration = Duration::from_millis(400);

pub struct World {
    pub networks: Networks,
    pub config: NetworkConfig,
    pub host: OwnedFd,
    pub neighbour: OwnedFd,
    folder: PathBuf,
}

/// Runs a test on a thread of its own, which is the host.
pub fn world(test: impl FnOnce(&World) + Send + 'static) {
    world_with(|_| {}, test);
}

pub fn world_with(
    configure: impl FnOnce(&mut NetworkConfig) + Send + 'static,
    test: impl FnOnce(&World) + Send + 'static,
) {
    let thread = std::thread::spawn(|| {
        let host = new_netns();
        sys::namespace::setns(&host, sys::clone::NEWNET).unwrap();
        let world = World::make(host, configure);
        test(&world);
        let errors = world.networks.teardown();
        assert!(errors.is_empty(), "{errors:?}");
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn new_netns() -> OwnedFd {
    std::thread::spawn(|| {
        sys::namespace::unshare(sys::clone::NEWNET).expect("these tests need root");
        File::open("/proc/thread-self/ns/net").unwrap().into()
    })
    .join()
    .unwrap()
}

fn random() -> String {
    let mut bytes = [0; 8];
    File::open("/dev/urandom").unwrap().read_exact(&mut bytes).unwrap();
    format!("{:016x}", u64::from_ne_bytes(bytes))
}

impl World {
    fn make(host: OwnedFd, configure: impl FnOnce(&mut NetworkConfig)) -> Self {
        let neighbour = new_netns();
        let mut route = Route::open().unwrap();
        let mut batch = Batch::new();
        let up = LinkChange { up: Some(true), ..LinkChange::default() };
        batch.set_link(LinkRef::Name("lo"), &up);
        let peer = Veth { peer_name: "eth0", peer_netns: neighbour.as_fd(), peer_mac: None };
        batch.add_link("wan0", None, 0, &NewLink::Veth(peer));
        batch.set_link(LinkRef::Name("wan0"), &up);
        route.run(batch).unwrap();
        let wan = route.link(LinkRef::Name("wan0")).unwrap().unwrap().index;
        let mut batch = Batch::new();
        batch.add_address(wan, (HOST, 24)).add_address(wan, ("2001:db8::1".parse().unwrap(), 64));
        route.run(batch).unwrap();
        let mut route = sys::in_netns(&neighbour, Route::open).unwrap().unwrap();
        let eth = route.link(LinkRef::Name("eth0")).unwrap().unwrap().index;
        let mut batch = Batch::new();
        batch.set_link(LinkRef::Name("lo"), &up).set_link(LinkRef::Name("eth0"), &up);
        batch.add_address(eth, (NEIGHBOUR, 24)).add_address(eth, ("2001:db8::2".parse().unwrap(), 64));
        route.run(batch).unwrap();

        let folder = std::env::temp_dir().join(format!("naru-network-{}", random()));
        let mut config = NetworkConfig::new(folder.join("root"), folder.join("run"));
        configure(&mut config);
        let networks = Networks::open(config.clone()).unwrap();
        Self { networks, config, host, neighbour, folder }
    }

    /// A container in a network.
    pub fn container(&self, name: &str, network: &str) -> Container {
        self.container_with(
            network,
            EndpointSpec { container_name: name.to_owned(), ..EndpointSpec::default() },
        )
    }

    pub fn container_with(&self, network: &str, mut spec: EndpointSpec) -> Container {
        if spec.container_id.is_empty() {
            spec.container_id = format!("{}{}", random().repeat(3), random());
        }
        let mut sandbox = self.networks.sandbox(Some(network)).unwrap();
        let endpoint = self.networks.connect(network, &mut sandbox, spec).unwrap();
        self.networks.refill();
        Container { netns: sandbox.into_netns(), endpoint }
    }

    /// Another engine's view of the same records, as after a crash.
    pub fn restart(&self) -> Networks {
        Networks::open(self.config.clone()).unwrap()
    }

    pub fn shell(&self, command: &str) -> String {
        shell(command)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Runs a command in the calling thread's namespaces.
pub fn shell(command: &str) -> String {
    let output = Command::new("sh").args(["-ec", command]).output().unwrap();
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

pub struct Container {
    pub netns: OwnedFd,
    pub endpoint: Endpoint,
}

impl Container {
    pub fn id(&self) -> &str {
        &self.endpoint.container_id
    }

    pub fn ip(&self) -> IpAddr {
        self.endpoint.ip.unwrap().into()
    }

    pub fn sandbox(&self) -> Sandbox {
        Sandbox::existing(self.netns.try_clone().unwrap())
    }

    pub fn shell(&self, command: &str) -> String {
        sys::in_netns(&self.netns, || shell(command)).unwrap()
    }

    /// A TCP server that tells each client its address as seen from here.
    pub fn serve_tcp(&self, port: u16) {
        serve_tcp(&self.netns, port);
    }

    /// The same over UDP.
    pub fn serve_udp(&self, port: u16) {
        let socket = sys::in_netns(&self.netns, || UdpSocket::bind(("::", port))).unwrap().unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 64];
            while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
                if &buffer[..length] == b"stop" {
                    return;
                }
                let _ = socket.send_to(plain(peer.ip()).to_string().as_bytes(), peer);
            }
        });
    }
}

pub fn serve_tcp(netns: &OwnedFd, port: u16) {
    // Both families, unless this namespace has only one.
    let bind = || TcpListener::bind(("::", port)).or_else(|_| TcpListener::bind(("0.0.0.0", port)));
    let listener = sys::in_netns(netns, bind).unwrap().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let peer = stream.peer_addr().unwrap().ip();
            let _ = stream.write_all(plain(peer).to_string().as_bytes());
        }
    });
}

fn plain(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// Connects from a namespace; the client's address as the server sees it, None when there is no connection.
pub fn tcp(from: &OwnedFd, to: impl Into<SocketAddr>) -> Option<IpAddr> {
    tcp_within(from, to, PATIENCE)
}

/// The same where no connection is expected.
pub fn no_tcp(from: &OwnedFd, to: impl Into<SocketAddr>) -> bool {
    tcp_within(from, to, IMPATIENCE).is_none()
}

fn tcp_within(from: &OwnedFd, to: impl Into<SocketAddr>, patience: Duration) -> Option<IpAddr> {
    let to = to.into();
    sys::in_netns(from, || {
        let mut stream = TcpStream::connect_timeout(&to, patience).ok()?;
        stream.set_read_timeout(Some(patience)).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        text.parse().ok()
    })
    .unwrap()
}

/// Sends a datagram from a namespace and waits for the answer.
pub fn udp(from: &OwnedFd, to: impl Into<SocketAddr>) -> Option<IpAddr> {
    udp_within(from, to, PATIENCE)
}

pub fn no_udp(from: &OwnedFd, to: impl Into<SocketAddr>) -> bool {
    udp_within(from, to, IMPATIENCE).is_none()
}

fn udp_within(from: &OwnedFd, to: impl Into<SocketAddr>, patience: Duration) -> Option<IpAddr> {
    let to = to.into();
    sys::in_netns(from, || {
        let any: SocketAddr = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }.parse().unwrap();
        let socket = UdpSocket::bind(any).unwrap();
        socket.connect(to).ok()?;
        socket.set_read_timeout(Some(patience)).unwrap();
        socket.send(b"hello").ok()?;
        let mut buffer = [0; 64];
        let length = socket.recv(&mut buffer).ok()?;
        std::str::from_utf8(&buffer[..length]).ok()?.parse().ok()
    })
    .unwrap()
}

pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub fn at(address: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(address, port)
}

/// A port published on every address.
pub fn port(host_port: u16, container_port: u16, proto: Proto) -> PortSpec {
    PortSpec { host_ip: None, host_ports: (host_port, host_port), container_port, proto }
}

/// The bound host port of the only (or first) binding.
pub fn bound(published: &Published) -> u16 {
    published.bindings[0].host_port
}

/// Plays the monitor for TCP ports: what arrives at the sockets goes on to the container, and the answer back.
pub fn serve_relays(published: Published) {
    let mut sockets: Vec<Option<OwnedFd>> = published.sockets.into_iter().map(Some).collect();
    for relay in published.relays.into_iter().filter(|relay| relay.proto == Proto::Tcp) {
        let listener = TcpListener::from(sockets[relay.socket].take().unwrap());
        listener.set_nonblocking(false).unwrap();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (Ok(mut client), Ok(mut server)) = (client, TcpStream::connect(relay.target)) else {
                    return;
                };
                let _ = std::io::copy(&mut server, &mut client);
            }
        });
    }
}

/// Waits until something holds.
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}
