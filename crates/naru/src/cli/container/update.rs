//! `update`: changes limits and the restart policy of containers.

use api::{ContainerUpdateRequest, ContainerUpdateResponse, Resources, RestartPolicy};
use client::Method;

use super::super::{Context, Failure, Outcome, each, output, path, values};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[arg(required = true)]
    containers: Vec<String>,
    /// Block IO (relative weight), between 10 and 1000, or 0 to disable (default 0)
    #[arg(long, value_name = "uint16", value_parser = values::small)]
    blkio_weight: Option<u16>,
    /// Limit CPU CFS (Completely Fair Scheduler) period
    #[arg(long, value_name = "int", value_parser = values::integer)]
    cpu_period: Option<i64>,
    /// Limit CPU CFS (Completely Fair Scheduler) quota
    #[arg(long, value_name = "int", value_parser = values::integer)]
    cpu_quota: Option<i64>,
    /// Limit the CPU real-time period in microseconds
    #[arg(long, value_name = "int", value_parser = values::integer)]
    cpu_rt_period: Option<i64>,
    /// Limit the CPU real-time runtime in microseconds
    #[arg(long, value_name = "int", value_parser = values::integer)]
    cpu_rt_runtime: Option<i64>,
    /// CPU shares (relative weight)
    #[arg(short, long, value_name = "int", value_parser = values::integer)]
    cpu_shares: Option<i64>,
    /// Number of CPUs
    #[arg(long, value_name = "decimal", value_parser = values::cpus)]
    cpus: Option<i64>,
    /// CPUs in which to allow execution (0-3, 0,1)
    #[arg(long)]
    cpuset_cpus: Option<String>,
    /// MEMs in which to allow execution (0-3, 0,1)
    #[arg(long)]
    cpuset_mems: Option<String>,
    /// Memory limit
    #[arg(short, long, value_name = "bytes", value_parser = values::size)]
    memory: Option<i64>,
    /// Memory soft limit
    #[arg(long, value_name = "bytes", value_parser = values::size)]
    memory_reservation: Option<i64>,
    /// Swap limit equal to memory plus swap: -1 to enable unlimited swap
    #[arg(long, value_name = "bytes", value_parser = values::size_or_unlimited)]
    memory_swap: Option<i64>,
    /// Tune container pids limit (set -1 for unlimited)
    #[arg(long, value_name = "int", value_parser = values::integer)]
    pids_limit: Option<i64>,
    /// Restart policy to apply when a container exits
    #[arg(long)]
    restart: Option<String>,
}

/// Changes all of them.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let change = change(&args)?;
    if change == ContainerUpdateRequest::default() && args.is_empty() {
        return Err(Failure::new(1, "you must provide one or more flags when using this command").into());
    }
    let client = context.client()?;
    each::each(&args.containers, async |name| {
        let request = client.request(Method::POST, path::container(name, "/update")?);
        let answer: ContainerUpdateResponse = request.json_body(&change).json().await?;
        answer.warnings.iter().flatten().for_each(|warning| output::warn(warning));
        Ok(())
    })
    .await
}

impl Args {
    /// Whether no flag was given, not even one with the value that means nothing.
    fn is_empty(&self) -> bool {
        self.blkio_weight.is_none()
            && [self.cpu_period, self.cpu_quota, self.cpu_rt_period, self.cpu_rt_runtime]
                .iter()
                .all(Option::is_none)
            && [self.cpu_shares, self.cpus, self.memory, self.memory_reservation].iter().all(Option::is_none)
            && [self.memory_swap, self.pids_limit].iter().all(Option::is_none)
            && [&self.cpuset_cpus, &self.cpuset_mems, &self.restart].iter().all(|flag| flag.is_none())
    }
}

fn change(args: &Args) -> Result<ContainerUpdateRequest, Failure> {
    let restart_policy = match args.restart.as_deref() {
        Some(text) => restart_policy(text)?,
        None => RestartPolicy::default(),
    };
    Ok(ContainerUpdateRequest {
        resources: Resources {
            blkio_weight: args.blkio_weight.unwrap_or_default(),
            cpu_period: args.cpu_period.unwrap_or_default(),
            cpu_quota: args.cpu_quota.unwrap_or_default(),
            cpu_realtime_period: args.cpu_rt_period.unwrap_or_default(),
            cpu_realtime_runtime: args.cpu_rt_runtime.unwrap_or_default(),
            cpu_shares: args.cpu_shares.unwrap_or_default(),
            nano_cpus: args.cpus.unwrap_or_default(),
            cpuset_cpus: args.cpuset_cpus.clone().unwrap_or_default(),
            cpuset_mems: args.cpuset_mems.clone().unwrap_or_default(),
            memory: args.memory.unwrap_or_default(),
            memory_reservation: args.memory_reservation.unwrap_or_default(),
            memory_swap: args.memory_swap.unwrap_or_default(),
            pids_limit: args.pids_limit.filter(|limit| *limit != 0),
            ..Resources::default()
        },
        restart_policy,
    })
}

/// `on-failure:3`.
fn restart_policy(text: &str) -> Result<RestartPolicy, Failure> {
    let (name, count) = text.split_once(':').map_or((text, None), |(name, count)| (name, Some(count)));
    if name.is_empty() && count.is_some() {
        return Err(Failure::new(1, "invalid restart policy format: no policy provided before colon"));
    }
    let count = count.filter(|count| !count.is_empty()).map(str::parse).transpose().map_err(|_| {
        Failure::new(1, "invalid restart policy format: maximum retry count must be an integer")
    })?;
    Ok(RestartPolicy { name: name.to_owned(), maximum_retry_count: count.unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restart_policies() {
        let parse = |text: &str| restart_policy(text).map(|policy| (policy.name, policy.maximum_retry_count));
        assert_eq!(parse("always").unwrap(), ("always".to_owned(), 0));
        assert_eq!(parse("on-failure:3").unwrap(), ("on-failure".to_owned(), 3));
        assert!(parse("on-failure:x").is_err());
        assert!(parse(":3").is_err());
    }
}
