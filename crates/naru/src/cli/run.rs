//! `run`: create, attach, wait, start, stream, exit code, in this order. Attaching and waiting come before the start, so that
//! neither the first byte nor the exit of a short container is missed; they go out at the same time.

use api::{ContainerAttachQuery, ContainerWaitResponse};
use client::{Client, Method, Response};

use super::create::{self, bad_flags};
use super::failure::{self, Failure};
use super::options::ContainerFlags;
use super::session::{self, End, Signals, Streams, Target};
use super::{Context, Outcome, output};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    flags: ContainerFlags,
    /// Run container in background and print container ID
    #[arg(short, long)]
    detach: bool,
    /// Override the key sequence for detaching a container
    #[arg(long)]
    detach_keys: Option<String>,
    /// Proxy received signals to the process
    #[arg(long, num_args = 0..=1, default_value = "true", value_parser = clap::builder::ValueParser::new(super::flags::parse_bool))]
    sig_proxy: bool,
    #[arg(required = true)]
    image: String,
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

/// Runs a container; its exit code is ours.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let flags = &args.flags;
    let mut surroundings = create::surroundings(context, flags).map_err(|error| failed(125, &error))?;
    surroundings.detach = args.detach && flags.attach.is_empty();
    if args.detach && !flags.attach.is_empty() {
        return Err(bad_flags(
            "run",
            &anyhow::anyhow!("conflicting options: cannot specify both --attach and --detach"),
        )
        .into());
    }
    if args.detach
        && flags.rm
        && flags.restart_policy().is_ok_and(|policy| !matches!(policy.name.as_str(), "" | "no"))
    {
        return Err(bad_flags(
            "run",
            &anyhow::anyhow!("conflicting options: cannot specify both --restart and --rm"),
        )
        .into());
    }
    let request = flags.request(&args.image, &args.command, &surroundings);
    let request = request.map_err(|error| bad_flags("run", &error))?;
    let config = &request.config;
    let streams = Streams {
        stdin: config.attach_stdin,
        stdout: config.attach_stdout,
        stderr: config.attach_stderr,
        tty: flags.tty,
        detach_keys: session::detach_keys(args.detach_keys.as_deref(), &context.config().detach_keys)?,
    };
    if !args.detach {
        session::check_tty(streams.stdin, streams.tty)?;
    }
    let client = context.client().map_err(|error| failed(125, &error))?;
    let created = create::create(context, flags, &request).await.map_err(|error| failed(125, &error))?;
    let target =
        Target { client, path: format!("/containers/{}", created.id), proxy: args.sig_proxy && !flags.tty };
    // Not earlier: programs that were started on the way (credential helpers) would inherit what is blocked.
    let signals = (!args.detach).then(Signals::catch).transpose()?;
    if args.detach {
        start(client, &target.path).await.map_err(|error| failed(start_code(&error), &error.into()))?;
        output::line(&created.id)?;
        return Ok(0);
    }
    let session = session::meanwhile(
        signals.as_ref(),
        &target,
        launch(&target, &streams, flags.rm, args.detach_keys.as_deref()),
    );
    let (connection, waiting) = session.await?;
    if flags.tty {
        session::resize(&target).await;
    }
    let attached = streams.stdin || streams.stdout || streams.stderr;
    let end = match connection {
        Some(connection) if attached => {
            session::join(connection, &streams, &target, signals.as_ref()).await?
        }
        _ => End::Output,
    };
    match end {
        End::Output => session::meanwhile(signals.as_ref(), &target, exit_code(waiting)).await,
        End::Detached => Ok(0),
        End::Signal(signal) => Ok(128 + signal),
    }
}

/// Attach and wait at once, then start.
async fn launch(
    target: &Target<'_>,
    streams: &Streams,
    removed: bool,
    detach_keys: Option<&str>,
) -> anyhow::Result<(Option<client::Upgraded>, Response)> {
    let (attached, waiting) = tokio::join!(
        attach(target, streams, detach_keys),
        wait(target.client, &target.path, if removed { "removed" } else { "next-exit" })
    );
    let attached = attached.map_err(|error| failed(125, &error.into()))?;
    let waiting = waiting.map_err(|error| failed(125, &error.into()))?;
    if let Err(error) = start(target.client, &target.path).await {
        drop(attached);
        // Nothing of it may be left when we say that it failed.
        if removed {
            let _ = waiting.bytes().await;
        }
        return Err(failed(start_code(&error), &error.into()).into());
    }
    Ok((attached, waiting))
}

/// The container's streams; `None` when none is wanted.
pub async fn attach(
    target: &Target<'_>,
    streams: &Streams,
    detach_keys: Option<&str>,
) -> client::Result<Option<client::Upgraded>> {
    if !streams.stdin && !streams.stdout && !streams.stderr {
        return Ok(None);
    }
    let query = ContainerAttachQuery {
        stream: true,
        stdin: streams.stdin,
        stdout: streams.stdout,
        stderr: streams.stderr,
        detach_keys: detach_keys.unwrap_or_default().to_owned(),
        ..ContainerAttachQuery::default()
    };
    let request = target.client.request(Method::POST, format!("{}/attach", target.path));
    request.parameters(&query).upgrade().await.map(Some)
}

/// Registers for the container's end: the engine has answered with a head, the exit code follows.
pub async fn wait(client: &Client, path: &str, condition: &str) -> client::Result<Response> {
    client.request(Method::POST, format!("{path}/wait")).query("condition", condition).send().await
}

/// Starts a container.
pub async fn start(client: &Client, path: &str) -> client::Result<()> {
    client.request(Method::POST, format!("{path}/start")).empty().await
}

/// The exit code that was waited for.
pub async fn exit_code(waiting: Response) -> Outcome {
    let answer: ContainerWaitResponse = serde_json::from_slice(&waiting.bytes().await?)?;
    match answer.error.filter(|error| !error.message.is_empty()) {
        Some(error) => {
            output::warn(&format!("Error waiting for container: {}", error.message));
            Ok(125)
        }
        None => Ok(i32::try_from(answer.status_code).unwrap_or(125)),
    }
}

/// The exit code of a container that did not start, by the words of the engine: 127 where the program is missing, 126 where it
/// cannot be run, 125 for the rest.
fn start_code(error: &client::Error) -> i32 {
    let message = error.message();
    let says = |texts: &[&str]| texts.iter().any(|text| message.contains(text));
    if says(&[
        "executable file not found",
        "no such file or directory",
        "system cannot find the file specified",
    ]) {
        127
    } else if says(&["permission denied", "is a directory"]) {
        126
    } else {
        125
    }
}

fn failed(code: i32, error: &anyhow::Error) -> Failure {
    match error.downcast_ref::<Failure>() {
        Some(failure) => Failure::new(code, failure.to_string()),
        None => Failure::new(
            code,
            format!("naru: {}\n\nRun 'naru run --help' for more information", failure::text(error)),
        ),
    }
}
