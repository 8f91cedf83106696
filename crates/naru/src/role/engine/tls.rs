//! TLS for the engine's TCP sockets, with Docker's options: `tlscert` and `tlskey` are the engine's own, `tlsverify` lets in
//! only clients whose certificate `tlscacert` has signed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use rustls::crypto::ring;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::settings::Settings;

/// `None` when TLS is not asked for.
pub fn config(settings: &Settings) -> anyhow::Result<Option<Arc<ServerConfig>>> {
    let verify = settings.tlsverify == Some(true);
    if !verify && settings.tls != Some(true) {
        return Ok(None);
    }
    let file =
        |path: &Option<PathBuf>, name: &str| path.clone().with_context(|| format!("TLS needs --{name}"));
    let provider = Arc::new(ring::default_provider());
    let builder =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let builder = if verify {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(&file(&settings.tlscacert, "tlscacert")?)? {
            roots.add(certificate)?;
        }
        builder.with_client_cert_verifier(
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build()?,
        )
    } else {
        builder.with_no_client_auth()
    };
    let key = file(&settings.tlskey, "tlskey")?;
    let private = PrivateKeyDer::from_pem_file(&key).with_context(|| format!("read {}", key.display()))?;
    let chain = certificates(&file(&settings.tlscert, "tlscert")?)?;
    Ok(Some(Arc::new(builder.with_single_cert(chain, private)?)))
}

fn certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let read = || CertificateDer::pem_file_iter(path)?.collect::<Result<Vec<_>, _>>();
    read().with_context(|| format!("read {}", path.display()))
}
