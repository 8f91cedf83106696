//! `network connect`: puts a container into a network.

use api::{EndpointIpamConfig, EndpointSettings, NetworkConnectRequest};
use client::Method;

use super::super::{Context, Failure, Outcome, path, values};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[arg(required = true)]
    network: String,
    #[arg(required = true)]
    container: String,
    /// Add network-scoped alias for the container
    #[arg(long)]
    alias: Vec<String>,
    /// driver options for the network
    #[arg(long)]
    driver_opt: Vec<String>,
    /// Highest gw-priority provides the default gateway. Accepts positive and negative values.
    #[arg(long, value_name = "int", default_value = "0", hide_default_value = true, value_parser = values::integer)]
    gw_priority: i64,
    /// IPv4 address (e.g., "172.30.100.104")
    #[arg(long)]
    ip: Option<String>,
    /// IPv6 address (e.g., "2001:db8::33")
    #[arg(long)]
    ip6: Option<String>,
    /// Add link to another container
    #[arg(long)]
    link: Vec<String>,
    /// Add a link-local address for the container
    #[arg(long)]
    link_local_ip: Vec<String>,
}

/// Connects.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let path = path::network(&args.network, "/connect")?;
    let body =
        NetworkConnectRequest { container: args.container.clone(), endpoint_config: Some(endpoint(args)?) };
    context.client()?.request(Method::POST, path).json_body(&body).empty().await?;
    Ok(0)
}

fn endpoint(args: Args) -> Result<EndpointSettings, Failure> {
    let wrong = args.driver_opt.iter().find(|option| !option.contains('='));
    if let Some(option) = wrong {
        return Err(Failure::new(1, format!("invalid key/value pair format in driver options: {option}")));
    }
    let some = |list: Vec<String>| (!list.is_empty()).then_some(list);
    Ok(EndpointSettings {
        ipam_config: Some(EndpointIpamConfig {
            ipv4_address: args.ip.unwrap_or_default(),
            ipv6_address: args.ip6.unwrap_or_default(),
            link_local_ips: some(args.link_local_ip),
        }),
        links: some(args.link),
        aliases: some(args.alias),
        driver_opts: Some(values::pairs(&args.driver_opt)).filter(|options| !options.is_empty()),
        gw_priority: args.gw_priority,
        ..EndpointSettings::default()
    })
}
