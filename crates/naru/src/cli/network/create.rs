//! `network create`: makes a network.

use api::{ConfigReference, Ipam, NetworkCreateRequest, NetworkCreateResponse};
use client::Method;

use super::super::{Context, Outcome, output, values};
use super::subnets;

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[arg(required = true)]
    name: String,
    /// Enable manual container attachment
    #[arg(long)]
    attachable: bool,
    /// Auxiliary IPv4 or IPv6 addresses used by Network driver (default map[])
    #[arg(long)]
    aux_address: Vec<String>,
    /// The network from which to copy the configuration
    #[arg(long)]
    config_from: Option<String>,
    /// Create a configuration only network
    #[arg(long)]
    config_only: bool,
    /// Driver to manage the Network (default "bridge")
    #[arg(short, long, default_value = "bridge")]
    driver: String,
    /// IPv4 or IPv6 Gateway for the master subnet
    #[arg(long, value_delimiter = ',')]
    gateway: Vec<String>,
    /// Create swarm routing-mesh network
    #[arg(long)]
    ingress: bool,
    /// Restrict external access to the network
    #[arg(long)]
    internal: bool,
    /// Allocate container ip from a sub-range
    #[arg(long, value_delimiter = ',')]
    ip_range: Vec<String>,
    /// IP Address Management Driver (default "default")
    #[arg(long, default_value = "default")]
    ipam_driver: String,
    /// Set IPAM driver specific options (default map[])
    #[arg(long)]
    ipam_opt: Vec<String>,
    /// Enable or disable IPv4 address assignment (default true)
    #[arg(long, num_args = 0..=1, value_parser = values::boolean)]
    ipv4: Option<bool>,
    /// Enable or disable IPv6 address assignment
    #[arg(long, num_args = 0..=1, value_parser = values::boolean)]
    ipv6: Option<bool>,
    /// Set metadata on a network
    #[arg(long)]
    label: Vec<String>,
    /// Set driver specific options (default map[])
    #[arg(short, long)]
    opt: Vec<String>,
    /// Control the network's scope
    #[arg(long)]
    scope: Option<String>,
    /// Subnet in CIDR format that represents a network segment
    #[arg(long, value_delimiter = ',')]
    subnet: Vec<String>,
}

/// Makes it, and prints its id.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let auxiliary = values::pairs(&args.aux_address);
    let config = subnets::plan(&args.subnet, &args.ip_range, &args.gateway, &auxiliary)?;
    let body = NetworkCreateRequest {
        name: args.name,
        driver: args.driver,
        scope: args.scope.unwrap_or_default(),
        enable_ipv4: args.ipv4,
        enable_ipv6: args.ipv6,
        ipam: Some(Ipam {
            driver: args.ipam_driver,
            options: Some(values::pairs(&args.ipam_opt)),
            config: Some(config),
        }),
        internal: args.internal,
        attachable: args.attachable,
        ingress: args.ingress,
        config_only: args.config_only,
        config_from: args
            .config_from
            .filter(|network| !network.is_empty())
            .map(|network| ConfigReference { network }),
        options: Some(values::pairs(&args.opt)),
        labels: Some(values::pairs(&args.label)),
        // Engines before API 1.44 make a second one of the same name otherwise.
        check_duplicate: Some(true),
    };
    let request = context.client()?.request(Method::POST, "/networks/create").json_body(&body);
    let network: NetworkCreateResponse = request.json().await?;
    if !network.warning.is_empty() {
        output::warn(&format!("WARNING: {}", network.warning));
    }
    output::line(&network.id)?;
    Ok(0)
}
