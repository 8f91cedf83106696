//! Docker's seccomp profile format (moby/profiles `seccomp.go`): a list of rules, some of which count only with a capability, on
//! an architecture or from a kernel version on. Resolving it for one container gives plain [`Rules`].

use serde::{Deserialize, Serialize};

use crate::rules::{Action, Argument, Rules};

/// A profile as in `--security-opt seccomp=<file>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArchMap {
    /// `SCMP_ARCH_…`.
    pub architecture: String,
    /// `SCMP_ARCH_…`.
    pub sub_architectures: Option<Vec<String>>,
}

/// A rule with its conditions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Conditions on the arguments, all of which must hold.
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
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
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
        unreachable!("in progress")
    }

    /// Reads a profile.
    pub fn parse(_json: &[u8]) -> Result<Self, crate::Error> {
        unreachable!("in progress")
    }

    /// The rules for a container with these capabilities (its bounding set), on this machine's architecture and a kernel of that
    /// version (major, minor).
    pub fn resolve(&self, _capabilities: u64, _kernel: (u32, u32)) -> Result<Rules, crate::Error> {
        unreachable!("in progress")
    }
}
