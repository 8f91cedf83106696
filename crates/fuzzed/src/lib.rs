//! Where bytes from outside come in, as functions that take any bytes and must not panic. The fuzzer (`fuzz/`) and a test over
//! its seeds call the same ones. Never part of the product.
#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::sync::OnceLock;

use image::{Digest, ImageConfig, Index, Manifest, MediaType, Platform, Reference};
use monitor::protocol::{Decoder, Message, Request};
use runtime::{HostFacts, PlanOptions, RootFs, Spec};
use seccomp::Profile;
use store::Store;

/// An entry function.
pub type Entry = fn(&[u8]);

/// All of them, by the name of their target and of the folder of their seeds.
pub const ENTRIES: [(&str, Entry); 10] = [
    ("layer", layer),
    ("manifest", manifest),
    ("index", index),
    ("image_config", image_config),
    ("reference", reference),
    ("auth_header", auth_header),
    ("registry_texts", registry_texts),
    ("runtime_config", runtime_config),
    ("seccomp_profile", seccomp_profile),
    ("monitor_protocol", monitor_protocol),
];

/// A layer, packed or not: unpacked into a store of its own, which stays empty.
pub fn layer(bytes: &[u8]) {
    // Of the thread, with which its folder goes: what is static is never dropped.
    thread_local! {
        static STORE: (Store, tempfile::TempDir) = {
            let home = tempfile::Builder::new().prefix("naru-fuzzed-").tempdir().expect("a temporary folder");
            (Store::open(home.path()).expect("open a store"), home)
        };
    }
    STORE.with(|(store, _)| {
        // The digest is wrong for packed layers; that is found out at the end, after all the work.
        let staged = store.stage_layer(&Digest::sha256(bytes), &MediaType::OCI_LAYER, bytes);
        if let Ok(layer) = staged {
            let _ = store.publish_layer(None, layer);
            let _ = store.gc();
        }
    });
}

/// An image's manifest.
pub fn manifest(bytes: &[u8]) {
    if let Ok(manifest) = Manifest::parse(bytes) {
        let again = Manifest::parse(&manifest.to_bytes());
        assert!(again.is_ok_and(|again| again == manifest), "what was read is written the same");
    }
}

/// An image index, and the choice from it.
pub fn index(bytes: &[u8]) {
    if let Ok(index) = Index::parse(bytes) {
        let _ = Platform::host().order(&index.manifests);
        assert!(Index::parse(&index.to_bytes()).is_ok(), "what was read can be written and read again");
    }
}

/// An image's configuration.
pub fn image_config(bytes: &[u8]) {
    if let Ok(config) = ImageConfig::parse(bytes) {
        let _ = (config.created_at(), config.platform(), config.chain_ids(), config.label("a"));
        assert!(
            ImageConfig::parse(&config.to_bytes()).is_ok(),
            "what was read can be written and read again"
        );
    }
}

/// The name of an image.
pub fn reference(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(reference) = Reference::parse(text) {
        for shown in [reference.to_string(), reference.familiar()] {
            let again = Reference::parse(&shown);
            assert_eq!(again.as_ref().ok(), Some(&reference), "{shown:?} means the same");
        }
        let _ = (reference.familiar_name(), reference.name(), reference.name_only());
    }
}

/// `WWW-Authenticate` of a registry.
pub fn auth_header(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for challenge in distribution::Challenge::parse(text) {
        let _ = (challenge.is_basic(), challenge.is_bearer(), challenge.parameter("realm"));
    }
}

/// Files and variables about registries: `hosts.toml`, `registries.conf`, AWS's shared files, proxies; and a `Location` header.
pub fn registry_texts(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    use distribution::texts;
    for parser in
        [texts::hosts, texts::registries, texts::aws_files, texts::ecr_name, texts::proxy, texts::location]
    {
        parser(text);
    }
}

/// `config.json` of a bundle, and the plan made of it.
pub fn runtime_config(bytes: &[u8]) {
    let Ok(spec) = serde_json::from_slice::<Spec>(bytes) else { return };
    static HOST: OnceLock<Option<HostFacts>> = OnceLock::new();
    let Some(host) = HOST.get_or_init(|| HostFacts::detect().ok()) else { return };
    for cgroup_path in [None, Some("/fuzzed".to_owned())] {
        let options = PlanOptions {
            rootfs: RootFs::Directory { path: PathBuf::from("/fuzzed/rootfs") },
            cgroup_path,
            user: None,
            seccomp: None,
            bundle: PathBuf::from("/fuzzed"),
            id: "fuzzed".to_owned(),
            host: host.clone(),
        };
        if let Ok(plan) = runtime::plan(&spec, &options) {
            let json = serde_json::to_vec(&plan).expect("a plan can be stored");
            assert!(serde_json::from_slice::<runtime::LaunchPlan>(&json).is_ok_and(|again| again == plan));
        }
    }
}

/// A seccomp profile in Docker's format, and the program compiled from it.
pub fn seccomp_profile(bytes: &[u8]) {
    if let Ok(profile) = Profile::parse(bytes) {
        for (capabilities, kernel) in [(0, (5, 14)), (u64::MAX, (6, 18))] {
            let _ = seccomp::compile(&profile, capabilities, kernel);
        }
    }
}

/// A stream to a monitor, or from one; the first byte says how it is cut into pieces.
pub fn monitor_protocol(bytes: &[u8]) {
    let Some((first, stream)) = bytes.split_first() else { return };
    let size = usize::from(*first).max(1);
    let mut requests = Decoder::new();
    let mut messages = Decoder::new();
    let (mut asking, mut telling) = (true, true);
    for piece in stream.chunks(size) {
        requests.push(piece, []);
        messages.push(piece, []);
        while asking {
            match requests.next::<Request>() {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => asking = false,
            }
        }
        while telling {
            match messages.next::<Message>() {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => telling = false,
            }
        }
    }
}
