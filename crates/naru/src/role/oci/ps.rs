//! `ps`: the processes of a container, as pids or as the table of `ps -ef`.

use super::arguments::{Flag, Order, parse};
use super::failure::{Failure, Result};
use super::{Globals, print};
use crate::role::users;

const FLAGS: &[Flag] = &[Flag::value("format", Some('f'))];

/// The verb.
pub fn run(globals: &Globals, words: &[String]) -> Result<i32> {
    let flags = parse(words, FLAGS, Order::FlagsFirst)?;
    let (id, options) = match flags.arguments().split_first() {
        Some((id, options)) => (id, options),
        None => return Err(Failure::usage("\"ps\" requires a minimum of 1 argument")),
    };
    let container = globals.store.open(id)?;
    let pids = container.pids()?;
    match (flags.value("format").unwrap_or("table"), options) {
        ("json", _) => print(&serde_json::json!(pids).to_string())?,
        ("table", []) => print(&table(&pids))?,
        ("table", [option]) if option == "-ef" => print(&table(&pids))?,
        ("table", _) => return Err(Failure::usage("the only supported option of ps is -ef")),
        _ => return Err(Failure::usage("invalid format option")),
    }
    Ok(0)
}

fn table(pids: &[i32]) -> String {
    let mut text = "UID          PID    PPID  C STIME TTY          TIME CMD\n".to_owned();
    // One that ends while we look is left out.
    for row in pids.iter().filter_map(|pid| row(*pid)) {
        text.push_str(&row);
    }
    text.trim_end().to_owned()
}

/// A kernel's tick for user space: fixed on Linux, whatever the kernel's own is.
const TICKS: u64 = 100;

fn row(pid: i32) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let folder = std::path::PathBuf::from(format!("/proc/{pid}"));
    let owner = users::name(std::fs::metadata(&folder).ok()?.uid());
    let stat = std::fs::read_to_string(folder.join("stat")).ok()?;
    let (head, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
    let (parent, terminal, used, start) = (number(1)?, number(4)?, number(11)? + number(12)?, number(19)?);
    let seconds = used / TICKS;
    let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
    let uptime = uptime.split('.').next()?.parse::<u64>().ok()?;
    let age = uptime.saturating_sub(start / TICKS);
    let began = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(age.try_into().ok()?);
    let began = jiff::tz::TimeZone::system().to_datetime(began);
    let began = if age < 86_400 { began.strftime("%H:%M") } else { began.strftime("%b%d") };
    let arguments = std::fs::read(folder.join("cmdline")).ok()?;
    let command = String::from_utf8_lossy(&arguments).trim_end_matches('\0').replace('\0', " ");
    let command = match command.is_empty() {
        true => format!("[{}]", head.split_once('(')?.1),
        false => command,
    };
    Some(format!(
        "{owner:<8} {pid:>7} {parent:>7} {:>2} {began:<5} {:<8} {:>8} {command}\n",
        (seconds * 100).checked_div(age).unwrap_or(0).min(99),
        terminal_name(terminal),
        format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60),
    ))
}

/// proc(5): the minor number's bits lie around the major's.
fn terminal_name(device: u64) -> String {
    let (major, minor) = (device >> 8 & 0xfff, device & 0xff | device >> 12 & 0xfff00);
    match major {
        0 => "?".to_owned(),
        4 if minor < 64 => format!("tty{minor}"),
        136..=143 => format!("pts/{}", (major - 136) * 256 + minor),
        _ => format!("{major},{minor}"),
    }
}
