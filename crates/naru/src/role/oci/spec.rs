//! `spec`: writes a configuration to start from.

use std::path::Path;

use super::arguments::{Flag, Order, parse};
use super::failure::{Failure, Result};

const FLAGS: &[Flag] = &[Flag::value("bundle", Some('b')), Flag::switch("rootless", None)];

/// runc's default configuration.
const TEMPLATE: &str = include_str!("spec.json");

/// The verb.
pub fn run(words: &[String]) -> Result<i32> {
    let flags = parse(words, FLAGS, Order::Any)?;
    let file = Path::new(flags.value("bundle").unwrap_or(".")).join("config.json");
    let text = if flags.switch("rootless") { rootless(TEMPLATE) } else { TEMPLATE.to_owned() };
    let text = if runs_on_v2() { with_cgroup_namespace(&text) } else { text };
    let doing = format!("write {}", file.display());
    let written = std::fs::File::create_new(&file)
        .and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()));
    match written {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            Err(Failure::usage("File config.json exists. Remove it first"))
        }
        result => result.map(|()| 0).map_err(Failure::io(doing)),
    }
}

fn runs_on_v2() -> bool {
    cgroup::Host::detect().is_ok_and(|host| host.is_v2())
}

const NETWORK: &str = "\t\t\t{\n\t\t\t\t\"type\": \"network\"\n\t\t\t},\n";

fn with_cgroup_namespace(text: &str) -> String {
    let mount = "\t\t\t{\n\t\t\t\t\"type\": \"mount\"\n\t\t\t}";
    text.replace(mount, &format!("{mount},\n\t\t\t{{\n\t\t\t\t\"type\": \"cgroup\"\n\t\t\t}}"))
}

/// What a user may do alone: a user namespace with himself as root, the host's network, no limits, no group of the terminal.
fn rootless(text: &str) -> String {
    let mapping = |kind: &str, id: u32| {
        let fields = format!("\"containerID\": 0,\n\t\t\t\t\"hostID\": {id},\n\t\t\t\t\"size\": 1");
        format!("\t\t\"{kind}\": [\n\t\t\t{{\n\t\t\t\t{fields}\n\t\t\t}}\n\t\t],\n")
    };
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let resources = "\t\t\"resources\": {\n\t\t\t\"devices\": [\n\t\t\t\t{\n\t\t\t\t\t\"allow\": false,\n\t\t\t\t\t\"access\": \"rwm\"\n\t\t\t\t}\n\t\t\t]\n\t\t},\n";
    let mappings = mapping("uidMappings", uid) + &mapping("gidMappings", gid);
    let sysfs = "\t\t\t\"type\": \"sysfs\",\n\t\t\t\"source\": \"sysfs\",\n\t\t\t\"options\": [\n";
    let bound =
        "\t\t\t\"type\": \"none\",\n\t\t\t\"source\": \"/sys\",\n\t\t\t\"options\": [\n\t\t\t\t\"rbind\",\n";
    text.replace(resources, &mappings)
        .replace(NETWORK, "\t\t\t{\n\t\t\t\t\"type\": \"user\"\n\t\t\t},\n")
        .replace(",\n\t\t\t\t\"gid=5\"", "")
        .replace(sysfs, bound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variant_is_a_configuration() {
        let parse = |text: &str| serde_json::from_str::<runtime::Spec>(text).unwrap();
        let namespaces = |text: &str| {
            let spec = parse(text);
            let linux = spec.linux().as_ref().unwrap();
            let kinds =
                linux.namespaces().as_ref().unwrap().iter().map(|namespace| namespace.typ().to_string());
            kinds.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(namespaces(TEMPLATE), "pid net ipc uts mnt");
        let own = rootless(TEMPLATE);
        assert_eq!(namespaces(&with_cgroup_namespace(&own)), "pid user ipc uts mnt cgroup");
        assert!(!own.contains("gid=5") && !own.contains("resources") && own.contains("rbind"));
        assert_eq!(parse(&own).linux().as_ref().unwrap().uid_mappings().as_ref().unwrap().len(), 1);
    }
}
