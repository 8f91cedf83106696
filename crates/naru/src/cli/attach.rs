//! `attach`: joins our streams to a container that runs.

use api::ContainerInspectResponse;
use client::{Method, escape};

use super::failure::Failure;
use super::run::{attach, exit_code, wait};
use super::session::{self, End, Signals, Streams, Target};
use super::{Context, Outcome};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    /// Override the key sequence for detaching a container
    #[arg(long)]
    detach_keys: Option<String>,
    /// Do not attach STDIN
    #[arg(long)]
    no_stdin: bool,
    /// Proxy all received signals to the process
    #[arg(long, num_args = 0..=1, default_value = "true", value_parser = clap::builder::ValueParser::new(super::flags::parse_bool))]
    sig_proxy: bool,
    #[arg(required = true)]
    container: String,
}

/// Stays until the container ends or the user leaves; the container's exit code is ours.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let client = context.client()?;
    let inspected: ContainerInspectResponse =
        client.request(Method::GET, format!("/containers/{}/json", escape(&args.container))).json().await?;
    let state = inspected.state.unwrap_or_default();
    let problem = match (state.running, state.paused, state.restarting) {
        (false, _, _) => Some("cannot attach to a stopped container, start it first"),
        (_, true, _) => Some("cannot attach to a paused container, unpause it first"),
        (_, _, true) => Some("cannot attach to a restarting container, wait until it is running"),
        _ => None,
    };
    if let Some(problem) = problem {
        return Err(Failure::new(1, problem).into());
    }
    let config = inspected.config.unwrap_or_default();
    let streams = Streams {
        stdin: !args.no_stdin && config.open_stdin,
        stdout: true,
        stderr: true,
        tty: config.tty,
        detach_keys: session::detach_keys(args.detach_keys.as_deref(), &context.config().detach_keys)?,
    };
    session::check_tty(streams.stdin, streams.tty)?;
    let signals = Signals::catch()?;
    let target = Target {
        client,
        path: format!("/containers/{}", inspected.id),
        proxy: args.sig_proxy && !config.tty,
    };
    let waiting = wait(client, &target.path, "").await?;
    let connection = attach(&target, &streams, args.detach_keys.as_deref()).await?;
    if config.tty {
        session::resize(&target).await;
    }
    let end = match connection {
        Some(connection) => session::join(connection, &streams, &target, Some(&signals)).await?,
        None => End::Output,
    };
    match end {
        End::Output => session::meanwhile(Some(&signals), &target, exit_code(waiting)).await,
        End::Detached => Ok(0),
        End::Signal(signal) => Ok(128 + signal),
    }
}
