//! TLS for one registry: which roots it is checked against, which client certificate is shown, whether it is checked at all.
//!
//! Layout of the folder, from Docker's "Verify repository client with certificates": `certs.d/<host[:port]>/` with `*.crt`
//! (authorities), `*.cert` (client certificates) and `*.key` of the same name. A `hosts.toml` may name more files ([`CertFiles`]).

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use ::tls::{AnyCertificate, PemError};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
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

/// Files that somebody named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CertFiles {
    /// Certificates of authorities.
    pub authorities: Vec<PathBuf>,
    /// Certificate and key; both may be one file.
    pub client: Vec<(PathBuf, PathBuf)>,
}

/// What `certs.d` holds for one registry.
#[derive(Default)]
pub(crate) struct HostCerts {
    authorities: Vec<CertificateDer<'static>>,
    client: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
}

impl HostCerts {
    /// Reads the first folder that holds any. `host` is `name[:port]`, as in the reference.
    pub fn read(folders: &[PathBuf], host: &str) -> Result<HostCerts> {
        let mut certs = HostCerts::default();
        let found = folders.iter().map(|folder| folder.join(host)).find_map(|folder| {
            let names = certificate_files(&folder);
            (!names.is_empty()).then_some((folder, names))
        });
        let Some((folder, names)) = found else { return Ok(certs) };
        for path in &names {
            match path.extension().and_then(|extension| extension.to_str()) {
                Some("crt") => certs.authorities.extend(::tls::certificates(path)?),
                Some("cert") => {
                    let key = path.with_extension("key");
                    if !names.contains(&key) {
                        return Err(Error::Configuration(format!(
                            "missing key {} for client certificate {}. CA certificates must use the extension .crt",
                            file_name(&key),
                            file_name(path)
                        )));
                    }
                    certs.client = Some((::tls::certificates(path)?, ::tls::private_key(&key)?));
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

    /// Both.
    pub fn and(mut self, other: HostCerts) -> HostCerts {
        self.authorities.extend(other.authorities);
        self.client = self.client.or(other.client);
        self
    }

    /// Adds files that were named; a client certificate among them goes before the folder's.
    pub fn with(mut self, files: &CertFiles) -> Result<HostCerts> {
        for path in &files.authorities {
            self.authorities.extend(::tls::certificates(path)?);
        }
        if let Some((certificate, key)) = files.client.first() {
            self.client = Some((::tls::certificates(certificate)?, ::tls::private_key(key)?));
        }
        Ok(self)
    }

    /// Whether somebody has said by which authority this registry is to be checked.
    pub fn has_authorities(&self) -> bool {
        !self.authorities.is_empty()
    }
}

impl From<PemError> for Error {
    fn from(error: PemError) -> Self {
        Error::Configuration(error.to_string())
    }
}

/// The certificates and keys in a folder, by name; none where there is no such folder.
fn certificate_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    let kinds = ["crt", "cert", "key"].map(Some);
    files.retain(|file| kinds.contains(&file.extension().and_then(|kind| kind.to_str())));
    files.sort();
    files
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The client configuration for a registry. `verify` is false for insecure registries.
pub(crate) fn client_config(roots: &SystemRoots, certs: HostCerts, verify: bool) -> Result<ClientConfig> {
    let verifier: Arc<dyn ServerCertVerifier> = if verify {
        Arc::new(Verifier::new(roots.get(), certs.authorities)?)
    } else {
        Arc::new(AnyCertificate)
    };
    let builder = ClientConfig::builder_with_provider(::tls::provider())
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
        let inner = WebPkiServerVerifier::builder_with_provider(roots, ::tls::provider())
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
