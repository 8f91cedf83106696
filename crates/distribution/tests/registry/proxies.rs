//! Through proxies: tunnels for HTTPS registries, absolute URLs for plain ones, SOCKS5, TLS towards the proxy, and exceptions.

use std::net::SocketAddr;
use std::sync::Arc;

use distribution::{Proxies, RegistriesConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use testkit::{Ca, Entry, Forward, ImageSpec, Issued, LayerSpec, Registry};

use crate::world::{World, config};

/// Known to proxies alone.
const NAME: &str = "registry.test";

fn image() -> ImageSpec {
    ImageSpec::new(vec![LayerSpec::new(vec![Entry::noise("data", 200_000, 3)])])
}

/// A world that finds no name by itself.
fn world(proxies: Proxies, config: RegistriesConfig) -> World {
    let resolver =
        distribution::resolve::Files { hosts: "/nonexistent".into(), resolv_conf: "/nonexistent".into() };
    World::with(RegistriesConfig { proxies, resolver, ..config })
}

struct Secure {
    registry: Registry,
    name: String,
    config: RegistriesConfig,
    folder: tempfile::TempDir,
    ca: Ca,
}

/// A registry with TLS under a name, and a configuration that trusts it.
fn secure() -> Secure {
    let ca = Ca::new("private");
    let registry = Registry::builder().tls(&ca.server(&[NAME])).start();
    image().push_with_skopeo(&format!("{}/app:1", registry.host()), &["--dest-tls-verify=false"]);
    let name = format!("{NAME}:{}", registry.address().port());
    let folder = tempfile::tempdir().unwrap();
    trust(folder.path(), &name, &ca);
    let config = RegistriesConfig { certs_dirs: vec![folder.path().to_owned()], ..config() };
    Secure { registry, name, config, folder, ca }
}

fn trust(folder: &std::path::Path, host: &str, ca: &Ca) {
    std::fs::create_dir_all(folder.join(host)).unwrap();
    std::fs::write(folder.join(host).join("ca.crt"), ca.certificate()).unwrap();
}

fn https(url: String) -> Proxies {
    Proxies { https: Some(url), ..Proxies::default() }
}

#[tokio::test]
async fn a_tunnel_to_an_https_registry() {
    let secure = secure();
    let image = format!("{}/app:1", secure.name);
    let proxy = Forward::with_authorization("Basic bWU6cEBzcw==");
    let direct = world(Proxies::default(), secure.config.clone()).pull_error(&image).await;
    assert!(direct.contains("lookup registry.test"), "only the proxy knows the name: {direct}");
    let stranger = world(https(format!("http://{}", proxy.address())), secure.config.clone());
    let refused = stranger.pull_error(&image).await;
    assert!(refused.contains("proxyconnect tcp: "), "{refused}");

    let world_through = world(https(format!("http://me:p%40ss@{}", proxy.address())), secure.config.clone());
    world_through.pull(&image).await.unwrap();
    let connect = format!("CONNECT {}", secure.name);
    assert!(proxy.seen().iter().all(|line| *line == connect), "{:?}", proxy.seen());

    // By name it would be exempt, so it is not asked, and nobody else knows the name.
    let exempt =
        Proxies { no_proxy: Some(".test".to_owned()), ..https(format!("http://{}", proxy.address())) };
    let before = proxy.seen().len();
    let error = world(exempt, secure.config.clone()).pull_error(&image).await;
    assert!(error.contains("lookup registry.test"), "{error}");
    assert_eq!(proxy.seen().len(), before);
    drop(secure.registry);
}

#[tokio::test]
async fn plain_registries_by_absolute_urls_and_socks() {
    let registry = Registry::start();
    image().push(registry.address(), "app:1");
    let name = format!("{NAME}:{}", registry.address().port());
    let insecure = RegistriesConfig { insecure: vec![name.clone()], ..config() };
    let proxy = Forward::start();
    let http = Proxies { http: Some(proxy.address().to_string()), ..Proxies::default() };
    world(http, insecure.clone()).pull(&format!("{name}/app:1")).await.unwrap();
    let manifest = format!("HEAD http://{name}/v2/app/manifests/1");
    assert!(proxy.seen().contains(&manifest), "{:?}", proxy.seen());

    let socks = Forward::start();
    let url = Some(format!("socks5://{}", socks.address()));
    let both = Proxies { http: url.clone(), https: url, ..Proxies::default() };
    world(both, insecure).pull(&format!("{name}/app:1")).await.unwrap();
    assert!(socks.seen().iter().all(|line| *line == format!("SOCKS {name}")), "{:?}", socks.seen());
}

#[tokio::test]
async fn a_proxy_that_wants_tls_itself() {
    let secure = secure();
    let proxy = Forward::start();
    let front = tls_front(&secure.ca.server(&["127.0.0.1"]), proxy.address()).await;
    let image = format!("{}/app:1", secure.name);
    let through = https(format!("https://{front}"));
    let refused = world(through.clone(), secure.config.clone()).pull_error(&image).await;
    assert!(refused.contains("proxyconnect tcp: tls: "), "nobody vouches for the proxy: {refused}");
    trust(secure.folder.path(), &front.to_string(), &secure.ca);
    world(through, secure.config.clone()).pull(&image).await.unwrap();
    assert!(proxy.seen().contains(&format!("CONNECT {}", secure.name)));
}

/// Takes TLS off and passes the rest on.
async fn tls_front(issued: &Issued, to: SocketAddr) -> SocketAddr {
    let certificate = CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(::tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut inside = acceptor.accept(stream).await.ok()?;
                let mut behind = tokio::net::TcpStream::connect(to).await.ok()?;
                tokio::io::copy_bidirectional(&mut inside, &mut behind).await.ok()
            });
        }
    });
    address
}
