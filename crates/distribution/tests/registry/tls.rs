//! HTTPS: private authorities, self-signed and client certificates, and what is refused.

use std::path::Path;

use distribution::{Registries, RegistriesConfig};
use testkit::{Ca, Entry, ImageSpec, Issued, LayerSpec, Registry};

use crate::world::{config, reference};

fn small() -> ImageSpec {
    ImageSpec::new(vec![LayerSpec::new(vec![Entry::text("hello", "world")])])
}

/// Loopback counts for nothing here: certificates have to be right.
fn strict(folder: &Path) -> RegistriesConfig {
    RegistriesConfig { certs_dirs: vec![folder.to_owned()], insecure_networks: Vec::new(), ..config() }
}

fn put(folder: &Path, host: &str, files: &[(&str, &str)]) {
    let own = folder.join(host);
    std::fs::create_dir_all(&own).unwrap();
    for (name, text) in files {
        std::fs::write(own.join(name), text).unwrap();
    }
}

async fn attempt(config: RegistriesConfig, host: &str) -> Result<(), String> {
    let name = reference(&format!("{host}/app:1"));
    let outcome = distribution::resolve(&Registries::new(config), &name, None).await;
    outcome.map(drop).map_err(|error| error.message())
}

#[tokio::test]
async fn a_private_authority_from_certs_d() {
    let ca = Ca::new("private");
    let registry = Registry::builder().tls(&ca.server(&["127.0.0.1", "localhost"])).start();
    let host = registry.host();
    small().push_with_skopeo(&format!("{host}/app:1"), &["--dest-tls-verify=false"]);
    let folder = tempfile::tempdir().unwrap();
    let failed = |text: &str| {
        Err(format!("Get \"https://{host}/v2/\": tls: failed to verify certificate: x509: {text}"))
    };

    assert_eq!(
        attempt(strict(folder.path()), &host).await,
        failed("certificate signed by unknown authority")
    );
    put(folder.path(), &host, &[("ca.crt", &ca.certificate())]);
    assert_eq!(attempt(strict(folder.path()), &host).await, Ok(()));

    // The right authority, but a certificate for another name: Docker and curl say so, and so do we.
    let other = Registry::builder().tls(&ca.server(&["registry.example"])).start();
    put(folder.path(), &other.host(), &[("ca.crt", &ca.certificate())]);
    let refused = attempt(strict(folder.path()), &other.host()).await.unwrap_err();
    assert!(refused.ends_with("x509: certificate is not valid for 127.0.0.1"), "{refused}");

    // An authority in certs.d is obeyed on loopback too, where Docker would not look at certificates at all.
    let wrong = tempfile::tempdir().unwrap();
    put(wrong.path(), &host, &[("ca.crt", &Ca::new("another").certificate())]);
    let lenient = RegistriesConfig { certs_dirs: vec![wrong.path().to_owned()], ..config() };
    assert_eq!(attempt(lenient, &host).await, failed("certificate signed by unknown authority"));
}

#[tokio::test]
async fn a_self_signed_certificate_is_its_own_authority() {
    let server = Issued::self_signed(&["127.0.0.1"]);
    let registry = Registry::builder().tls(&server).start();
    let host = registry.host();
    small().push_with_skopeo(&format!("{host}/app:1"), &["--dest-tls-verify=false"]);
    let folder = tempfile::tempdir().unwrap();
    assert!(attempt(strict(folder.path()), &host).await.is_err());
    put(folder.path(), &host, &[("ca.crt", &server.certificate)]);
    assert_eq!(attempt(strict(folder.path()), &host).await, Ok(()));

    let elsewhere = Issued::self_signed(&["registry.example"]);
    let other = Registry::builder().tls(&elsewhere).start();
    put(folder.path(), &other.host(), &[("ca.crt", &elsewhere.certificate)]);
    let refused = attempt(strict(folder.path()), &other.host()).await.unwrap_err();
    assert!(refused.contains("certificate is not valid for 127.0.0.1"), "{refused}");
}

#[tokio::test]
async fn client_certificates() {
    let ca = Ca::new("private");
    let (server, client) = (ca.server(&["127.0.0.1"]), ca.client("me"));
    let registry = Registry::builder().tls(&server).client_ca(&ca.certificate()).start();
    let host = registry.host();
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), &host, &[("ca.crt", &ca.certificate())]);
    assert!(attempt(strict(folder.path()), &host).await.is_err(), "no client certificate");

    put(folder.path(), &host, &[("client.cert", &client.certificate)]);
    let error = attempt(strict(folder.path()), &host).await.unwrap_err();
    assert_eq!(
        error,
        "missing key client.key for client certificate client.cert. CA certificates must use the extension .crt"
    );
    put(folder.path(), &host, &[("client.key", &client.key)]);
    let certs = format!("--dest-cert-dir={}", folder.path().join(&host).display());
    small().push_with_skopeo(&format!("{host}/app:1"), &[&certs]);
    assert_eq!(attempt(strict(folder.path()), &host).await, Ok(()));
}

#[tokio::test]
async fn an_insecure_registry_may_have_any_certificate_or_none() {
    let server = Ca::new("nobody knows").server(&["registry.example"]);
    let secure = Registry::builder().tls(&server).start();
    small().push_with_skopeo(&format!("{}/app:1", secure.host()), &["--dest-tls-verify=false"]);
    assert_eq!(attempt(config(), &secure.host()).await, Ok(()));

    let plain = Registry::start();
    small().push(plain.address(), "app:1");
    assert_eq!(attempt(config(), &plain.host()).await, Ok(()));
    let named = RegistriesConfig { insecure: vec![plain.host()], ..strict(Path::new("/nonexistent")) };
    assert_eq!(attempt(named, &plain.host()).await, Ok(()));
    let refused = attempt(strict(Path::new("/nonexistent")), &plain.host()).await;
    let url = format!("https://{}/v2/", plain.host());
    assert_eq!(refused, Err(format!("Get \"{url}\": http: server gave HTTP response to HTTPS client")));
}

#[tokio::test]
async fn nobody_there() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap()).unwrap();
    let host = closed.local_addr().unwrap().to_string();
    drop(closed);
    let refused = |scheme: &str| {
        Err(format!("Get \"{scheme}://{host}/v2/\": dial tcp {host}: connect: connection refused"))
    };
    assert_eq!(attempt(config(), &host).await, refused("http"));
    assert_eq!(attempt(strict(Path::new("/nonexistent")), &host).await, refused("https"));
}
