//! Which test programs run in the lane, and how they are built: by cargo, as for any other run, linked statically as all of ours.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

/// A test program.
#[derive(Debug, Clone)]
pub struct Suite {
    /// For `--only`.
    pub name: &'static str,
    package: &'static str,
    /// cargo's name of the test target; `None` for the unit tests of a library.
    target: Option<&'static str>,
    /// Given to the program.
    arguments: &'static [&'static str],
    /// With systemd as the first process.
    pub systemd: bool,
    /// The program itself first, then others that it starts.
    pub files: Vec<PathBuf>,
}

const fn suite(name: &'static str, package: &'static str, target: &'static str) -> Suite {
    Suite { name, package, target: Some(target), arguments: &[], systemd: false, files: Vec::new() }
}

fn all() -> Vec<Suite> {
    vec![
        suite("cgroup", "cgroup", "live"),
        suite("cgroup-v2", "cgroup", "v2"),
        suite("runtime", "runtime", "containers"),
        suite("monitor", "monitor", "monitor"),
        // Attackers are written in C, and the guest has no compiler.
        Suite { arguments: &["--skip", "attack::"], ..suite("oci", "naru", "oci") },
        // Kernels in containers and small machines often have no quotas.
        Suite { arguments: &["limits::"], ..suite("quota", "store", "store") },
        Suite { systemd: true, ..suite("systemd", "cgroup", "systemd") },
        Suite { systemd: true, arguments: &["systemd::"], ..suite("systemd-oci", "naru", "oci") },
    ]
}

impl Suite {
    /// As the guest reads it: name, program, arguments, separated by tabs.
    pub fn line(&self, arguments: &[String]) -> String {
        let program = self.files[0].display().to_string();
        let own = self.arguments.iter().map(|argument| (*argument).to_owned());
        let words = [self.name.to_owned(), program].into_iter().chain(own).chain(arguments.iter().cloned());
        words.collect::<Vec<_>>().join("\t")
    }

    fn is(&self, target: &serde_json::Value) -> bool {
        let kind = if self.target.is_some() { "test" } else { "lib" };
        target["kind"][0] == kind && target["name"] == self.target.unwrap_or(self.package)
    }
}

/// Builds the test programs of the chosen suites.
pub fn build(root: &Path, chosen: impl Fn(&Suite) -> bool) -> Result<Vec<Suite>> {
    let mut suites: Vec<Suite> = all().into_iter().filter(chosen).collect();
    // The whole workspace, as the tests on the host are built: a choice of packages has other features, and all is built again.
    let output = Command::new(env!("CARGO"))
        .args(["test", "--no-run", "--workspace", "--locked", "--message-format=json-render-diagnostics"])
        .current_dir(root)
        .stderr(Stdio::inherit())
        .output()
        .context("run cargo test --no-run")?;
    ensure!(output.status.success(), "the tests could not be built");
    let text = String::from_utf8(output.stdout).context("cargo's messages")?;
    let messages: Vec<serde_json::Value> =
        text.lines().map(serde_json::from_str).collect::<Result<_, _>>().context("cargo's messages")?;
    let binary = |message: &serde_json::Value| message["executable"].as_str().map(PathBuf::from);
    for suite in &mut suites {
        let of_package = |message: &&serde_json::Value| {
            message["manifest_path"]
                .as_str()
                .is_some_and(|path| path.ends_with(&format!("crates/{}/Cargo.toml", suite.package)))
        };
        let built = messages.iter().filter(of_package);
        for message in built {
            let target = &message["target"];
            if suite.is(target) && message["profile"]["test"] == true {
                suite.files.splice(0..0, binary(message));
            } else if target["kind"][0] == "bin" && message["profile"]["test"] == false {
                suite.files.extend(binary(message));
            }
        }
        ensure!(!suite.files.is_empty(), "cargo built no program for the suite {}", suite.name);
    }
    Ok(suites)
}
