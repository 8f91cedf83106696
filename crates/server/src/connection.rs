//! Accepting and serving connections: listeners (unix, TCP, TCP with TLS), HTTP/1 with upgrades, and the end of it all:
//! when asked to stop, what is queued is still accepted and served, idle connections are closed, running requests finish.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::Server;

/// How long running requests may take to finish once the server is told to stop.
const GRACE: Duration = Duration::from_secs(10);
/// How long a client that is connected already may take for its first request then.
const FIRST_REQUEST: Duration = Duration::from_secs(1);

/// Where clients come from.
pub enum Listener {
    /// A unix socket: whoever may open it is trusted.
    Unix(UnixListener),
    /// TCP without protection.
    Tcp(TcpListener),
    /// TCP with TLS; client certificates are demanded or not by the configuration.
    Tls(TcpListener, Arc<tokio_rustls::rustls::ServerConfig>),
}

/// A client's connection.
pub(crate) enum Connection {
    Unix(UnixStream),
    Tcp(TcpStream),
    Tls(Box<tokio_rustls::server::TlsStream<TcpStream>>),
}

/// An accepted connection, TLS not yet shaken.
enum Accepted {
    Plain(Connection),
    Tls(TcpStream, tokio_rustls::TlsAcceptor),
}

impl Listener {
    async fn accept(&self) -> io::Result<Accepted> {
        Ok(match self {
            Self::Unix(listener) => Accepted::Plain(Connection::Unix(listener.accept().await?.0)),
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Accepted::Plain(Connection::Tcp(stream))
            }
            Self::Tls(listener, config) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Accepted::Tls(stream, Arc::clone(config).into())
            }
        })
    }
}

impl Accepted {
    async fn open(self) -> io::Result<Connection> {
        match self {
            Self::Plain(connection) => Ok(connection),
            Self::Tls(stream, acceptor) => Ok(Connection::Tls(Box::new(acceptor.accept(stream).await?))),
        }
    }
}

/// Serves all listeners until `shutdown` is ready; then takes in what the kernel has queued, and returns when everything
/// that runs is done, or after a grace of ten seconds. Whoever wants no client to be lost removes the socket's name before
/// `shutdown` becomes ready.
pub(crate) async fn serve(
    listeners: Vec<Listener>,
    server: Arc<Server>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let (stop, stopping) = watch::channel(false);
    let accepting: JoinSet<()> = listeners
        .into_iter()
        .map(|listener| accept_loop(listener, Arc::clone(&server), stopping.clone()))
        .collect();
    drop(stopping);
    shutdown.await;
    let _ = stop.send(true);
    if tokio::time::timeout(GRACE, accepting.join_all()).await.is_err() {
        tracing::warn!("requests still running after {} s are cut off", GRACE.as_secs());
    }
    Ok(())
}

async fn accept_loop(listener: Listener, server: Arc<Server>, mut stopping: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        // Biased: what is queued is taken in before stopping is looked at.
        let accepted = tokio::select! {
            biased;
            accepted = listener.accept() => accepted,
            () = raised(&mut stopping) => break,
            Some(_) = connections.join_next() => continue,
        };
        match accepted {
            Ok(accepted) => {
                drop(connections.spawn(serve_connection(accepted, Arc::clone(&server), stopping.clone())))
            }
            Err(error) => {
                // EMFILE and the like pass; a listener that is gone does not, but then there is nothing better to do either.
                tracing::warn!(%error, "accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn serve_connection(accepted: Accepted, server: Arc<Server>, mut stopping: watch::Receiver<bool>) {
    let connection = match accepted.open().await {
        Ok(connection) => connection,
        Err(error) => return tracing::debug!(%error, "TLS handshake"),
    };
    let (requested, mut seen) = watch::channel(false);
    let service = hyper::service::service_fn(move |request| {
        let server = Arc::clone(&server);
        requested.send_replace(true);
        async move { Ok::<_, std::convert::Infallible>(server.answer(request).await) }
    });
    // Go reads up to 1 MiB of headers; registry credentials are long.
    let http = hyper::server::conn::http1::Builder::new()
        .max_buf_size(1 << 20)
        .max_headers(200)
        // As Go writes them: scripts grep for `Api-Version`.
        .title_case_headers(true)
        .serve_connection(TokioIo::new(connection), service)
        .with_upgrades();
    let mut http = pin!(http);
    let stop = async {
        raised(&mut stopping).await;
        // A client that has just connected is about to ask something: let it.
        let _ = tokio::time::timeout(FIRST_REQUEST, raised(&mut seen)).await;
    };
    let outcome = tokio::select! {
        biased;
        outcome = http.as_mut() => outcome,
        () = stop => {
            http.as_mut().graceful_shutdown();
            http.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "connection ended");
    }
}

/// Ready once the flag is up, or its owner gone.
async fn raised(flag: &mut watch::Receiver<bool>) {
    let _ = flag.wait_for(|up| *up).await;
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
