//! A health check as the monitor runs it, with Docker's defaults filled in.

use api::ContainerConfig;
use monitor::protocol::HealthSpec;
use runtime::ExecPlan;

const SECOND: i64 = 1_000_000_000;

/// The check of a container; None when it has none. `process` is its first process, whose settings the probe has.
pub(crate) fn spec(config: &ContainerConfig, process: &ExecPlan) -> Option<HealthSpec> {
    let health = config.healthcheck.as_ref()?;
    let args = command(config)?;
    let time = |value: i64, default: i64| {
        let value = if value == 0 { default } else { value };
        u64::try_from(value).unwrap_or(0)
    };
    Some(HealthSpec {
        plan: ExecPlan { args, terminal: false, ..process.clone() },
        interval: time(health.interval, 30 * SECOND),
        timeout: time(health.timeout, 30 * SECOND),
        start_period: time(health.start_period, 0),
        start_interval: time(health.start_interval, 5 * SECOND),
        retries: u32::try_from(health.retries).ok().filter(|retries| *retries > 0).unwrap_or(3),
    })
}

/// Whether a container has a check.
pub(crate) fn has_check(config: &ContainerConfig) -> bool {
    command(config).is_some()
}

/// The probe's command.
fn command(config: &ContainerConfig) -> Option<Vec<String>> {
    let test = config.healthcheck.as_ref()?.test.as_ref()?;
    match test.split_first()? {
        (kind, args) if kind == "CMD" && !args.is_empty() => Some(args.to_vec()),
        (kind, args) if kind == "CMD-SHELL" && !args.is_empty() => {
            let shell = match &config.shell {
                Some(shell) if !shell.is_empty() => shell.to_vec(),
                _ => vec!["/bin/sh".to_owned(), "-c".to_owned()],
            };
            Some(shell.into_iter().chain(args.iter().cloned()).collect())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_are_commands_or_shell_lines_with_dockers_defaults() {
        let spec = |json: &str| spec(&serde_json::from_str(json).unwrap(), &ExecPlan::default());
        let args = |json: &str| spec(json).map(|spec| spec.plan.args);
        let words = |words: &[&str]| Some(words.iter().map(|word| word.to_string()).collect::<Vec<_>>());
        assert_eq!(args("{}"), None);
        assert_eq!(args(r#"{"Healthcheck":{"Test":["NONE"]}}"#), None);
        assert_eq!(args(r#"{"Healthcheck":{"Test":[],"Interval":5}}"#), None);
        assert_eq!(args(r#"{"Healthcheck":{"Test":["CMD","a","b"]}}"#), words(&["a", "b"]));
        assert_eq!(args(r#"{"Healthcheck":{"Test":["CMD-SHELL","a b"]}}"#), words(&["/bin/sh", "-c", "a b"]));
        let own = r#"{"Shell":["/bin/bash","-ec"],"Healthcheck":{"Test":["CMD-SHELL","x"],"Interval":7}}"#;
        let spec = spec(own).unwrap();
        assert_eq!(spec.plan.args, ["/bin/bash", "-ec", "x"]);
        assert_eq!(
            (spec.interval, spec.timeout, spec.start_period, spec.start_interval, spec.retries),
            (7, 30_000_000_000, 0, 5_000_000_000, 3)
        );
    }
}
