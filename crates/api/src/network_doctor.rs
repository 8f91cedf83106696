//! What Naru tells about published ports beside Docker's API: answer to `GET /naru/networks/doctor`.

use crate::go::model;

model! {
    /// Everything that was found out.
    pub struct NetworkDiagnosis {
        /// About the host and its networks, what matters most first.
        "Findings" => findings: Vec<NetworkFinding>,
        /// About each published port, by container.
        "Ports" => ports: Vec<PortDiagnosis>,
    }

    /// Something worth knowing.
    pub struct NetworkFinding {
        /// `problem`, `warning` or `note`.
        "Level" => level: String,
        "Text" => text: String,
        /// What to do about it.
        "Advice" omitempty => advice: String,
    }

    /// One address and port of the host that leads to a container.
    pub struct PortDiagnosis {
        "ContainerID" => container_id: String,
        "Container" => container: String,
        /// The network by which it is reached.
        "Network" => network: String,
        "HostIp" => host_ip: String,
        /// Empty where nothing is translated.
        "HostPort" => host_port: String,
        /// `80/tcp`.
        "ContainerPort" => container_port: String,
        "Clients" => clients: Vec<PortClient>,
    }

    /// What a kind of client gets.
    pub struct PortClient {
        /// `hosts` (of a link, near and far), `near`, `far`, `asked`, `this-host` or `containers`.
        "Kind" => kind: String,
        /// The same in words, with the link, the address or the network.
        "Who" => who: String,
        /// The address that is connected to.
        "To" => to: String,
        /// `yes`, `no` or `unknown`.
        "Reached" => reached: String,
        /// `translated`, `relayed` or `routed`.
        "How" omitempty => how: String,
        /// The rule, switch or route that decides otherwise.
        "DecidedBy" omitempty => decided_by: String,
        "Advice" omitempty => advice: String,
    }
}
