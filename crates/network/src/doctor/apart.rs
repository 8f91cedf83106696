//! Networks of an ordinary user's engine, apart from the host's: published ports are sockets on the host, which his containers'
//! monitors relay from. Whom the host's own rules let come so far is not for him to read, and it is said so.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Diagnosis, Examination, Finding, How, Level, Port, Reach, Reached, Verdict, Who, unheard};
use crate::error::Result;
use crate::publish::Binding;
use crate::record::Endpoint;
use crate::{Inner, lock};

impl Inner {
    pub(super) fn diagnose_apart(&self, examination: &Examination) -> Result<Diagnosis> {
        let mut diagnosis = Diagnosis { findings: self.way_out()?, ports: Vec::new() };
        let attachments = lock(&self.state).attachments.clone();
        for (id, attachment) in &attachments {
            let Some(endpoint) = crate::gateway_endpoint(&attachment.endpoints) else { continue };
            for binding in attachment.bindings.iter().filter(|binding| !binding.routed) {
                diagnosis.ports.push(Port {
                    container_id: id.clone(),
                    container: endpoint.container_name.clone(),
                    network: endpoint.network_name.clone(),
                    binding: *binding,
                    clients: clients(
                        binding,
                        endpoint,
                        examination.processes.get(id).copied(),
                        examination.from,
                    ),
                });
            }
        }
        diagnosis.ports.sort_by(|a, b| (&a.container, a.binding).cmp(&(&b.container, b.binding)));
        Ok(diagnosis)
    }

    fn way_out(&self) -> Result<Vec<Finding>> {
        let mut found = Vec::new();
        let mut add = |level, text: String, advice: &str| {
            found.push(Finding { level, text, advice: advice.to_owned() });
        };
        for collision in self.collisions()? {
            let advice = "remove the route, or make the network anew with another --subnet";
            add(Level::Warning, collision.to_string(), advice);
        }
        if self.config.home.as_ref().is_some_and(|home| home.programs.is_empty()) {
            add(
                Level::Problem,
                "neither pasta nor slirp4netns is installed: containers reach nothing outside their networks"
                    .to_owned(),
                "install pasta (package passt) or slirp4netns and stop the engine",
            );
        }
        let Some(outlet) = self.home.outlet()? else { return Ok(found) };
        match outlet.program {
            Some(program) => add(Level::Note, format!("networks reach the outside by {program}"), ""),
            None if outlet.problem.is_empty() => {}
            None => add(Level::Problem, format!("networks have no way out: {}", outlet.problem), ""),
        }
        if let (Some(_), false) = (outlet.program, outlet.problem.is_empty()) {
            add(Level::Warning, outlet.problem, "");
        }
        Ok(found)
    }
}

fn clients(binding: &Binding, endpoint: &Endpoint, process: Option<u32>, from: Option<IpAddr>) -> Vec<Reach> {
    let problem = process.and_then(|process| unheard(process, binding, endpoint));
    let own = match binding.host_ip {
        IpAddr::V4(any) if any.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(any) if any.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    };
    let relayed = Verdict { reached: Reached::Yes, how: Some(How::Relayed), decided_by: None, advice: None };
    let others = match binding.host_ip.is_loopback() {
        true => Verdict::no(
            format!("it is published on {} alone", binding.host_ip),
            "publish it without that address if others are to reach it",
        ),
        false => Verdict {
            reached: Reached::Unknown,
            how: Some(How::Relayed),
            decided_by: Some("the host's firewall, which an ordinary user cannot read".to_owned()),
            advice: Some("ask root for `nft list ruleset`".to_owned()),
        },
    };
    let asked = from.filter(|from| from.is_ipv6() == binding.host_ip.is_ipv6()).map(Who::Asked);
    let others =
        asked.into_iter().chain([Who::Hosts("any link".to_owned())]).map(|who| (who, others.clone()));
    let reach = |(who, verdict)| Reach { who, to: own, verdict: problem.clone().unwrap_or(verdict) };
    std::iter::once((Who::This, relayed)).chain(others).map(reach).collect()
}
