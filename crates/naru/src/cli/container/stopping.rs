//! What `stop` and `restart` have in common: signal and patience.

use api::ContainerStopQuery;
use client::Method;

use super::super::{Context, Failure, Outcome, each, path, values};

/// Flags.
#[derive(clap::Args)]
#[group(skip)]
pub struct Stopping {
    #[arg(required = true)]
    containers: Vec<String>,
    /// Signal to send to the container
    #[arg(short, long)]
    signal: Option<String>,
    /// Seconds to wait before killing the container
    #[arg(short, long, value_name = "int", value_parser = values::integer)]
    timeout: Option<i64>,
    /// Seconds to wait before killing the container
    #[arg(long, hide = true, value_parser = values::integer)]
    time: Option<i64>,
}

/// Sends the request `action` for all of them.
pub async fn run(context: &Context, args: Stopping, action: &str) -> Outcome {
    if args.time.is_some() && args.timeout.is_some() {
        return Err(Failure::new(1, "conflicting options: cannot specify both --timeout and --time").into());
    }
    let query =
        ContainerStopQuery { signal: args.signal.unwrap_or_default(), timeout: args.timeout.or(args.time) };
    let client = context.client()?;
    each::each(&args.containers, async |name| {
        let request = client.request(Method::POST, path::container(name, action)?);
        Ok(request.parameters(&query).empty().await?)
    })
    .await
}
