//! Limits as properties of a unit (systemd.resource-control(5), org.freedesktop.systemd1(5)), so that systemd knows them and does not
//! take them back. What it has no property for is only in the cgroup's files.

use super::wire::{Property, Value};
use crate::{Resources, v2};

/// No limit.
const INFINITY: u64 = u64::MAX;
/// The kernel's default of `cpu.cfs_period_us`.
const PERIOD: u64 = 100_000;

/// The properties of the limits that are given, for a host with cgroup v2 or v1.
pub fn of(resources: &Resources, is_v2: bool) -> Vec<Property> {
    let mut all = Vec::new();
    let mut add = |name, value: Option<Value>| all.extend(value.map(|value| (name, value)));
    let number = |number: Option<i64>| {
        number
            .filter(|number| *number != 0)
            .map(|number| Value::Number(number.try_into().unwrap_or(INFINITY)))
    };
    let (memory, cpu) = (&resources.memory, &resources.cpu);
    add(if is_v2 { "MemoryMax" } else { "MemoryLimit" }, number(memory.limit));
    add("TasksMax", number(resources.pids));
    let (quota, period) = (cpu.quota.filter(|quota| *quota != 0), cpu.period.filter(|period| *period != 0));
    if let Some(quota) = quota {
        add("CPUQuotaPerSecUSec", Some(Value::Number(per_second(quota, period.unwrap_or(PERIOD)))));
        add("CPUQuotaPeriodUSec", period.map(Value::Number));
    }
    let shares = cpu.shares.filter(|shares| *shares != 0);
    if !is_v2 {
        add("CPUShares", shares.map(Value::Number));
        let weight = resources.io.weight.filter(|weight| *weight != 0);
        add("BlockIOWeight", weight.map(|weight| Value::Number(weight.into())));
        return all;
    }
    add("MemoryLow", number(memory.reservation));
    if let Ok(swap) = v2::swap_alone(memory.limit, memory.swap.filter(|swap| *swap != 0)) {
        add("MemorySwapMax", swap.map(|swap| Value::Number(swap.try_into().unwrap_or(INFINITY))));
    }
    add("CPUWeight", shares.and_then(v2::weight_of_shares).map(Value::Number));
    let weight = resources.io.weight.filter(|weight| *weight != 0);
    add("IOWeight", weight.map(|weight| Value::Number(v2::io_weight(weight))));
    add("AllowedCPUs", cpu.cpus.as_deref().and_then(mask).map(Value::Bytes));
    add("AllowedMemoryNodes", cpu.mems.as_deref().and_then(mask).map(Value::Bytes));
    all
}

/// Microseconds in a second. systemd counts in whole percents, so what is in between is rounded up: the exact quota is in the
/// cgroup's file.
fn per_second(quota: i64, period: u64) -> u64 {
    match u64::try_from(quota) {
        Ok(quota) => (quota.saturating_mul(1_000_000) / period).next_multiple_of(10_000),
        Err(_) => INFINITY,
    }
}

/// "0-2,7" as bits, the lowest byte first.
fn mask(list: &str) -> Option<Vec<u8>> {
    let mut bits = Vec::new();
    for part in list.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        if last >= 1 << 16 {
            return None;
        }
        for bit in first..=last {
            if bits.len() <= bit / 8 {
                bits.resize(bit / 8 + 1, 0);
            }
            bits[bit / 8] |= 1 << (bit % 8);
        }
    }
    Some(bits).filter(|bits| !bits.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cpu, Memory};

    #[test]
    fn limits_as_properties() {
        let resources = Resources {
            memory: Memory { limit: Some(64), swap: Some(96), reservation: Some(32), ..Memory::default() },
            cpu: Cpu {
                shares: Some(1024),
                quota: Some(50_001),
                period: Some(100_000),
                cpus: Some("0-2,9".into()),
                ..Cpu::default()
            },
            pids: Some(-1),
            ..Resources::default()
        };
        assert_eq!(
            of(&resources, true),
            [
                ("MemoryMax", Value::Number(64)),
                ("TasksMax", Value::Number(u64::MAX)),
                ("CPUQuotaPerSecUSec", Value::Number(510_000)),
                ("CPUQuotaPeriodUSec", Value::Number(100_000)),
                ("MemoryLow", Value::Number(32)),
                ("MemorySwapMax", Value::Number(32)),
                ("CPUWeight", Value::Number(100)),
                ("AllowedCPUs", Value::Bytes(vec![7, 2])),
            ]
        );
        let names: Vec<_> = of(&resources, false).into_iter().map(|(name, _)| name).collect();
        assert_eq!(
            names,
            ["MemoryLimit", "TasksMax", "CPUQuotaPerSecUSec", "CPUQuotaPeriodUSec", "CPUShares"]
        );
        assert_eq!(of(&Resources::default(), true), []);
        assert_eq!(per_second(-1, 100_000), u64::MAX);
        assert_eq!([mask(""), mask("x"), mask("3-1"), mask("99999999")], [None, None, None, None]);
    }
}
