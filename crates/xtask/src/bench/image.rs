//! The images that are measured, as OCI layouts made on the spot: layers are packed and hashed while they are written.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// `busybox` with `true`, `sh`, `sleep` and the other applets that are measured.
pub fn busybox(layout: &Path) -> Result<()> {
    busybox_with(layout, &[])
}

/// The same with files of this host at the same places.
pub fn busybox_with(layout: &Path, files: &[PathBuf]) -> Result<()> {
    let program = fs::read("/bin/busybox").context("busybox-static is not installed")?;
    let mut image = Image::new(layout)?;
    image.layer(|layer| {
        for folder in ["bin/", "dev/", "etc/", "proc/", "sys/", "tmp/"] {
            layer.folder(folder)?;
        }
        layer.file("bin/busybox", &program)?;
        for applet in ["sh", "true", "sleep", "cat", "echo"] {
            layer.link(&format!("bin/{applet}"), "busybox")?;
        }
        for file in files {
            // Programs look for libraries by the paths that ldd shows, and folders come by themselves.
            let path = file.strip_prefix("/")?.to_string_lossy().into_owned();
            let content = fs::read(file).with_context(|| format!("read {}", file.display()))?;
            layer.file(&path, &content)?;
        }
        Ok(())
    })?;
    image.finish()
}

/// Five layers of about 40 MB: text that compresses about as well as programs do, in files of 4 KiB to 1 MiB.
pub fn large(layout: &Path) -> Result<()> {
    let mut words = Words::new(1);
    let mut image = Image::new(layout)?;
    for number in 0..5 {
        image.layer(|layer| {
            layer.files(&format!("layer{number}"), 40 << 20, |file| 4096 << (file % 9), &mut words)
        })?;
    }
    image.finish()
}

/// 1 GB: like a distribution's root (16,000 files), many small files (40,000), one layer with one large file, and two as an
/// application has them.
pub fn huge(layout: &Path) -> Result<()> {
    let mut words = Words::new(2);
    let mut image = Image::new(layout)?;
    image.layer(|layer| layer.files("usr", 300 << 20, |file| 1024 << (file % 7), &mut words))?;
    image.layer(|layer| layer.files("small", 60 << 20, |_| 1500, &mut words))?;
    image.layer(|layer| layer.file("large", &words.text(500 << 20)))?;
    image.layer(|layer| layer.files("app", 100 << 20, |file| 4096 << (file % 9), &mut words))?;
    image.layer(|layer| layer.files("app/data", 40 << 20, |file| 4096 << (file % 9), &mut words))?;
    image.finish()
}

/// The layers of `large`, and another on top.
pub fn larger(layout: &Path) -> Result<()> {
    large(layout)?;
    let mut image = Image::again(layout)?;
    image.layer(|layer| layer.files("more", 2 << 20, |_| 16384, &mut Words::new(3)))?;
    image.finish()
}

/// 100,000 files of no great size.
pub fn many(layout: &Path) -> Result<()> {
    let mut image = Image::new(layout)?;
    image.layer(|layer| layer.files("many", 100_000 * 100, |_| 100, &mut Words::new(4)))?;
    image.finish()
}

/// Bytes that compress to about a third, the same in every run.
pub struct Words(u64);

impl Words {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) | 1)
    }

    pub fn text(&mut self, length: usize) -> Vec<u8> {
        let mut data = Vec::with_capacity(length + 32);
        while data.len() < length {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            data.extend_from_slice(&self.0.to_le_bytes());
            data.extend_from_slice(b"the same words");
        }
        data.truncate(length);
        data
    }
}

/// An OCI layout in the making.
struct Image {
    layout: PathBuf,
    layers: Vec<Value>,
    diff_ids: Vec<String>,
}

/// A layer in the making: plain bytes are hashed, packed, hashed again and written.
struct Layer {
    tar: tar::Builder<Hashed<GzEncoder<Hashed<File>>>>,
}

struct Hashed<W> {
    inner: W,
    hasher: Sha256,
    length: u64,
}

impl<W> Hashed<W> {
    fn new(inner: W) -> Self {
        Self { inner, hasher: Sha256::new(), length: 0 }
    }
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(data)?;
        self.hasher.update(&data[..count]);
        self.length += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl Layer {
    fn folder(&mut self, name: &str) -> Result<()> {
        self.entry(name, tar::EntryType::Directory, &[])
    }

    fn file(&mut self, name: &str, data: &[u8]) -> Result<()> {
        self.entry(name, tar::EntryType::Regular, data)
    }

    fn link(&mut self, name: &str, target: &str) -> Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_mode(0o777);
        header.set_size(0);
        Ok(self.tar.append_link(&mut header, name, target)?)
    }

    /// Files below `folder`, a hundred in each folder, until there are `size` bytes.
    fn files(
        &mut self,
        folder: &str,
        size: usize,
        length: impl Fn(usize) -> usize,
        words: &mut Words,
    ) -> Result<()> {
        let (mut written, mut number) = (0, 0);
        while written < size {
            let data = words.text(length(number));
            self.file(&format!("{folder}/{}/file{number}", number / 100), &data)?;
            written += data.len();
            number += 1;
        }
        Ok(())
    }

    fn entry(&mut self, name: &str, kind: tar::EntryType, data: &[u8]) -> Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o755);
        header.set_size(data.len() as u64);
        Ok(self.tar.append_data(&mut header, name, data)?)
    }
}

impl Image {
    fn new(layout: &Path) -> Result<Self> {
        fs::create_dir_all(layout.join("blobs/sha256"))?;
        Ok(Self { layout: layout.to_owned(), layers: Vec::new(), diff_ids: Vec::new() })
    }

    /// The one that a layout has, to be gone on with.
    fn again(layout: &Path) -> Result<Self> {
        let index = read(&layout.join("index.json"))?;
        let blob = |digest: &Value| {
            let digest = digest.as_str().unwrap_or_default().trim_start_matches("sha256:");
            read(&layout.join("blobs/sha256").join(digest))
        };
        let manifest = blob(&index["manifests"][0]["digest"])?;
        let config = blob(&manifest["config"]["digest"])?;
        let diff_ids = config["rootfs"]["diff_ids"].as_array().into_iter().flatten();
        Ok(Self {
            layout: layout.to_owned(),
            layers: manifest["layers"].as_array().cloned().unwrap_or_default(),
            diff_ids: diff_ids.filter_map(Value::as_str).map(str::to_owned).collect(),
        })
    }

    fn layer(&mut self, fill: impl FnOnce(&mut Layer) -> Result<()>) -> Result<()> {
        let path = self.layout.join("layer");
        let packed = GzEncoder::new(Hashed::new(File::create(&path)?), Compression::new(3));
        let mut layer = Layer { tar: tar::Builder::new(Hashed::new(packed)) };
        fill(&mut layer)?;
        let plain = layer.tar.into_inner()?;
        self.diff_ids.push(format!("sha256:{}", hex(&plain.hasher.finalize())));
        let packed = plain.inner.finish()?;
        let digest = hex(&packed.hasher.finalize());
        fs::rename(path, self.layout.join("blobs/sha256").join(&digest))?;
        self.layers.push(json!({
            "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
            "digest": format!("sha256:{digest}"), "size": packed.length,
        }));
        Ok(())
    }

    fn blob(&self, document: &Value) -> Result<(String, usize)> {
        let data = serde_json::to_vec(document)?;
        let digest = hex(&Sha256::digest(&data));
        fs::write(self.layout.join("blobs/sha256").join(&digest), &data)?;
        Ok((format!("sha256:{digest}"), data.len()))
    }

    fn finish(self) -> Result<()> {
        let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
        let history: Vec<Value> = self.diff_ids.iter().map(|_| json!({"created_by": "bench"})).collect();
        let (digest, size) = self.blob(&json!({
            "architecture": architecture, "os": "linux", "created": "2024-01-01T00:00:00Z",
            "config": {"Env": ["PATH=/bin"], "Cmd": ["true"]},
            "rootfs": {"type": "layers", "diff_ids": self.diff_ids}, "history": history,
        }))?;
        let (digest, size) = self.blob(&json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": size},
            "layers": self.layers,
        }))?;
        let index = json!({"schemaVersion": 2, "manifests": [{
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": size,
            "annotations": {"org.opencontainers.image.ref.name": "latest"},
        }]});
        fs::write(self.layout.join("index.json"), serde_json::to_vec(&index)?)?;
        fs::write(self.layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
        Ok(())
    }
}

fn read(path: &Path) -> Result<Value> {
    let bytes = fs::read(path).with_context(|| format!("read {}", path.display()))?;
    Ok(serde_json::from_slice(&bytes)?)
}

/// Digests of the layers' blobs, lowest first.
pub fn layer_digests(layout: &Path) -> Result<Vec<String>> {
    let layers = Image::again(layout)?.layers;
    Ok(layers.iter().filter_map(|layer| layer["digest"].as_str()).map(str::to_owned).collect())
}

/// An archive of many images with one small layer, as `docker save` writes it.
pub fn crowd(archive: &Path, count: usize) -> Result<()> {
    let mut layer = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(1);
    layer.append_data(&mut header, "file", b"x".as_slice())?;
    let layer = layer.into_inner()?;
    let diff_id = format!("sha256:{}", hex(&Sha256::digest(&layer)));
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let mut out = tar::Builder::new(File::create(archive)?);
    let mut add = |name: &str, data: &[u8]| -> Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(data.len() as u64);
        Ok(out.append_data(&mut header, name, data)?)
    };
    add("layer.tar", &layer)?;
    let mut manifest = Vec::new();
    for number in 0..count {
        let config = json!({
            "architecture": architecture, "os": "linux", "created": "2024-01-01T00:00:00Z",
            "config": {"Labels": {"number": number.to_string()}}, "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        });
        add(&format!("{number}.json"), &serde_json::to_vec(&config)?)?;
        manifest.push(json!({
            "Config": format!("{number}.json"), "RepoTags": [format!("crowd/app{number}:1")], "Layers": ["layer.tar"],
        }));
    }
    add("manifest.json", &serde_json::to_vec(&manifest)?)?;
    Ok(out.finish()?)
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
