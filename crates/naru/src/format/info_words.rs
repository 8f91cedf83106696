//! `info` in words: a list of indented lines, in the stock client's order.

use api::SystemInfo;
use term::size::binary;

use super::version::Client;

/// What is said about the client.
pub fn client_text(client: &Client) -> String {
    format!(
        "Client: Naru\n Version:    {}\n Context:    {}\n Debug Mode: false\n",
        client.version, client.context
    )
}

/// Lines, written one by one.
struct Lines(String);

impl Lines {
    fn line(&mut self, text: impl AsRef<str>) {
        self.0.push(' ');
        self.0.push_str(text.as_ref());
        self.0.push('\n');
    }

    /// `name: value`, unless there is none.
    fn known(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.line(format!("{name}: {value}"));
        }
    }

    /// A title and a line for each item, unless there are none.
    fn list(&mut self, title: &str, items: impl IntoIterator<Item = String>) {
        let mut items = items.into_iter().peekable();
        if items.peek().is_some() {
            self.line(format!("{title}:"));
        }
        items.for_each(|item| self.line(format!(" {item}")));
    }
}

/// What is said about the engine.
pub fn server_text(info: &SystemInfo) -> String {
    let mut lines = Lines(String::new());
    objects(info, &mut lines);
    drivers(info, &mut lines);
    runtime(info, &mut lines);
    host(info, &mut lines);
    configuration(info, &mut lines);
    lines.0.push('\n');
    lines.0
}

fn objects(info: &SystemInfo, out: &mut Lines) {
    out.line(format!("Containers: {}", info.containers));
    out.line(format!(" Running: {}", info.containers_running));
    out.line(format!(" Paused: {}", info.containers_paused));
    out.line(format!(" Stopped: {}", info.containers_stopped));
    out.line(format!("Images: {}", info.images));
    out.known("Server Version", &info.server_version);
}

fn drivers(info: &SystemInfo, out: &mut Lines) {
    out.known("Storage Driver", &info.driver);
    info.driver_status.iter().flatten().for_each(|[name, value]| out.line(format!(" {name}: {value}")));
    info.system_status.iter().flatten().for_each(|[name, value]| out.line(format!("{name}: {value}")));
    out.known("Logging Driver", &info.logging_driver);
    out.known("Cgroup Driver", &info.cgroup_driver);
    out.known("Cgroup Version", &info.cgroup_version);
    out.line("Plugins:");
    let words = |words: &Option<Vec<String>>| words.as_deref().unwrap_or_default().join(" ");
    out.line(format!(" Volume: {}", words(&info.plugins.volume)));
    out.line(format!(" Network: {}", words(&info.plugins.network)));
    if info.plugins.authorization.as_ref().is_some_and(|plugins| !plugins.is_empty()) {
        out.line(format!(" Authorization: {}", words(&info.plugins.authorization)));
    }
    out.line(format!(" Log: {}", words(&info.plugins.log)));
    out.list("CDI spec directories", info.cdi_spec_dirs.clone().unwrap_or_default());
    let devices = info.discovered_devices.iter().flatten();
    out.list("Discovered Devices", devices.map(|device| format!("{}: {}", device.source, device.id)));
}

fn runtime(info: &SystemInfo, out: &mut Lines) {
    out.line(format!("Swarm: {}", info.swarm.local_node_state));
    let runtimes: Vec<&str> = info.runtimes.iter().flatten().map(|(name, _)| name.as_str()).collect();
    if !runtimes.is_empty() {
        out.line(format!("Runtimes: {}", runtimes.join(" ")));
        out.line(format!("Default Runtime: {}", info.default_runtime));
    }
    if info.os_type == "linux" {
        out.line(format!("Init Binary: {}", info.init_binary));
        out.line(format!("containerd version: {}", info.containerd_commit.id));
        out.line(format!("runc version: {}", info.runc_commit.id));
        out.line(format!("init version: {}", info.init_commit.id));
        let options = info.security_options.iter().flatten().flat_map(|option| security_option(option));
        out.list("Security Options", options);
    }
}

/// `name=seccomp,profile=builtin` → its name, then its profile below it.
fn security_option(option: &str) -> Vec<String> {
    let pairs = option.split(',').map(|pair| pair.split_once('=').unwrap_or(("name", pair)));
    pairs
        .filter_map(|(key, value)| match key {
            "name" => Some(value.to_owned()),
            "profile" => Some(format!(" Profile: {value}")),
            _ => None,
        })
        .collect()
}

fn host(info: &SystemInfo, out: &mut Lines) {
    out.known("Kernel Version", &info.kernel_version);
    out.known("Operating System", &info.operating_system);
    out.known("OSType", &info.os_type);
    out.known("Architecture", &info.architecture);
    out.line(format!("CPUs: {}", info.n_cpu));
    out.line(format!("Total Memory: {}", binary(info.mem_total as f64)));
    out.known("Name", &info.name);
    out.known("ID", &info.id);
    out.line(format!("Docker Root Dir: {}", info.docker_root_dir));
    out.line(format!("Debug Mode: {}", info.debug));
    if info.debug {
        out.line(format!(" File Descriptors: {}", info.n_fd));
        out.line(format!(" Goroutines: {}", info.n_goroutines));
        out.line(format!(" System Time: {}", info.system_time));
        out.line(format!(" EventsListeners: {}", info.n_events_listener));
    }
}

fn configuration(info: &SystemInfo, out: &mut Lines) {
    out.known("HTTP Proxy", &info.http_proxy);
    out.known("HTTPS Proxy", &info.https_proxy);
    out.known("No Proxy", &info.no_proxy);
    out.list("Labels", info.labels.clone().unwrap_or_default());
    out.line(format!("Experimental: {}", info.experimental_build));
    if let Some(registries) = &info.registry_config {
        let insecure = registries.index_configs.iter().flatten().filter(|(_, index)| !index.secure);
        let insecure = insecure.map(|(name, _)| name.clone());
        out.list(
            "Insecure Registries",
            insecure.chain(registries.insecure_registry_cidrs.clone().unwrap_or_default()),
        );
        out.list("Registry Mirrors", registries.mirrors.clone().unwrap_or_default());
    }
    out.line(format!("Live Restore Enabled: {}", info.live_restore_enabled));
    out.known("Product License", &info.product_license);
    let pools = info.default_address_pools.iter().flatten();
    out.list("Default Address Pools", pools.map(|pool| format!(" Base: {}, Size: {}", pool.base, pool.size)));
    if let Some(firewall) = &info.firewall_backend {
        out.line(format!("Firewall Backend: {}", firewall.driver));
        firewall.info.iter().flatten().for_each(|[name, value]| out.line(format!(" {name}: {value}")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_the_stock_clients_order() {
        let info: SystemInfo = serde_json::from_str(include_str!("info_tests.json")).unwrap();
        assert_eq!(server_text(&info), include_str!("info_tests.txt"));
    }

    #[test]
    fn an_engine_that_says_nothing() {
        assert!(server_text(&SystemInfo::default()).starts_with(" Containers: 0\n  Running: 0\n"));
    }
}
