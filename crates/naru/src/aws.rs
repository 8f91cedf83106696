//! What this process knows of AWS: its variables and whose files it reads, for registries of Amazon ECR.
//!
//! The command line stands for its user: it may use everything that an AWS tool in the same shell would use. An engine stands for
//! its machine. One that a command started has that command's variables only by accident, so it heeds those alone that tell of
//! the machine: a later command's user is perhaps another one.

use std::collections::BTreeMap;

use distribution::aws::Environment;

use crate::cli;

/// Variables that say where we run, not who we are.
const OF_THE_MACHINE: &[&str] = &[
    "AWS_CA_BUNDLE",
    "AWS_CONTAINER_",
    "AWS_EC2_METADATA_",
    "AWS_ENDPOINT_URL",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
];

/// The user's. Without an engine on another machine the instance's role is left to the engine.
pub fn of_user(instance_metadata: bool) -> Environment {
    Environment { variables: variables(|_| true), home: Some(cli::home()), instance_metadata }
}

/// The engine's.
pub fn of_engine(started_by_command: bool) -> Environment {
    let of_machine = |name: &str| OF_THE_MACHINE.iter().any(|prefix| name.starts_with(prefix));
    Environment {
        variables: variables(|name| !started_by_command || of_machine(name)),
        home: Some(cli::home()),
        instance_metadata: true,
    }
}

fn variables(wanted: impl Fn(&str) -> bool) -> BTreeMap<String, String> {
    let pairs = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
    let ours = pairs.filter(|(name, _)| name.starts_with("AWS_") && wanted(name));
    ours.filter_map(|(name, value)| Some((name, value.into_string().ok()?))).collect()
}
