//! TLS to an engine: its authority from a file, our certificate where it wants one.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tls::AnyCertificate;
use tokio::net::TcpStream;

use super::Stream;
use crate::endpoint::{Endpoint, TlsFiles};
use crate::error::{Error, Result};

/// Shakes hands over a connected stream.
pub(super) async fn handshake(
    endpoint: &Endpoint,
    host: &str,
    files: &TlsFiles,
    stream: TcpStream,
) -> Result<Stream> {
    let failed = |reason: String| Error::Connect { host: endpoint.to_string(), reason };
    let config = config(files).map_err(failed)?;
    let name = ServerName::try_from(host.to_owned()).map_err(|error| failed(error.to_string()))?;
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = connector.connect(name, stream).await.map_err(|error| failed(format!("TLS: {error}")))?;
    Ok(Stream::Tls(Box::new(stream)))
}

fn config(files: &TlsFiles) -> std::result::Result<ClientConfig, String> {
    let builder = ClientConfig::builder_with_provider(tls::provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = if files.skip_verify {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate))
    } else {
        let ca = files.ca.as_deref().ok_or("TLS verification needs the authority's certificate (ca.pem)")?;
        builder.with_root_certificates(tls::authorities(ca).map_err(|error| error.to_string())?)
    };
    match (&files.cert, &files.key) {
        (Some(cert), Some(key)) => {
            let chain = tls::certificates(cert).map_err(|error| error.to_string())?;
            let private = tls::private_key(key).map_err(|error| error.to_string())?;
            let config = builder.with_client_auth_cert(chain, private);
            config.map_err(|error| format!("{}: {error}", cert.display()))
        }
        _ => Ok(builder.with_no_client_auth()),
    }
}
