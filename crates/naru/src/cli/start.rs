//! `start`: containers that exist; with `-a` or `-i` one of them, joined to our streams.

use api::ContainerInspectResponse;
use client::{Method, escape};

use super::failure::{self, Failure};
use super::run::{attach, exit_code, start, wait};
use super::session::{self, End, Signals, Streams, Target};
use super::{Context, Outcome, output};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    /// Attach STDOUT/STDERR and forward signals
    #[arg(short, long)]
    attach: bool,
    /// Override the key sequence for detaching a container
    #[arg(long)]
    detach_keys: Option<String>,
    /// Attach container's STDIN
    #[arg(short, long)]
    interactive: bool,
    #[arg(required = true)]
    container: Vec<String>,
}

/// Starts every container that can be started.
pub async fn run(context: &Context, args: Args) -> Outcome {
    if args.attach || args.interactive {
        let [container] = args.container.as_slice() else {
            return Err(Failure::new(1, "you cannot start and attach multiple containers at once").into());
        };
        return start_attached(context, &args, container).await;
    }
    let client = context.client()?;
    let mut failed = Vec::new();
    for container in &args.container {
        match start(client, &format!("/containers/{}", escape(container))).await {
            Ok(()) => output::line(container)?,
            Err(error) if error.kind().is_none() => return Err(error.into()),
            Err(error) => {
                output::warn(&failure::text(&error.into()));
                failed.push(container.as_str());
            }
        }
    }
    match failed.is_empty() {
        true => Ok(0),
        false => Err(Failure::new(1, format!("failed to start containers: {}", failed.join(", "))).into()),
    }
}

async fn start_attached(context: &Context, args: &Args, container: &str) -> Outcome {
    let client = context.client()?;
    let inspected: ContainerInspectResponse =
        client.request(Method::GET, format!("/containers/{}/json", escape(container))).json().await?;
    let config = inspected.config.unwrap_or_default();
    let streams = Streams {
        stdin: args.interactive && config.open_stdin,
        stdout: true,
        stderr: true,
        tty: config.tty,
        detach_keys: session::detach_keys(args.detach_keys.as_deref(), &context.config().detach_keys)?,
    };
    session::check_tty(streams.stdin, streams.tty)?;
    let signals = Signals::catch()?;
    let target = Target { client, path: format!("/containers/{}", inspected.id), proxy: !config.tty };
    let removed = inspected.host_config.is_some_and(|host| host.auto_remove);
    let launch = async {
        let (attached, waiting) = tokio::join!(
            attach(&target, &streams, args.detach_keys.as_deref()),
            wait(client, &target.path, if removed { "removed" } else { "next-exit" })
        );
        let started = (attached?, waiting?);
        start(client, &target.path).await?;
        anyhow::Ok(started)
    };
    let (connection, waiting) = session::meanwhile(Some(&signals), &target, launch).await?;
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
