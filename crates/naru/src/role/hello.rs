//! `naru hello`: the program of the built-in image. Prints what a container sees of its own isolation, from `/proc` and
//! netlink alone, so that it works in an image that holds nothing but this binary.

use std::fmt::Write as _;
use std::fs;

use netlink::route::Route;

/// Prints the report and returns the exit code.
pub fn run() -> i32 {
    print!("{}", report());
    0
}

fn report() -> String {
    let mut text =
        String::from("Hello from a container made by Naru.\n\nWhat this process sees of itself:\n\n");
    let mut line = |name: &str, value: &str| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {name:<13}{value}");
    };
    line("process", &format!("pid {}, {}", std::process::id(), count(processes(), "process")));
    line("user", &user());
    line("host name", read("/proc/sys/kernel/hostname").trim());
    line("root", &root());
    line("network", &network());
    line("capabilities", status("CapEff:").as_deref().unwrap_or("unknown"));
    line("seccomp", seccomp());
    line("kernel", &kernel());
    text.push_str(
        "\nThe kernel is the host's own; everything else is this container's. On the host it is one ordinary process.\n\
         \nTo go on:  naru run -it --rm debian bash\n",
    );
    text
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// A field of `/proc/self/status`.
fn status(field: &str) -> Option<String> {
    let text = read("/proc/self/status");
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    Some(line.trim().to_owned())
}

fn processes() -> usize {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit)).count()
}

fn count(number: usize, what: &str) -> String {
    match number {
        1 => format!("the only {what}"),
        more => format!("one of {more} {what}es"),
    }
}

fn user() -> String {
    let effective = |field| status(field).and_then(|ids| ids.split_whitespace().nth(1).map(str::to_owned));
    format!(
        "uid {}, gid {}",
        effective("Uid:").as_deref().unwrap_or("?"),
        effective("Gid:").as_deref().unwrap_or("?")
    )
}

/// The root mount's file system and what lies in it.
fn root() -> String {
    let mounts = read("/proc/self/mounts");
    let kind = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let mut kind =
        kind.filter(|fields| fields.get(1) == Some(&"/")).filter_map(|fields| fields.get(2).copied());
    let mut names: Vec<String> = fs::read_dir("/")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    format!("{} with {}", kind.next_back().unwrap_or("a file system"), names.join(" "))
}

/// Interfaces with their addresses.
fn network() -> String {
    let interfaces = || {
        let mut route = Route::open()?;
        Ok::<_, netlink::Error>((route.links()?, route.addresses()?))
    };
    match interfaces() {
        Ok((links, addresses)) => {
            let shown = links.iter().map(|link| {
                let own = addresses.iter().filter(|address| address.link == link.index);
                let own: Vec<String> =
                    own.map(|address| format!(" {}/{}", address.address, address.prefix)).collect();
                format!("{}{}", link.name, own.concat())
            });
            shown.collect::<Vec<_>>().join(", ")
        }
        Err(error) => format!("not to be seen: {error}"),
    }
}

fn seccomp() -> &'static str {
    match status("Seccomp:").as_deref() {
        Some("2") => "system calls are filtered",
        Some("0") => "off",
        _ => "unknown",
    }
}

fn kernel() -> String {
    format!("{} {}", read("/proc/sys/kernel/ostype").trim(), read("/proc/sys/kernel/osrelease").trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_names_the_kernel_the_host_name_and_loopback() {
        let text = report();
        for part in
            [kernel(), read("/proc/sys/kernel/hostname").trim().to_owned(), "lo 127.0.0.1/8".to_owned()]
        {
            assert!(text.contains(&part), "{part} in {text}");
        }
    }
}
