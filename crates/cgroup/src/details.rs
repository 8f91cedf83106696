//! What the runtime's `events` tells beyond [`Stats`](crate::Stats): processors and memory nodes, huge pages, swap and the
//! kernel's own memory. Read apart, because nobody who looks every second wants it.

use std::path::{Path, PathBuf};

use crate::{Cgroup, Result, files};

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details {
    /// Processors and memory nodes.
    pub cpuset: Cpuset,
    /// Memory and swap together (v1), swap alone (v2).
    pub swap: Counter,
    /// The kernel's memory for the cgroup (v1; on v2 its usage).
    pub kernel: Counter,
    /// The part of it in TCP's buffers (v1).
    pub kernel_tcp: Counter,
    /// Huge pages by size ("2MB").
    pub hugetlb: Vec<(String, Counter)>,
    /// Nanoseconds in the kernel by processor (v1).
    pub per_cpu_system: Vec<u64>,
    /// Nanoseconds in user mode by processor (v1).
    pub per_cpu_user: Vec<u64>,
}

/// The cpuset that holds for the cgroup: its own, or that of the cgroup above it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cpuset {
    /// Processors.
    pub cpus: Vec<u16>,
    /// Memory nodes.
    pub mems: Vec<u16>,
    /// The controller's other files, by the second part of their name (v1).
    pub settings: Vec<(&'static str, i64)>,
}

/// A resource with a limit, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counter {
    /// Present usage.
    pub usage: u64,
    /// Greatest usage so far.
    pub max: u64,
    /// The limit; `None` without one.
    pub limit: Option<u64>,
    /// How often the limit was hit.
    pub failures: u64,
}

const SETTINGS: [&str; 9] = [
    "cpu_exclusive",
    "mem_hardwall",
    "mem_exclusive",
    "memory_migrate",
    "memory_spread_page",
    "memory_spread_slab",
    "memory_pressure",
    "sched_load_balance",
    "sched_relax_domain_level",
];

impl Cgroup {
    /// Reads them. Files that this kernel does not have count as zero.
    pub fn details(&self) -> Result<Details> {
        let own = |name: &str| self.controller(name);
        let unified = self.unified().filter(|_| self.host().is_v2());
        let mut details = Details::default();
        if let Some(folder) = &unified {
            details.cpuset = cpuset(folder, ["cpuset.cpus.effective", "cpuset.mems.effective"])?;
            details.swap = unified_counter(folder, "memory.swap")?;
            let stat = files::flat_keyed(&folder.join("memory.stat"))?;
            details.kernel.usage = stat.get("kernel").copied().unwrap_or(0);
            details.kernel_tcp.usage = stat.get("sock").copied().unwrap_or(0);
        } else {
            if let Some(folder) = self.nearest("cpuset") {
                details.cpuset = cpuset(&folder, ["cpuset.effective_cpus", "cpuset.effective_mems"])?;
            }
            if let Some(folder) = own("memory") {
                details.swap = counter(&folder, "memory.memsw")?;
                details.kernel = counter(&folder, "memory.kmem")?;
                details.kernel_tcp = counter(&folder, "memory.kmem.tcp")?;
            }
            if let Some(folder) = own("cpuacct") {
                details.per_cpu_system = numbers(&folder.join("cpuacct.usage_percpu_sys"))?;
                details.per_cpu_user = numbers(&folder.join("cpuacct.usage_percpu_user"))?;
            }
        }
        if let Some(folder) = unified.clone().or_else(|| own("hugetlb")) {
            for size in page_sizes(&folder) {
                let name = format!("hugetlb.{size}");
                let counted = if unified.is_some() { unified_counter } else { counter };
                details.hugetlb.push((size, counted(&folder, &name)?));
            }
        }
        Ok(details)
    }

    /// The folder of a v1 controller, or that of the next cgroup above that has one.
    fn nearest(&self, controller: &str) -> Option<PathBuf> {
        let hierarchy = self.host().hierarchy(controller)?;
        let folder = hierarchy.mount.join(self.path().trim_start_matches('/'));
        let mut folders = folder.ancestors().take_while(|folder| folder.starts_with(&hierarchy.mount));
        folders.find(|folder| folder.exists()).map(Path::to_owned)
    }
}

fn counter(folder: &Path, prefix: &str) -> Result<Counter> {
    let number = |name: &str| files::number(&folder.join(format!("{prefix}.{name}")));
    Ok(Counter {
        usage: number("usage_in_bytes")?.unwrap_or(0),
        max: number("max_usage_in_bytes")?.unwrap_or(0),
        limit: number("limit_in_bytes")?,
        failures: number("failcnt")?.unwrap_or(0),
    })
}

fn unified_counter(folder: &Path, prefix: &str) -> Result<Counter> {
    let number = |name: &str| files::number(&folder.join(format!("{prefix}.{name}")));
    let events = files::flat_keyed(&folder.join(format!("{prefix}.events")))?;
    Ok(Counter {
        usage: number("current")?.unwrap_or(0),
        max: number("peak")?.unwrap_or(0),
        limit: number("max")?,
        failures: events.get("max").copied().unwrap_or(0),
    })
}

fn cpuset(folder: &Path, [cpus, mems]: [&str; 2]) -> Result<Cpuset> {
    let list = |file: &str| {
        Ok::<_, crate::Error>(ranges(&files::read_if_there(&folder.join(file))?.unwrap_or_default()))
    };
    let mut settings = Vec::new();
    for name in SETTINGS {
        let text = files::read_if_there(&folder.join(format!("cpuset.{name}")))?.unwrap_or_default();
        settings.push((name, text.trim().parse().unwrap_or(0)));
    }
    Ok(Cpuset { cpus: list(cpus)?, mems: list(mems)?, settings })
}

/// "0-2,5" as the kernel writes it.
fn ranges(text: &str) -> Vec<u16> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse().ok()?..=last.parse().ok()?)
    };
    text.trim().split(',').filter_map(range).flatten().collect()
}

fn numbers(path: &Path) -> Result<Vec<u64>> {
    let text = files::read_if_there(path)?.unwrap_or_default();
    Ok(text.split_ascii_whitespace().filter_map(|number| number.parse().ok()).collect())
}

/// The sizes of huge pages that the controller has files for.
fn page_sizes(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let size = |entry: std::fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        let mut parts = name.strip_prefix("hugetlb.")?.split('.');
        let size = parts.next()?.to_owned();
        matches!(parts.next(), Some("limit_in_bytes" | "max")).then_some(size)
    };
    let mut sizes: Vec<String> = entries.filter_map(size).collect();
    sizes.sort();
    sizes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_the_kernel() {
        assert_eq!(ranges("0-2,5\n"), [0, 1, 2, 5]);
        assert_eq!(ranges("0\n"), [0]);
        assert_eq!(ranges("\n"), Vec::<u16>::new());
    }

    #[test]
    fn counters_of_both_versions() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        for (name, value) in [
            ("limit_in_bytes", "4096"),
            ("usage_in_bytes", "7"),
            ("max_usage_in_bytes", "9"),
            ("failcnt", "2"),
        ] {
            write(&format!("hugetlb.2MB.{name}"), value);
        }
        write("hugetlb.2MB.rsvd.limit_in_bytes", "1");
        let counted = Counter { usage: 7, max: 9, limit: Some(4096), failures: 2 };
        assert_eq!(page_sizes(folder.path()), ["2MB"]);
        assert_eq!(counter(folder.path(), "hugetlb.2MB").unwrap(), counted);
        for (name, value) in [("max", "max"), ("current", "7"), ("events", "max 2\n")] {
            write(&format!("hugetlb.1GB.{name}"), value);
        }
        let counted = Counter { usage: 7, max: 0, limit: None, failures: 2 };
        assert_eq!(page_sizes(folder.path()), ["1GB", "2MB"]);
        assert_eq!(unified_counter(folder.path(), "hugetlb.1GB").unwrap(), counted);
    }
}
