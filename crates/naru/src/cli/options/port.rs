//! `-p` and `--expose`: `[ip:][host[-host]:]container[-container][/protocol]`, or `published=8080,target=80,protocol=tcp`.

use std::net::IpAddr;

use api::PortBinding;

/// One container port of a published or exposed range.
#[derive(Debug, Clone, PartialEq)]
pub struct Published {
    /// `80/tcp`.
    pub container: String,
    pub host: PortBinding,
}

/// One `-p`.
pub fn publish(text: &str) -> Result<Vec<Published>, String> {
    let short = if text.contains('=') { from_long_form(text)? } else { text.to_owned() };
    parse(&short)
}

/// One `--expose`: the container's ports.
pub fn expose(text: &str) -> Result<Vec<String>, String> {
    if text.contains(':') {
        return Err(format!("invalid port format for --expose: {text}"));
    }
    let (ports, protocol) = split_protocol(text)?;
    let (first, last) = range(ports).ok_or_else(|| format!("invalid range format for --expose: {text}"))?;
    Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect())
}

fn from_long_form(text: &str) -> Result<String, String> {
    let (mut published, mut target, mut protocol) = ("", "", "tcp");
    for field in text.split(',') {
        match field.split_once('=') {
            Some(("published", value)) => published = value,
            Some(("target", value)) => target = value,
            Some(("protocol", value)) => protocol = value,
            Some(("mode", _)) => {}
            _ => return Err(format!("invalid publish opts format (should be name=value but got '{field}')")),
        }
    }
    Ok(match published {
        "" => format!("{target}/{protocol}"),
        _ => format!("{published}:{target}/{protocol}"),
    })
}

fn parse(text: &str) -> Result<Vec<Published>, String> {
    let (address, protocol) = split_protocol(text)?;
    let (rest, container) =
        address.rsplit_once(':').map_or((None, address), |(rest, port)| (Some(rest), port));
    let (ip, host) = match rest {
        None => ("", ""),
        Some(rest) => {
            rest.rsplit_once(':').filter(|_| !rest.ends_with(']')).unwrap_or(match rest.ends_with(']') {
                true => (rest, ""),
                false => ("", rest),
            })
        }
    };
    let ip = match ip {
        "" => "",
        bracketed => bracketed.strip_prefix('[').and_then(|ip| ip.strip_suffix(']')).unwrap_or(bracketed),
    };
    if !ip.is_empty() && ip.parse::<IpAddr>().is_err() {
        return Err(format!("invalid IP address: {ip}"));
    }
    if container.is_empty() {
        return Err(format!("no port specified: {text}<empty>"));
    }
    let (first, last) = range(container).ok_or_else(|| format!("invalid containerPort: {container}"))?;
    let host_range = match host {
        "" => None,
        host => Some(range(host).ok_or_else(|| format!("invalid hostPort: {host}"))?),
    };
    let count = |(first, last): (u16, u16)| last - first;
    let host_port = |index: u16| match host_range {
        None => Ok(String::new()),
        Some(range) if count(range) == count((first, last)) => Ok((range.0 + index).to_string()),
        // Any port of the range will do.
        Some((from, to)) if first == last => Ok(format!("{from}-{to}")),
        Some(_) => {
            Err(format!("invalid ranges specified for container and host Ports: {container} and {host}"))
        }
    };
    (first..=last)
        .zip(0..)
        .map(|(port, index)| {
            let host = PortBinding { host_ip: ip.to_owned(), host_port: host_port(index)? };
            Ok(Published { container: format!("{port}/{protocol}"), host })
        })
        .collect()
}

fn split_protocol(text: &str) -> Result<(&str, String), String> {
    let (ports, protocol) = text.rsplit_once('/').unwrap_or((text, "tcp"));
    let lower = protocol.to_lowercase();
    match lower.as_str() {
        "tcp" | "udp" | "sctp" => Ok((ports, lower)),
        _ => Err(format!("invalid proto: {protocol}")),
    }
}

fn range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last).then_some((first, last))
}
