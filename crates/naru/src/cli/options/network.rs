//! `--network`, short (`bridge`) and long (`name=net,alias=web,ip=10.0.0.5`), and the flags that belong to the first network.

use std::collections::BTreeMap;

use api::{EndpointIpamConfig, EndpointSettings, NetworkingConfig};

use super::csv;
use super::flags::ContainerFlags;

/// One `--network`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Attachment {
    pub target: String,
    pub settings: EndpointSettings,
}

/// One `--network`.
pub fn attachment(text: &str) -> Result<Attachment, String> {
    let mut attachment = Attachment::default();
    if !text.contains('=') {
        attachment.target = text.to_owned();
        return Ok(attachment);
    }
    for field in csv::fields(text)? {
        let wrong = || format!("invalid field {field}");
        let (key, value) = field.split_once('=').ok_or_else(wrong)?;
        let value = value.trim();
        let settings = &mut attachment.settings;
        match key.trim().to_lowercase().as_str() {
            "name" => attachment.target = value.to_owned(),
            "alias" => settings.aliases.get_or_insert_default().push(value.to_owned()),
            "ip" => ipam(settings).ipv4_address = value.to_owned(),
            "ip6" => ipam(settings).ipv6_address = value.to_owned(),
            "mac-address" => settings.mac_address = valid_mac(value)?,
            "link-local-ip" => ipam(settings).link_local_ips.get_or_insert_default().push(value.to_owned()),
            "driver-opt" => {
                let (name, value) =
                    value.split_once('=').ok_or("invalid key value pair format in driver options")?;
                settings.driver_opts.get_or_insert_default().insert(name.to_owned(), value.to_owned());
            }
            "gw-priority" => {
                settings.gw_priority = value.parse().map_err(|_| format!("invalid gw-priority ({value})"))?;
            }
            other => return Err(format!("invalid field key {other}")),
        }
    }
    if attachment.target.is_empty() {
        return Err("network name/id is not specified".to_owned());
    }
    Ok(attachment)
}

/// Six bytes in hexadecimal.
fn valid_mac(text: &str) -> Result<String, String> {
    let parts: Vec<&str> = text.split([':', '-']).collect();
    let good =
        parts.len() == 6 && parts.iter().all(|part| part.len() == 2 && u8::from_str_radix(part, 16).is_ok());
    if good { Ok(text.to_owned()) } else { Err(format!("{text} is not a valid mac address")) }
}

fn ipam(settings: &mut EndpointSettings) -> &mut EndpointIpamConfig {
    settings.ipam_config.get_or_insert_default()
}

/// Whether it is a network that somebody made.
pub fn is_user_defined(mode: &str) -> bool {
    !matches!(mode, "" | "default" | "bridge" | "host" | "none") && !mode.starts_with("container:")
}

/// The network mode, and the endpoints with settings of their own.
pub fn networks(flags: &ContainerFlags) -> Result<(String, Option<NetworkingConfig>), String> {
    let mut attachments = flags.network.clone();
    if attachments.is_empty() {
        attachments.push(Attachment { target: "default".to_owned(), ..Attachment::default() });
    }
    add_flags(&mut attachments[0], flags)?;
    let mode = attachments[0].target.clone();
    let user_defined = attachments.iter().filter(|attachment| is_user_defined(&attachment.target)).count();
    if user_defined > 0 && user_defined < attachments.len() {
        return Err(
            "conflicting options: cannot attach both user-defined and non-user-defined network-modes"
                .to_owned(),
        );
    }
    let mut endpoints = BTreeMap::new();
    for Attachment { target, settings } in attachments {
        if target.trim().is_empty() {
            return Err("no name set for network".to_owned());
        }
        if !is_user_defined(&target) && settings.aliases.is_some() {
            return Err("network-scoped aliases are only supported for user-defined networks".to_owned());
        }
        if endpoints.contains_key(&target) {
            return Err(format!("network \"{target}\" is specified multiple times"));
        }
        endpoints.insert(target, Some(settings));
    }
    // The mode says it all where nothing is set.
    endpoints
        .retain(|target, settings| is_user_defined(target) || *settings != Some(EndpointSettings::default()));
    let config = (!endpoints.is_empty()).then_some(NetworkingConfig { endpoints_config: Some(endpoints) });
    Ok((mode, config))
}

/// `--ip`, `--network-alias` and so on mean the first network.
fn add_flags(first: &mut Attachment, flags: &ContainerFlags) -> Result<(), String> {
    let conflict = |flag: &str, what: &str| {
        Err(format!("conflicting options: cannot specify both --{flag} and per-network {what}"))
    };
    let settings = &mut first.settings;
    if !flags.network_alias.is_empty() {
        if settings.aliases.is_some() {
            return conflict("network-alias", "alias");
        }
        settings.aliases = Some(flags.network_alias.clone());
    }
    let own = settings.ipam_config.clone().unwrap_or_default();
    if let Some(ip) = &flags.ip {
        if !own.ipv4_address.is_empty() {
            return conflict("ip", "IPv4 address");
        }
        ipam(settings).ipv4_address = ip.to_string();
    }
    if let Some(ip) = &flags.ip6 {
        if !own.ipv6_address.is_empty() {
            return conflict("ip6", "IPv6 address");
        }
        ipam(settings).ipv6_address = ip.to_string();
    }
    if !flags.link_local_ip.is_empty() {
        if own.link_local_ips.is_some() {
            return conflict("link-local-ip", "link-local IP addresses");
        }
        ipam(settings).link_local_ips = Some(flags.link_local_ip.iter().map(ToString::to_string).collect());
    }
    if let Some(mac) = &flags.mac_address {
        if !settings.mac_address.is_empty() {
            return conflict("mac-address", "MAC address");
        }
        settings.mac_address = valid_mac(mac)?;
    }
    // On the default bridge a link is the container's, elsewhere it is the endpoint's.
    if is_user_defined(&first.target) && !flags.link.is_empty() {
        settings.links = Some(flags.link.clone());
    }
    Ok(())
}
