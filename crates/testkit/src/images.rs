//! Images of any shape: layers from lists of entries, OCI or Docker types, one platform or many.
//!
//! [`ImageSpec::push`] speaks to a plain registry itself and sends exactly the bytes it made; [`ImageSpec::push_with_skopeo`]
//! lets an independent program do it. Everything is deterministic: the same spec has the same digests.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use image::{Compression, Descriptor, Digest, MediaType, Platform};
use serde_json::{Value, json};

use crate::http;

/// One entry of a layer.
#[derive(Debug, Clone)]
pub enum Entry {
    /// A folder, mode 0755.
    Dir(String),
    /// A file: path, mode, content.
    File(String, u32, Vec<u8>),
    /// A symbolic link: path, target.
    Symlink(String, String),
    /// A hard link: path, path of the first name.
    Hardlink(String, String),
}

impl Entry {
    /// A text file, mode 0644.
    pub fn text(path: &str, content: &str) -> Self {
        Entry::File(path.to_owned(), 0o644, content.as_bytes().to_vec())
    }

    /// A file of pseudo-random bytes that no compressor makes smaller.
    pub fn noise(path: &str, length: usize, seed: u64) -> Self {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut bytes = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.extend_from_slice(&state.to_le_bytes());
        }
        bytes.truncate(length);
        Entry::File(path.to_owned(), 0o644, bytes)
    }
}

/// One layer.
#[derive(Debug, Clone)]
pub struct LayerSpec {
    /// What it holds, in order.
    pub entries: Vec<Entry>,
    /// How its tar is packed.
    pub compression: Compression,
}

impl LayerSpec {
    /// A gzip layer.
    pub fn new(entries: Vec<Entry>) -> Self {
        LayerSpec { entries, compression: Compression::Gzip }
    }

    /// The same with another compression.
    pub fn compressed(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// busybox with its usual links, from Debian's `busybox-static`.
    pub fn busybox() -> Self {
        let program =
            ["/bin/busybox", "/usr/bin/busybox"].into_iter().find_map(|path| std::fs::read(path).ok());
        let program = program.expect("read busybox (package busybox-static)");
        let mut entries: Vec<Entry> = ["bin", "etc", "tmp", "root", "dev", "proc", "sys"]
            .map(|dir| Entry::Dir(dir.to_owned()))
            .to_vec();
        entries.push(Entry::File("bin/busybox".to_owned(), 0o755, program));
        let applets = "sh ls cat echo true false sleep id env ps wc head tail grep sed mkdir rm touch stat hostname mount \
                       umount ip nc httpd wget kill date printf test dd sync uname whoami seq yes sort find chmod chown ln \
                       df du cp mv tty stty trap pwd tr cut sha256sum md5sum tar gzip vi top free nslookup ping adduser";
        for applet in applets.split_ascii_whitespace() {
            entries.push(Entry::Symlink(format!("bin/{applet}"), "busybox".to_owned()));
        }
        entries.push(Entry::text(
            "etc/passwd",
            "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n",
        ));
        entries.push(Entry::text("etc/group", "root:x:0:\nnogroup:x:65534:\n"));
        LayerSpec::new(entries)
    }

    /// The uncompressed tar.
    pub fn tar(&self) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for entry in &self.entries {
            let mut header = tar::Header::new_ustar();
            header.set_mtime(1_700_000_000);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mode(0o755);
            header.set_size(0);
            let done = match entry {
                Entry::Dir(path) => {
                    header.set_entry_type(tar::EntryType::Directory);
                    builder.append_data(&mut header, format!("{path}/"), std::io::empty())
                }
                Entry::File(path, mode, content) => {
                    header.set_mode(*mode);
                    header.set_size(content.len() as u64);
                    builder.append_data(&mut header, path, content.as_slice())
                }
                Entry::Symlink(path, target) => {
                    header.set_entry_type(tar::EntryType::Symlink);
                    builder.append_link(&mut header, path, target)
                }
                Entry::Hardlink(path, target) => {
                    header.set_entry_type(tar::EntryType::Link);
                    builder.append_link(&mut header, path, target)
                }
            };
            done.expect("append to a tar in memory");
        }
        builder.into_inner().expect("finish a tar in memory")
    }

    fn blob(&self, tar: &[u8]) -> Vec<u8> {
        match self.compression {
            Compression::None => tar.to_vec(),
            Compression::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(tar).and_then(|()| encoder.finish()).expect("gzip in memory")
            }
            Compression::Zstd => zstd::encode_all(tar, 3).expect("zstd in memory"),
        }
    }
}

/// An image, or several under one index.
#[derive(Debug, Clone)]
pub struct ImageSpec {
    /// Lowest first.
    pub layers: Vec<LayerSpec>,
    /// Docker schema 2 types instead of OCI's.
    pub docker: bool,
    /// None: a single manifest for the host. Else an index with one manifest per platform.
    pub platforms: Option<Vec<Platform>>,
    /// The `config` object of the configuration.
    pub config: Value,
}

/// What an image consists of once its bytes are made.
pub struct Built {
    /// Layers and configurations.
    pub blobs: Vec<(Digest, Vec<u8>)>,
    /// Manifests, children first; the last one is what the name points to.
    pub manifests: Vec<(Descriptor, Vec<u8>)>,
    /// Configuration digest of the first platform: the image id.
    pub id: Digest,
    /// Layer descriptors of the first platform.
    pub layers: Vec<Descriptor>,
}

/// An image at a registry.
#[derive(Debug, Clone)]
pub struct Pushed {
    /// `host:port/name:tag`.
    pub reference: String,
    /// Digest of what the tag points to.
    pub digest: Digest,
    /// Image id (configuration digest).
    pub id: Digest,
    /// Layer descriptors.
    pub layers: Vec<Descriptor>,
}

impl ImageSpec {
    /// A single-platform OCI image.
    pub fn new(layers: Vec<LayerSpec>) -> Self {
        ImageSpec { layers, docker: false, platforms: None, config: json!({ "Cmd": ["/bin/sh"] }) }
    }

    /// busybox with `sh` as its command.
    pub fn busybox() -> Self {
        let mut spec = ImageSpec::new(vec![LayerSpec::busybox()]);
        spec.config = json!({ "Cmd": ["sh"], "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"] });
        spec
    }

    /// Docker schema 2.
    pub fn docker(mut self) -> Self {
        self.docker = true;
        self
    }

    /// An index over these platforms. The images differ by a label.
    pub fn platforms(mut self, platforms: &[&str]) -> Self {
        let parse = |text: &&str| Platform::parse(text).expect("a platform");
        self.platforms = Some(platforms.iter().map(parse).collect());
        self
    }

    /// Makes the bytes.
    pub fn build(&self) -> Built {
        let mut blobs = Vec::new();
        let (mut layers, mut diff_ids) = (Vec::new(), Vec::new());
        for layer in &self.layers {
            let tar = layer.tar();
            let blob = layer.blob(&tar);
            let media_type = match (self.docker, layer.compression) {
                (true, Compression::None) => MediaType::DOCKER_LAYER,
                (true, Compression::Gzip) => MediaType::DOCKER_LAYER_GZIP,
                (true, Compression::Zstd) => MediaType::DOCKER_LAYER_ZSTD,
                (false, compression) => MediaType::oci_layer(compression),
            };
            layers.push(Descriptor::of(media_type, &blob));
            diff_ids.push(Digest::sha256(&tar));
            blobs.push((Digest::sha256(&blob), blob));
        }
        let host = [Platform::host()];
        let platforms = self.platforms.as_deref().unwrap_or(&host);
        let (mut manifests, mut entries, mut ids) = (Vec::new(), Vec::new(), Vec::new());
        for platform in platforms {
            let config = self.config_of(platform, &diff_ids).to_string().into_bytes();
            let kind = if self.docker { MediaType::DOCKER_CONFIG } else { MediaType::OCI_CONFIG };
            let config_descriptor = Descriptor::of(kind, &config);
            ids.push(config_descriptor.digest.clone());
            blobs.push((config_descriptor.digest.clone(), config));
            let kind = if self.docker { MediaType::DOCKER_MANIFEST } else { MediaType::OCI_MANIFEST };
            let manifest = json!({
                "schemaVersion": 2, "mediaType": kind.as_str(), "config": config_descriptor, "layers": layers,
            });
            let bytes = manifest.to_string().into_bytes();
            let descriptor = Descriptor::of(kind, &bytes);
            entries.push(Descriptor { platform: Some(platform.clone()), ..descriptor.clone() });
            manifests.push((descriptor, bytes));
        }
        if self.platforms.is_some() {
            let kind = if self.docker { MediaType::DOCKER_LIST } else { MediaType::OCI_INDEX };
            let index = json!({ "schemaVersion": 2, "mediaType": kind.as_str(), "manifests": entries });
            let bytes = index.to_string().into_bytes();
            manifests.push((Descriptor::of(kind, &bytes), bytes));
        }
        Built { blobs, manifests, id: ids.remove(0), layers }
    }

    fn config_of(&self, platform: &Platform, diff_ids: &[Digest]) -> Value {
        let history: Vec<Value> = self
            .layers
            .iter()
            .enumerate()
            .map(|(index, _)| json!({ "created": "2024-01-01T00:00:00Z", "created_by": format!("layer {index}") }))
            .collect();
        let mut config = self.config.clone();
        if self.platforms.is_some() {
            config["Labels"] = json!({ "platform": platform.to_string() });
        }
        json!({
            "created": "2024-01-01T00:00:00Z",
            "architecture": platform.architecture,
            "os": platform.os,
            "variant": platform.variant,
            "config": config,
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
            "history": history,
        })
    }

    /// Pushes to `name:tag` at a plain HTTP registry without authentication.
    pub fn push(&self, registry: SocketAddr, name_and_tag: &str) -> Pushed {
        let built = self.build();
        let (name, tag) = name_and_tag.rsplit_once(':').expect("name:tag");
        for (digest, bytes) in &built.blobs {
            put_blob(registry, name, digest, bytes);
        }
        let count = built.manifests.len();
        for (index, (descriptor, bytes)) in built.manifests.iter().enumerate() {
            let reference = if index + 1 == count { tag.to_owned() } else { descriptor.digest.to_string() };
            put_manifest(registry, name, &reference, descriptor.media_type.as_str(), bytes);
        }
        let digest = built.manifests[count - 1].0.digest.clone();
        Pushed { reference: format!("{registry}/{name_and_tag}"), digest, id: built.id, layers: built.layers }
    }

    /// Writes an OCI layout with the image as `latest`.
    pub fn write_oci_layout(&self, folder: &Path) {
        let built = self.build();
        let blobs = folder.join("blobs/sha256");
        std::fs::create_dir_all(&blobs).expect("make an OCI layout");
        let write = |path: &Path, bytes: &[u8]| std::fs::write(path, bytes).expect("write a blob");
        for (digest, bytes) in &built.blobs {
            write(&blobs.join(digest.hex()), bytes);
        }
        for (descriptor, bytes) in &built.manifests {
            write(&blobs.join(descriptor.digest.hex()), bytes);
        }
        let mut top = built.manifests[built.manifests.len() - 1].0.clone();
        top.annotations.insert(image::annotation::REF_NAME.to_owned(), "latest".to_owned());
        let index = json!({ "schemaVersion": 2, "manifests": [top] });
        write(&folder.join("index.json"), index.to_string().as_bytes());
        write(&folder.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#);
    }

    /// Pushes with skopeo; `options` go before the source (`--dest-creds=…`, `--dest-cert-dir=…`).
    pub fn push_with_skopeo(&self, destination: &str, options: &[&str]) {
        let folder = tempfile::tempdir().expect("make a temporary folder");
        self.write_oci_layout(folder.path());
        let mut command = Command::new("skopeo");
        command.args(["--insecure-policy", "copy", "--quiet"]).args(options);
        if self.platforms.is_some() {
            command.arg("--all");
        }
        command.arg(format!("oci:{}:latest", folder.path().display())).arg(format!("docker://{destination}"));
        let output = command.output().expect("run skopeo (package skopeo)");
        assert!(output.status.success(), "skopeo: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Uploads one blob to a plain registry.
pub fn put_blob(registry: SocketAddr, name: &str, digest: &Digest, bytes: &[u8]) {
    let begin = format!("/v2/{name}/blobs/uploads/");
    let (status, headers, _) = http::request(registry, "POST", &begin, &[], b"").expect("begin an upload");
    assert_eq!(status, 202, "begin an upload");
    let location = &headers.iter().find(|(name, _)| name == "location").expect("an upload has a location").1;
    let target = location
        .split_once("://")
        .map_or(location.as_str(), |(_, rest)| &rest[rest.find('/').unwrap_or(0)..]);
    let target = format!("{target}&digest={digest}");
    let kind = [("content-type", "application/octet-stream")];
    let (status, _, body) = http::request(registry, "PUT", &target, &kind, bytes).expect("upload a blob");
    assert_eq!(status, 201, "upload a blob: {}", String::from_utf8_lossy(&body));
}

/// Uploads one manifest to a plain registry, under a tag or its digest.
pub fn put_manifest(registry: SocketAddr, name: &str, reference: &str, media_type: &str, bytes: &[u8]) {
    let target = format!("/v2/{name}/manifests/{reference}");
    let kind = [("content-type", media_type)];
    let (status, _, body) = http::request(registry, "PUT", &target, &kind, bytes).expect("upload a manifest");
    assert_eq!(status, 201, "upload a manifest: {}", String::from_utf8_lossy(&body));
}

/// Status, media type and bytes of a manifest at a plain registry.
pub fn get_manifest(registry: SocketAddr, name: &str, reference: &str) -> (u16, String, Vec<u8>) {
    let target = format!("/v2/{name}/manifests/{reference}");
    let accept: Vec<String> = MediaType::MANIFESTS.iter().map(ToString::to_string).collect();
    let accept = [("accept", accept.join(", "))];
    let accept: Vec<(&str, &str)> = accept.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let (status, headers, body) =
        http::request(registry, "GET", &target, &accept, b"").expect("get a manifest");
    let kind = headers.into_iter().find(|(name, _)| name == "content-type").map(|(_, kind)| kind);
    (status, kind.unwrap_or_default(), body)
}
