//! Basic, bearer tokens, identity tokens, login; and who may not.

use distribution::{Auth, ErrorKind};
use testkit::{Entry, ImageSpec, LayerSpec, Proxy, Registry, TokenServer};

use crate::world::{World, reference, registries, user};

fn small() -> ImageSpec {
    ImageSpec::new(vec![LayerSpec::new(vec![Entry::text("hello", "world")])])
}

async fn resolve_error(host: &str, name: &str, auth: Option<&Auth>) -> (ErrorKind, String) {
    let name = reference(&format!("{host}/{name}"));
    let error = distribution::resolve(&registries(), &name, auth).await.unwrap_err();
    (error.kind(), error.message())
}

#[tokio::test]
async fn basic() {
    let registry = Registry::builder().htpasswd("me", "secret").start();
    let host = registry.host();
    small()
        .push_with_skopeo(&format!("{host}/app:1"), &["--dest-tls-verify=false", "--dest-creds=me:secret"]);

    let name = reference(&format!("{host}/app:1"));
    distribution::resolve(&registries(), &name, Some(&user("me", "secret"))).await.unwrap();
    let (_, message) = resolve_error(&host, "app:1", None).await;
    assert_eq!(message, format!("Get \"http://{host}/v2/app/manifests/1\": no basic auth credentials"));
    let (_, message) = resolve_error(&host, "app:1", Some(&user("me", "wrong"))).await;
    assert_eq!(message, "unauthorized: authentication required");
}

#[tokio::test]
async fn bearer_tokens_by_password_and_by_identity_token() {
    let tokens = TokenServer::start("me", "secret");
    let registry = Registry::builder().token(&tokens).start();
    let host = registry.host();
    let options = ["--dest-tls-verify=false", "--dest-creds=me:secret"];
    small().push_with_skopeo(&format!("{host}/private/app:1"), &options);
    small().push_with_skopeo(&format!("{host}/public/app:1"), &options);
    let name = reference(&format!("{host}/private/app:1"));

    distribution::resolve(&registries(), &name, Some(&user("me", "secret"))).await.unwrap();
    let identity = Auth { identity_token: "refresh-me".to_owned(), ..Auth::default() };
    distribution::resolve(&registries(), &name, Some(&identity)).await.unwrap();
    let public = reference(&format!("{host}/public/app:1"));
    distribution::resolve(&registries(), &public, None).await.unwrap();

    let denied = (
        ErrorKind::NotFound,
        format!(
            "pull access denied for {host}/private/app, repository does not exist or may require 'docker login': denied: \
             requested access to the resource is denied"
        ),
    );
    assert_eq!(resolve_error(&host, "private/app:1", None).await, denied);
    let (_, message) = resolve_error(&host, "private/app:1", Some(&user("me", "wrong"))).await;
    let url = format!("http://{host}/v2/private/app/manifests/1");
    assert_eq!(message, format!("Get \"{url}\": unauthorized: incorrect username or password"));
}

#[tokio::test]
async fn a_token_is_fetched_once_and_again_when_it_is_refused() {
    let tokens = TokenServer::start("me", "secret");
    let registry = Registry::builder().token(&tokens).start();
    let host = registry.host();
    let options = ["--dest-tls-verify=false", "--dest-creds=me:secret"];
    small().push_with_skopeo(&format!("{host}/app:1"), &options);
    let (registries, auth) = (registries(), user("me", "secret"));
    let name = reference(&format!("{host}/app:1"));
    let before = tokens.seen().len();
    let asked = || tokens.seen().len() - before;

    distribution::resolve(&registries, &name, Some(&auth)).await.unwrap();
    assert_eq!(asked(), 1);
    distribution::resolve(&registries, &name, Some(&auth)).await.unwrap();
    assert_eq!(asked(), 1, "the token is still good");
    // Another caller must not get this caller's token.
    let stranger = distribution::resolve(&registries, &name, None).await;
    assert!(stranger.is_err());
    assert_eq!(asked(), 2);

    // Refused tokens: one more try, not an endless loop.
    tokens.set_revoked(true);
    let fresh = crate::world::registries();
    assert!(distribution::resolve(&fresh, &name, Some(&auth)).await.is_err());
    assert_eq!(asked(), 4);
    tokens.set_revoked(false);
    distribution::resolve(&fresh, &name, Some(&auth)).await.unwrap();
}

#[tokio::test]
async fn credentials_never_follow_a_redirect_to_another_host() {
    let registry = Registry::builder().htpasswd("me", "secret").start();
    let elsewhere = Registry::start();
    let cdn = Proxy::start(elsewhere.address());
    let front = Proxy::start(registry.address());
    let image = small();
    image.push_with_skopeo(
        &format!("{}/app:1", registry.host()),
        &["--dest-tls-verify=false", "--dest-creds=me:secret"],
    );
    image.push(elsewhere.address(), "app:1");
    front.fault(testkit::When::blobs(), testkit::Fault::Redirect { base: cdn.url() });

    let world = World::new().login("me", "secret");
    world.pull(&format!("{}/app:1", front.host())).await.unwrap();

    assert!(front.seen().iter().any(|request| request.header("authorization").is_some()));
    let strangers = cdn.seen();
    assert!(strangers.len() >= 2, "config and layer come from the other host");
    assert!(strangers.iter().all(|request| request.header("authorization").is_none()), "{strangers:?}");
}

#[tokio::test]
async fn login() {
    let tokens = TokenServer::start("me", "secret");
    let registry = Registry::builder().token(&tokens).start();
    let with = |address: String, password: &str| Auth { server_address: address, ..user("me", password) };

    let done = distribution::login(&registries(), &with(registry.host(), "secret")).await.unwrap();
    assert_eq!((done.status.as_str(), done.identity_token.as_str()), ("Login Succeeded", "refresh-me"));
    let error = distribution::login(&registries(), &with(registry.host(), "wrong")).await.unwrap_err();
    let url = format!("http://{}/v2/", registry.host());
    assert_eq!(error.message(), format!("Get \"{url}\": unauthorized: incorrect username or password"));
    assert_eq!(error.kind(), ErrorKind::Unauthorized);

    let registry = Registry::builder().htpasswd("me", "secret").start();
    let done = distribution::login(&registries(), &with(registry.host(), "secret")).await.unwrap();
    assert_eq!(done.identity_token, "");
    let error = distribution::login(&registries(), &with(registry.host(), "wrong")).await.unwrap_err();
    let url = format!("http://{}/v2/", registry.host());
    assert_eq!(error.message(), format!("login attempt to {url} failed with status: 401 Unauthorized"));
}

#[tokio::test]
async fn credentials_never_follow_a_redirect_to_another_scheme() {
    let ca = testkit::Ca::new("private");
    let plain = Registry::builder().htpasswd("me", "secret").start();
    let options = ["--dest-tls-verify=false", "--dest-creds=me:secret"];
    small().push_with_skopeo(&format!("{}/app:1", plain.host()), &options);
    // The same host, the same user and password, but by TLS: what it answers shows whether they came along.
    let secure = Registry::builder().tls(&ca.server(&["127.0.0.1"])).htpasswd("me", "secret").start();
    small().push_with_skopeo(&format!("{}/app:1", secure.host()), &options);
    let front = Proxy::start(plain.address());
    let base = format!("https://{}", secure.host());
    front.fault(testkit::When::blobs(), testkit::Fault::Redirect { base });

    let world = World::new().login("me", "secret");
    let error = world.pull_error(&format!("{}/app:1", front.host())).await;
    assert_eq!(error, "unauthorized: authentication required");
    assert!(front.seen().iter().any(|request| request.header("authorization").is_some()));
}

#[tokio::test]
async fn an_identity_token_goes_to_no_other_host_and_may_be_a_password() {
    let tokens = TokenServer::start("me", "secret");
    let registry = Registry::builder().token(&tokens).start();
    let host = registry.host();
    let options = ["--dest-tls-verify=false", "--dest-creds=me:secret"];
    small().push_with_skopeo(&format!("{host}/app:1"), &options);
    let identity = |username: &str| Auth {
        username: username.to_owned(),
        identity_token: "refresh-me".to_owned(),
        ..Auth::default()
    };
    let name = reference(&format!("{host}/app:1"));
    tokens.set_only_get(true);
    distribution::resolve(&registries(), &name, Some(&identity("me"))).await.unwrap();
    assert!(
        distribution::resolve(&registries(), &name, Some(&identity(""))).await.is_err(),
        "nobody to ask as"
    );
    tokens.set_only_get(false);
    // As az acr login keeps it.
    let azure = identity("00000000-0000-0000-0000-000000000000");
    distribution::resolve(&registries(), &name, Some(&azure)).await.unwrap();

    let thief = Proxy::start(registry.address());
    let front = Proxy::start(registry.address());
    let headers = vec![(
        "www-authenticate".to_owned(),
        format!("Bearer realm=\"{}/token\",service=\"x\"", front.url()),
    )];
    front.fault(
        testkit::When::path("/v2/").times(1),
        testkit::Fault::Status { code: 401, headers, body: String::new() },
    );
    front.fault(testkit::When::path("/token"), testkit::Fault::Redirect { base: thief.url() });
    let (_, message) = resolve_error(&front.host(), "app:1", Some(&identity("me"))).await;
    assert!(message.contains("refused to take a secret along to"), "{message}");
    assert_eq!(thief.seen().len(), 0);
}

#[tokio::test]
async fn a_token_that_ends_in_the_middle_of_a_pull_is_renewed() {
    let tokens = TokenServer::start("me", "secret");
    let registry = Registry::builder().token(&tokens).start();
    let front = Proxy::start(registry.address());
    let image = ImageSpec::new(vec![
        LayerSpec::new(vec![Entry::noise("a", 100_000, 1)]),
        LayerSpec::new(vec![Entry::noise("b", 100_000, 2)]),
    ]);
    let options = ["--dest-tls-verify=false", "--dest-creds=me:secret"];
    image.push_with_skopeo(&format!("{}/app:1", registry.host()), &options);
    let before = tokens.seen().len();
    let challenge =
        format!("Bearer realm=\"{}\",service=\"test-registry\",error=\"invalid_token\"", tokens.realm());
    let headers = vec![("www-authenticate".to_owned(), challenge)];
    // The configuration arrives, the first layer does not.
    let expired = testkit::Fault::Status { code: 401, headers, body: String::new() };
    front.fault(
        testkit::When::blobs().times(1),
        testkit::Fault::Header { name: "x".to_owned(), value: "y".to_owned() },
    );
    front.fault(testkit::When::blobs().times(1), expired);
    World::new().login("me", "secret").pull(&format!("{}/app:1", front.host())).await.unwrap();
    assert_eq!(tokens.seen().len() - before, 2, "one for the start, and a new one when it was refused");
}

#[tokio::test]
async fn a_used_up_rate_limit_is_told_at_once_with_its_figures() {
    let registry = Registry::start();
    let front = Proxy::start(registry.address());
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let said =
        "You have reached your unauthenticated pull rate limit. https://www.docker.com/increase-rate-limit";
    let limited = |remaining: &str| testkit::Fault::Status {
        code: 429,
        headers: vec![
            header("ratelimit-limit", "100;w=21600"),
            header("ratelimit-remaining", remaining),
            header("docker-ratelimit-source", "192.0.2.7"),
        ],
        body: format!("{{\"errors\":[{{\"code\":\"TOOMANYREQUESTS\",\"message\":\"{said}\"}}]}}"),
    };
    front.fault(testkit::When::manifests(), limited("0;w=21600"));
    let name = format!("{}/app:1", front.host());
    let error = World::new().pull_error(&name).await;
    let figures = "(limit: 100 per 6h, remaining: 0, counted for: 192.0.2.7)";
    assert_eq!(error, format!("toomanyrequests: {said} {figures}"));
    assert_eq!(front.count("GET", "/manifests/"), 1, "no use in asking again");

    // A passing throttle is waited for.
    front.heal();
    small().push(registry.address(), "app:1");
    front.fault(testkit::When::manifests().times(2), limited("7;w=21600"));
    World::new().pull(&name).await.unwrap();
}
