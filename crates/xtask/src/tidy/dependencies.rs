//! Rules about who may depend on whom, read from `cargo metadata`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// Crates that run between clone and exec, in the monitor, or are called from blocking threads: no async runtime may be
/// within their reach.
const SYNC_CRATES: &[&str] = &[
    "sys", "cgroup", "seccomp", "netlink", "runtime", "monitor", "image", "store", "network", "api", "term",
    "tls",
];
const ASYNC_RUNTIMES: &[&str] = &["tokio", "hyper", "axum", "rayon", "async-std", "smol"];

/// `(crate, what it must not reach directly, why)`.
const FORBIDDEN: &[(&str, &[&str], &str)] = &[
    ("engine", &["axum", "hyper", "hyper-util", "http", "server"], "the engine knows no HTTP"),
    (
        "server",
        &["rustix", "cgroup", "runtime", "monitor", "store", "network", "nix"],
        "the server touches no file, cgroup or mount",
    ),
    ("client", &["engine", "server", "store", "runtime"], "the client speaks the Engine API only"),
];

pub fn check(root: &Path) -> Result<Vec<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked"])
        .current_dir(root)
        .output()
        .context("run cargo metadata")?;
    ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).context("parse cargo metadata")?;
    Ok(faults(&Graph::read(&metadata)?))
}

struct Graph {
    names: BTreeMap<String, String>,
    /// Package id → ids of its normal dependencies (development and build dependencies ship nothing).
    edges: BTreeMap<String, Vec<String>>,
}

impl Graph {
    fn read(metadata: &Value) -> Result<Self> {
        let mut names = BTreeMap::new();
        for package in metadata["packages"].as_array().context("packages")? {
            names.insert(text(&package["id"])?, text(&package["name"])?);
        }
        let mut edges = BTreeMap::new();
        for node in metadata["resolve"]["nodes"].as_array().context("resolve.nodes")? {
            let dependencies = node["deps"].as_array().context("deps")?;
            let normal = dependencies.iter().filter(|dependency| {
                dependency["dep_kinds"]
                    .as_array()
                    .is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"].is_null()))
            });
            let targets = normal.map(|dependency| text(&dependency["pkg"])).collect::<Result<Vec<_>>>()?;
            edges.insert(text(&node["id"])?, targets);
        }
        Ok(Self { names, edges })
    }

    fn id_of(&self, name: &str) -> Option<&str> {
        // A workspace crate may share its name with one of a registry: ours has a path as its source.
        self.names
            .iter()
            .find(|(id, n)| n.as_str() == name && id.starts_with("path+"))
            .map(|(id, _)| id.as_str())
    }

    fn direct(&self, id: &str) -> impl Iterator<Item = &str> {
        self.edges.get(id).into_iter().flatten().map(|id| self.names[id].as_str())
    }

    fn reachable(&self, id: &str) -> BTreeSet<&str> {
        let mut seen = BTreeSet::new();
        let mut stack = vec![id.to_owned()];
        let mut names = BTreeSet::new();
        while let Some(id) = stack.pop() {
            for next in self.edges.get(&id).into_iter().flatten() {
                if seen.insert(next.clone()) {
                    names.insert(self.names[next].as_str());
                    stack.push(next.clone());
                }
            }
        }
        names
    }
}

fn faults(graph: &Graph) -> Vec<String> {
    let mut faults = Vec::new();
    for name in SYNC_CRATES {
        let Some(id) = graph.id_of(name) else { continue };
        let reached = graph.reachable(id);
        for runtime in ASYNC_RUNTIMES.iter().filter(|runtime| reached.contains(**runtime)) {
            faults.push(format!("crate {name} reaches {runtime}: it must stay synchronous"));
        }
    }
    for (name, forbidden, why) in FORBIDDEN {
        let Some(id) = graph.id_of(name) else { continue };
        for direct in graph.direct(id).filter(|direct| forbidden.contains(direct)) {
            faults.push(format!("crate {name} depends on {direct}: {why}"));
        }
    }
    faults
}

fn text(value: &Value) -> Result<String> {
    Ok(value.as_str().context("a string in cargo metadata")?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sync_crate_that_reaches_tokio_is_named() {
        let metadata = serde_json::json!({
            "packages": [
                {"id": "path+file:///a#store@0.1.0", "name": "store"},
                {"id": "registry+x#middle@1.0.0", "name": "middle"},
                {"id": "registry+x#tokio@1.0.0", "name": "tokio"},
            ],
            "resolve": {"nodes": [
                {"id": "path+file:///a#store@0.1.0", "deps": [{"pkg": "registry+x#middle@1.0.0", "dep_kinds": [{"kind": null}]}]},
                {"id": "registry+x#middle@1.0.0", "deps": [{"pkg": "registry+x#tokio@1.0.0", "dep_kinds": [{"kind": null}]}]},
                {"id": "registry+x#tokio@1.0.0", "deps": []},
            ]}
        });
        let graph = Graph::read(&metadata).unwrap();
        assert_eq!(faults(&graph), ["crate store reaches tokio: it must stay synchronous"]);
    }
}
