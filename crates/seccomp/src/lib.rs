//! Seccomp filters: Docker's profile format and the OCI rules, compiled to classic BPF as a binary tree over ranges of system
//! call numbers. Pure: installs nothing, asks the kernel nothing.
#![forbid(unsafe_code)]

mod arch;
mod assemble;
mod cache;
mod compile;
mod decide;
mod numbers;
mod profile;
mod program;
mod rules;
#[cfg(test)]
mod tests;

pub use profile::{ArchMap, Condition, Profile, ProfileRule};
pub use program::Program;
pub use rules::{Action, Argument, Operator, Rule, Rules};

/// Why a profile cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not a profile.
    #[error("decoding seccomp profile failed: {0}")]
    Decode(#[from] serde_json::Error),
    /// A profile that contradicts itself.
    #[error("invalid seccomp profile: {0}")]
    Invalid(String),
}

/// The filter for a container with these capabilities (its bounding set) on a kernel of that version. Repeated calls with the
/// same input cost a look-up.
pub fn compile(profile: &Profile, capabilities: u64, kernel: (u32, u32)) -> Result<Program, Error> {
    cache::compile(profile, capabilities, kernel)
}

/// The filter for rules as in an OCI configuration.
pub fn compile_rules(rules: &Rules) -> Result<Program, Error> {
    compile::compile(rules, arch::Machine::NATIVE)
}
