//! Pulls that go well: every kind of image, progress as Docker shows it, and work that is not done twice.

use std::sync::Arc;

use distribution::{PullOptions, PullStatus};
use image::{Compression, Platform};
use testkit::{Entry, ImageSpec, LayerSpec, Proxy, Registry};

use crate::world::{World, reference};

fn layers() -> Vec<LayerSpec> {
    vec![
        LayerSpec::new(vec![
            Entry::Dir("etc".into()),
            Entry::text("etc/name", "base"),
            Entry::text("keep", "kept"),
        ]),
        LayerSpec::new(vec![Entry::text("etc/name", "middle"), Entry::noise("noise", 300_000, 1)]),
        LayerSpec::new(vec![Entry::text("etc/top", "top")]),
    ]
}

#[tokio::test]
async fn a_pull_says_what_docker_says() {
    let registry = Registry::start();
    let pushed = ImageSpec::new(layers()).push(registry.address(), "team/app:1");
    let world = World::new();
    let pulled = world.pull(&pushed.reference).await.unwrap();
    assert_eq!((&pulled.digest, &pulled.record.id), (&pushed.digest, &pushed.id));
    assert_eq!(pulled.status, PullStatus::Newer);
    assert_eq!(world.read(&pulled, "etc/name"), "middle");
    assert_eq!(world.read(&pulled, "keep"), "kept");
    assert_eq!(pulled.record.names, [reference(&pushed.reference)]);
    let by_digest = reference(&pushed.reference).with_digest(pushed.digest.clone());
    assert_eq!(pulled.record.repo_digests, [by_digest]);

    let said = world.said();
    let short: Vec<&str> = pushed.layers.iter().map(|layer| layer.digest.short()).collect();
    let mut head = vec!["1: Pulling from team/app".to_owned()];
    head.extend(short.iter().map(|id| format!("{id}: Pulling fs layer")));
    assert_eq!(said[..4], head);
    let tail = [
        format!("Digest: {}", pushed.digest),
        format!("Status: Downloaded newer image for {}", pushed.reference),
    ];
    assert_eq!(said[said.len() - 2..], tail);
    for id in &short {
        let own: Vec<&str> = said.iter().filter_map(|line| line.strip_prefix(&format!("{id}: "))).collect();
        let want = [
            "Pulling fs layer",
            "Waiting",
            "Downloading",
            "Verifying Checksum",
            "Download complete",
            "Extracting",
            "Pull complete",
        ];
        // `Waiting` is shown only while another layer has the line.
        let own: Vec<&str> = own.into_iter().filter(|step| *step != "Waiting").collect();
        let mut deduplicated = own.clone();
        deduplicated.dedup();
        let want: Vec<&str> = want.into_iter().filter(|step| *step != "Waiting").collect();
        assert_eq!(deduplicated, want);
    }
    let completed: Vec<&String> = said.iter().filter(|line| line.ends_with("Pull complete")).collect();
    let want: Vec<String> = short.iter().map(|id| format!("{id}: Pull complete")).collect();
    assert_eq!(completed, want.iter().collect::<Vec<_>>(), "layers complete bottom up");

    let again = world.pull(&pushed.reference).await.unwrap();
    assert_eq!(again.status, PullStatus::UpToDate);
    let want = [
        "1: Pulling from team/app".to_owned(),
        format!("Digest: {}", pushed.digest),
        format!("Status: Image is up to date for {}", pushed.reference),
    ];
    assert_eq!(world.said(), want);
}

#[tokio::test]
async fn every_compression_and_both_families_of_types() {
    let registry = Registry::start();
    let specs = [Compression::Gzip, Compression::Zstd, Compression::None].map(|compression| {
        ImageSpec::new(layers().into_iter().map(|layer| layer.compressed(compression)).collect())
    });
    for (number, spec) in specs.into_iter().flat_map(|spec| [spec.clone(), spec.docker()]).enumerate() {
        let pushed = spec.push(registry.address(), &format!("app:{number}"));
        let world = World::new();
        let pulled = world.pull(&pushed.reference).await.unwrap();
        assert_eq!((&pulled.digest, &pulled.record.id), (&pushed.digest, &pushed.id), "{number}");
        assert_eq!(world.read(&pulled, "etc/name"), "middle", "{number}");
    }
}

#[tokio::test]
async fn an_index_gives_this_platform_or_the_wanted_one() {
    let registry = Registry::start();
    let host = Platform::host().to_string();
    let spec = ImageSpec::new(layers()).platforms(&["linux/s390x", &host, "linux/riscv64"]);
    let pushed = spec.push(registry.address(), "multi:1");
    let mut world = World::new();
    let label = |world: &World, pulled: &distribution::Pulled| {
        world.store.config(&pulled.record.id).unwrap().label("platform").unwrap().to_owned()
    };
    let pulled = world.pull(&pushed.reference).await.unwrap();
    assert_eq!(label(&world, &pulled), host);
    assert_eq!(pulled.digest, pushed.digest, "the digest shown is the index's");
    assert_eq!(pulled.record.target.digest, pushed.digest);

    world.options.platform = Some(Platform::parse("linux/riscv64").unwrap());
    let pulled = world.pull(&pushed.reference).await.unwrap();
    assert_eq!(label(&world, &pulled), "linux/riscv64");

    world.options.platform = Some(Platform::parse("linux/arm64/v8").unwrap());
    let error = world.pull_error(&pushed.reference).await;
    assert_eq!(error, "no matching manifest for linux/arm64/v8 in the manifest list entries");
}

#[tokio::test]
async fn a_single_platform_image_is_pulled_with_a_warning() {
    let registry = Registry::start();
    let pushed = ImageSpec::new(layers()).push(registry.address(), "app:1");
    let mut world = World::new();
    world.options.platform = Some(Platform::parse("linux/s390x").unwrap());
    world.pull(&pushed.reference).await.unwrap();
    let said = world.said();
    let want = format!(
        "WARNING: image with reference {} was found but its platform ({}) does not match the specified platform (linux/s390x)",
        pushed.reference,
        Platform::host()
    );
    assert!(said.contains(&want), "{said:?}");
}

#[tokio::test]
async fn by_digest_and_all_tags() {
    let registry = Registry::start();
    let pushed = ImageSpec::new(layers()).push(registry.address(), "app:one");
    ImageSpec::new(layers()[..1].to_vec()).push(registry.address(), "app:two");
    let world = World::new();
    let name = format!("{}/app@{}", registry.host(), pushed.digest);
    let pulled = world.pull(&name).await.unwrap();
    assert!(pulled.record.names.is_empty(), "a digest is no tag");
    assert_eq!(pulled.record.repo_digests, [reference(&name)]);
    assert_eq!(world.said()[0], format!("{}: Pulling from app", pushed.digest));

    let mut all = World::new();
    all.options = PullOptions { all_tags: true, ..PullOptions::default() };
    all.pull(&format!("{}/app", registry.host())).await.unwrap();
    let mut tags: Vec<String> = all
        .store
        .images()
        .unwrap()
        .iter()
        .flat_map(|image| &image.names)
        .filter_map(|name| name.tag.clone())
        .collect();
    tags.sort();
    assert_eq!(tags, ["one", "two"]);
}

#[tokio::test]
async fn layers_that_are_here_are_not_fetched_again() {
    let registry = Registry::start();
    let proxy = Proxy::start(registry.address());
    let first = ImageSpec::new(layers()[..2].to_vec()).push(registry.address(), "app:1");
    let second = ImageSpec::new(layers()).push(registry.address(), "app:2");
    let world = World::new();
    world.pull(&format!("{}/app:1", proxy.host())).await.unwrap();
    world.said();
    let before = proxy.sent();
    world.pull(&format!("{}/app:2", proxy.host())).await.unwrap();
    let said = world.said();
    for layer in &first.layers {
        let id = layer.digest.short();
        assert!(said.contains(&format!("{id}: Already exists")), "{said:?}");
        assert!(!said.contains(&format!("{id}: Pulling fs layer")));
    }
    let top = &second.layers[2];
    assert!(proxy.sent() - before <= top.size + (64 << 10), "more than the missing layer was read");
    assert_eq!(proxy.count("GET", &first.layers[1].digest.to_string()), 1);
}

#[tokio::test]
async fn two_pulls_at_once_do_the_work_once() {
    let registry = Registry::start();
    let proxy = Proxy::start(registry.address());
    let pushed = ImageSpec::new(layers()).push(registry.address(), "app:1");
    let world = Arc::new(World::new());
    let name = format!("{}/app:1", proxy.host());
    let pulls = (0..4).map(|_| {
        let (world, name) = (world.clone(), name.clone());
        tokio::spawn(async move { world.pull(&name).await.unwrap().record.id })
    });
    for pull in pulls.collect::<Vec<_>>() {
        assert_eq!(pull.await.unwrap(), pushed.id);
    }
    for layer in &pushed.layers {
        assert_eq!(proxy.count("GET", &layer.digest.to_string()), 1);
    }
    assert_eq!(world.store.images().unwrap().len(), 1);
}

#[tokio::test]
async fn one_blob_may_be_two_layers() {
    let registry = Registry::start();
    let twin = LayerSpec::new(vec![Entry::text("same", "same")]);
    let spec = ImageSpec::new(vec![twin.clone(), LayerSpec::new(vec![Entry::text("other", "x")]), twin]);
    let pushed = spec.push(registry.address(), "app:1");
    let world = World::new();
    let pulled = world.pull(&pushed.reference).await.unwrap();
    assert_eq!(world.store.chain_paths(&pulled.record.id).unwrap().len(), 3);
}

#[tokio::test]
async fn an_image_without_layers() {
    let registry = Registry::start();
    let pushed = ImageSpec::new(Vec::new()).push(registry.address(), "empty:1");
    let world = World::new();
    assert_eq!(world.pull(&pushed.reference).await.unwrap().record.id, pushed.id);
}

#[tokio::test]
async fn a_mirror_stands_in_for_the_hub_and_is_not_trusted_with_passwords() {
    let registry = Registry::start();
    let mirror = Proxy::start(registry.address());
    let pushed = ImageSpec::new(layers()).push(registry.address(), "library/app:1");
    let world =
        World::with(distribution::RegistriesConfig { mirrors: vec![mirror.url()], ..crate::world::config() });
    let world = world.login("me", "hub password");
    let pulled = world.pull("app:1").await.unwrap();
    assert_eq!(pulled.record.id, pushed.id);
    assert_eq!(pulled.record.names, [reference("docker.io/library/app:1")]);
    assert!(mirror.seen().iter().all(|request| request.header("authorization").is_none()));
    assert_eq!(world.said()[0], "1: Pulling from library/app");
}

#[tokio::test]
async fn what_does_not_exist() {
    let registry = Registry::start();
    let pushed = ImageSpec::new(layers()).push(registry.address(), "app:1");
    let (world, host) = (World::new(), registry.host());
    assert_eq!(
        world.pull_error(&format!("{host}/app:2")).await,
        format!("manifest for {host}/app:2 not found: manifest unknown: manifest unknown")
    );
    assert_eq!(
        world.pull_error(&format!("{host}/nothing")).await,
        format!("manifest for {host}/nothing:latest not found: manifest unknown: manifest unknown")
    );
    let digest = image::Digest::sha256(b"no such manifest");
    assert_eq!(
        world.pull_error(&format!("{host}/app@{digest}")).await,
        format!("manifest for {host}/app@{digest} not found: manifest unknown: manifest unknown")
    );
    assert!(world.said().is_empty());
    drop(pushed);
}

#[tokio::test]
async fn artifacts_are_not_images() {
    let registry = Registry::start();
    let address = registry.address();
    let config = br#"{}"#;
    let digest = image::Digest::sha256(config);
    testkit::images::put_blob(address, "plugin", &digest, config);
    for (kind, class) in
        [("application/vnd.docker.plugin.v1+json", "plugin"), ("application/vnd.x+json", "unknown")]
    {
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"{kind}","digest":"{digest}","size":2}},"layers":[]}}"#
        );
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        testkit::images::put_manifest(address, "plugin", class, media_type, manifest.as_bytes());
        let world = World::new();
        let error = world.pull_error(&format!("{address}/plugin:{class}")).await;
        assert_eq!(error, format!("Encountered remote \"{kind}\"({class}) when fetching"));
    }
}

#[tokio::test]
async fn a_pull_brings_again_only_what_is_damaged_or_missing() {
    let registry = Registry::start();
    let proxy = Proxy::start(registry.address());
    let pushed = ImageSpec::new(layers()).push(registry.address(), "team/app:1");
    let world = World::new();
    let name = pushed.reference.replace(&registry.host(), &proxy.host());
    let pulled = world.pull(&name).await.unwrap();
    let blob = |at: usize| {
        let digest = &pushed.layers[at].digest;
        world.store.root().join("images/blobs/sha256").join(digest.hex())
    };
    let chains = world.store.config(&pulled.record.id).unwrap().chain_ids();
    let layer = |at: usize| world.store.root().join("layers").join(chains[at].hex());
    let damage = || world.store.verify_image(&pulled.record.id).unwrap();
    let sound = || damage().is_empty();
    let asked = || {
        let blobs: Vec<String> = proxy.seen().iter().map(|request| request.target.clone()).collect();
        blobs.into_iter().filter(|target| target.contains("/blobs/")).collect::<Vec<_>>()
    };
    let before = asked().len();
    assert!(world.pull(&name).await.is_ok() && asked().len() == before, "all is here");

    // Cut short: seen without reading it.
    std::fs::File::options().write(true).open(blob(1)).unwrap().set_len(1000).unwrap();
    world.pull(&name).await.unwrap();
    assert_eq!(asked()[before..].len(), 1);
    assert!(asked()[before].ends_with(&pushed.layers[1].digest.to_string()) && sound());

    // A flipped bit is found by whoever looks.
    let mut bytes = std::fs::read(blob(0)).unwrap();
    bytes[40] ^= 1;
    std::fs::write(blob(0), bytes).unwrap();
    assert!(!sound());
    world.pull(&name).await.unwrap();
    assert_eq!(asked()[before + 1..].len(), 1);
    assert!(asked()[before + 1].ends_with(&pushed.layers[0].digest.to_string()) && sound());

    // A layer's files: made again from the blob that is here.
    std::fs::remove_dir_all(layer(2)).unwrap();
    std::fs::write(layer(0).join("diff/keep"), "other").unwrap();
    assert!(!sound());
    world.pull(&name).await.unwrap();
    assert!(asked().len() == before + 2 && sound());
    assert_eq!(world.read(&pulled, "keep"), "kept");

    // Both: the unpacker finds the blob bad, and it is brought again.
    std::fs::remove_dir_all(layer(0)).unwrap();
    let mut bytes = std::fs::read(blob(0)).unwrap();
    let checksum = bytes.len() - 6;
    bytes[checksum] ^= 1;
    std::fs::write(blob(0), bytes).unwrap();
    world.pull(&name).await.unwrap();
    assert_eq!(asked()[before..].len(), 3, "{:?}", asked());
    assert_eq!(damage(), []);

    // The documents, too.
    for digest in [&pulled.record.manifest, &pulled.record.id] {
        let path = world.store.root().join("images/blobs/sha256").join(digest.hex());
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[1] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert!(!sound());
        world.pull(&name).await.unwrap();
        assert!(sound(), "{digest}");
    }
}
