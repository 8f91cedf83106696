//! TLS for one registry: which roots it is checked against, which client certificate is shown, whether it is checked at all.
//!
//! Layout of the folder, from Docker's "Verify repository client with certificates": `certs.d/<host[:port]>/` with `*.crt`
//! (authorities), `*.cert` (client certificates) and `*.key` of the same name. The crypto provider is named here, and only
//! here: a second one in the tree would make rustls' default choice panic.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use crate::error::{Error, Result};

/// Where distributions keep the bundle of public authorities.
const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// The public authorities, read at first use. A host's own bundle wins, so that an authority its administrator removed
/// stays removed; the built-in list stands in where there is none.
#[derive(Default)]
pub(crate) struct SystemRoots(OnceLock<Arc<RootCertStore>>);

impl SystemRoots {
    fn get(&self) -> Arc<RootCertStore> {
        self.0.get_or_init(|| Arc::new(read_system_roots())).clone()
    }
}

fn read_system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    for bundle in BUNDLES {
        let Ok(certificates) = CertificateDer::pem_file_iter(bundle) else { continue };
        roots.add_parsable_certificates(certificates.flatten());
        if !roots.is_empty() {
            return roots;
        }
    }
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    roots
}

/// What `certs.d` holds for one registry.
#[derive(Default)]
pub(crate) struct HostCerts {
    authorities: Vec<CertificateDer<'static>>,
    client: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
}

impl HostCerts {
    /// Reads the first folder that exists. `host` is `name[:port]`, as in the reference.
    pub fn read(folders: &[PathBuf], host: &str) -> Result<HostCerts> {
        let mut certs = HostCerts::default();
        let candidates = folders.iter().map(|folder| folder.join(host));
        let Some((folder, entries)) =
            candidates.filter_map(|folder| Some((folder.clone(), std::fs::read_dir(&folder).ok()?))).next()
        else {
            return Ok(certs);
        };
        let mut names: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        names.sort();
        for path in &names {
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("crt") => certs.authorities.extend(read_certificates(path)?),
                Some("cert") => {
                    let key = path.with_extension("key");
                    if !names.contains(&key) {
                        return Err(Error::Configuration(format!(
                            "missing key {} for client certificate {}. CA certificates must use the extension .crt",
                            file_name(&key),
                            file_name(path)
                        )));
                    }
                    certs.client = Some((read_certificates(path)?, read_key(&key)?));
                }
                Some("key") if !names.contains(&path.with_extension("cert")) => {
                    return Err(Error::Configuration(format!(
                        "missing client certificate {} for key {}",
                        file_name(&path.with_extension("cert")),
                        file_name(path)
                    )));
                }
                _ => {}
            }
        }
        tracing::debug!(folder = %folder.display(), "read registry certificates");
        Ok(certs)
    }

    /// One more authority, from a file.
    pub fn authority(path: &Path) -> Result<HostCerts> {
        Ok(HostCerts { authorities: read_certificates(path)?, client: None })
    }

    /// Whether somebody has said by which authority this registry is to be checked.
    pub fn has_authorities(&self) -> bool {
        !self.authorities.is_empty()
    }
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let certificates: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(path).and_then(|certificates| certificates.collect());
    certificates
        .map_err(|error| Error::Configuration(format!("read certificates {}: {error}", path.display())))
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_file(path)
        .map_err(|error| Error::Configuration(format!("read private key {}: {error}", path.display())))
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(rustls::crypto::ring::default_provider())).clone()
}

/// The client configuration for a registry. `verify` is false for insecure registries.
pub(crate) fn client_config(roots: &SystemRoots, certs: HostCerts, verify: bool) -> Result<ClientConfig> {
    let verifier: Arc<dyn ServerCertVerifier> =
        if verify { Arc::new(Verifier::new(roots.get(), certs.authorities)?) } else { Arc::new(Unverified) };
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Configuration(format!("set up TLS: {error}")))?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    match certs.client {
        Some((chain, key)) => builder
            .with_client_auth_cert(chain, key)
            .map_err(|error| Error::Configuration(format!("use client certificate: {error}"))),
        None => Ok(builder.with_no_client_auth()),
    }
}

/// The ordinary check, plus one case that private registries live by: a certificate that is itself listed as an authority
/// (`openssl req -x509`, copied to `ca.crt`). Go accepts it, webpki says `CaUsedAsEndEntity`.
#[derive(Debug)]
struct Verifier {
    inner: Arc<WebPkiServerVerifier>,
    pinned: Vec<CertificateDer<'static>>,
}

impl Verifier {
    fn new(system: Arc<RootCertStore>, authorities: Vec<CertificateDer<'static>>) -> Result<Self> {
        let roots = if authorities.is_empty() {
            system
        } else {
            let mut roots = RootCertStore::clone(&system);
            for authority in &authorities {
                roots
                    .add(authority.clone())
                    .map_err(|error| Error::Configuration(format!("use certificate authority: {error}")))?;
            }
            Arc::new(roots)
        };
        let inner = WebPkiServerVerifier::builder_with_provider(roots, provider())
            .build()
            .map_err(|error| Error::Configuration(format!("set up TLS: {error}")))?;
        Ok(Verifier { inner, pinned: authorities })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let checked =
            self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match checked {
            // webpki looks at the validity period before it looks at the basic constraints: only the latter failed.
            Err(rustls::Error::InvalidCertificate(CertificateError::Other(error)))
                if error.0.to_string() == "CaUsedAsEndEntity"
                    && self.pinned.iter().any(|pinned| pinned.as_ref() == end_entity.as_ref()) =>
            {
                let certificate = ParsedCertificate::try_from(end_entity)?;
                rustls::client::verify_server_name(&certificate, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// For registries that the administrator called insecure: any certificate will do.
#[derive(Debug)]
struct Unverified;

impl ServerCertVerifier for Unverified {
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
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

/// A TLS failure in Go's words, which people search the web for.
pub(crate) fn describe(error: &rustls::Error, host: &str) -> String {
    let x509 = |text: String| format!("tls: failed to verify certificate: x509: {text}");
    match error {
        rustls::Error::InvalidCertificate(certificate) => match certificate {
            CertificateError::UnknownIssuer => x509("certificate signed by unknown authority".to_owned()),
            CertificateError::Expired
            | CertificateError::ExpiredContext { .. }
            | CertificateError::NotValidYet
            | CertificateError::NotValidYetContext { .. } => {
                x509("certificate has expired or is not yet valid".to_owned())
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                x509(format!("certificate is not valid for {host}"))
            }
            other => x509(other.to_string()),
        },
        rustls::Error::AlertReceived(alert) => format!("remote error: tls: {alert:?}"),
        other => format!("tls: {other}"),
    }
}
