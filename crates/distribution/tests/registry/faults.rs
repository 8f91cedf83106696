//! Pulls through a bad network: what breaks is resumed, what is wrong is refused, and nothing half-done is ever visible.

use std::future::Future as _;
use std::task::{Context, Waker};
use std::time::Duration;

use distribution::{RegistriesConfig, Retry};
use testkit::{Entry, Fault, ImageSpec, LayerSpec, Proxy, Pushed, Registry, When};

use crate::world::{World, config};

const LAYER: usize = 3_000_000;

struct Line {
    proxy: Proxy,
    pushed: Pushed,
    world: World,
    _registry: Registry,
}

impl Line {
    /// One image with one incompressible layer of three megabytes, behind a proxy.
    fn new() -> Self {
        Line::with(config())
    }

    fn with(config: RegistriesConfig) -> Self {
        let registry = Registry::start();
        let layer = LayerSpec::new(vec![Entry::noise("noise", LAYER, 7), Entry::text("end", "reached")]);
        let pushed = ImageSpec::new(vec![layer]).push(registry.address(), "app:1");
        let proxy = Proxy::start(registry.address());
        Line { proxy, pushed, world: World::with(config), _registry: registry }
    }

    fn name(&self) -> String {
        format!("{}/app:1", self.proxy.host())
    }

    fn layer(&self) -> String {
        format!("/blobs/{}", self.pushed.layers[0].digest)
    }

    async fn pulls_well(&self) {
        let pulled = self.world.pull(&self.name()).await.map_err(|error| error.message()).unwrap();
        assert_eq!(pulled.record.id, self.pushed.id);
        assert_eq!(self.world.read(&pulled, "end"), "reached");
    }
}

#[tokio::test]
async fn a_cut_download_is_resumed_where_it_broke() {
    let line = Line::new();
    let size = line.pushed.layers[0].size;
    line.proxy.fault(When::path(&line.layer()).times(3), Fault::Cut { after: 700_000 });
    line.pulls_well().await;
    let ranges: Vec<Option<String>> = line
        .proxy
        .seen()
        .iter()
        .filter(|request| request.target.contains(&line.layer()))
        .map(|request| request.header("range").map(str::to_owned))
        .collect();
    let want = [None, Some("bytes=700000-"), Some("bytes=1400000-"), Some("bytes=2100000-")];
    assert_eq!(ranges, want.map(|range| range.map(str::to_owned)));
    assert!(line.proxy.sent() < size + 100_000, "bytes were fetched twice");
}

#[tokio::test]
async fn a_line_that_never_gets_anywhere_is_given_up() {
    let line = Line::new();
    line.proxy.fault(When::path(&line.layer()), Fault::Cut { after: 0 });
    let error = line.world.pull_error(&line.name()).await;
    assert!(error.ends_with("EOF"), "{error}");
    assert_eq!(line.proxy.count("GET", &line.layer()), 4);
    line.proxy.heal();
    line.pulls_well().await;
}

#[tokio::test]
async fn a_stalled_download_is_resumed() {
    let retry = Retry { stall: Duration::from_secs(2), ..config().retry };
    let line = Line::with(RegistriesConfig { retry, ..config() });
    line.proxy.fault(When::path(&line.layer()).times(1), Fault::Stall { after: 500_000 });
    line.pulls_well().await;
    assert_eq!(line.proxy.count("GET", &line.layer()), 2);
}

#[tokio::test]
async fn a_server_without_ranges_sends_it_all_again() {
    let line = Line::new();
    line.proxy.fault(When::path(&line.layer()).times(1), Fault::Cut { after: 700_000 });
    line.proxy.fault(When::path(&line.layer()).times(1), Fault::IgnoreRange);
    line.pulls_well().await;
}

#[tokio::test]
async fn a_wrong_range_is_noticed() {
    let line = Line::new();
    line.proxy.fault(When::path(&line.layer()).times(1), Fault::Cut { after: 700_000 });
    let value = "bytes 5-2999999/3000000".to_owned();
    line.proxy.fault(When::path(&line.layer()), Fault::Header { name: "content-range".into(), value });
    let error = line.world.pull_error(&line.name()).await;
    assert!(error.contains("could not find expected range"), "{error}");
}

#[tokio::test]
async fn trouble_at_the_server_passes() {
    let line = Line::new();
    let status = |code: u16, headers: &[(&str, &str)]| Fault::Status {
        code,
        headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        body: String::new(),
    };
    line.proxy.fault(When::path("/v2/").times(1), status(503, &[]));
    line.proxy.fault(When::manifests().times(1), status(500, &[]));
    line.proxy.fault(When::path(&line.layer()).times(1), status(429, &[("retry-after", "0")]));
    line.proxy.fault(When::path(&line.layer()).times(1), status(502, &[]));
    line.pulls_well().await;
}

#[tokio::test]
async fn a_rate_limit_that_stays_is_told() {
    let line = Line::new();
    let body =
        r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit."}]}"#;
    let headers = vec![("ratelimit-limit".to_owned(), "100;w=21600".to_owned())];
    line.proxy.fault(When::manifests(), Fault::Status { code: 429, headers, body: body.to_owned() });
    let error = line.world.pull_error(&line.name()).await;
    assert_eq!(error, "toomanyrequests: You have reached your pull rate limit. (limit: 100 per 6h)");
}

#[tokio::test]
async fn corrupt_bytes_are_refused() {
    let line = Line::new();
    line.proxy.fault(When::path(&line.layer()), Fault::Corrupt { at: 1_234_567 });
    let error = line.world.pull_error(&line.name()).await;
    let digest = &line.pushed.layers[0].digest;
    assert_eq!(error, format!("filesystem layer verification failed for digest {digest}"));
    assert!(!line.world.store.has_blob(digest));
    assert!(line.world.store.gc().is_ok());
    line.proxy.heal();
    line.pulls_well().await;
}

#[tokio::test]
async fn a_bad_partial_from_before_is_thrown_away_by_itself() {
    let line = Line::new();
    line.proxy.fault(When::path(&line.layer()).times(1), Fault::Corrupt { at: 100 });
    line.proxy.fault(When::path(&line.layer()).times(0), Fault::IgnoreRange);
    // The first pull gets a corrupt beginning and dies after it.
    line.proxy.heal();
    line.proxy
        .fault(When::path(&line.layer()).times(1), Fault::Header { name: "x".into(), value: "y".into() });
    line.pulls_well().await;
}

#[tokio::test]
async fn a_short_blob_is_refused() {
    let line = Line::new();
    line.proxy.fault(When::path(&line.layer()), Fault::Truncate { to: 1000 });
    let error = line.world.pull_error(&line.name()).await;
    assert!(error.contains("EOF"), "{error}");
}

#[tokio::test]
async fn a_manifest_that_is_not_its_digest_is_refused() {
    let line = Line::new();
    line.proxy.fault(When::manifests().method("GET"), Fault::Corrupt { at: 20 });
    let error = line.world.pull_error(&line.name()).await;
    assert_eq!(error, format!("manifest verification failed for digest {}", line.pushed.digest));
}

#[tokio::test]
async fn a_config_that_is_not_its_digest_is_refused() {
    let line = Line::new();
    line.proxy.fault(When::path(&format!("/blobs/{}", line.pushed.id)), Fault::Corrupt { at: 20 });
    let error = line.world.pull_error(&line.name()).await;
    assert_eq!(error, format!("image config verification failed for digest {}", line.pushed.id));
}

#[tokio::test]
async fn redirects_without_end_are_given_up() {
    let line = Line::new();
    let base = line.proxy.url();
    line.proxy.fault(When::path(&line.layer()), Fault::Redirect { base });
    let error = line.world.pull_error(&line.name()).await;
    assert!(error.ends_with("stopped after 10 redirects"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_pull_stops_and_is_resumed_by_the_next() {
    let line = Line::new();
    // The connection hangs in the middle, and the client goes away then.
    line.proxy.fault(When::path(&line.layer()).times(1), Fault::Stall { after: 2_000_000 });
    let name = line.name();
    let mut pull = Box::pin(line.world.pull(&name));
    // Everything that will come has come, and has been written.
    let partial = || -> u64 {
        let folder =
            std::fs::read_dir(line.world.store.root().join("ingest")).into_iter().flatten().flatten();
        folder.filter_map(|entry| entry.metadata().ok()).map(|data| data.len()).max().unwrap_or(0)
    };
    let deadline = tokio::time::Instant::now() + Duration::from_secs(15);
    while partial() < 1_500_000 {
        assert!(tokio::time::Instant::now() < deadline, "{} bytes within 15 s", partial());
        let waited = tokio::time::timeout(Duration::from_millis(5), &mut pull).await;
        assert!(waited.is_err(), "the pull hangs");
    }
    let _ = pull.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    drop(pull);
    assert!(line.world.store.images().unwrap().is_empty());

    line.pulls_well().await;
    let ranges: Vec<String> = line
        .proxy
        .seen()
        .iter()
        .filter(|request| request.target.contains(&line.layer()))
        .filter_map(|request| request.header("range").map(str::to_owned))
        .collect();
    assert_eq!(ranges.len(), 1);
    let start: u64 = ranges[0].trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap();
    assert!(start > 1_000_000, "most of what had arrived is used: {start}");
}
