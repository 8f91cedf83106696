//! `port`: the published ports of a container.

use api::{ContainerInspectResponse, PortBinding, PortMap};
use client::Method;

use super::super::{Context, Failure, Outcome, output, path};
use crate::format::{natural, ports::socket};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[arg(required = true)]
    container: String,
    port: Option<String>,
}

/// Lists all, or the addresses of one.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let request = context.client()?.request(Method::GET, path::container(&args.container, "/json")?);
    let container: ContainerInspectResponse = request.json().await?;
    let ports = container.network_settings.and_then(|settings| settings.ports).unwrap_or_default();
    let text = match args.port.as_deref().filter(|port| !port.is_empty()) {
        Some(port) => one(&ports, port, &args.container)?,
        None => all(&ports),
    };
    output::print(&text)?;
    Ok(0)
}

fn address(binding: &PortBinding) -> String {
    socket(&binding.host_ip, &binding.host_port)
}

fn all(ports: &PortMap) -> String {
    let bindings = ports.iter().flat_map(|(port, bindings)| {
        bindings.iter().flatten().map(move |binding| format!("{port} -> {}\n", address(binding)))
    });
    let mut lines: Vec<String> = bindings.collect();
    lines.sort_by(|a, b| natural(a, b));
    lines.concat()
}

fn one(ports: &PortMap, wanted: &str, container: &str) -> Result<String, Failure> {
    let (number, protocol) = wanted.split_once('/').unwrap_or((wanted, "tcp"));
    let wrong = |reason: &str| {
        Failure::new(
            1,
            format!("Error: invalid port ({number}): strconv.ParseUint: parsing \"{number}\": {reason}"),
        )
    };
    match number.parse::<u16>() {
        Ok(_) => (),
        Err(error) if *error.kind() == std::num::IntErrorKind::PosOverflow => {
            return Err(wrong("value out of range"));
        }
        Err(_) => return Err(wrong("invalid syntax")),
    }
    match ports.get(&format!("{number}/{protocol}")) {
        Some(Some(bindings)) if !bindings.is_empty() => {
            let mut lines: Vec<String> =
                bindings.iter().map(|binding| format!("{}\n", address(binding))).collect();
            lines.sort_by(|a, b| natural(a, b));
            Ok(lines.concat())
        }
        _ => Err(Failure::new(1, format!("Error: No public port '{wanted}' published for {container}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_listed_and_found() {
        let ports: PortMap = serde_json::from_str(
            r#"{"9000/udp":[{"HostIp":"0.0.0.0","HostPort":"9000"}],"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"8080"},{"HostIp":"::","HostPort":"8080"}],"53/udp":null}"#,
        )
        .unwrap();
        assert_eq!(all(&ports), "80/tcp -> 0.0.0.0:8080\n80/tcp -> [::]:8080\n9000/udp -> 0.0.0.0:9000\n");
        let find = |port: &str| one(&ports, port, "web").map_err(|failure| failure.to_string());
        assert_eq!(find("80").as_deref(), Ok("0.0.0.0:8080\n[::]:8080\n"));
        assert_eq!(find("9000/udp").as_deref(), Ok("0.0.0.0:9000\n"));
        assert_eq!(find("53/udp"), Err("Error: No public port '53/udp' published for web".to_owned()));
        assert_eq!(
            find("x"),
            Err("Error: invalid port (x): strconv.ParseUint: parsing \"x\": invalid syntax".to_owned())
        );
    }
}
