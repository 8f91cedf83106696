//! Connections to an engine: unix, TCP, TLS over TCP, and the pipes of an `ssh` process. All are one stream type with a
//! working half-close.

mod tls;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll};

use distribution::resolve::{Files, Resolver};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio_rustls::client::TlsStream;

use crate::endpoint::Endpoint;
use crate::error::{Error, Result};

/// A connection to an engine.
pub(crate) enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Ssh(Box<Ssh>),
}

/// An `ssh` process whose standard streams are the connection. It ends with us.
pub(crate) struct Ssh {
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
    /// Whether anything has come from the other side.
    heard: bool,
    _process: Child,
}

/// Connects.
pub(crate) async fn dial(endpoint: &Endpoint) -> Result<Stream> {
    match endpoint {
        Endpoint::Unix(path) => dial_unix(path).await.map_err(|error| Error::connect(endpoint, error)),
        Endpoint::Tcp { host, port, tls } => {
            let stream = dial_tcp(endpoint, host, *port).await?;
            match tls {
                Some(files) => tls::handshake(endpoint, host, files, stream).await,
                None => Ok(Stream::Tcp(stream)),
            }
        }
        Endpoint::Ssh { user, host, port, path } => {
            ssh(endpoint, user.as_deref(), host, *port, path.as_deref())
        }
    }
}

const SSH_ENDED: &str = "ssh has ended without an answer, make sure that the address is right, and that naru or docker is on that host";

/// So many times a connection is made while each engine dies before it has read what we sent.
pub(crate) const ATTEMPTS: usize = 5;

/// Connects to a unix socket. A connection that nobody had accepted when its listener died is reset, which shows here if it
/// happens early enough: there may be a new listener at that path by now.
pub(crate) async fn dial_unix(path: &Path) -> io::Result<Stream> {
    for _ in 1..ATTEMPTS {
        match dial_unix_once(path).await {
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
            outcome => return outcome,
        }
    }
    dial_unix_once(path).await
}

/// When more clients ask than the socket's queue holds, the kernel says EAGAIN on a non-blocking socket; waiting for a place is a
/// blocking connect's job.
async fn dial_unix_once(path: &Path) -> io::Result<Stream> {
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            let path = path.to_owned();
            let connect = move || std::os::unix::net::UnixStream::connect(path);
            let stream = tokio::task::spawn_blocking(connect).await.map_err(io::Error::other)??;
            stream.set_nonblocking(true)?;
            UnixStream::from_std(stream).map(Stream::Unix)
        }
        outcome => outcome.map(Stream::Unix),
    }
}

async fn dial_tcp(endpoint: &Endpoint, host: &str, port: u16) -> Result<TcpStream> {
    let addresses = match host.parse::<IpAddr>() {
        Ok(address) => vec![address],
        // Not the C library's resolver: a static binary cannot load the modules it wants.
        Err(_) => Resolver::new(Files::default())
            .lookup(host)
            .await
            .map_err(|error| Error::Connect { host: endpoint.to_string(), reason: error.to_string() })?,
    };
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match TcpStream::connect(SocketAddr::new(address, port)).await {
            Ok(stream) => {
                stream.set_nodelay(true).map_err(|error| Error::connect(endpoint, error))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(Error::connect(endpoint, last))
}

/// Runs `ssh host -- naru system dial-stdio`, or docker's where there is no naru. The user's ssh knows keys, agents, jump
/// hosts and host keys; we do not want to.
fn ssh(
    endpoint: &Endpoint,
    user: Option<&str>,
    host: &str,
    port: Option<u16>,
    path: Option<&str>,
) -> Result<Stream> {
    let mut command = Command::new("ssh");
    command.args(["-o", "ConnectTimeout=30", "-T"]);
    if let Some(user) = user {
        command.args(["-l", user]);
    }
    if let Some(port) = port {
        command.args(["-p", &port.to_string()]);
    }
    command.args(["--", host, &dial_stdio(path)]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let failed = |reason: String| Error::Connect { host: endpoint.to_string(), reason };
    let mut process = command.spawn().map_err(|error| failed(format!("start ssh: {error}")))?;
    let (stdin, stdout) = (process.stdin.take(), process.stdout.take());
    let stdout = stdout.ok_or_else(|| failed("ssh has no output".to_owned()))?;
    Ok(Stream::Ssh(Box::new(Ssh { stdin, stdout, heard: false, _process: process })))
}

/// What the other machine's shell runs.
fn dial_stdio(path: Option<&str>) -> String {
    let host = path.map_or_else(String::new, |path| format!(" -H 'unix://{}'", path.replace('\'', "'\\''")));
    format!(
        "if command -v naru >/dev/null; then exec naru{host} system dial-stdio; else exec docker{host} system dial-stdio; fi"
    )
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Ssh(ssh) => {
                let before = buf.filled().len();
                std::task::ready!(Pin::new(&mut ssh.stdout).poll_read(cx, buf))?;
                ssh.heard |= buf.filled().len() > before;
                // What ssh has to say of that is on standard error already.
                Poll::Ready(if ssh.heard { Ok(()) } else { Err(io::Error::other(SSH_ENDED)) })
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Ssh(ssh) => match &mut ssh.stdin {
                Some(stdin) => Pin::new(stdin).poll_write(cx, buf),
                None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            },
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Self::Ssh(ssh) => match &mut ssh.stdin {
                Some(stdin) => Pin::new(stdin).poll_flush(cx),
                None => Poll::Ready(Ok(())),
            },
        }
    }

    /// Ends the sending direction; the other one goes on.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Ssh(ssh) => {
                ssh.stdin = None;
                Poll::Ready(Ok(()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Future as _, poll_fn};
    use std::os::unix::net::UnixListener;
    use std::task::Poll;

    use super::*;

    #[tokio::test]
    async fn a_listener_that_dies_while_we_connect_is_followed_by_the_next_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let dying = UnixListener::bind(&path).unwrap();
        let mut dial = std::pin::pin!(dial_unix(&path));
        // The kernel has queued the connection, and the runtime has not been told yet.
        let first = poll_fn(|cx| Poll::Ready(dial.as_mut().poll(cx).is_pending())).await;
        assert!(first, "connected before anything could go wrong");
        std::fs::remove_file(&path).unwrap();
        let next = UnixListener::bind(&path).unwrap();
        drop(dying);
        assert!(matches!(dial.await, Ok(Stream::Unix(_))));
        next.accept().unwrap();
    }
}
