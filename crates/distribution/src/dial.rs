//! Connections: name → addresses → TCP, directly or through a proxy (HTTP, HTTPS or SOCKS5). TLS is laid over it by hyper-rustls.
//!
//! Never calls `getaddrinfo` (see [`crate::resolve`]). Addresses are raced as RFC 8305 says: the next one starts when the
//! one before has failed or has taken a quarter of a second.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use ::http::Uri;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tower::Service;

use crate::error::go_errno;
use crate::proxy::{Proxy, ProxyKind, ProxyRules};
use crate::resolve::{LookupError, Resolver};

const NEXT_ADDRESS: Duration = Duration::from_millis(250);

/// Why there is no connection, in Go's words. `Clone`, because it has to be dug out of the HTTP client's own error.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DialError {
    /// The name has no address.
    #[error("dial tcp: {0}")]
    Lookup(LookupError),
    /// Nobody listens, or no packet comes through.
    #[error("dial tcp {address}: {reason}")]
    Connect {
        /// The address that was tried first.
        address: SocketAddr,
        /// What the kernel said.
        reason: String,
    },
    /// The proxy did not open a tunnel.
    #[error("proxyconnect tcp: {0}")]
    Proxy(String),
}

impl DialError {
    /// Whether trying again may help.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            DialError::Lookup(error) => error.temporary,
            DialError::Connect { .. } | DialError::Proxy(_) => true,
        }
    }
}

/// Opens connections for the HTTP client.
#[derive(Clone)]
pub(crate) struct Dialer {
    pub resolver: Resolver,
    pub proxies: Arc<ProxyRules>,
    /// For proxies that want TLS themselves.
    pub proxy_tls: Option<Arc<ClientConfig>>,
    pub timeout: Duration,
}

impl Service<Uri> for Dialer {
    type Response = Stream;
    type Error = DialError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, DialError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let dialer = self.clone();
        Box::pin(async move {
            match dialer.proxies.find(&uri).cloned() {
                None => dialer.tcp(&uri).await,
                Some(proxy) => dialer.through(&proxy, uri).await,
            }
        })
    }
}

fn through_proxy(error: DialError) -> DialError {
    DialError::Proxy(error.to_string())
}

fn describe_tunnel(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => source.to_string(),
        None => error.to_string(),
    }
}

/// The dialer without proxies: how the proxy itself is reached.
#[derive(Clone)]
struct Direct(Dialer);

impl Service<Uri> for Direct {
    type Response = Stream;
    type Error = DialError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, DialError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let dialer = self.0.clone();
        Box::pin(async move { dialer.to_proxy(&uri).await })
    }
}

impl Dialer {
    async fn through(&self, proxy: &Proxy, uri: Uri) -> Result<Stream, DialError> {
        let failed = |error: &dyn std::error::Error| DialError::Proxy(describe_tunnel(error));
        let direct = Direct(self.clone());
        if proxy.kind == ProxyKind::Socks5 {
            let mut socks = SocksV5::new(proxy.uri.clone(), direct);
            if let Some((name, password)) = proxy.user.clone() {
                socks = socks.with_auth(name, password);
            }
            return socks.call(uri).await.map_err(|error| failed(&error));
        }
        if uri.scheme_str() == Some("http") {
            let stream = self.to_proxy(&proxy.uri).await.map_err(through_proxy)?;
            return Ok(Stream { proxied: true, ..stream });
        }
        let mut tunnel = Tunnel::new(proxy.uri.clone(), direct);
        if let Some(auth) = proxy.basic() {
            tunnel = tunnel.with_auth(auth);
        }
        tunnel.call(uri).await.map_err(|error| failed(&error))
    }

    async fn to_proxy(&self, uri: &Uri) -> Result<Stream, DialError> {
        let stream = self.tcp(uri).await?;
        let (Some(config), Some("https")) = (&self.proxy_tls, uri.scheme_str()) else { return Ok(stream) };
        let Wire::Plain(tcp) = stream.wire else { return Ok(stream) };
        let failed = |reason: String| DialError::Proxy(reason);
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host).map_err(|error| failed(error.to_string()))?;
        let shaken = TlsConnector::from(config.clone()).connect(name, tcp.into_inner());
        let tls = match tokio::time::timeout(self.timeout, shaken).await {
            Ok(outcome) => outcome.map_err(|error| failed(format!("tls: {error}")))?,
            Err(_) => return Err(failed("TLS handshake timeout".to_owned())),
        };
        Ok(Stream { wire: Wire::Tls(Box::new(TokioIo::new(tls))), proxied: false })
    }

    async fn tcp(&self, uri: &Uri) -> Result<Stream, DialError> {
        let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("http") { 80 } else { 443 });
        let addresses = self.resolver.lookup(host).await.map_err(DialError::Lookup)?;
        let addresses = addresses.into_iter().map(|ip| SocketAddr::new(ip, port)).collect();
        let tcp = self.race(addresses).await?;
        // Requests are small and answers are awaited: Nagle would only add a delayed-ACK wait.
        let _ = tcp.set_nodelay(true);
        Ok(Stream { wire: Wire::Plain(TokioIo::new(tcp)), proxied: false })
    }

    async fn race(&self, addresses: Vec<SocketAddr>) -> Result<TcpStream, DialError> {
        let mut attempts = FuturesUnordered::new();
        let mut addresses = addresses.into_iter();
        let mut first_failure = None;
        loop {
            if let Some(address) = addresses.next() {
                attempts.push(connect(address, self.timeout));
            }
            let outcome = tokio::select! {
                outcome = attempts.next() => outcome,
                () = tokio::time::sleep(NEXT_ADDRESS), if addresses.len() > 0 => continue,
            };
            match outcome {
                Some(Ok(stream)) => return Ok(stream),
                Some(Err(failure)) => {
                    first_failure.get_or_insert(failure);
                }
                None => {
                    let nothing = || DialError::Proxy("the name has no address".to_owned());
                    return Err(first_failure.unwrap_or_else(nothing));
                }
            }
        }
    }
}

async fn connect(address: SocketAddr, timeout: Duration) -> Result<TcpStream, DialError> {
    let error = match tokio::time::timeout(timeout, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => return Ok(stream),
        Ok(Err(error)) => error,
        Err(_) => io::Error::from(io::ErrorKind::TimedOut),
    };
    let reason = match error.kind() {
        io::ErrorKind::TimedOut => "i/o timeout".to_owned(),
        _ => format!("connect: {}", go_errno(&error)),
    };
    Err(DialError::Connect { address, reason })
}

/// A connection that knows whether requests on it go to a proxy in absolute form.
pub(crate) struct Stream {
    wire: Wire,
    proxied: bool,
}

enum Wire {
    Plain(TokioIo<TcpStream>),
    /// To a proxy; what is inside may be TLS once more.
    Tls(Box<TokioIo<TlsStream<TcpStream>>>),
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new().proxy(self.proxied)
    }
}

impl hyper::rt::Read for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.wire {
            Wire::Plain(tcp) => Pin::new(tcp).poll_read(cx, buffer),
            Wire::Tls(tls) => Pin::new(tls).poll_read(cx, buffer),
        }
    }
}

impl hyper::rt::Write for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.wire {
            Wire::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Wire::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.wire {
            Wire::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Wire::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.wire {
            Wire::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Wire::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.wire {
            Wire::Plain(tcp) => tcp.is_write_vectored(),
            Wire::Tls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.wire {
            Wire::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, parts),
            Wire::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, parts),
        }
    }
}
