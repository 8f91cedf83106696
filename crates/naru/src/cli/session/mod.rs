//! A user's terminal or pipes joined to a container's streams: what `run`, `start -a`, `attach` and `exec` share.
//!
//! ```text
//! stdin ──▶ detach keys ──▶ connection ──▶ container      the end of stdin closes this direction alone
//! stdout, stderr ◀── frames taken apart ◀── connection    the end of this direction ends the session
//! signals: window size ──▶ resize;  all others ──▶ kill (without a terminal), or the end of the session (with one)
//! ```

mod signals;
mod sink;

use std::future::Future;
use std::io;

use api::stream::{Demux, StreamKind};
use client::{Client, Method, Upgraded};
use rustix::stdio::{stderr, stdin, stdout};
use term::tty::{DetachKeys, RawMode};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

pub use signals::Signals;
use sink::Sink;

use super::failure::Failure;

/// What of the user's streams is joined.
#[derive(Debug, Clone)]
pub struct Streams {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    /// The container's streams are a terminal.
    pub tty: bool,
    /// Keys that leave a terminal session.
    pub detach_keys: Vec<u8>,
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The container has closed its output.
    Output,
    /// The user typed the detach keys.
    Detached,
    /// This signal, with a terminal attached: there it means us.
    Signal(i32),
}

/// Whom signals and window sizes go to.
#[derive(Debug, Clone)]
pub struct Target<'a> {
    pub client: &'a Client,
    /// `/containers/<id>` or `/exec/<id>`.
    pub path: String,
    /// Whether signals are passed on.
    pub proxy: bool,
}

/// A terminal container needs a terminal to type at.
pub fn check_tty(attach_stdin: bool, tty: bool) -> Result<(), Failure> {
    match attach_stdin && tty && !term::tty::is_terminal(stdin()) {
        true => Err(Failure::new(1, "the input device is not a TTY")),
        false => Ok(()),
    }
}

/// The size of the user's terminal: rows, columns.
pub fn console_size() -> Option<(u16, u16)> {
    let size = term::tty::size(stdout()).or_else(|| term::tty::size(stdin()))?;
    Some((size.height, size.width)).filter(|(rows, columns)| *rows > 0 && *columns > 0)
}

/// Detach keys as the flag, config.json or Docker's default say.
pub fn detach_keys(flag: Option<&str>, configured: &str) -> Result<Vec<u8>, Failure> {
    match flag.or(Some(configured)).filter(|text| !text.is_empty()) {
        None => Ok(term::tty::DETACH_KEYS.to_vec()),
        Some(text) => term::tty::parse_keys(text)
            .map_err(|reason| Failure::new(1, format!("invalid detach keys ({text}): {reason}"))),
    }
}

/// Joins the streams until one of the ends of [`End`].
pub async fn join(
    connection: Upgraded,
    streams: &Streams,
    target: &Target<'_>,
    signals: Option<&Signals>,
) -> anyhow::Result<End> {
    let raw = streams.stdin && streams.tty && term::tty::is_terminal(stdin());
    // Ends with this function, however it ends.
    let _raw_mode = raw.then(|| RawMode::enter(stdin())).transpose()?;
    let (from_container, to_container) = tokio::io::split(connection);
    let input = async {
        match streams.stdin {
            true => copy_input(to_container, streams).await,
            // Held, not dropped: an end of input is not ours to declare.
            false => {
                let _held = to_container;
                std::future::pending().await
            }
        }
    };
    tokio::select! {
        outcome = copy_output(from_container, streams) => outcome.map(|()| End::Output),
        outcome = input => outcome,
        signal = watch(signals, streams, target) => Ok(End::Signal(signal)),
    }
}

/// Handles signals until the session has to end for one.
async fn watch(signals: Option<&Signals>, streams: &Streams, target: &Target<'_>) -> i32 {
    let Some(signals) = signals else { return std::future::pending().await };
    loop {
        match signals.next().await {
            signals::WINCH if streams.tty => resize(target).await,
            signals::WINCH => {}
            signal if target.proxy && !streams.tty => kill(target, signal).await,
            signal if streams.tty => return signal,
            _ => {}
        }
    }
}

/// Tells the container its terminal's size. A container that is gone needs none.
pub async fn resize(target: &Target<'_>) {
    if let Some((rows, columns)) = console_size() {
        let request = target.client.request(Method::POST, format!("{}/resize", target.path));
        let _ = request.query("h", rows).query("w", columns).empty().await;
    }
}

/// Passes a signal on. A container that is gone, or not there yet, does not mind.
async fn kill(target: &Target<'_>, signal: i32) {
    let request = target.client.request(Method::POST, format!("{}/kill", target.path));
    let name = sys::signal::name(signal).map_or_else(|| signal.to_string(), str::to_owned);
    let _ = request.query("signal", name).empty().await;
}

/// Passes signals on while `work` goes on: between attaching and the first byte.
pub async fn meanwhile<T>(
    signals: Option<&Signals>,
    target: &Target<'_>,
    work: impl Future<Output = T>,
) -> T {
    let pass = async {
        let Some(signals) = signals else { return std::future::pending().await };
        loop {
            match signals.next().await {
                signals::WINCH => {}
                signal => kill(target, signal).await,
            }
        }
    };
    tokio::select! {
        biased;
        outcome = work => outcome,
        never = pass => never,
    }
}

async fn copy_input(mut to_container: impl AsyncWrite + Unpin, streams: &Streams) -> anyhow::Result<End> {
    let mut keys = DetachKeys::new(if streams.tty { streams.detach_keys.clone() } else { Vec::new() });
    let mut input = tokio::io::stdin();
    let mut buffer = vec![0; 64 << 10];
    let mut typed = Vec::new();
    loop {
        let count = input.read(&mut buffer).await?;
        if count == 0 {
            break;
        }
        let sent = match streams.tty {
            true => {
                typed.clear();
                if keys.feed(&buffer[..count], &mut typed) {
                    let _ = to_container.write_all(&typed).await;
                    return Ok(End::Detached);
                }
                to_container.write_all(&typed).await
            }
            false => to_container.write_all(&buffer[..count]).await,
        };
        // The container does not read any more; what it still says is worth waiting for.
        if sent.is_err() {
            break;
        }
    }
    let _ = to_container.shutdown().await;
    std::future::pending().await
}

async fn copy_output(mut from_container: impl AsyncRead + Unpin, streams: &Streams) -> anyhow::Result<()> {
    let mut out = Sink::new(stdout(), streams.stdout);
    let mut err = Sink::new(stderr(), streams.stderr);
    let mut demux = Demux::default();
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = match from_container.read(&mut buffer).await {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            // The engine's end of a container that was killed may be abrupt.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        if streams.tty {
            out.write(&buffer[..count]).await?;
            continue;
        }
        let mut bytes = &buffer[..count];
        while let Some((kind, bytes)) = demux.next(&mut bytes)? {
            match kind {
                StreamKind::Stdin | StreamKind::Stdout => out.write(bytes).await?,
                StreamKind::Stderr => err.write(bytes).await?,
                StreamKind::SystemErr => {
                    anyhow::bail!("error from daemon in stream: {}", String::from_utf8_lossy(bytes))
                }
            }
        }
    }
}
