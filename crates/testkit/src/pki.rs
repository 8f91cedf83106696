//! A certificate authority that lives as long as a test.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose,
};

/// The authority.
pub struct Ca {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate with its key.
pub struct Issued {
    /// PEM.
    pub certificate: String,
    /// DER.
    pub der: Vec<u8>,
    /// PEM, PKCS #8.
    pub key: String,
    /// DER, PKCS #8.
    pub key_der: Vec<u8>,
}

impl Ca {
    /// A new authority called `name`.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names are valid names");
        params.distinguished_name = common_name(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("generate a key");
        Ca { issuer: CertifiedIssuer::self_signed(params, key).expect("sign the authority's certificate") }
    }

    /// PEM of its own certificate.
    pub fn certificate(&self) -> String {
        self.issuer.pem()
    }

    /// A server certificate for these names and addresses.
    pub fn server(&self, names: &[&str]) -> Issued {
        self.issue(names, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A client certificate.
    pub fn client(&self, name: &str) -> Issued {
        self.issue(&[name], ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn issue(&self, names: &[&str], usage: ExtendedKeyUsagePurpose) -> Issued {
        let mut params = leaf(names);
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().expect("generate a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("sign a certificate");
        issued(&certificate, &key)
    }
}

impl Issued {
    /// A certificate that is its own authority, as `openssl req -x509` makes it.
    pub fn self_signed(names: &[&str]) -> Issued {
        let mut params = leaf(names);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("generate a key");
        let certificate = params.self_signed(&key).expect("sign a certificate");
        issued(&certificate, &key)
    }
}

fn leaf(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names.clone()).expect("valid subject names");
    params.distinguished_name = common_name(names.first().map_or("test", String::as_str));
    params
}

fn common_name(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn issued(certificate: &rcgen::Certificate, key: &KeyPair) -> Issued {
    Issued {
        certificate: certificate.pem(),
        der: certificate.der().to_vec(),
        key: key.serialize_pem(),
        key_der: key.serialize_der(),
    }
}
