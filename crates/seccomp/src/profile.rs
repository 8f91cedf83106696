//! Docker's seccomp profile format (moby/profiles `seccomp.go`): a list of rules, some of which count only with a capability, on
//! an architecture or from a kernel version on. Resolving it for one container gives plain [`Rules`].

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::arch::Machine;
use crate::rules::{Action, Argument, Rule, Rules};

/// A profile as in `--security-opt seccomp=<file>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    /// For calls that no rule names.
    pub default_action: Action,
    /// The errno for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_errno_ret: Option<u32>,
    /// Architectures (`SCMP_ARCH_…`); the other way to say what `arch_map` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architectures: Option<Vec<String>>,
    /// The native architecture to those that the same kernel also runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arch_map: Option<Vec<ArchMap>>,
    /// `SECCOMP_FILTER_FLAG_…` names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flags: Option<Vec<String>>,
    /// Where the notification descriptor goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listener_path: Option<String>,
    /// Sent along with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listener_metadata: Option<String>,
    /// The rules.
    #[serde(default)]
    pub syscalls: Option<Vec<ProfileRule>>,
}

/// An entry of `archMap`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArchMap {
    /// `SCMP_ARCH_…`.
    pub architecture: String,
    /// `SCMP_ARCH_…`.
    pub sub_architectures: Option<Vec<String>>,
}

/// A rule with its conditions.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProfileRule {
    /// The old form: one name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Names of system calls; unknown ones are passed over.
    #[serde(default)]
    pub names: Option<Vec<String>>,
    /// What to do.
    pub action: Action,
    /// The errno for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno_ret: Option<u32>,
    /// Conditions on the arguments, see [`Rule::args`].
    #[serde(default)]
    pub args: Option<Vec<Argument>>,
    /// The rule counts only if all of this is true.
    #[serde(default)]
    pub includes: Option<Condition>,
    /// The rule does not count if any of this is true.
    #[serde(default)]
    pub excludes: Option<Condition>,
}

/// When a rule counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Capabilities of the container (`CAP_…`).
    #[serde(default)]
    pub caps: Option<Vec<String>>,
    /// Go's names of architectures (`amd64`).
    #[serde(default)]
    pub arches: Option<Vec<String>>,
    /// `major.minor`: this kernel or a later one.
    #[serde(default)]
    pub min_kernel: Option<String>,
}

impl Profile {
    /// Docker's default profile.
    pub fn docker_default() -> &'static Self {
        static DEFAULT: LazyLock<Profile> = LazyLock::new(|| {
            Profile::parse(include_bytes!("default.json")).expect("the built-in profile is tested")
        });
        &DEFAULT
    }

    /// Reads a profile. An empty object forbids nothing.
    pub fn parse(json: &[u8]) -> Result<Self, Error> {
        let value: serde_json::Value = serde_json::from_slice(json)?;
        if value.as_object().is_some_and(serde_json::Map::is_empty) {
            return Ok(serde_json::from_value(serde_json::json!({ "defaultAction": Action::Allow }))?);
        }
        let profile: Self = serde_json::from_value(value)?;
        profile.validate()?;
        Ok(profile)
    }

    /// What Docker says when a profile is used; said when it is read.
    fn validate(&self) -> Result<(), Error> {
        let both = |one: &str, other: &str| {
            Err(Error::Invalid(format!(
                "'{one}' and '{other}' were specified in the seccomp profile, use either '{one}' or '{other}'"
            )))
        };
        if self.architectures.as_ref().is_some_and(|list| !list.is_empty())
            && self.arch_map.as_ref().is_some_and(|map| !map.is_empty())
        {
            return both("architectures", "archMap");
        }
        for rule in self.syscalls.iter().flatten() {
            if rule.name.as_ref().is_some_and(|name| !name.is_empty())
                && rule.names.as_ref().is_some_and(|names| !names.is_empty())
            {
                return both("name", "names");
            }
            for condition in [&rule.includes, &rule.excludes].into_iter().flatten() {
                condition.min_kernel()?;
            }
        }
        Ok(())
    }

    /// The rules for a container with these capabilities (its bounding set), on this machine's architecture and a kernel of that
    /// version (major, minor).
    pub fn resolve(&self, capabilities: u64, kernel: (u32, u32)) -> Result<Rules, Error> {
        self.resolve_for(Machine::NATIVE, capabilities, kernel)
    }

    pub(crate) fn resolve_for(
        &self,
        machine: Machine,
        capabilities: u64,
        kernel: (u32, u32),
    ) -> Result<Rules, Error> {
        self.validate()?;
        let facts = Facts { machine, capabilities, kernel };
        let mut syscalls = Vec::new();
        for rule in self.syscalls.iter().flatten() {
            if facts.include(rule)? {
                syscalls.push(Rule {
                    names: rule.names.iter().flatten().chain(&rule.name).cloned().collect(),
                    action: rule.action,
                    errno_ret: rule.errno_ret,
                    args: rule.args.clone().unwrap_or_default(),
                });
            }
        }
        Ok(Rules {
            default_action: self.default_action,
            default_errno_ret: self.default_errno_ret,
            architectures: self.architectures_for(machine),
            flags: self.flags.clone(),
            syscalls,
        })
    }

    fn architectures_for(&self, machine: Machine) -> Vec<String> {
        if let Some(architectures) = self.architectures.as_ref().filter(|list| !list.is_empty()) {
            return architectures.clone();
        }
        let native = machine.abi().name();
        let entry = self.arch_map.iter().flatten().find(|entry| entry.architecture == native);
        let others = entry.into_iter().flat_map(|entry| entry.sub_architectures.iter().flatten().cloned());
        entry.map(|entry| entry.architecture.clone()).into_iter().chain(others).collect()
    }
}

/// What conditions ask about.
struct Facts {
    machine: Machine,
    capabilities: u64,
    kernel: (u32, u32),
}

impl Facts {
    fn include(&self, rule: &ProfileRule) -> Result<bool, Error> {
        if let Some(condition) = &rule.excludes
            && (self.runs_on(condition)
                || condition.caps.iter().flatten().any(|name| self.has(name))
                || condition.min_kernel()?.is_some_and(|least| self.kernel >= least))
        {
            return Ok(false);
        }
        let Some(condition) = &rule.includes else { return Ok(true) };
        let anywhere = condition.arches.as_ref().is_none_or(Vec::is_empty);
        Ok((anywhere || self.runs_on(condition))
            && condition.caps.iter().flatten().all(|name| self.has(name))
            && condition.min_kernel()?.is_none_or(|least| self.kernel >= least))
    }

    fn runs_on(&self, condition: &Condition) -> bool {
        condition.arches.iter().flatten().any(|name| name == self.machine.go_name())
    }

    fn has(&self, capability: &str) -> bool {
        sys::caps::parse(capability).is_some_and(|number| self.capabilities & (1 << number) != 0)
    }
}

impl Condition {
    fn min_kernel(&self) -> Result<Option<(u32, u32)>, Error> {
        let Some(text) = self.min_kernel.as_deref().filter(|text| !text.is_empty()) else { return Ok(None) };
        let parse = |text: &str| {
            let (major, minor) = text.split_once('.')?;
            Some((major.parse().ok()?, minor.parse().ok()?))
        };
        match parse(text) {
            Some(version) => Ok(Some(version)),
            None => Err(Error::Invalid(format!("invalid kernel version: {text:?}"))),
        }
    }
}
