//! Pushes: byte for byte, skipped, mounted, resumed; and refused.

use distribution::{PushOptions, Registries, push};
use image::{Digest, Reference};
use testkit::{Entry, Fault, ImageSpec, LayerSpec, Proxy, Registry, TokenServer, When};

use crate::world::{World, reference, user};

fn spec() -> ImageSpec {
    ImageSpec::new(vec![
        LayerSpec::new(vec![Entry::text("base", "base")]),
        LayerSpec::new(vec![Entry::noise("noise", 2_000_000, 3)]),
    ])
}

async fn push_as(world: &World, name: &Reference, options: &PushOptions) -> Result<Vec<Digest>, String> {
    let pushed = push(&world.store, name, options, &world.registries, &world.sink()).await;
    pushed.map(|tags| tags.into_iter().map(|tag| tag.digest).collect()).map_err(|error| error.message())
}

/// Pulls `name` from `source`, then names it `target`.
async fn pulled_as(world: &World, source: &str, target: &str) {
    let pulled = world.pull(source).await.unwrap();
    world.store.tag(&pulled.record.id, &reference(target)).unwrap();
    world.said();
}

#[tokio::test]
async fn what_was_pulled_is_pushed_byte_for_byte() {
    let (source, target) = (Registry::start(), Registry::start());
    let host = image::Platform::host().to_string();
    for (number, spec) in [spec(), spec().docker(), spec().platforms(&[&host])].into_iter().enumerate() {
        let original = spec.push(source.address(), &format!("app:{number}"));
        let world = World::new();
        let name = format!("{}/copy:{number}", target.host());
        pulled_as(&world, &original.reference, &name).await;
        let pushed = push_as(&world, &reference(&name), &PushOptions::default()).await.unwrap();
        assert_eq!(pushed, std::slice::from_ref(&original.digest));
        let (status, _, bytes) =
            testkit::images::get_manifest(target.address(), "copy", &original.digest.to_string());
        assert_eq!((status, Digest::sha256(&bytes)), (200, original.digest.clone()));

        let record = world.store.image(&name).unwrap();
        let by_digest = reference(&name).with_digest(original.digest.clone());
        assert!(record.repo_digests.contains(&by_digest), "{:?}", record.repo_digests);
        // An independent client finds it complete.
        let fresh = World::new();
        assert_eq!(fresh.pull(&name).await.unwrap().record.id, original.id);
    }
}

#[tokio::test]
async fn a_push_says_what_docker_says() {
    let (source, target) = (Registry::start(), Registry::start());
    let original = spec().push(source.address(), "app:1");
    let world = World::new();
    let name = format!("{}/copy:1", target.host());
    pulled_as(&world, &original.reference, &name).await;
    push_as(&world, &reference(&name), &PushOptions::default()).await.unwrap();
    let said = world.said();
    let config = world.store.config(&original.id).unwrap();
    let lines: Vec<&str> = config.rootfs.diff_ids.iter().map(Digest::short).collect();
    let (_, _, manifest) = testkit::images::get_manifest(target.address(), "copy", "1");
    assert_eq!(said[0], format!("The push refers to repository [{}/copy]", target.host()));
    assert_eq!(said[1..3], lines.iter().map(|id| format!("{id}: Preparing")).collect::<Vec<_>>());
    for id in &lines {
        assert!(said.contains(&format!("{id}: Pushing")), "{said:?}");
        assert!(said.contains(&format!("{id}: Pushed")), "{said:?}");
    }
    let last = format!("1: digest: {} size: {}", original.digest, manifest.len());
    assert_eq!(said.last(), Some(&last));

    push_as(&world, &reference(&name), &PushOptions::default()).await.unwrap();
    let said = world.said();
    for id in &lines {
        assert!(said.contains(&format!("{id}: Layer already exists")), "{said:?}");
    }
}

#[tokio::test]
async fn blobs_are_mounted_from_another_repository() {
    let tokens = TokenServer::start("me", "secret");
    for registry in [Registry::start(), Registry::builder().token(&tokens).start()] {
        let world = World::new().login("me", "secret");
        let host = registry.host();
        spec().push_with_skopeo(
            &format!("{host}/team/app:1"),
            &["--dest-tls-verify=false", "--dest-creds=me:secret"],
        );
        let name = format!("{host}/team/copy:1");
        pulled_as(&world, &format!("{host}/team/app:1"), &name).await;
        let options = PushOptions { auth: Some(user("me", "secret")), ..PushOptions::default() };
        push_as(&world, &reference(&name), &options).await.unwrap();
        let said = world.said();
        let mounted = said.iter().filter(|line| line.ends_with("Mounted from team/app")).count();
        assert_eq!(mounted, 2, "{said:?}");
    }
}

#[tokio::test]
async fn layers_that_an_archive_has_plain_are_pushed_compressed_and_packed_once() {
    let registry = Registry::start();
    let proxy = Proxy::start(registry.address());
    spec().push(registry.address(), "from:1");
    let folder = tempfile::tempdir().unwrap();
    let archive = folder.path().join("app.tar");
    // As old as `docker save` is: the layers are plain tars.
    let skopeo = std::process::Command::new("skopeo")
        .args(["copy", "--quiet", "--src-tls-verify=false", &format!("docker://{}/from:1", registry.host())])
        .arg(format!("docker-archive:{}:app:1", archive.display()))
        .output()
        .expect("run skopeo (package skopeo)");
    assert!(skopeo.status.success(), "{}", String::from_utf8_lossy(&skopeo.stderr));
    let world = World::new();
    let archive = std::fs::File::open(archive).unwrap();
    let loaded = world.store.load(archive, &[], &mut |_| ()).unwrap().remove(0);
    let name = format!("{}/app:1", proxy.host());
    world.store.tag(&loaded.id, &reference(&name)).unwrap();

    let pushed = push_as(&world, &reference(&name), &PushOptions::default()).await.unwrap();
    let (status, _, bytes) = testkit::images::get_manifest(registry.address(), "app", "1");
    assert_eq!((status, &Digest::sha256(&bytes)), (200, &pushed[0]));
    let manifest = image::Manifest::parse(&bytes).unwrap();
    let packed = |layer: &image::Descriptor| layer.media_type == image::MediaType::OCI_LAYER_GZIP;
    assert!(manifest.layers.len() == 2 && manifest.layers.iter().all(packed), "{manifest:?}");
    assert_eq!(world.store.image("app:1").unwrap().id, loaded.id);
    assert_eq!(world.store.verify_image(&loaded.id).unwrap(), []);
    assert_eq!(World::new().pull(&name).await.unwrap().record.id, loaded.id);

    // Again, and into another repository: nothing is sent.
    let before = posts(&proxy).len();
    assert_eq!(push_as(&world, &reference(&name), &PushOptions::default()).await.unwrap(), pushed);
    assert_eq!(posts(&proxy).len(), before);
    let other = format!("{}/other:1", proxy.host());
    world.store.tag(&loaded.id, &reference(&other)).unwrap();
    world.said();
    assert_eq!(push_as(&world, &reference(&other), &PushOptions::default()).await.unwrap(), pushed);
    let said = world.said();
    assert_eq!(said.iter().filter(|line| line.ends_with("Mounted from app")).count(), 2, "{said:?}");
}

/// The requests that start an upload or a mount.
fn posts(proxy: &Proxy) -> Vec<String> {
    let seen = proxy.seen();
    seen.iter().filter(|request| request.method == "POST").map(|request| request.target.clone()).collect()
}

#[tokio::test]
async fn where_a_layer_lies_is_remembered_without_the_image() {
    let (registry, other) = (Registry::start(), Registry::start());
    let (proxy, other_proxy) = (Proxy::start(registry.address()), Proxy::start(other.address()));
    let original = spec().push(registry.address(), "team/app:1");
    let world = World::new();
    let pulled = world.pull(&format!("{}/team/app:1", proxy.host())).await.unwrap();
    let mut archive = Vec::new();
    world.store.save(&[pulled.record.id.to_string()], &[], &mut archive).unwrap();
    world.store.delete_image(&original.id).unwrap();
    world.store.load(archive.as_slice(), &[], &mut |_| ()).unwrap();
    world.said();

    let copy = format!("{}/copy:1", proxy.host());
    world.store.tag(&original.id, &reference(&copy)).unwrap();
    let pushed = push_as(&world, &reference(&copy), &PushOptions::default()).await.unwrap();
    assert_eq!(pushed, std::slice::from_ref(&original.digest));
    let said = world.said();
    let mounted = said.iter().filter(|line| line.ends_with("Mounted from team/app")).count();
    assert_eq!(mounted, 2, "{said:?}");

    // Another registry is not told what this one has.
    let elsewhere = format!("{}/copy:1", other_proxy.host());
    world.store.tag(&original.id, &reference(&elsewhere)).unwrap();
    push_as(&world, &reference(&elsewhere), &PushOptions::default()).await.unwrap();
    let posts = posts(&other_proxy);
    assert!(!posts.is_empty() && posts.iter().all(|path| !path.contains("mount=")), "{posts:?}");
}

#[tokio::test]
async fn a_place_that_has_nothing_any_more_costs_one_question() {
    let registry = Registry::start();
    let proxy = Proxy::start(registry.address());
    let original = spec().push(registry.address(), "app:1");
    let world = World::new();
    let name = format!("{}/copy:1", proxy.host());
    pulled_as(&world, &format!("{}/app:1", proxy.host()), &name).await;
    let config = world.store.config(&original.id).unwrap();
    for diff_id in &config.rootfs.diff_ids {
        let known = world.store.places(diff_id).pop().unwrap();
        for repository in ["gone", "never"] {
            let place = store::Place { repository: repository.to_owned(), ..known.clone() };
            world.store.remember_place(diff_id, place).unwrap();
        }
    }
    push_as(&world, &reference(&name), &PushOptions::default()).await.unwrap();
    let said = world.said();
    let mounted = said.iter().filter(|line| line.ends_with("Mounted from app")).count();
    assert_eq!(mounted, 2, "{said:?}");

    // None of those that are known has it: it is sent.
    let empty = Registry::start();
    for diff_id in &config.rootfs.diff_ids {
        let known = world.store.places(diff_id).pop().unwrap();
        let place = store::Place { registry: empty.host(), ..known };
        world.store.remember_place(diff_id, place).unwrap();
    }
    let name = format!("{}/copy:1", empty.host());
    world.store.tag(&original.id, &reference(&name)).unwrap();
    push_as(&world, &reference(&name), &PushOptions::default()).await.unwrap();
    let said = world.said();
    assert_eq!(said.iter().filter(|line| line.ends_with(": Pushed")).count(), 2, "{said:?}");
    assert_eq!(World::new().pull(&name).await.unwrap().record.id, original.id);
}

#[tokio::test]
async fn an_interrupted_upload_goes_on() {
    let (source, target) = (Registry::start(), Registry::start());
    let proxy = Proxy::start(target.address());
    let original = spec().push(source.address(), "app:1");
    let world = World::new();
    let name = format!("{}/copy:1", proxy.host());
    pulled_as(&world, &original.reference, &name).await;
    proxy.fault(When::path("/blobs/uploads/").method("PATCH").times(2), Fault::CutUpload { after: 500_000 });
    let pushed = push_as(&world, &reference(&name), &PushOptions::default()).await.unwrap();
    assert_eq!(pushed, std::slice::from_ref(&original.digest));
    let fresh = World::new();
    assert_eq!(fresh.pull(&format!("{}/copy:1", target.host())).await.unwrap().record.id, original.id);
}

#[tokio::test]
async fn what_is_too_long_for_one_request_goes_in_parts() {
    let (source, target) = (Registry::start(), Registry::start());
    let proxy = Proxy::start(target.address());
    let layers = vec![LayerSpec::new(vec![Entry::noise("noise", 5_000_000, 9)])];
    let original = ImageSpec::new(layers).push(source.address(), "app:1");
    let world = World::new();
    let name = format!("{}/copy:1", proxy.host());
    pulled_as(&world, &original.reference, &name).await;
    let too_large = Fault::Status { code: 413, headers: Vec::new(), body: "<html>too large</html>".into() };
    proxy.fault(When::path("/blobs/uploads/").method("PATCH").longer_than(2_100_000), too_large);
    let pushed = push_as(&world, &reference(&name), &PushOptions::default()).await.unwrap();
    assert_eq!(pushed, std::slice::from_ref(&original.digest));
    let ranges: Vec<String> = proxy
        .seen()
        .iter()
        .filter(|request| request.method == "PATCH" && request.length() <= 2_100_000)
        .filter_map(|request| request.header("content-range").map(str::to_owned))
        .collect();
    assert!(ranges.len() >= 3 && ranges[0] == "0-2097151", "{ranges:?}");
    let fresh = World::new();
    let pulled = fresh.pull(&format!("{}/copy:1", target.host())).await.unwrap();
    assert_eq!(pulled.record.id, original.id);
}

#[tokio::test]
async fn layers_are_packed_anew_where_that_is_asked_for_and_always_the_same() {
    let (source, target) = (Registry::start(), Registry::start());
    let host = image::Platform::host().to_string();
    for (number, spec) in [spec(), spec().docker(), spec().platforms(&[&host])].into_iter().enumerate() {
        let original = spec.push(source.address(), &format!("app:{number}"));
        let name = format!("{}/zstd:{number}", target.host());
        let compression = image::Compression::Zstd;
        let mut digests = Vec::new();
        for level in [None, None, Some(1)] {
            let world = World::new();
            pulled_as(&world, &original.reference, &name).await;
            let packed = Some(store::Packed { compression, level });
            let options = PushOptions { packed, ..PushOptions::default() };
            digests.extend(push_as(&world, &reference(&name), &options).await.unwrap());
            // What was made for the push alone goes with the next collection.
            assert!(!world.store.gc().unwrap().blobs.is_empty());
        }
        assert_eq!(digests[0], digests[1]);
        assert_ne!(digests[0], original.digest);

        let fresh = World::new();
        let pulled = fresh.pull(&name).await.unwrap();
        assert_eq!((&pulled.record.id, &pulled.digest), (&original.id, &digests[2]));
        let manifest = fresh.store.manifest(&pulled.record.manifest).unwrap();
        assert!(
            manifest.layers.iter().all(|layer| layer.media_type == image::MediaType::OCI_LAYER_ZSTD),
            "{:?}",
            manifest.layers
        );
        assert_eq!(fresh.read(&pulled, "base"), "base");
    }
}

#[tokio::test]
async fn trouble_at_the_server_passes() {
    let (source, target) = (Registry::start(), Registry::start());
    let proxy = Proxy::start(target.address());
    let original = spec().push(source.address(), "app:1");
    let world = World::new();
    let name = format!("{}/copy:1", proxy.host());
    pulled_as(&world, &original.reference, &name).await;
    for (method, part) in [
        ("HEAD", "/blobs/"),
        ("POST", "/uploads/"),
        ("PATCH", "/uploads/"),
        ("PUT", "/uploads/"),
        ("PUT", "/manifests/"),
    ] {
        let fault = Fault::Status { code: 503, headers: Vec::new(), body: String::new() };
        proxy.fault(When::path(part).method(method).times(1), fault);
    }
    assert_eq!(push_as(&world, &reference(&name), &PushOptions::default()).await, Ok(vec![original.digest]));
}

#[tokio::test]
async fn all_tags_and_none() {
    let (source, target) = (Registry::start(), Registry::start());
    let original = spec().push(source.address(), "app:1");
    let world = World::new();
    let repository = format!("{}/copy", target.host());
    pulled_as(&world, &original.reference, &format!("{repository}:a")).await;
    pulled_as(&world, &original.reference, &format!("{repository}:b")).await;
    let all = PushOptions { all_tags: true, ..PushOptions::default() };
    let pushed = push_as(&world, &reference(&repository), &all).await.unwrap();
    assert_eq!(pushed, [original.digest.clone(), original.digest]);

    let missing = format!("{repository}:c");
    let error = push_as(&world, &reference(&missing), &PushOptions::default()).await.unwrap_err();
    assert_eq!(error, format!("tag does not exist: {missing}"));
    let nothing = format!("{}/nothing", target.host());
    let error = push_as(&world, &reference(&nothing), &all).await.unwrap_err();
    assert_eq!(error, format!("An image does not exist locally with the tag: {nothing}"));
}

#[tokio::test]
async fn refusals() {
    let source = Registry::start();
    let original = spec().push(source.address(), "app:1");
    let world = World::new();
    let tokens = TokenServer::start("me", "secret");
    let target = Registry::builder().token(&tokens).start();
    let name = format!("{}/public/copy:1", target.host());
    pulled_as(&world, &original.reference, &name).await;
    let error = push_as(&world, &reference(&name), &PushOptions::default()).await.unwrap_err();
    assert_eq!(error, "denied: requested access to the resource is denied");

    let target = Registry::builder().htpasswd("me", "secret").start();
    let name = format!("{}/copy:1", target.host());
    world.store.tag(&original.id, &reference(&name)).unwrap();
    let error = push_as(&world, &reference(&name), &PushOptions::default()).await.unwrap_err();
    assert!(error.ends_with("no basic auth credentials"), "{error}");
    let _: &Registries = &world.registries;
}
