//! Ports of a container in a list: neighbours that are published under their own number are joined to ranges.

use api::Port;

/// Ports that follow each other, with the same host address and protocol.
struct Range<'a> {
    ip: &'a str,
    protocol: &'a str,
    first: u16,
    last: u16,
}

/// `0.0.0.0:8080->80/tcp, 9000-9003/udp`
pub fn display(ports: &[Port]) -> String {
    let mut ports: Vec<&Port> = ports.iter().collect();
    ports.sort_by_key(|port| (port.private_port, &port.ip, port.public_port, &port.typ));
    let (mut closed, mut open, mut single): (Vec<String>, Vec<Range>, Vec<String>) = Default::default();
    for port in ports {
        if !port.ip.is_empty() && port.public_port != port.private_port {
            let host = socket(&port.ip, &port.public_port.to_string());
            single.push(format!("{host}->{}/{}", port.private_port, port.typ));
            continue;
        }
        let number = port.private_port;
        match open.iter_mut().find(|range| range.ip == port.ip && range.protocol == port.typ) {
            Some(range) if range.last.checked_add(1) == Some(number) => range.last = number,
            Some(range) => {
                closed.push(range.text());
                (range.first, range.last) = (number, number);
            }
            None => {
                open.push(Range { ip: &port.ip, protocol: &port.typ, first: number, last: number });
            }
        }
    }
    closed.extend(open.iter().map(Range::text));
    closed.extend(single);
    closed.join(", ")
}

impl Range<'_> {
    fn text(&self) -> String {
        let ports = match self.first == self.last {
            true => self.first.to_string(),
            false => format!("{}-{}", self.first, self.last),
        };
        match self.ip {
            "" => format!("{ports}/{}", self.protocol),
            ip => format!("{}->{ports}/{}", socket(ip, &ports), self.protocol),
        }
    }
}

/// Address and port; IPv6 in brackets.
pub fn socket(ip: &str, port: &str) -> String {
    if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(ip: &str, private_port: u16, public_port: u16, typ: &str) -> Port {
        Port { ip: ip.to_owned(), private_port, public_port, typ: typ.to_owned() }
    }

    #[test]
    fn neighbours_are_joined() {
        for (ports, text) in [
            (vec![], ""),
            (vec![port("", 80, 0, "tcp")], "80/tcp"),
            (
                vec![port("", 81, 0, "tcp"), port("", 80, 0, "tcp"), port("", 90, 0, "tcp")],
                "80-81/tcp, 90/tcp",
            ),
            (
                vec![port("::", 80, 8080, "tcp"), port("0.0.0.0", 80, 8080, "tcp")],
                "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp",
            ),
            (
                vec![
                    port("0.0.0.0", 80, 8080, "tcp"),
                    port("0.0.0.0", 9000, 9000, "udp"),
                    port("0.0.0.0", 9001, 9001, "udp"),
                    port("::", 9000, 9000, "udp"),
                    port("::", 9001, 9001, "udp"),
                ],
                "0.0.0.0:9000-9001->9000-9001/udp, [::]:9000-9001->9000-9001/udp, 0.0.0.0:8080->80/tcp",
            ),
        ] {
            assert_eq!(display(&ports), text);
        }
    }
}
