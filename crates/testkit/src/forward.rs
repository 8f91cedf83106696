//! A forward proxy, as `HTTPS_PROXY` names one: CONNECT, absolute URLs, SOCKS5. Whatever host it is asked for is on this machine,
//! so that tests can use names that nobody resolves.

use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};

use crate::http::{Server, answer, read_body, read_head};

/// The proxy; stops when dropped.
pub struct Forward {
    server: Server,
    state: Arc<State>,
}

struct State {
    /// `Basic …`, demanded when set.
    authorization: Option<String>,
    seen: Mutex<Vec<String>>,
}

impl Forward {
    /// One for everybody.
    pub fn start() -> Self {
        Self::with(None)
    }

    /// One that wants this `Proxy-Authorization`.
    pub fn with_authorization(value: &str) -> Self {
        Self::with(Some(value.to_owned()))
    }

    fn with(authorization: Option<String>) -> Self {
        let state = Arc::new(State { authorization, seen: Mutex::default() });
        let shared = state.clone();
        Forward { server: Server::start(move |stream| shared.serve(stream)), state }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// `CONNECT host:port`, `GET http://host:port/…` or `SOCKS host:port`, in order.
    pub fn seen(&self) -> Vec<String> {
        self.state.seen.lock().expect("no server thread panicked").clone()
    }
}

impl State {
    fn note(&self, line: String) {
        self.seen.lock().expect("no server thread panicked").push(line);
    }

    fn serve(&self, mut client: TcpStream) -> io::Result<()> {
        let mut first = [0];
        client.peek(&mut first)?;
        if first == [5] {
            return self.socks(client);
        }
        let mut reader = BufReader::new(client.try_clone()?);
        let Some((line, headers)) = read_head(&mut reader)? else { return Ok(()) };
        let mut words = line.split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        self.note(format!("{method} {target}"));
        let given = headers.iter().find(|(name, _)| name == "proxy-authorization").map(|(_, value)| value);
        if self.authorization.is_some() && given != self.authorization.as_ref() {
            return answer(&mut client, 407, &[("proxy-authenticate", "Basic")], b"");
        }
        if method == "CONNECT" {
            let upstream = TcpStream::connect(local(target)?)?;
            client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
            return splice(client, upstream);
        }
        let Some((host, path)) = target.strip_prefix("http://").and_then(|rest| rest.split_once('/')) else {
            return answer(&mut client, 400, &[], b"not a URL");
        };
        let body = read_body(&mut reader, &headers)?;
        let mut upstream = TcpStream::connect(local(host)?)?;
        let mut head = format!("{method} /{path} HTTP/1.1\r\nconnection: close\r\n");
        for (name, value) in
            headers.iter().filter(|(name, _)| name != "connection" && name != "proxy-authorization")
        {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        upstream.write_all(format!("{head}\r\n").as_bytes())?;
        upstream.write_all(&body)?;
        // The answer ends with the connection, and ours with it.
        io::copy(&mut upstream, &mut client)?;
        Ok(())
    }

    /// RFC 1928, without authentication, to a name or an IPv4 address.
    fn socks(&self, mut client: TcpStream) -> io::Result<()> {
        let mut head = [0; 2];
        client.read_exact(&mut head)?;
        client.read_exact(&mut vec![0; usize::from(head[1])])?;
        client.write_all(&[5, 0])?;
        let mut request = [0; 4];
        client.read_exact(&mut request)?;
        let host = match request[3] {
            3 => {
                let mut length = [0];
                client.read_exact(&mut length)?;
                let mut name = vec![0; usize::from(length[0])];
                client.read_exact(&mut name)?;
                String::from_utf8_lossy(&name).into_owned()
            }
            _ => {
                let mut address = [0; 4];
                client.read_exact(&mut address)?;
                std::net::Ipv4Addr::from(address).to_string()
            }
        };
        let mut port = [0; 2];
        client.read_exact(&mut port)?;
        let target = format!("{host}:{}", u16::from_be_bytes(port));
        self.note(format!("SOCKS {target}"));
        let upstream = TcpStream::connect(local(&target)?)?;
        client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])?;
        splice(client, upstream)
    }
}

/// The port of `host:port`, here.
fn local(target: &str) -> io::Result<SocketAddr> {
    let port = target.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    let port: u16 = port.ok_or_else(|| io::Error::other("no port"))?;
    Ok(SocketAddr::from(([127, 0, 0, 1], port)))
}

fn splice(client: TcpStream, upstream: TcpStream) -> io::Result<()> {
    let (mut from, mut to) = (client.try_clone()?, upstream.try_clone()?);
    let up = std::thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Write);
    });
    let (mut from, mut to) = (upstream, client);
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(std::net::Shutdown::Both);
    let _ = up.join();
    Ok(())
}
