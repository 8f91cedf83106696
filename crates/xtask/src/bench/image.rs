//! The images that are measured: busybox, and one of about 200 MB in five gzip layers, as OCI layouts made on the spot.

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// `busybox` with `true`, `sh`, `sleep` and the other applets that are measured.
pub fn busybox(layout: &Path) -> Result<()> {
    let program = fs::read("/bin/busybox").context("busybox-static is not installed")?;
    let mut layer = tar::Builder::new(Vec::new());
    for folder in ["bin/", "dev/", "etc/", "proc/", "sys/", "tmp/"] {
        entry(&mut layer, folder, tar::EntryType::Directory, &[])?;
    }
    entry(&mut layer, "bin/busybox", tar::EntryType::Regular, &program)?;
    for applet in ["sh", "true", "sleep", "cat", "echo"] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_mode(0o777);
        header.set_size(0);
        layer.append_link(&mut header, format!("bin/{applet}"), "busybox")?;
    }
    write(layout, "busybox:latest", &[layer.into_inner()?])
}

/// Five layers of about 40 MB: text that compresses about as well as programs do, in files of 4 KiB to 1 MiB.
pub fn large(layout: &Path) -> Result<()> {
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut layers = Vec::new();
    for number in 0..5 {
        let mut layer = tar::Builder::new(Vec::new());
        let mut size = 0;
        let mut file = 0;
        while size < 40 << 20 {
            let length = 4096 << (file % 9);
            let mut data = Vec::with_capacity(length);
            while data.len() < length {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                data.extend_from_slice(&random.to_le_bytes());
                data.extend_from_slice(b"the same words");
            }
            entry(
                &mut layer,
                &format!("layer{number}/{}/file{file}", file / 100),
                tar::EntryType::Regular,
                &data,
            )?;
            size += length;
            file += 1;
        }
        layers.push(layer.into_inner()?);
    }
    write(layout, "large:latest", &layers)
}

fn entry(out: &mut tar::Builder<Vec<u8>>, name: &str, kind: tar::EntryType, data: &[u8]) -> Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(0o755);
    header.set_size(data.len() as u64);
    Ok(out.append_data(&mut header, name, data)?)
}

fn write(layout: &Path, name: &str, layers: &[Vec<u8>]) -> Result<()> {
    let blobs = layout.join("blobs/sha256");
    fs::create_dir_all(&blobs)?;
    let blob = |data: &[u8]| -> Result<(String, usize)> {
        let digest = hex(data);
        fs::write(blobs.join(&digest), data)?;
        Ok((format!("sha256:{digest}"), data.len()))
    };
    let mut descriptors: Vec<Value> = Vec::new();
    for layer in layers {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(layer)?;
        let (digest, size) = blob(&gzip.finish()?)?;
        descriptors.push(json!({"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": digest, "size": size}));
    }
    let diff_ids: Vec<String> = layers.iter().map(|layer| format!("sha256:{}", hex(layer))).collect();
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let config = json!({
        "architecture": architecture, "os": "linux", "created": "2024-01-01T00:00:00Z",
        "config": {"Env": ["PATH=/bin"], "Cmd": ["true"]}, "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": diff_ids.iter().map(|_| json!({"created_by": "bench"})).collect::<Vec<_>>(),
    });
    let (digest, size) = blob(&serde_json::to_vec(&config)?)?;
    let manifest = json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": size}, "layers": descriptors,
    });
    let (digest, size) = blob(&serde_json::to_vec(&manifest)?)?;
    let tag = name.rsplit(':').next().unwrap_or("latest");
    let index = json!({"schemaVersion": 2, "manifests": [{
        "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": size,
        "annotations": {"org.opencontainers.image.ref.name": tag},
    }]});
    fs::write(layout.join("index.json"), serde_json::to_vec(&index)?)?;
    fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
    Ok(())
}

fn hex(data: &[u8]) -> String {
    Sha256::digest(data).iter().map(|byte| format!("{byte:02x}")).collect()
}
