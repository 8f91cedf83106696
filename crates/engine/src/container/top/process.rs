//! A process and its host, read from `/proc` (proc_pid_stat(5), proc_stat(5)).

use std::collections::HashMap;
use std::fs;

/// Ticks of a second: `USER_HZ` is 100 on every architecture that Linux has ABIs for here.
pub(super) const HZ: u64 = 100;

/// What `/proc/<pid>` says.
#[derive(Debug, Clone, Default)]
pub(super) struct Process {
    pub pid: i32,
    pub comm: String,
    /// Words of the command line, joined; empty for kernel threads and zombies.
    pub args: String,
    pub state: char,
    pub ppid: i64,
    pub pgrp: i64,
    pub session: i64,
    pub tty: i64,
    pub tpgid: i64,
    pub flags: u64,
    /// Ticks.
    pub utime: u64,
    pub stime: u64,
    pub priority: i64,
    pub nice: i64,
    pub threads: i64,
    /// Ticks since boot.
    pub start: u64,
    /// Bytes.
    pub vsize: u64,
    /// Pages.
    pub rss: u64,
    pub processor: i64,
    /// Real and effective.
    pub uids: (u32, u32),
    pub gids: (u32, u32),
    pub wchan: String,
}

impl Process {
    /// None when it is gone.
    pub(super) fn read(pid: i32) -> Option<Self> {
        let read = |name: &str| fs::read(format!("/proc/{pid}/{name}")).ok();
        let stat = String::from_utf8_lossy(&read("stat")?).into_owned();
        let mut process = Self::parse(pid, &stat)?;
        let status = String::from_utf8_lossy(&read("status")?).into_owned();
        let ids = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
            let mut ids = line.split_ascii_whitespace().filter_map(|id| id.parse().ok());
            (ids.next().unwrap_or(0), ids.next().unwrap_or(0))
        };
        (process.uids, process.gids) = (ids("Uid:"), ids("Gid:"));
        process.args = words(&read("cmdline").unwrap_or_default());
        process.wchan = String::from_utf8_lossy(&read("wchan").unwrap_or_default()).into_owned();
        Some(process)
    }

    /// The name may hold spaces and parentheses: fields are counted from the last one.
    fn parse(pid: i32, stat: &str) -> Option<Self> {
        let (before, after) = (stat.find('(')?, stat.rfind(')')?);
        let fields: Vec<&str> = stat.get(after + 1..)?.split_ascii_whitespace().collect();
        // `number(3)` is the state's place in the manual page.
        let number =
            |field: usize| fields.get(field - 3).and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
        let count =
            |field: usize| fields.get(field - 3).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        Some(Self {
            pid,
            comm: stat.get(before + 1..after)?.to_owned(),
            state: fields.first()?.chars().next()?,
            ppid: number(4),
            pgrp: number(5),
            session: number(6),
            tty: number(7),
            tpgid: number(8),
            flags: count(9),
            utime: count(14),
            stime: count(15),
            priority: number(18),
            nice: number(19),
            threads: number(20),
            start: count(22),
            vsize: count(23),
            rss: count(24),
            processor: number(39),
            ..Self::default()
        })
    }
}

/// The words of a command line, separated by spaces; what would break a line is shown as `?`.
fn words(cmdline: &[u8]) -> String {
    let text = String::from_utf8_lossy(cmdline.strip_suffix(b"\0").unwrap_or(cmdline));
    text.chars()
        .map(|c| {
            if c == '\0' {
                ' '
            } else if c.is_control() {
                '?'
            } else {
                c
            }
        })
        .collect()
}

/// The host that processes are seen from.
#[derive(Debug, Default)]
pub(super) struct Host {
    /// Unix seconds of the boot.
    pub boot: i64,
    /// Seconds since then.
    pub uptime: u64,
    pub now: jiff::Timestamp,
    /// Bytes.
    pub memory: u64,
    /// Bytes.
    pub page: u64,
    pub users: HashMap<u32, String>,
    pub groups: HashMap<u32, String>,
}

impl Host {
    pub(super) fn read() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let number = |path: &str, key: &str| {
            let line = read(path).lines().find_map(|line| line.strip_prefix(key).map(str::to_owned));
            line.and_then(|line| line.split_ascii_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0)
        };
        let uptime = read("/proc/uptime");
        let uptime = uptime.split('.').next().and_then(|seconds| seconds.parse().ok());
        Self {
            boot: number("/proc/stat", "btime").try_into().unwrap_or(0),
            uptime: uptime.unwrap_or(0),
            now: jiff::Timestamp::now(),
            memory: number("/proc/meminfo", "MemTotal:") * 1024,
            page: page_size(&fs::read("/proc/self/auxv").unwrap_or_default()),
            users: names(&read("/etc/passwd")),
            groups: names(&read("/etc/group")),
        }
    }

    pub(super) fn user(&self, id: u32) -> String {
        self.users.get(&id).cloned().unwrap_or_else(|| id.to_string())
    }

    pub(super) fn group(&self, id: u32) -> String {
        self.groups.get(&id).cloned().unwrap_or_else(|| id.to_string())
    }
}

/// `AT_PAGESZ` of the auxiliary vector (getauxval(3)): pairs of words.
fn page_size(vector: &[u8]) -> u64 {
    const AT_PAGESZ: usize = 6;
    const WORD: usize = size_of::<usize>();
    let word = |bytes: &[u8]| bytes.first_chunk::<WORD>().map_or(0, |bytes| usize::from_ne_bytes(*bytes));
    let mut pairs = vector.chunks_exact(2 * WORD).map(|pair| (word(pair), word(&pair[WORD..])));
    pairs.find(|(key, _)| *key == AT_PAGESZ).map_or(4096, |(_, value)| value as u64)
}

/// `name:x:id:…`; the first name of an id counts.
fn names(text: &str) -> HashMap<u32, String> {
    let mut names = HashMap::new();
    for line in text.lines() {
        let mut fields = line.split(':');
        let name = fields.next().unwrap_or_default();
        if let Some(id) = fields.nth(1).and_then(|id| id.parse().ok()) {
            names.entry(id).or_insert_with(|| name.to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_stat_with_a_nasty_name() {
        let stat = "7 (a) b (c) S 1 2 3 34816 5 4194560 0 0 0 0 250 50 0 0 20 0 4 0 12345 1048576 256 1 2 3 4 5 6 7 8 9 10 11 12 13 17 1 0";
        let process = Process::parse(7, stat).unwrap();
        assert_eq!((process.comm.as_str(), process.state, process.ppid), ("a) b (c", 'S', 1));
        assert_eq!((process.tty, process.utime, process.stime, process.threads), (34816, 250, 50, 4));
        assert_eq!(
            (process.start, process.vsize, process.rss, process.processor),
            (12345, 1_048_576, 256, 1)
        );
        assert!(Process::parse(7, "7 broken").is_none());
    }

    #[test]
    fn the_host_is_read() {
        let host = Host::read();
        assert!(host.page.is_power_of_two() && host.boot > 0 && host.memory > 0 && host.user(0) == "root");
    }

    #[test]
    fn command_lines_are_one_line() {
        assert_eq!(words(b"sh\0-c\0echo a\nb\0"), "sh -c echo a?b");
        assert_eq!(words(b""), "");
    }
}
