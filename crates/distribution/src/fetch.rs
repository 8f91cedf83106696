//! A file from a web server, for `docker import URL`: redirects, proxies and TLS as for registries, nothing else of theirs.

use ::http::{StatusCode, Uri};
use bytes::Bytes;

use crate::config::Registries;
use crate::error::{Error, Result};
use crate::http::{Answer, Http, Outgoing};
use crate::tls::HostCerts;

/// A file on its way.
pub struct Download {
    answer: Answer,
}

/// Begins to download. A URL without a scheme is taken for `http`, as Docker does.
///
/// # Errors
/// `InvalidArgument` for what is no URL and for a server that answers with anything but the file.
pub async fn fetch(registries: &Registries, url: &str) -> Result<Download> {
    let full = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
    let invalid = || Error::InvalidArgument(format!("invalid URL {url:?}"));
    let uri: Uri = full.parse().map_err(|_| invalid())?;
    let host = uri.authority().ok_or_else(invalid)?.as_str().to_owned();
    let certs = HostCerts::read(&registries.config().certs_dirs, &host)?;
    let answer = Http::new(registries, certs, true)?.send_with_retries(Outgoing::get(uri)).await?;
    match answer.status() {
        StatusCode::OK => Ok(Download { answer }),
        status => Err(Error::InvalidArgument(format!("failed to GET {full} with status {status}"))),
    }
}

impl Download {
    /// Bytes in all, if the server says so.
    pub fn length(&self) -> Option<u64> {
        self.answer.header("content-length")?.parse().ok()
    }

    /// The next piece; `None` at the end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        self.answer.chunk().await
    }
}
