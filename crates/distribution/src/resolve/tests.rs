//! The resolver against files in a temporary folder and a DNS server of the test's own on loopback.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket};

use super::*;

#[test]
fn hosts_file() {
    let text = "127.0.0.1 localhost\n# 1.1.1.1 commented\n10.0.0.7\tRegistry.Example  reg # tail\nfe80::1%eth0 reg\nbroken reg\n";
    let check = |host: &str, want: &[&str]| {
        let want: Vec<IpAddr> = want.iter().map(|ip| ip.parse().unwrap()).collect();
        assert_eq!(files::hosts_lookup(text, host), want, "{host}");
    };
    check("registry.example", &["10.0.0.7"]);
    check("reg", &["10.0.0.7", "fe80::1"]);
    check("commented", &[]);
}

#[test]
fn resolv_conf() {
    let conf = ResolvConf::parse(
        "nameserver 10.0.0.2\nnameserver fe80::1%eth0\nsearch corp.example. lab\noptions ndots:2 timeout:1 rotate attempts:9\n",
    );
    let servers: Vec<String> = conf.servers.iter().map(ToString::to_string).collect();
    assert_eq!(servers, ["10.0.0.2:53", "[fe80::1]:53"]);
    assert_eq!((conf.ndots, conf.timeout, conf.attempts), (2, Duration::from_secs(1), 5));
    assert_eq!(conf.candidates("a.b"), ["a.b.corp.example", "a.b.lab", "a.b"]);
    assert_eq!(conf.candidates("a.b.c"), ["a.b.c", "a.b.c.corp.example", "a.b.c.lab"]);
    assert_eq!(conf.candidates("a."), ["a"]);
    assert_eq!(ResolvConf::parse("").servers[0].to_string(), "127.0.0.1:53");
}

/// Serves `big.example` truncated over UDP and whole over TCP, `v6.example` with AAAA only, `broken.example` with SERVFAIL.
async fn dns_server() -> SocketAddr {
    let (udp, tcp, address) = one_port().await;
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        while let Ok((length, peer)) = udp.recv_from(&mut buffer).await {
            let mut wrong_id = answer(&buffer[..length], false);
            wrong_id[0] ^= 0xff;
            udp.send_to(&wrong_id, peer).await.unwrap();
            udp.send_to(&answer(&buffer[..length], false), peer).await.unwrap();
        }
    });
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = tcp.accept().await {
            let length = stream.read_u16().await.unwrap();
            let mut question = vec![0; length.into()];
            stream.read_exact(&mut question).await.unwrap();
            let answer = answer(&question, true);
            stream.write_u16(answer.len() as u16).await.unwrap();
            stream.write_all(&answer).await.unwrap();
        }
    });
    address
}

/// A port that is free for both protocols: another test may have either half of the first one.
async fn one_port() -> (UdpSocket, TcpListener, SocketAddr) {
    loop {
        let udp = UdpSocket::bind("127.0.0.1:0".parse::<SocketAddr>().unwrap()).await.unwrap();
        let address = udp.local_addr().unwrap();
        if let Ok(tcp) = TcpListener::bind(address).await {
            return (udp, tcp, address);
        }
    }
}

fn answer(question: &[u8], over_tcp: bool) -> Vec<u8> {
    let mut message = question.to_vec();
    message[2] |= 0x80;
    let kind = question[question.len() - 3];
    let asked = |name: &str| {
        let wire: String =
            name.split('.').map(|label| format!("{}{label}", label.len() as u8 as char)).collect();
        question[12..].starts_with(wire.as_bytes())
    };
    let mut record = |kind: u8, data: &[u8]| {
        message[7] += 1;
        message.extend_from_slice(&[0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 30, 0, data.len() as u8]);
        message.extend_from_slice(data);
    };
    match kind {
        _ if asked("broken.example") => message[3] |= 2,
        _ if asked("big.example") && !over_tcp => message[2] |= 2,
        1 if asked("big.example") => {
            record(5, &[0xc0, 12]);
            record(1, &[192, 0, 2, 1]);
            record(1, &[192, 0, 2, 2]);
        }
        28 if asked("v6.example") => record(28, &Ipv6Addr::LOCALHOST.octets()),
        _ if asked("big.example") || asked("v6.example") => {}
        _ => message[3] |= 3,
    }
    message
}

async fn check(name: &str, expected: Result<&[&str], &'static str>) {
    let server = dns_server().await;
    let mut conf = ResolvConf::parse("search sub.example\noptions timeout:1 attempts:1");
    conf.servers = vec![server];
    let got = ask(name, &conf).await.map(|answer| answer.addresses);
    match expected {
        Ok(want) => {
            let want: Vec<IpAddr> = want.iter().map(|ip| ip.parse().unwrap()).collect();
            assert_eq!(got.unwrap(), want);
        }
        Err(reason) => {
            assert_eq!(got.unwrap_err().to_string(), format!("lookup {name} on {server}: {reason}"))
        }
    }
}

#[tokio::test]
async fn truncated_answers_are_asked_for_again_over_tcp() {
    check("big.example", Ok(&["192.0.2.1", "192.0.2.2"])).await;
}

#[tokio::test]
async fn one_family_is_enough() {
    check("v6.example", Ok(&["::1"])).await;
}

#[tokio::test]
async fn failures_are_named_as_go_names_them() {
    check("nosuch.example", Err("no such host")).await;
    check("broken.example", Err("server misbehaving")).await;
    check(&"x".repeat(64), Err("no such host")).await;
}

#[tokio::test]
async fn a_silent_server_times_out() {
    let silent = UdpSocket::bind("127.0.0.1:0".parse::<SocketAddr>().unwrap()).await.unwrap();
    let mut conf = ResolvConf::parse("options attempts:1");
    conf.servers = vec![silent.local_addr().unwrap()];
    conf.timeout = Duration::from_millis(50);
    let failure = ask("a.example", &conf).await.err().unwrap();
    assert_eq!((failure.reason, failure.temporary), ("i/o timeout", true));
}

#[tokio::test]
async fn files_and_literals_need_no_server() {
    let folder = tempfile::tempdir().unwrap();
    let hosts = folder.path().join("hosts");
    std::fs::write(&hosts, "192.0.2.9 here\n").unwrap();
    let resolver = Resolver::new(Files { hosts, resolv_conf: folder.path().join("none") });
    let check = async |host: &str, want: &str| {
        assert_eq!(resolver.lookup(host).await.unwrap()[0].to_string(), want);
    };
    check("here", "192.0.2.9").await;
    check("HERE.", "192.0.2.9").await;
    check("localhost", "127.0.0.1").await;
    check("a.localhost", "127.0.0.1").await;
    check("::1", "::1").await;
}
