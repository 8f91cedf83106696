//! Which range, gateway and reserved addresses belong to which subnet: flags give them in any order.

use std::collections::BTreeMap;
use std::net::IpAddr;

use api::IpamConfig;

use super::super::Failure;

/// An address with a prefix length.
#[derive(Clone, Copy)]
struct Subnet {
    address: IpAddr,
    prefix: u32,
}

impl Subnet {
    fn parse(text: &str) -> Result<Self, Failure> {
        let wrong = || Failure::new(1, format!("invalid CIDR address: {text}"));
        let (address, prefix) = text.split_once('/').ok_or_else(wrong)?;
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let prefix: u32 = prefix.parse().map_err(|_| wrong())?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        if prefix <= bits { Ok(Self { address, prefix }) } else { Err(wrong()) }
    }

    fn contains(self, address: IpAddr) -> bool {
        let (ours, theirs, bits) = match (self.address, address) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => (u32::from(ours).into(), u32::from(theirs).into(), 32),
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => (u128::from(ours), u128::from(theirs), 128),
            _ => return false,
        };
        let host = bits - self.prefix;
        host >= 128 || ours >> host == theirs >> host
    }
}

fn address(text: &str) -> Result<IpAddr, Failure> {
    let plain = text.split('/').next().unwrap_or_default();
    plain.parse().map_err(|_| Failure::new(1, format!("invalid IP address: {text}")))
}

/// One entry for each subnet, with what belongs to it.
pub fn plan(
    subnets: &[String],
    ranges: &[String],
    gateways: &[String],
    auxiliary: &BTreeMap<String, String>,
) -> Result<Vec<IpamConfig>, Failure> {
    let fail = |text: String| Err(Failure::new(1, text));
    if subnets.len() < ranges.len() || subnets.len() < gateways.len() {
        return fail("every ip-range or gateway must have a corresponding subnet".to_owned());
    }
    let mut plan: Vec<IpamConfig> = Vec::new();
    for subnet in subnets {
        for other in &plan {
            let (a, b) = (Subnet::parse(subnet)?, Subnet::parse(&other.subnet)?);
            if a.contains(b.address) || b.contains(a.address) {
                return fail("multiple overlapping subnet configuration is not supported".to_owned());
            }
        }
        plan.push(IpamConfig { subnet: subnet.clone(), ..IpamConfig::default() });
    }
    for range in ranges {
        let Some(entry) = of(&mut plan, address(range)?)? else {
            return fail(format!("no matching subnet for range {range}"));
        };
        if !entry.ip_range.is_empty() {
            return fail(format!(
                "cannot configure multiple ranges ({range}, {}) on the same subnet ({})",
                entry.ip_range, entry.subnet
            ));
        }
        entry.ip_range.clone_from(range);
    }
    for gateway in gateways {
        let Some(entry) = of(&mut plan, address(gateway)?)? else {
            return fail(format!("no matching subnet for gateway {gateway}"));
        };
        if !entry.gateway.is_empty() {
            return fail(format!(
                "cannot configure multiple gateways ({gateway}, {}) for the same subnet ({})",
                entry.gateway, entry.subnet
            ));
        }
        entry.gateway.clone_from(gateway);
    }
    for (name, reserved) in auxiliary {
        let Some(entry) = of(&mut plan, address(reserved)?)? else {
            return fail(format!("no matching subnet for aux-address {reserved}"));
        };
        entry.auxiliary_addresses.get_or_insert_default().insert(name.clone(), reserved.clone());
    }
    Ok(plan)
}

/// The entry of the subnet that an address is in.
fn of(plan: &mut [IpamConfig], address: IpAddr) -> Result<Option<&mut IpamConfig>, Failure> {
    for entry in plan {
        if Subnet::parse(&entry.subnet)?.contains(address) {
            return Ok(Some(entry));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(
        subnets: &[&str],
        ranges: &[&str],
        gateways: &[&str],
        auxiliary: &[(&str, &str)],
    ) -> Result<String, String> {
        let own = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
        let auxiliary = auxiliary.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        plan(&own(subnets), &own(ranges), &own(gateways), &auxiliary)
            .map(|plan| serde_json::to_string(&plan).unwrap())
            .map_err(|failure| failure.to_string())
    }

    #[test]
    fn everything_finds_its_subnet() {
        assert_eq!(
            check(
                &["10.9.0.0/16", "fd00::/64"],
                &["10.9.1.0/24"],
                &["fd00::1", "10.9.0.1"],
                &[("a", "10.9.0.5")]
            )
            .unwrap(),
            r#"[{"Subnet":"10.9.0.0/16","IPRange":"10.9.1.0/24","Gateway":"10.9.0.1","AuxiliaryAddresses":{"a":"10.9.0.5"}},{"Subnet":"fd00::/64","Gateway":"fd00::1"}]"#
        );
        assert_eq!(check(&["x"], &[], &[], &[]).unwrap(), r#"[{"Subnet":"x"}]"#, "the engine tells");
    }

    #[test]
    fn what_has_no_place() {
        for (got, text) in [
            (check(&["10.10.0.0/16"], &[], &["10.11.0.1"], &[]), "no matching subnet for gateway 10.11.0.1"),
            (
                check(&[], &[], &["10.11.0.1"], &[]),
                "every ip-range or gateway must have a corresponding subnet",
            ),
            (
                check(&["10.9.0.0/16", "10.9.1.0/24"], &[], &[], &[]),
                "multiple overlapping subnet configuration is not supported",
            ),
            (check(&["10.9.0.0/16"], &["10.8.0.0/24"], &[], &[]), "no matching subnet for range 10.8.0.0/24"),
            (
                check(&["0.0.0.0/0", "::/0"], &["1.2.3.4/32", "1.2.3.5/32"], &[], &[]),
                "cannot configure multiple ranges (1.2.3.5/32, 1.2.3.4/32) on the same subnet (0.0.0.0/0)",
            ),
        ] {
            assert_eq!(got, Err(text.to_owned()));
        }
    }
}
