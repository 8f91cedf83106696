//! What is wrong, or worth knowing, about the host and its networks as a whole.

use std::fs;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use netlink::nft::Family;

use super::evaluate::FORWARD;
use super::host::Ground;
use super::rules::Rules;
use super::way::Verdict;
use super::{Examination, Reached, sockets};
use crate::Inner;
use crate::files::{host_resolv_conf, nameservers};
use crate::publish::PortSpec;
use crate::{lock, publish};

/// How long a name server may think. All are asked at once.
const ANSWER_WITHIN: Duration = Duration::from_millis(800);
/// A question for the name servers of the root (RFC 1035): id 0x4e41, recursion desired, one question, `.` NS IN.
const QUESTION: [u8; 17] = [0x4e, 0x41, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1];

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something does not work.
    Problem,
    /// Something may not work as meant.
    Warning,
    /// Good to know.
    Note,
}

/// Something found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How much it matters.
    pub level: Level,
    /// What.
    pub text: String,
    /// What to do about it; empty for nothing.
    pub advice: String,
}

impl Inner {
    pub(super) fn findings(&self, examination: &Examination, rules: &Rules, ground: &Ground) -> Vec<Finding> {
        let mut found = Vec::new();
        let mut add = |level, text: String, advice: &str| {
            found.push(Finding { level, text, advice: advice.to_owned() });
        };
        for collision in self.collisions().unwrap_or_default() {
            let level = if collision.cuts_off { Level::Problem } else { Level::Warning };
            add(
                level,
                collision.to_string(),
                "remove the route, or make the network anew with another --subnet",
            );
        }
        let table = &self.config.nft_table;
        let in_use = !lock(&self.bridges).is_empty();
        if in_use && !rules.has_table(Family::Inet, table) {
            add(
                Level::Problem,
                format!("table inet {table} is gone"),
                "start a container, or restart the engine",
            );
        }
        if Ground::setting(false, "all", "forwarding") == Some(0) && in_use {
            let text = "net.ipv4.ip_forward is 0: containers reach nobody beyond this host".to_owned();
            add(Level::Problem, text, "sysctl -w net.ipv4.ip_forward=1");
        }
        if legacy_filter().is_some() {
            let text = "iptables-legacy has a filter table, whose rules are not seen here".to_owned();
            add(Level::Warning, text, "look at iptables-legacy -S FORWARD, or move to iptables-nft");
        }
        for filled in
            rules.all().filter(|filled| filled.chain.hook == Some(FORWARD) && filled.chain.policy_drop)
        {
            let (family, chain) = (filled.family.name(), &filled.chain);
            let let_in = filled.rules.iter().any(|rule| {
                rule.comment.as_ref().is_some_and(|comment| comment.starts_with(&format!("{table}: ")))
            });
            let ours =
                if let_in { "; containers are let through by rules of ours at its beginning" } else { "" };
            let text = format!(
                "table {family} {} chain {} forwards nothing by policy{ours}",
                chain.table, chain.name
            );
            add(Level::Note, text, "");
        }
        if fs::read_to_string("/proc/sys/net/bridge/bridge-nf-call-iptables")
            .is_ok_and(|text| text.trim() == "1")
        {
            let text =
                "br_netfilter is on: packets between containers of one bridge pass the rules of routers"
                    .to_owned();
            add(Level::Note, text, "");
        }
        if ground.addresses.iter().all(|(link, _)| link == "lo" || self.is_own_link(link)) {
            add(
                Level::Note,
                "no link of this host has an address by which others could reach it".to_owned(),
                "",
            );
        }
        for (name, port) in &examination.waiting {
            if let Some(text) = self.taken(name, port) {
                add(Level::Problem, text, "stop the other, or publish on another port");
            }
        }
        found.extend(resolver());
        found.sort_by_key(|finding| finding.level);
        found
    }

    fn is_own_link(&self, link: &str) -> bool {
        let state = lock(&self.state);
        state
            .networks
            .values()
            .filter_map(crate::options::BridgeOptions::of)
            .any(|options| options.bridge == link)
    }

    /// That a container which does not run could not have its port.
    fn taken(&self, name: &str, port: &PortSpec) -> Option<String> {
        let (first, last) = port.host_ports;
        if first == 0 || first != last {
            return None;
        }
        let state = lock(&self.state);
        let other = state.attachments.values().find(|attachment| {
            let same = |binding: &publish::Binding| binding.host_port == first && binding.proto == port.proto;
            attachment.bindings.iter().any(same)
        });
        let other =
            other.and_then(|other| other.endpoints.first()).map(|endpoint| endpoint.container_name.clone());
        drop(state);
        let who = match other {
            Some(other) => format!("container {other}"),
            None => sockets::holder(first, port.proto)?,
        };
        Some(format!("port {first}/{} that container {name} asks for is taken by {who}", port.proto))
    }
}

/// That rules which cannot be read from here may drop what ours let pass; None where there are none.
pub(super) fn legacy_filter() -> Option<Verdict> {
    ["ip_tables_names", "ip6_tables_names"]
        .iter()
        .any(|file| {
            let names = fs::read_to_string(format!("/proc/thread-self/net/{file}")).unwrap_or_default();
            names.lines().any(|name| name == "filter")
        })
        .then(|| Verdict {
            reached: Reached::Unknown,
            how: None,
            decided_by: Some("can't tell: iptables-legacy has a filter table".to_owned()),
            advice: Some("look at iptables-legacy -S FORWARD".to_owned()),
        })
}

/// The name servers that containers' questions are forwarded to.
fn resolver() -> Vec<Finding> {
    let finding = |level, text: String, advice: &str| Finding { level, text, advice: advice.to_owned() };
    let servers: Vec<IpAddr> = nameservers(&host_resolv_conf()).collect();
    if servers.iter().all(IpAddr::is_loopback) {
        let text = match servers.as_slice() {
            [] => {
                "the host's resolv.conf names no name server: containers without one of their own ask 8.8.8.8"
            }
            _ => {
                "the host's name servers are on its loopback: containers on the default bridge ask 8.8.8.8 instead; those on \
                 networks of their own are answered by way of this host"
            }
        };
        return vec![finding(Level::Warning, text.to_owned(), "run the engine with --dns ADDRESS")];
    }
    let threads: Vec<_> = servers
        .into_iter()
        .filter(|server| !server.is_loopback())
        .map(|server| (server, std::thread::spawn(move || answers(server))))
        .collect();
    let silent = threads.into_iter().filter_map(|(server, thread)| {
        let silent = !thread.join().unwrap_or(false);
        silent.then(|| {
            let text = format!("name server {server} of the host does not answer");
            finding(
                Level::Warning,
                text,
                "correct the host's resolv.conf, or run the engine with --dns ADDRESS",
            )
        })
    });
    silent.collect()
}

fn answers(server: IpAddr) -> bool {
    let any: SocketAddr = match server {
        IpAddr::V4(_) => ([0u8; 4], 0).into(),
        IpAddr::V6(_) => ([0u16; 8], 0).into(),
    };
    let ask = || {
        let socket = UdpSocket::bind(any)?;
        socket.set_read_timeout(Some(ANSWER_WITHIN))?;
        socket.connect((server, 53))?;
        socket.send(&QUESTION)?;
        socket.recv(&mut [0; 512])
    };
    ask().is_ok()
}
