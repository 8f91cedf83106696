//! TLS for the engine's TCP sockets, with Docker's options: `tlscert` and `tlskey` are the engine's own, `tlsverify` lets in
//! only clients whose certificate `tlscacert` has signed.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;

use super::settings::Settings;

/// `None` when TLS is not asked for.
pub fn config(settings: &Settings) -> anyhow::Result<Option<Arc<ServerConfig>>> {
    let verify = settings.tlsverify == Some(true);
    if !verify && settings.tls != Some(true) {
        return Ok(None);
    }
    let file =
        |path: &Option<PathBuf>, name: &str| path.clone().with_context(|| format!("TLS needs --{name}"));
    let builder =
        ServerConfig::builder_with_provider(::tls::provider()).with_safe_default_protocol_versions()?;
    let builder = if verify {
        let roots = ::tls::authorities(&file(&settings.tlscacert, "tlscacert")?)?;
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), ::tls::provider());
        builder.with_client_cert_verifier(verifier.build()?)
    } else {
        builder.with_no_client_auth()
    };
    let key = ::tls::private_key(&file(&settings.tlskey, "tlskey")?)?;
    let chain = ::tls::certificates(&file(&settings.tlscert, "tlscert")?)?;
    Ok(Some(Arc::new(builder.with_single_cert(chain, key)?)))
}
