//! The columns of `ps`: their names, their titles, and what stands in them (ps(1), "Standard format specifiers").

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::process::{HZ, Host, Process};
use crate::error::{Error, Result};

/// A column of the table.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub title: String,
    field: Field,
}

type Field = fn(&Process, &Host) -> String;

/// Names that mean the same, the title, and the value.
const COLUMNS: &[(&[&str], &str, Field)] = &[
    (&["pid"], "PID", |p, _| p.pid.to_string()),
    (&["tgid"], "TGID", |p, _| p.pid.to_string()),
    (&["ppid"], "PPID", |p, _| p.ppid.to_string()),
    (&["pgid", "pgrp"], "PGID", |p, _| p.pgrp.to_string()),
    (&["sid", "sess", "session"], "SID", |p, _| p.session.to_string()),
    (&["tpgid"], "TPGID", |p, _| p.tpgid.to_string()),
    (&["user", "euser", "uname"], "USER", |p, host| host.user(p.uids.1)),
    (&["uid_name"], "UID", |p, host| host.user(p.uids.1)),
    (&["uid", "euid"], "UID", |p, _| p.uids.1.to_string()),
    (&["ruser"], "RUSER", |p, host| host.user(p.uids.0)),
    (&["ruid"], "RUID", |p, _| p.uids.0.to_string()),
    (&["group", "egroup"], "GROUP", |p, host| host.group(p.gids.1)),
    (&["gid", "egid"], "GID", |p, _| p.gids.1.to_string()),
    (&["rgroup"], "RGROUP", |p, host| host.group(p.gids.0)),
    (&["rgid"], "RGID", |p, _| p.gids.0.to_string()),
    (&["c"], "C", |p, host| (load(p, host) / 10).min(99).to_string()),
    (&["pcpu", "%cpu"], "%CPU", |p, host| tenths(load(p, host))),
    (&["pmem", "%mem"], "%MEM", |p, host| tenths(p.rss * host.page * 1000 / host.memory.max(1))),
    (&["vsz", "vsize"], "VSZ", |p, _| (p.vsize / 1024).to_string()),
    (&["rss", "rssize", "rsz"], "RSS", |p, host| (p.rss * host.page / 1024).to_string()),
    (&["sz"], "SZ", |p, host| (p.vsize / host.page.max(1)).to_string()),
    (&["tty", "tt"], "TT", |p, _| terminal(p.tty)),
    (&["tname"], "TTY", |p, _| terminal(p.tty)),
    (&["s", "state"], "S", |p, _| p.state.to_string()),
    (&["stat"], "STAT", |p, _| state(p)),
    (&["stime", "start_time"], "STIME", |p, host| start(p, host)),
    (&["bsdstart"], "START", |p, host| start(p, host)),
    (&["start"], "STARTED", |p, host| long_start(p, host, "%H:%M:%S")),
    (&["lstart"], "STARTED", |p, host| begun(p, host).strftime("%a %b %e %H:%M:%S %Y").to_string()),
    (&["time", "cputime"], "TIME", |p, _| clock(seconds(p))),
    (&["bsdtime"], "TIME", |p, _| format!("{}:{:02}", seconds(p) / 60, seconds(p) % 60)),
    (&["times", "cputimes"], "TIME", |p, _| seconds(p).to_string()),
    (&["etime"], "ELAPSED", |p, host| elapsed(age(p, host))),
    (&["etimes"], "ELAPSED", |p, host| age(p, host).to_string()),
    (&["cmd"], "CMD", |p, _| command(p)),
    (&["args", "command"], "COMMAND", |p, _| command(p)),
    (&["comm", "ucomm"], "COMMAND", |p, _| short_command(p)),
    (&["ucmd"], "CMD", |p, _| short_command(p)),
    (&["pri"], "PRI", |p, _| (39 - p.priority).to_string()),
    (&["ni", "nice"], "NI", |p, _| p.nice.to_string()),
    (&["nlwp", "thcount"], "NLWP", |p, _| p.threads.to_string()),
    (&["psr"], "PSR", |p, _| p.processor.to_string()),
    // What is shown of the kernel's flags: "forked but did not exec" and "used super-user privileges".
    (&["f", "flag", "flags"], "F", |p, _| (p.flags >> 6 & 7).to_string()),
    (&["wchan"], "WCHAN", |p, _| channel(p)),
    (&["addr"], "ADDR", |_, _| "-".to_owned()),
];

/// `name[=TITLE],…`; a title goes to the end of the list.
pub(super) fn list(text: &str) -> Result<Vec<Column>> {
    let mut columns = Vec::new();
    let mut rest = Some(text);
    while let Some(text) = rest {
        let (name, after) = text.split_once(',').map_or((text, None), |(name, after)| (name, Some(after)));
        rest = after;
        let (name, title) = name.split_once('=').map_or((name, None), |(name, title)| (name, Some(title)));
        let found = COLUMNS.iter().find(|(names, _, _)| names.contains(&name));
        let Some((_, standard, field)) = found else {
            return Err(Error::invalid(format!("ps: error: unknown user-defined format specifier {name:?}")));
        };
        // Clients find processes by this title.
        if title.is_some_and(|title| title.starts_with("PID")) && name != "pid" {
            return Err(Error::invalid(format!("specifying \"{name}=PID\" is not allowed")));
        }
        let title = match (title, name) {
            (Some(title), _) => title,
            // Each name of the start time has a title of its own.
            (None, "start_time") => "START",
            (None, "pgrp") => "PGRP",
            (None, "sess" | "session") => "SESS",
            (None, "euser") => "EUSER",
            (None, "euid") => "EUID",
            (None, "egroup") => "EGROUP",
            (None, "egid") => "EGID",
            (None, "thcount") => "THCNT",
            (None, "rsz") => "RSZ",
            (None, _) => standard,
        };
        columns.push(Column { title: title.to_owned(), field: *field });
    }
    Ok(columns)
}

impl Column {
    pub(super) fn value(&self, process: &Process, host: &Host) -> String {
        (self.field)(process, host)
    }
}

/// Seconds of processor time.
fn seconds(process: &Process) -> u64 {
    (process.utime + process.stime) / HZ
}

/// Seconds since the start.
fn age(process: &Process, host: &Host) -> u64 {
    host.uptime.saturating_sub(process.start / HZ)
}

/// Thousandths of one processor over the whole life.
fn load(process: &Process, host: &Host) -> u64 {
    (process.utime + process.stime) * 1000 / HZ / age(process, host).max(1)
}

fn tenths(thousandths: u64) -> String {
    match thousandths {
        1000.. => (thousandths / 10).to_string(),
        thousandths => format!("{}.{}", thousandths / 10, thousandths % 10),
    }
}

fn begun(process: &Process, host: &Host) -> DateTime {
    let seconds = host.boot.saturating_add(i64::try_from(process.start / HZ).unwrap_or(0));
    TimeZone::system().to_datetime(Timestamp::from_second(seconds).unwrap_or_default())
}

/// The time of today, the day of this year, or the year.
fn start(process: &Process, host: &Host) -> String {
    let (begun, now) = (begun(process, host), TimeZone::system().to_datetime(host.now));
    let format = match () {
        () if begun.date() == now.date() => "%H:%M",
        () if begun.year() == now.year() => "%b%d",
        () => "%Y",
    };
    begun.strftime(format).to_string()
}

fn long_start(process: &Process, host: &Host, today: &str) -> String {
    let format = if age(process, host) < 24 * 3600 { today } else { "%b %d" };
    begun(process, host).strftime(format).to_string()
}

/// `[DD-]HH:MM:SS`.
fn clock(seconds: u64) -> String {
    let (days, seconds) = (seconds / 86_400, seconds % 86_400);
    let clock = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    if days > 0 { format!("{days:02}-{clock}") } else { clock }
}

/// `[[DD-]HH:]MM:SS`.
fn elapsed(seconds: u64) -> String {
    match seconds {
        3600.. => clock(seconds),
        seconds => format!("{:02}:{:02}", seconds / 60, seconds % 60),
    }
}

/// Device numbers of terminals (admin-guide/devices.txt of the kernel).
fn terminal(device: i64) -> String {
    // The minor number's upper bits lie above the major's.
    let (major, minor) = (device >> 8 & 0xfff, device & 0xff | device >> 12 & 0xfff00);
    match (major, minor) {
        (136..=143, minor) => format!("pts/{}", minor + (major - 136) * 256),
        (4, 0..=63) => format!("tty{minor}"),
        (4, minor) => format!("ttyS{}", minor - 64),
        (5, 1) => "console".to_owned(),
        _ => "?".to_owned(),
    }
}

fn state(process: &Process) -> String {
    let mut text = process.state.to_string();
    for (holds, mark) in [
        (process.nice < 0, '<'),
        (process.nice > 0, 'N'),
        (process.session == i64::from(process.pid), 's'),
        (process.threads > 1, 'l'),
        (process.tpgid == process.pgrp, '+'),
    ] {
        if holds {
            text.push(mark);
        }
    }
    text
}

fn short_command(process: &Process) -> String {
    match process.state {
        'Z' => format!("{} <defunct>", process.comm),
        _ => process.comm.clone(),
    }
}

fn command(process: &Process) -> String {
    match (process.state, process.args.as_str()) {
        ('Z', _) => format!("[{}] <defunct>", process.comm),
        (_, "") => format!("[{}]", process.comm),
        (_, args) => args.to_owned(),
    }
}

fn channel(process: &Process) -> String {
    match process.wchan.as_str() {
        "" | "0" => "-".to_owned(),
        name => name.chars().take(6).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> Host {
        Host { boot: 1_700_000_000, uptime: 10_000, memory: 1 << 30, page: 4096, ..Host::default() }
    }

    fn show(process: &Process, names: &str) -> Vec<String> {
        list(names).unwrap().iter().map(|column| column.value(process, &host())).collect()
    }

    #[test]
    fn values_read_as_in_ps() {
        let mut process = Process {
            pid: 7,
            comm: "nginx".into(),
            args: "nginx: master".into(),
            state: 'S',
            session: 7,
            threads: 2,
            nice: -5,
            tpgid: -1,
            utime: 360_000 * 2,
            stime: 6_100,
            vsize: 8 << 20,
            rss: 512,
            tty: 136 << 8 | 3,
            priority: 20,
            ..Process::default()
        };
        assert_eq!(show(&process, "stat,tty,time,bsdtime"), ["S<sl", "pts/3", "02:01:01", "121:01"]);
        assert_eq!(show(&process, "c,pcpu,pmem,vsz,rss,sz"), ["72", "72.6", "0.1", "8192", "2048", "2048"]);
        assert_eq!(
            show(&process, "etime,etimes,pri,ni,comm,cmd"),
            ["02:46:40", "10000", "19", "-5", "nginx", "nginx: master"]
        );
        process.start = 995_000;
        assert_eq!(show(&process, "etime"), ["00:50"]);
        (process.args, process.tty) = (String::new(), 0);
        assert_eq!(show(&process, "cmd,tty,user"), ["[nginx]", "?", "0"]);
        process.state = 'Z';
        assert_eq!(show(&process, "args,comm"), ["[nginx] <defunct>", "nginx <defunct>"]);
        assert_eq!(clock(90_061), "01-01:01:01");
    }
}
