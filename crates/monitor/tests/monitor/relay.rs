//! Published ports that the monitor serves.

use std::io::{Read, Write};
use std::net::{Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};

use crate::world::*;
use monitor::protocol::*;

const FOREVER: &str = "while :; do sleep 0.05; done";

fn publish(
    world: &mut World,
    proto: RelayProto,
    socket: impl Into<std::os::fd::OwnedFd>,
    target: SocketAddr,
) {
    let number = world.start.relays.len();
    world.give(FdRole::Port(number), socket);
    world.start.relays.push(Relay { proto, socket: number, target });
}

pub fn tcp_goes_both_ways_and_ends_one_way_at_a_time() {
    let target = TcpListener::bind("127.0.0.1:0").unwrap();
    let published = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).unwrap();
    let address = published.local_addr().unwrap();
    let mut world = World::new(FOREVER);
    publish(&mut world, RelayProto::Tcp, published, target.local_addr().unwrap());
    let link = world.start();
    let mut client = TcpStream::connect(address).unwrap();
    let (mut server, _) = target.accept().unwrap();
    for stream in [&client, &server] {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
    }
    let request: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
    let sender = {
        let (request, mut client) = (request.clone(), client.try_clone().unwrap());
        std::thread::spawn(move || {
            client.write_all(&request).unwrap();
            client.shutdown(Shutdown::Write).unwrap();
        })
    };
    let mut received = Vec::new();
    server.read_to_end(&mut received).unwrap();
    sender.join().unwrap();
    assert!(received == request);
    server.write_all(b"answer after the end of the question").unwrap();
    drop(server);
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "answer after the end of the question");
    // Nobody listens behind the relay: the connection is closed, not left hanging.
    drop(target);
    let mut client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(matches!(client.read(&mut [0; 1]), Ok(0) | Err(_)));
    end(link, &mut world);
}

pub fn tcp_of_slow_readers_is_not_mixed_up() {
    const COUNT: u8 = 4;
    let target = TcpListener::bind("127.0.0.1:0").unwrap();
    let published = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = published.local_addr().unwrap();
    let mut world = World::new(FOREVER);
    publish(&mut world, RelayProto::Tcp, published, target.local_addr().unwrap());
    let link = world.start();
    let answer = |number: u8| vec![number; 12_000_000];
    let pairs: Vec<_> = (0..COUNT)
        .map(|number| {
            let client = TcpStream::connect(address).unwrap();
            let (mut server, _) = target.accept().unwrap();
            client.set_read_timeout(Some(PATIENCE)).unwrap();
            // More than the buffers on the way hold: it ends when the client reads.
            (client, std::thread::spawn(move || server.write_all(&answer(number)).unwrap()))
        })
        .collect();
    // The last is read first, while what the others sent lies in the relay.
    for (number, (mut client, server)) in (0..COUNT).zip(pairs).rev() {
        let mut received = Vec::new();
        client.read_to_end(&mut received).unwrap();
        server.join().unwrap();
        assert!(received == answer(number), "{number}: {} bytes", received.len());
    }
    end(link, &mut world);
}

pub fn udp_finds_its_way_back() {
    let target = UdpSocket::bind("127.0.0.1:0").unwrap();
    let published = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = published.local_addr().unwrap();
    let mut world = World::new(FOREVER);
    publish(&mut world, RelayProto::Udp, published, target.local_addr().unwrap());
    let link = world.start();
    target.set_read_timeout(Some(PATIENCE)).unwrap();
    let clients = [(), ()].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
    let mut buffer = vec![0; 65_536];
    for (number, size) in [(0, 1), (1, 2), (0, 60_000)] {
        let client = &clients[number];
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.send_to(&vec![number as u8; size], address).unwrap();
        let (count, from) = target.recv_from(&mut buffer).unwrap();
        assert_eq!((count, buffer[0]), (size, number as u8));
        target.send_to(&buffer[..count], from).unwrap();
        let (count, from) = client.recv_from(&mut buffer).unwrap();
        assert_eq!((count, buffer[0], from), (size, number as u8, address));
    }
    end(link, &mut world);
}

pub fn relays_follow_the_container_to_another_address() {
    let targets = [(), ()].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let datagrams = [(), ()].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
    let (tcp, udp) = (TcpListener::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    let (tcp_at, udp_at) = (tcp.local_addr().unwrap(), udp.local_addr().unwrap());
    let mut world = World::new(FOREVER);
    publish(&mut world, RelayProto::Tcp, tcp, targets[0].local_addr().unwrap());
    publish(&mut world, RelayProto::Udp, udp, datagrams[0].local_addr().unwrap());
    let mut link = world.start();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    for number in 0..2 {
        let mut stream = TcpStream::connect(tcp_at).unwrap();
        let (mut server, _) = targets[number].accept().unwrap();
        server.write_all(b"hi").unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.read_exact(&mut [0; 2]).unwrap();
        client.send_to(b"hi", udp_at).unwrap();
        datagrams[number].set_read_timeout(Some(PATIENCE)).unwrap();
        datagrams[number].recv_from(&mut [0; 2]).unwrap();
        if number == 0 {
            let pair = |from: SocketAddr, to: SocketAddr| (from, to);
            link.order(Body::Redirect(vec![
                pair(targets[0].local_addr().unwrap(), targets[1].local_addr().unwrap()),
                pair(datagrams[0].local_addr().unwrap(), datagrams[1].local_addr().unwrap()),
            ]));
        }
    }
    end(link, &mut world);
}

pub fn a_port_is_held_and_given_back() {
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = held.local_addr().unwrap();
    let mut world = World::new(FOREVER);
    world.give(FdRole::Port(0), held);
    let mut link = world.start();
    assert!(TcpListener::bind(address).is_err());
    link.order(Body::Signal { signal: 9 });
    assert_eq!(link.exited(), (137, None));
    assert!(TcpListener::bind(address).is_ok());
    link.order(Body::Shutdown);
    assert_eq!(world.gone(), Some(0));
}
