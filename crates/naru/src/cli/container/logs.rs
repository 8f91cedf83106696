//! `logs`: what a container wrote.

use api::stream::{Demux, StreamKind};
use api::{ContainerInspectResponse, ContainerLogsQuery};
use client::{Method, Response};

use super::super::{Context, Failure, Outcome, moment, output, path};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[arg(required = true)]
    container: String,
    /// Show extra details provided to logs
    #[arg(long)]
    details: bool,
    /// Follow log output
    #[arg(short, long)]
    follow: bool,
    /// Show logs since timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)
    #[arg(long)]
    since: Option<String>,
    /// Number of lines to show from the end of the logs (default "all")
    #[arg(short = 'n', long, default_value = "all")]
    tail: String,
    /// Show timestamps
    #[arg(short, long)]
    timestamps: bool,
    /// Show logs before a timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)
    #[arg(long)]
    until: Option<String>,
}

/// Prints them; each stream goes where the container wrote it.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let client = context.client()?;
    let container: ContainerInspectResponse =
        client.request(Method::GET, path::container(&args.container, "/json")?).json().await?;
    let query = ContainerLogsQuery {
        follow: args.follow,
        stdout: true,
        stderr: true,
        since: moment::flag("since", args.since.as_deref())?,
        until: moment::flag("until", args.until.as_deref())?,
        timestamps: args.timestamps,
        tail: args.tail,
        details: args.details,
    };
    let request = client.request(Method::GET, path::container(&container.id, "/logs")?);
    let response = request.parameters(&query).send().await?;
    match container.config.is_some_and(|config| config.tty) {
        true => raw(response).await?,
        false => framed(response).await?,
    }
    Ok(0)
}

/// A terminal's output is one stream.
async fn raw(mut response: Response) -> anyhow::Result<()> {
    while let Some(chunk) = response.chunk().await? {
        output::bytes(&chunk)?;
    }
    Ok(())
}

async fn framed(mut response: Response) -> anyhow::Result<()> {
    let mut demux = Demux::default();
    while let Some(chunk) = response.chunk().await? {
        let mut pieces: Vec<(StreamKind, Vec<u8>)> = Vec::new();
        let fed = demux.feed(&chunk, |kind, bytes| match pieces.last_mut() {
            Some((last, piece)) if *last == kind => piece.extend_from_slice(bytes),
            _ => pieces.push((kind, bytes.to_vec())),
        });
        for (kind, bytes) in pieces {
            match kind {
                StreamKind::Stderr => output::error_bytes(&bytes)?,
                StreamKind::SystemErr => {
                    let message = String::from_utf8_lossy(&bytes);
                    return Err(Failure::new(1, format!("error from daemon in stream: {message}")).into());
                }
                _ => output::bytes(&bytes)?,
            }
        }
        fed.map_err(|error| Failure::new(1, error.to_string()))?;
    }
    Ok(())
}
