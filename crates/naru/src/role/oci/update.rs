//! `update`: changes the limits of a container, by a file as `config.json`'s `linux.resources` or by flags.

use std::io::Read;

use runtime::bundle::Status;

use super::Globals;
use super::arguments::{Flag, Order, Parsed, parse};
use super::failure::{Failure, Result};

const FLAGS: &[Flag] = &[
    Flag::value("resources", Some('r')),
    Flag::value("blkio-weight", None),
    Flag::value("cpu-period", None),
    Flag::value("cpu-quota", None),
    Flag::value("cpu-burst", None),
    Flag::value("cpu-share", None),
    Flag::value("cpu-rt-period", None),
    Flag::value("cpu-rt-runtime", None),
    Flag::value("cpu-idle", None),
    Flag::value("cpuset-cpus", None),
    Flag::value("cpuset-mems", None),
    // Obsolete: the kernel has no such limit any more.
    Flag::value("kernel-memory", None),
    Flag::value("kernel-memory-tcp", None),
    Flag::value("memory", None),
    Flag::value("memory-reservation", None),
    Flag::value("memory-swap", None),
    Flag::value("pids-limit", None),
    Flag::value("l3-cache-schema", None),
    Flag::value("mem-bw-schema", None),
];

/// The verb.
pub fn run(globals: &Globals, words: &[String]) -> Result<i32> {
    let flags = parse(words, FLAGS, Order::Any)?;
    let container = globals.store.open(flags.id("update")?)?;
    if container.status() == Status::Stopped {
        return Err(Failure::usage("container not running"));
    }
    if flags.value("l3-cache-schema").or(flags.value("mem-bw-schema")).is_some() {
        return Err(Failure::usage("Intel RDT is not supported"));
    }
    let resources = match flags.value("resources") {
        Some(path) => from_file(path)?,
        None => from_flags(&flags)?,
    };
    container.group()?.apply(&resources).map_err(runtime::bundle::Error::from)?;
    Ok(0)
}

fn from_file(path: &str) -> Result<cgroup::Resources> {
    let mut text = Vec::new();
    match path {
        "-" => std::io::stdin().read_to_end(&mut text).map(drop),
        path => std::fs::read(path).map(|read| text = read),
    }
    .map_err(Failure::io(format!("read {path}")))?;
    let mut resources = runtime::bundle::resources_plan(&text, path)?;
    // As with runc: what a container may do with devices is settled when it is created.
    resources.devices.clear();
    Ok(resources)
}

fn from_flags(flags: &Parsed) -> Result<cgroup::Resources> {
    let text = |name: &str| flags.value(name).filter(|list| !list.is_empty()).map(str::to_owned);
    let bytes = |name: &str| -> Result<Option<i64>> {
        let Some(text) = flags.value(name) else { return Ok(None) };
        bytes(text).map(Some).ok_or_else(|| Failure::usage(format!("invalid value for {name}: {text:?}")))
    };
    Ok(cgroup::Resources {
        cpu: cgroup::Cpu {
            shares: flags.number("cpu-share")?,
            quota: flags.number("cpu-quota")?,
            period: flags.number("cpu-period")?,
            burst: flags.number("cpu-burst")?,
            idle: flags.number("cpu-idle")?,
            realtime_runtime: flags.number("cpu-rt-runtime")?,
            realtime_period: flags.number("cpu-rt-period")?,
            cpus: text("cpuset-cpus"),
            mems: text("cpuset-mems"),
        },
        memory: cgroup::Memory {
            limit: bytes("memory")?,
            swap: bytes("memory-swap")?,
            reservation: bytes("memory-reservation")?,
            kernel_tcp: bytes("kernel-memory-tcp")?,
            ..cgroup::Memory::default()
        },
        io: cgroup::Io { weight: flags.number("blkio-weight")?, ..cgroup::Io::default() },
        pids: flags.number("pids-limit")?,
        ..cgroup::Resources::default()
    })
}

/// "-1", "1048576", "64m", "1.5GiB".
fn bytes(text: &str) -> Option<i64> {
    if text == "-1" {
        return Some(-1);
    }
    let digits = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
    let number: f64 = text[..digits].parse().ok()?;
    let unit = text[digits..].trim().to_ascii_lowercase();
    let unit = unit.strip_suffix("ib").or(unit.strip_suffix('b')).unwrap_or(&unit);
    let power = match unit {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        "p" => 50,
        _ => return None,
    };
    let value = number * (1_i64 << power) as f64;
    (value < i64::MAX as f64).then_some(value as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_of_go_units() {
        assert_eq!(bytes("-1"), Some(-1));
        assert_eq!(bytes("1024"), Some(1024));
        assert_eq!(bytes("64m"), Some(64 << 20));
        assert_eq!(bytes("1.5GiB"), Some(3 << 29));
        assert_eq!(bytes("2kb"), Some(2048));
        for bad in ["", "m", "-2", "1x", "99999999p"] {
            assert_eq!(bytes(bad), None, "{bad}");
        }
    }
}
