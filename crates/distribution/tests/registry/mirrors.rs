//! Mirrors by `hosts.toml` and `registries.conf`: their order, what happens when one fails, and what they get to see.

use std::path::Path;

use distribution::RegistriesConfig;
use futures_util::StreamExt as _;
use testkit::{Ca, Entry, Fault, ImageSpec, LayerSpec, Proxy, Registry, When};

use crate::world::{World, config, reference};

/// A name that no resolver here knows: whatever is pulled comes from where the files say.
const NAME: &str = "registry.example";

fn image() -> ImageSpec {
    ImageSpec::new(vec![
        LayerSpec::new(vec![Entry::text("hello", "world")]),
        LayerSpec::new(vec![Entry::noise("data", 300_000, 7)]),
    ])
}

/// A registry that has [`image`] as `app:1`, for `me` with this password.
fn guarded(password: &str) -> Registry {
    let registry = Registry::builder().htpasswd("me", password).start();
    let credentials = format!("--dest-creds=me:{password}");
    image()
        .push_with_skopeo(&format!("{}/app:1", registry.host()), &["--dest-tls-verify=false", &credentials]);
    registry
}

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// A world where `hosts.toml` of [`NAME`] has this text.
fn with_hosts(folder: &Path, text: &str) -> World {
    write(folder, &format!("{NAME}/hosts.toml"), text);
    World::with(RegistriesConfig { certs_dirs: vec![folder.to_owned()], ..config() })
}

fn with_conf(folder: &Path, text: &str) -> World {
    write(folder, "registries.conf", text);
    World::with(RegistriesConfig { registries_conf: vec![folder.join("registries.conf")], ..config() })
}

#[tokio::test]
async fn the_first_host_that_works_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Registry::start();
    image().push(upstream.address(), "app:1");
    let server = Proxy::start(upstream.address());
    let empty = Registry::start();
    let broken = Proxy::start(upstream.address());
    let body = "oops".to_owned();
    broken.fault(When::manifests(), Fault::Status { code: 500, headers: Vec::new(), body });
    // Debian's registry as a pull-through cache: what most mirrors are.
    let cache = Registry::builder().cache_of(&upstream.host()).start();
    let mirror = Proxy::start(cache.address());
    let world = with_hosts(
        folder.path(),
        &format!(
            "server = \"{}\"\n[host.\"http://127.0.0.1:1\"]\n[host.\"http://{}\"]\n[host.\"{}\"]\n[host.\"{}\"]\n",
            server.url(),
            empty.host(),
            broken.url(),
            mirror.url()
        ),
    );
    let pulled = world.pull(&format!("{NAME}/app:1")).await.unwrap();
    assert_eq!(world.read(&pulled, "hello"), "world");
    assert!(
        broken.count("HEAD", "/v2/app/manifests/1?ns=registry.example") > 0,
        "tried in the order of the file"
    );
    assert_eq!(mirror.count("GET", "/blobs/"), 3);
    assert_eq!(server.seen().len(), 0, "the server comes last");
    // The image is known by the name it was asked for by.
    assert!(pulled.record.names.contains(&reference(&format!("{NAME}/app:1"))));
}

#[tokio::test]
async fn a_mirror_that_breaks_off_is_replaced_and_nothing_is_fetched_twice() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Registry::start();
    let pushed = image().push(upstream.address(), "app:1");
    let (mirror, server) = (Proxy::start(upstream.address()), Proxy::start(upstream.address()));
    let text = format!("server = \"{}\"\n[host.\"{}\"]\n", server.url(), mirror.url());
    let world = with_hosts(folder.path(), &text);
    // The first layer arrives, the second never.
    let second = pushed.layers[1].digest.to_string();
    let body = String::new();
    mirror.fault(When::path(&second), Fault::Status { code: 503, headers: Vec::new(), body });
    world.pull(&format!("{NAME}/app:1")).await.unwrap();
    assert_eq!(server.count("GET", &format!("/blobs/{second}")), 1);
    let first = pushed.layers[0].digest.to_string();
    let both = mirror.count("GET", &first) + server.count("GET", &first);
    assert!(
        (1..=2).contains(&both),
        "the layer that had arrived is not fetched again unless it was cut off: {both}"
    );
}

#[tokio::test]
async fn a_host_for_content_only_is_not_asked_about_tags() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = Registry::start();
    image().push(upstream.address(), "app:1");
    let (mirror, server) = (Proxy::start(upstream.address()), Proxy::start(upstream.address()));
    let text =
        format!("server = \"{}\"\n[host.\"{}\"]\ncapabilities = [\"pull\"]\n", server.url(), mirror.url());
    let world = with_hosts(folder.path(), &text);
    world.pull(&format!("{NAME}/app:1")).await.unwrap();
    assert_eq!(mirror.count("", "/manifests/1"), 0);
    assert_eq!((mirror.count("GET", "/manifests/sha256:"), mirror.count("GET", "/blobs/")), (1, 3));
    assert_eq!((server.count("HEAD", "/manifests/1"), server.count("GET", "/blobs/")), (1, 0));
}

#[tokio::test]
async fn headers_reach_their_host_and_no_other_and_passwords_no_mirror() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = guarded("secret");
    let server = Proxy::start(upstream.address());
    let elsewhere = Registry::start();
    image().push(elsewhere.address(), "app:1");
    let cdn = Proxy::start(elsewhere.address());
    let mirror = Proxy::start(elsewhere.address());
    mirror.fault(When::blobs().times(2), Fault::Redirect { base: cdn.url() });
    let unavailable = || Fault::Status { code: 404, headers: Vec::new(), body: "{}".to_owned() };
    mirror.fault(When::blobs(), unavailable());
    let text = format!(
        "server = \"{}\"\n[host.\"{}\"]\n[host.\"{}\".header]\nx-token = \"for the mirror\"\nauthorization = \"Basic bWU6bWlycm9y\"\n",
        server.url(),
        mirror.url(),
        mirror.url()
    );
    let world = with_hosts(folder.path(), &text).login("me", "secret");
    world.pull(&format!("{NAME}/app:1")).await.unwrap();
    let all = |proxy: &Proxy, name: &str| -> Vec<Option<String>> {
        proxy.seen().iter().map(|request| request.header(name).map(str::to_owned)).collect()
    };
    assert!(!mirror.seen().is_empty() && !cdn.seen().is_empty() && !server.seen().is_empty());
    assert!(all(&mirror, "x-token").iter().all(|value| value.as_deref() == Some("for the mirror")));
    assert!(all(&mirror, "authorization").iter().all(|value| value.as_deref() == Some("Basic bWU6bWlycm9y")));
    for name in ["x-token", "authorization"] {
        assert!(all(&cdn, name).iter().all(Option::is_none), "{name} followed a redirect");
    }
    assert!(all(&server, "x-token").iter().all(Option::is_none));
    // The registry itself gets what the user logged in with.
    assert!(all(&server, "authorization").contains(&Some("Basic bWU6c2VjcmV0".to_owned())));
}

#[tokio::test]
async fn a_mirror_sees_what_the_engines_user_has_logged_in_with_there() {
    let folder = tempfile::tempdir().unwrap();
    let behind = guarded("mirror");
    let (mirror, server) = (Proxy::start(behind.address()), Proxy::start(behind.address()));
    let text = format!("server = \"{}\"\n[host.\"{}\"]\n", server.url(), mirror.url());
    write(folder.path(), &format!("{NAME}/hosts.toml"), &text);
    // `me:mirror` and `me:secret`.
    let logins = format!(
        r#"{{"auths":{{"{}":{{"auth":"bWU6bWlycm9y"}},"{NAME}":{{"auth":"bWU6c2VjcmV0"}}}}}}"#,
        mirror.host()
    );
    write(folder.path(), "auth.json", &logins);
    let with = |logins: Vec<std::path::PathBuf>| {
        World::with(RegistriesConfig { certs_dirs: vec![folder.path().to_owned()], logins, ..config() })
    };
    let world = with(vec![folder.path().join("missing.json"), folder.path().join("auth.json")]);
    world.pull(&format!("{NAME}/app:1")).await.unwrap();
    let shown = |proxy: &Proxy| -> Vec<String> {
        proxy.seen().iter().filter_map(|request| request.header("authorization").map(str::to_owned)).collect()
    };
    assert!(!shown(&mirror).is_empty() && shown(&mirror).iter().all(|value| value == "Basic bWU6bWlycm9y"));
    assert!(server.seen().is_empty());

    // The registry itself gets what the caller sends, and nothing of the engine's.
    let before = shown(&mirror).len();
    let error = with(Vec::new()).pull_error(&format!("{NAME}/app:1")).await;
    assert!(error.contains("no basic auth credentials"), "{error}");
    mirror.fault(When::path("/v2/"), Fault::Status { code: 404, headers: Vec::new(), body: "{}".to_owned() });
    world.pull_error(&format!("{NAME}/app:1")).await;
    assert!(shown(&mirror).len() >= before && shown(&server).is_empty(), "{:?}", shown(&server));
}

#[tokio::test]
async fn a_client_certificate_for_one_host() {
    let folder = tempfile::tempdir().unwrap();
    let ca = Ca::new("private");
    let (issued, client) = (ca.server(&["127.0.0.1"]), ca.client("me"));
    let registry = Registry::builder().tls(&issued).client_ca(&ca.certificate()).start();
    write(folder.path(), &format!("{NAME}/ca.pem"), &ca.certificate());
    write(folder.path(), &format!("{NAME}/me.pem"), &format!("{}{}", client.certificate, client.key));
    write(folder.path(), "push/client.cert", &client.certificate);
    write(folder.path(), "push/client.key", &client.key);
    write(folder.path(), "push/ca.crt", &ca.certificate());
    let certs = format!("--dest-cert-dir={}", folder.path().join("push").display());
    image().push_with_skopeo(&format!("{}/app:1", registry.host()), &[&certs]);
    let url = format!("https://{}", registry.host());
    let strict = |text: &str| {
        write(folder.path(), &format!("{NAME}/hosts.toml"), text);
        let certs_dirs = vec![folder.path().to_owned()];
        World::with(RegistriesConfig { certs_dirs, insecure_networks: Vec::new(), ..config() })
    };
    let image = format!("{NAME}/app:1");
    let refused = strict(&format!("server = \"{url}\"\n")).pull_error(&image).await;
    assert!(refused.ends_with("x509: certificate signed by unknown authority"), "{refused}");
    let refused = strict(&format!("server = \"{url}\"\nca = \"ca.pem\"\n")).pull_error(&image).await;
    assert!(refused.contains("tls"), "{refused}");
    let world = strict(&format!("server = \"{url}\"\nca = \"ca.pem\"\nclient = \"me.pem\"\n"));
    world.pull(&image).await.unwrap();
    let world = strict(&format!("server = \"{url}\"\nskip_verify = true\nclient = [[\"me.pem\", \"\"]]\n"));
    world.pull(&image).await.unwrap();
    let missing = strict(&format!("server = \"{url}\"\nca = \"gone.pem\"\n")).pull_error(&image).await;
    assert!(
        missing.starts_with(&format!("read certificates {}/gone.pem: ", folder.path().join(NAME).display())),
        "{missing}"
    );
}

#[tokio::test]
async fn registries_conf_moves_mirrors_and_blocks() {
    let folder = tempfile::tempdir().unwrap();
    let (main, mirror) = (Registry::start(), Registry::start());
    image().push(main.address(), "group/app:1");
    image().push(main.address(), "group/other:1");
    image().push(mirror.address(), "cached/app:1");
    let (main, mirror) = (Proxy::start(main.address()), Proxy::start(mirror.address()));
    let world = with_conf(
        folder.path(),
        &format!(
            "[[registry]]\nprefix = \"{NAME}/team\"\nlocation = \"{main}/group\"\ninsecure = true\n\
             [[registry.mirror]]\nlocation = \"{mirror}/cached\"\n\
             [[registry]]\nlocation = \"blocked.example\"\nblocked = true\n",
            main = main.host(),
            mirror = mirror.host()
        ),
    );
    let pulled = world.pull(&format!("{NAME}/team/app:1")).await.unwrap();
    assert!(pulled.record.names.contains(&reference(&format!("{NAME}/team/app:1"))));
    assert_eq!((mirror.count("GET", "/v2/cached/app/blobs/"), main.count("GET", "/blobs/")), (3, 0));
    assert!(world.said().contains(&"1: Pulling from team/app".to_owned()), "the name that was asked for");
    // What the mirror has not is fetched from where the image is.
    world.pull(&format!("{NAME}/team/other:1")).await.unwrap();
    assert_eq!(main.count("HEAD", "/v2/group/other/manifests/1"), 1);
    assert_eq!(
        world.pull_error("blocked.example/x").await,
        "registry blocked.example is blocked in registries.conf"
    );
    // A push goes to the place itself.
    let options = distribution::PushOptions::default();
    let name = reference(&format!("{NAME}/team/app:1"));
    let pushed =
        distribution::push(&world.store, &name, &options, &world.registries, &world.sink()).await.unwrap();
    assert_eq!(pushed.len(), 1);
    assert_eq!((main.count("PUT", "/v2/group/app/manifests/1"), mirror.count("PUT", "")), (1, 0));
}

#[tokio::test]
async fn registries_conf_moves_one_tag_and_one_digest() {
    let folder = tempfile::tempdir().unwrap();
    let (usual, pinned) = (Registry::start(), Registry::start());
    image().push(usual.address(), "app:1");
    image().push(usual.address(), "app:10");
    let pushed = image().push(pinned.address(), "tools/app:one");
    let (usual, pinned) = (Proxy::start(usual.address()), Proxy::start(pinned.address()));
    let digest = pushed.digest.to_string();
    let world = with_conf(
        folder.path(),
        &format!(
            "[[registry]]\nprefix = \"{NAME}\"\nlocation = \"{usual}\"\n\
             [[registry]]\nprefix = \"{NAME}/app:1\"\nlocation = \"{pinned}/tools/app:one\"\n\
             [[registry]]\nprefix = \"{NAME}/app:2\"\nlocation = \"{pinned}/tools/app@{digest}\"\n\
             [[registry]]\nprefix = \"{NAME}/app@{digest}\"\nlocation = \"{pinned}/tools/app\"\n",
            usual = usual.host(),
            pinned = pinned.host()
        ),
    );
    world.pull(&format!("{NAME}/app:1")).await.unwrap();
    assert_eq!((usual.count("", "/manifests/"), pinned.count("HEAD", "/v2/tools/app/manifests/one")), (0, 1));
    let pulled = world.pull(&format!("{NAME}/app:2")).await.unwrap();
    assert!(pulled.record.names.contains(&reference(&format!("{NAME}/app:2"))));
    world.pull(&format!("{NAME}/app@{digest}")).await.unwrap();
    assert_eq!(usual.count("", "/manifests/"), 0);
    // Neither a longer tag nor another digest is meant.
    world.pull(&format!("{NAME}/app:10")).await.unwrap();
    assert_eq!(usual.count("HEAD", "/v2/app/manifests/10"), 1);
    // A push goes to the same name.
    let options = distribution::PushOptions::default();
    let name = reference(&format!("{NAME}/app:1"));
    distribution::push(&world.store, &name, &options, &world.registries, &world.sink()).await.unwrap();
    assert_eq!(pinned.count("PUT", "/v2/tools/app/manifests/one"), 1);
}

#[tokio::test]
async fn a_repository_is_read_by_way_of_mirrors_each_with_its_own_login() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = guarded("secret");
    let behind = guarded("mirror");
    let (server, mirror) = (Proxy::start(upstream.address()), Proxy::start(behind.address()));
    let text = format!(
        "server = \"{}\"\n[host.\"http://127.0.0.1:1\"]\n[host.\"{}\"]\n",
        server.url(),
        mirror.url()
    );
    let world = with_hosts(folder.path(), &text);
    let name = reference(&format!("{NAME}/app:1"));
    let hosts = distribution::hosts_in_place(&world.registries, &name).await.unwrap();
    assert!(hosts.contains(&mirror.host()), "{hosts:?}");
    let login = |password: &str, host: &str| {
        let own = crate::world::user("me", password);
        distribution::Auth { server_address: host.to_owned(), ..own }
    };
    let purpose =
        distribution::Purpose { logins: vec![login("mirror", &mirror.host())], ..Default::default() };
    let auth = login("secret", NAME);
    let repository =
        distribution::Repository::open(&world.registries, &name, Some(&auth), &purpose).await.unwrap();
    let document = repository.document("1").await.unwrap();
    let manifest = image::Manifest::parse(&document.bytes).unwrap();
    repository.small_blob(&manifest.config.digest, 1 << 20).await.unwrap();
    assert_eq!((mirror.count("GET", "/blobs/"), server.seen().len()), (1, 0));

    // The mirror breaks off within a blob, and has nothing more to say: the registry has the rest.
    let layer = manifest.layers.last().unwrap();
    let part = layer.digest.to_string();
    mirror.fault(When::path(&part).times(1), Fault::Cut { after: 100_000 });
    let body = String::new();
    mirror.fault(When::path(&part), Fault::Status { code: 404, headers: Vec::new(), body });
    let mut stream = repository.blob(layer).from(0);
    let mut hasher = image::Hasher::new(layer.digest.algorithm());
    while let Some(piece) = stream.next().await {
        hasher.update(&piece.unwrap());
    }
    assert_eq!(hasher.finish(), layer.digest);
    assert_eq!(server.count("GET", &part), 1);

    let shown = |proxy: &Proxy| -> Vec<String> {
        proxy.seen().iter().filter_map(|request| request.header("authorization").map(str::to_owned)).collect()
    };
    let (at_mirror, at_server) = (shown(&mirror), shown(&server));
    assert!(!at_mirror.is_empty() && at_mirror.iter().all(|value| value == "Basic bWU6bWlycm9y"));
    assert!(!at_server.is_empty() && at_server.iter().all(|value| value == "Basic bWU6c2VjcmV0"));
}
