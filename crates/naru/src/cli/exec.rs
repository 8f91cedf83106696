//! `exec`: another process in a running container.

use api::{ConsoleSize, ExecConfig, ExecInspectResponse, ExecStartConfig, IdResponse, StrSlice};
use client::{Method, escape};

use super::options::{env_flag, environment};
use super::session::{self, End, Signals, Streams, Target};
use super::{Context, Outcome};

/// Flags.
#[derive(clap::Args)]
pub struct Args {
    /// Detached mode: run command in the background
    #[arg(short, long)]
    detach: bool,
    /// Override the key sequence for detaching a container
    #[arg(long)]
    detach_keys: Option<String>,
    /// Set environment variables
    #[arg(short, long, value_name = "list", value_parser = env_flag)]
    env: Vec<String>,
    /// Read in a file of environment variables
    #[arg(long, value_name = "list")]
    env_file: Vec<String>,
    /// Keep STDIN open even if not attached
    #[arg(short, long)]
    interactive: bool,
    /// Give extended privileges to the command
    #[arg(long)]
    privileged: bool,
    /// Allocate a pseudo-TTY
    #[arg(short, long)]
    tty: bool,
    /// Username or UID (format: "<name|uid>[:<group|gid>]")
    #[arg(short, long)]
    user: Option<String>,
    /// Working directory inside the container
    #[arg(short, long)]
    workdir: Option<String>,
    #[arg(required = true)]
    container: String,
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

/// Runs a process; its exit code is ours.
pub async fn run(context: &Context, args: Args) -> Outcome {
    let streams = Streams {
        stdin: args.interactive && !args.detach,
        stdout: !args.detach,
        stderr: !args.detach,
        tty: args.tty,
        detach_keys: session::detach_keys(args.detach_keys.as_deref(), &context.config().detach_keys)?,
    };
    session::check_tty(streams.stdin, streams.tty)?;
    let console_size = args.tty.then(session::console_size).flatten();
    let console_size = console_size.map(|(rows, columns)| ConsoleSize([rows.into(), columns.into()]));
    let config = ExecConfig {
        user: args.user.unwrap_or_default(),
        privileged: args.privileged,
        tty: args.tty,
        console_size,
        attach_stdin: streams.stdin,
        attach_stdout: streams.stdout,
        attach_stderr: streams.stderr,
        detach: args.detach,
        detach_keys: args.detach_keys.unwrap_or_default(),
        env: Some(environment(&args.env_file, &args.env)?).filter(|env| !env.is_empty()),
        working_dir: args.workdir.unwrap_or_default(),
        cmd: Some(StrSlice(args.command)),
    };
    let client = context.client()?;
    let path = format!("/containers/{}/exec", escape(&args.container));
    let created: IdResponse = client.request(Method::POST, path).json_body(&config).json().await?;
    // Signals that mean a terminal session end it; without a terminal they end us as they always do.
    let signals = (args.tty && !args.detach).then(Signals::catch).transpose()?;
    let target = Target { client, path: format!("/exec/{}", created.id), proxy: false };
    let start = ExecStartConfig { detach: args.detach, tty: args.tty, console_size };
    let request = client.request(Method::POST, format!("{}/start", target.path)).json_body(&start);
    if args.detach {
        request.empty().await?;
        return Ok(0);
    }
    let connection = request.upgrade().await?;
    if args.tty {
        session::resize(&target).await;
    }
    match session::join(connection, &streams, &target, signals.as_ref()).await? {
        End::Output => {}
        End::Detached => return Ok(0),
        End::Signal(signal) => return Ok(128 + signal),
    }
    let inspected: ExecInspectResponse =
        client.request(Method::GET, format!("{}/json", target.path)).json().await?;
    Ok(inspected.exit_code.and_then(|code| i32::try_from(code).ok()).unwrap_or(0))
}
