//! What every TLS client and server of ours starts from: the one crypto provider, certificates and keys in PEM files, and the
//! verifier that lets everybody in.
//!
//! The provider is named here and nowhere else: a second one in the tree would make rustls' default choice panic.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::{DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

/// Why a PEM file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PemError {
    /// It cannot be read, or holds something else.
    #[error("read {what} {}: {source}", path.display())]
    Read {
        /// `certificates` or `private key`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why. Part of the text, because callers show errors on one line.
        source: pem::Error,
    },
    /// A certificate that cannot vouch for others.
    #[error("use certificate authority {}: {source}", path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
}

/// Keys and algorithms for every connection.
pub fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(ring::default_provider())).clone()
}

/// All certificates of a file, in order.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, PemError> {
    let read = || CertificateDer::pem_file_iter(path)?.collect::<Result<Vec<_>, _>>();
    read().map_err(|source| PemError::Read { what: "certificates", path: path.to_owned(), source })
}

/// The first private key of a file.
pub fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, PemError> {
    PrivateKeyDer::from_pem_file(path).map_err(|source| PemError::Read {
        what: "private key",
        path: path.to_owned(),
        source,
    })
}

/// The certificates of a file as those who may vouch for others.
pub fn authorities(path: &Path) -> Result<RootCertStore, PemError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        let failed = |source| PemError::Authority { path: path.to_owned(), source };
        roots.add(certificate).map_err(failed)?;
    }
    Ok(roots)
}

/// Takes every certificate: for registries called insecure, and engines with `--tls` but not `--tlsverify`. Signatures are still
/// checked, so that the connection is at least private against listeners.
#[derive(Debug)]
pub struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = provider().signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = provider().signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pem_files_are_read_and_their_faults_named() {
        let ca = testkit::Ca::new("ours");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("both.pem");
        let client = ca.client("me");
        std::fs::write(&file, format!("{}{}{}", client.certificate, ca.certificate(), client.key)).unwrap();
        assert_eq!(certificates(&file).unwrap().len(), 2);
        assert!(private_key(&file).is_ok());
        assert_eq!(authorities(&file).unwrap().len(), 2);

        let missing = folder.path().join("missing.pem");
        let error = certificates(&missing).unwrap_err().to_string();
        assert!(error.starts_with(&format!("read certificates {}: ", missing.display())), "{error}");
        std::fs::write(&file, "no key here").unwrap();
        assert!(private_key(&file).unwrap_err().to_string().starts_with("read private key "));
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        std::fs::write(&file, broken).unwrap();
        assert!(authorities(&file).unwrap_err().to_string().starts_with("use certificate authority "));
    }
}
