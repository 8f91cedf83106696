//! Where an engine finds other tools' files on registries: certificates, `hosts.toml`, `registries.conf`, logins. Users' own
//! folders come before the system's, except for root, who has none.

use std::path::PathBuf;

use crate::cli;

/// Folders with one folder for each registry, the most specific tool first.
pub fn certs_dirs() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = Vec::new();
    if let Some(config) = user_config() {
        folders.extend(["naru", "docker", "containers"].map(|tool| config.join(tool).join("certs.d")));
    }
    let system = ["/etc/naru", "/etc/docker", "/etc/containers", "/etc/containerd"];
    folders.extend(system.map(|tool| PathBuf::from(tool).join("certs.d")));
    folders
}

/// The main file (a user's own one replaces the system's), then the folders of drop-ins.
pub fn registries_conf() -> Vec<PathBuf> {
    let system = PathBuf::from("/etc/containers");
    let mut paths = Vec::new();
    let own = user_config().map(|config| config.join("containers"));
    let main = cli::variable("CONTAINERS_REGISTRIES_CONF").map(PathBuf::from);
    let main = main.or_else(|| Some(own.as_ref()?.join("registries.conf")).filter(|path| path.exists()));
    paths.push(main.unwrap_or_else(|| system.join("registries.conf")));
    paths.extend([Some(system), own].into_iter().flatten().map(|folder| folder.join("registries.conf.d")));
    paths
}

/// Where those who run engines log in at mirrors: podman's files in its order, then docker's.
pub fn logins() -> Vec<PathBuf> {
    let user = rustix::process::geteuid().as_raw();
    let runtime = cli::variable("XDG_RUNTIME_DIR").map_or_else(
        || PathBuf::from(format!("/run/containers/{user}")),
        |folder| PathBuf::from(folder).join("containers"),
    );
    let config = cli::variable("XDG_CONFIG_HOME").map_or_else(|| cli::home().join(".config"), PathBuf::from);
    vec![
        runtime.join("auth.json"),
        config.join("containers/auth.json"),
        cli::home().join(".docker/config.json"),
    ]
}

/// `~/.config`, for everybody but root.
fn user_config() -> Option<PathBuf> {
    if rustix::process::geteuid().is_root() {
        return None;
    }
    Some(cli::variable("XDG_CONFIG_HOME").map_or_else(|| cli::home().join(".config"), PathBuf::from))
}
