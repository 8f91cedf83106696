//! The server as bytes on a socket: what a client may send wrongly, and the parts of the protocol that no engine is needed
//! for. The engine behind it is a real one with an empty root of its own.

mod world;

use serde_json::{Value, json};
use world::World;

#[tokio::test(flavor = "multi_thread")]
async fn ping_tells_what_clients_negotiate_from() {
    let world = World::start().await;
    for method in ["GET", "HEAD"] {
        let answer =
            world.send(&format!("{method} /_ping HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n")).await;
        assert_eq!(answer.status, 200, "{method}");
        for (name, value) in [
            ("api-version", "1.51"),
            ("builder-version", "1"),
            ("docker-experimental", "false"),
            ("ostype", "linux"),
            ("swarm", "inactive"),
            ("pragma", "no-cache"),
            ("cache-control", "no-cache, no-store, must-revalidate"),
            ("content-type", "text/plain; charset=utf-8"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{method} {name}");
        }
        assert!(answer.header("server").unwrap().starts_with("Naru/"));
        assert_eq!(answer.body, if method == "GET" { "OK" } else { "" });
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_have_dockers_status_and_words() {
    let world = World::start().await;
    let swarm = "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again.";
    let old = "client version 1.12 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version";
    let new = "client version 1.99 is too new. Maximum supported API version is 1.51";
    for (method, path, status, message) in [
        ("GET", "/nonsense", 404, "page not found"),
        ("GET", "/v1.51/nonsense", 404, "page not found"),
        ("GET", "/", 404, "page not found"),
        ("GET", "/containers/create", 404, "page not found"),
        ("DELETE", "/_ping", 404, "page not found"),
        ("PATCH", "/info", 404, "page not found"),
        ("HEAD", "/info", 404, ""),
        ("GET", "/v1.12/info", 400, old),
        ("GET", "/v1.99/_ping", 400, new),
        ("GET", "/v1.51/swarm", 503, swarm),
        ("GET", "/services", 503, swarm),
        ("POST", "/secrets/create", 503, swarm),
        ("GET", "/nodes/x", 503, swarm),
        ("POST", "/swarm/leave", 503, "This node is not part of a swarm"),
        ("GET", "/plugins/vieux/sshfs/json", 404, "plugin \"vieux/sshfs\" not found"),
        ("POST", "/build", 501, "building images is not supported by this engine yet"),
        ("POST", "/containers/x/checkpoints", 501, "checkpoints are not supported by this engine"),
        ("GET", "/containers/json?filters=%7B", 400, "invalid filter"),
        ("GET", "/containers/x/logs", 400, "Bad parameters: you must choose at least one stream"),
        ("POST", "/containers/x/wait?condition=never", 400, "invalid condition: \"never\""),
        ("POST", "/containers/x/resize?h=1&w=x", 400, "invalid resize width \"x\": invalid syntax"),
        ("POST", "/containers/x/stop?t=soon", 400, "strconv.Atoi: parsing \"soon\": invalid syntax"),
        ("HEAD", "/containers/x/archive", 400, ""),
        ("GET", "/containers/x/stats?one-shot=1", 400, "cannot have stream=true and one-shot=true"),
        ("GET", "/system/df?type=nonsense", 400, "unknown object type: nonsense"),
        ("POST", "/images/create", 400, "either fromImage or fromSrc is needed"),
    ] {
        let answer = world.request(method, path).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
        assert_eq!(answer.header("content-type"), Some("application/json"), "{method} {path}");
        assert_eq!(answer.header("api-version"), Some("1.51"), "{method} {path}");
        if !message.is_empty() {
            assert_eq!(answer.json(), json!({"message": message}), "{method} {path}");
            assert!(answer.body.ends_with('\n'));
        }
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_checked_as_docker_checks_them() {
    let world = World::start().await;
    for (path, content_type, body, message) in [
        (
            "/containers/create",
            Some("application/json"),
            "",
            "invalid JSON: got EOF while reading request body",
        ),
        ("/containers/create", Some("application/json"), "{", "invalid JSON: "),
        ("/containers/create", Some("application/json"), "[1]", "invalid JSON: "),
        (
            "/containers/create",
            Some("application/json"),
            "{\"Image\":\"x\"} {}",
            "unexpected content after JSON",
        ),
        ("/containers/create", Some("application/json"), "{\"Image\":{}}", "invalid JSON: "),
        ("/containers/create", Some("application/json"), "\u{0}", "invalid JSON: "),
        (
            "/containers/create",
            Some("application/json; charset=utf-8"),
            "{}",
            "config cannot be empty in order to create a container",
        ),
        (
            "/containers/create",
            Some("text/plain"),
            "{}",
            "unsupported Content-Type header (text/plain): must be 'application/json'",
        ),
        ("/containers/create", None, "{}", "malformed Content-Type header (): mime: no media type"),
        ("/containers/x/exec", Some("application/json"), "{}", "No exec command specified"),
    ] {
        let content_type = content_type.map(|kind| format!("Content-Type: {kind}\r\n")).unwrap_or_default();
        let answer = world
            .send(&format!("POST {path} HTTP/1.1\r\nHost: d\r\nConnection: close\r\n{content_type}Content-Length: {}\r\n\r\n{body}", body.len()))
            .await;
        assert_eq!(answer.status, 400, "{path} {body:?}");
        let told = answer.json()["message"].as_str().unwrap().to_owned();
        assert!(told.starts_with(message), "{path} {body:?}: {told}");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_body_of_a_refused_request_is_read_to_its_end() {
    let world = World::start().await;
    let body = "x".repeat(3 << 20);
    for path in ["/nonsense", "/v1.1/images/load", "/build"] {
        // Written in full before anything is read, on a connection that must still be good afterwards.
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: d\r\nContent-Type: application/x-tar\r\nContent-Length: {}\r\n\r\n{body}GET /_ping HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n",
            body.len()
        );
        let raw = world.raw(request.as_bytes()).await;
        assert!(raw.contains("{\"message\":"), "{path}: {raw}");
        assert!(raw.ends_with("\r\n\r\nOK"), "{path}: {raw}");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_waits_for_a_go_ahead_gets_its_refusal_instead() {
    let world = World::start().await;
    let head = "PUT /containers/nobody/archive HTTP/1.1\r\nHost: d\r\nExpect: 100-continue\r\nConnection: close\r\nContent-Length: 1000000\r\n\r\n";
    let raw = world.raw(head.as_bytes()).await;
    assert!(raw.starts_with("HTTP/1.1 400 "), "{raw}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_http_is_answered_or_cut_and_harms_nobody() {
    let world = World::start().await;
    let huge = format!("GET /_ping HTTP/1.1\r\nHost: d\r\nX-Huge: {}\r\n\r\n", "x".repeat(2 << 20));
    let many = format!("GET /_ping HTTP/1.1\r\nHost: d\r\n{}\r\n", "X-A: b\r\n".repeat(1000));
    for (request, status) in [
        (huge.as_str(), "HTTP/1.1 431 "),
        (many.as_str(), "HTTP/1.1 431 "),
        ("nonsense\r\n\r\n", "HTTP/1.1 400 "),
        ("GET /_ping HTTP/9.9\r\n\r\n", "HTTP/1.1 400 "),
        ("GET /_ping HTTP/1.1\r\nHost: d\r\nContent-Length: x\r\n\r\n", "HTTP/1.1 400 "),
        ("\u{16}\u{3}\u{1}", ""),
        ("", ""),
        ("GET /_ping HTTP/1.0\r\n\r\n", "HTTP/1.0 200 "),
        ("GET /%00%ff/../x HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n", "HTTP/1.1 404 "),
        (
            "POST /containers/create HTTP/1.1\r\nHost: d\r\nConnection: close\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            "HTTP/1.1 400 ",
        ),
    ] {
        let raw = world.raw(request.as_bytes()).await;
        assert!(raw.starts_with(status), "{:.60}: {raw}", request);
    }
    assert_eq!(world.request("GET", "/_ping").await.status, 200);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_of_an_empty_engine() {
    let world = World::start().await;
    assert_eq!(world.request("GET", "/containers/json?all=1").await.json(), json!([]));
    assert_eq!(world.request("GET", "/plugins").await.json(), json!([]));
    assert_eq!(world.request("GET", "/v1.24/images/json").await.json(), json!([]));
    assert_eq!(
        world.request("POST", "/build/prune").await.json(),
        json!({"CachesDeleted": null, "SpaceReclaimed": 0})
    );
    assert_eq!(world.request("GET", "/volumes").await.json()["Volumes"], json!([]));
    let names: Vec<Value> = world
        .request("GET", "/networks")
        .await
        .json()
        .as_array()
        .unwrap()
        .iter()
        .map(|network| network["Name"].clone())
        .collect();
    for builtin in ["bridge", "host", "none"] {
        assert!(names.contains(&json!(builtin)), "{names:?}");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_objects_are_named_in_dockers_words() {
    let world = World::start().await;
    for (method, path, message) in [
        ("GET", "/containers/nobody/json", "No such container: nobody"),
        ("POST", "/containers/nobody/start", "No such container: nobody"),
        ("POST", "/containers/nobody/attach?stream=1", "No such container: nobody"),
        ("POST", "/containers/nobody/wait", "No such container: nobody"),
        ("DELETE", "/containers/nobody", "No such container: nobody"),
        ("GET", "/containers/nobody/export", "No such container: nobody"),
        ("GET", "/containers/nobody/logs?stdout=1", "No such container: nobody"),
        ("POST", "/exec/nobody/start", "No such exec instance: nobody"),
        ("GET", "/exec/nobody/json", "No such exec instance: nobody"),
        ("GET", "/images/no/such/image/json", "No such image: no/such/image:latest"),
        ("DELETE", "/images/no/such/image", "No such image: no/such/image:latest"),
        ("GET", "/volumes/nobody", "get nobody: no such volume"),
        ("GET", "/networks/nobody", "network nobody not found"),
    ] {
        let answer = world.request(method, path).await;
        assert_eq!((answer.status, answer.json()), (404, json!({"message": message})), "{method} {path}");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_server_serves_who_is_already_there() {
    let world = World::start().await;
    let mut connected = world.connect().await;
    let idle = world.connect_and_ping().await;
    world.begin_stop();
    // Connected before the stop, asks after it.
    let answer = world::exchange(&mut connected, b"GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n").await;
    assert!(answer.ends_with("OK"), "{answer}");
    // Kept alive without a request: closed.
    assert_eq!(world::read_to_end(idle).await, "");
    world.stop().await;
}
