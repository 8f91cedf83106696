//! `GET /naru/networks/doctor`: who reaches which published port, and what decides. What it takes to find out is `network`'s;
//! here are the containers that it must know of, and the words of the answer.

use std::collections::BTreeMap;

use ::network::doctor::{Diagnosis, Examination, How, Level, Port, Reach, Reached, Who};
use api::{NetworkDiagnosis, NetworkDoctorQuery, NetworkFinding, PortClient, PortDiagnosis};

use crate::Engine;
use crate::blocking::blocking;
use crate::container::create::ports;
use crate::error::{Error, Result};

impl Engine {
    pub async fn network_doctor(&self, query: NetworkDoctorQuery) -> Result<NetworkDiagnosis> {
        let from = match query.from.as_str() {
            "" => None,
            text => {
                Some(text.parse().map_err(|_| Error::invalid(format!("from: invalid IP address: {text}")))?)
            }
        };
        let mut examination = Examination { from, processes: BTreeMap::new(), waiting: Vec::new() };
        for container in self.containers.all() {
            let record = container.record();
            match container.status().run() {
                Some(run) => drop(examination.processes.insert(container.id.clone(), run.pid.unsigned_abs())),
                None => {
                    let asked = ports::publish(&record.config, &record.host).unwrap_or_default();
                    examination.waiting.extend(asked.into_iter().map(|port| (record.name.clone(), port)));
                }
            }
        }
        let networks = self.networks.clone();
        let diagnosis = blocking(move || Ok(networks.diagnose(&examination)?)).await?;
        Ok(answer(diagnosis))
    }
}

fn answer(diagnosis: Diagnosis) -> NetworkDiagnosis {
    let findings = diagnosis.findings.into_iter().map(|finding| NetworkFinding {
        level: match finding.level {
            Level::Problem => "problem",
            Level::Warning => "warning",
            Level::Note => "note",
        }
        .to_owned(),
        text: finding.text,
        advice: finding.advice,
    });
    NetworkDiagnosis { findings: findings.collect(), ports: diagnosis.ports.into_iter().map(port).collect() }
}

fn port(port: Port) -> PortDiagnosis {
    let binding = port.binding;
    PortDiagnosis {
        container_id: port.container_id,
        container: port.container,
        network: port.network,
        host_ip: binding.host_ip.to_string(),
        host_port: if binding.routed { String::new() } else { binding.host_port.to_string() },
        container_port: format!("{}/{}", binding.container_port, binding.proto),
        clients: port.clients.into_iter().map(client).collect(),
    }
}

fn client(reach: Reach) -> PortClient {
    let kind = match reach.who {
        Who::Hosts(_) => "hosts",
        Who::Near(_) => "near",
        Who::Far(_) => "far",
        Who::Asked(_) => "asked",
        Who::This => "this-host",
        Who::Containers(_) => "containers",
    };
    let reached = match reach.verdict.reached {
        Reached::Yes => "yes",
        Reached::No => "no",
        Reached::Unknown => "unknown",
    };
    let how = match reach.verdict.how {
        None => "",
        Some(How::Translated) => "translated",
        Some(How::Relayed) => "relayed",
        Some(How::Routed) => "routed",
    };
    PortClient {
        kind: kind.to_owned(),
        who: reach.who.to_string(),
        to: reach.to.to_string(),
        reached: reached.to_owned(),
        how: how.to_owned(),
        decided_by: reach.verdict.decided_by.unwrap_or_default(),
        advice: reach.verdict.advice.unwrap_or_default(),
    }
}
