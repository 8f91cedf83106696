//! What the tests stand on: a store in a temporary folder, tars built byte by byte, trees described as text.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use image::{Descriptor, Digest, ImageConfig, MediaType, Platform, Reference};
use store::{ImageRecord, LayerInfo, Store};

pub use crate::tree::tree;

pub struct World {
    pub home: tempfile::TempDir,
    pub store: Store,
}

impl World {
    pub fn new() -> World {
        let home = tempfile::Builder::new().prefix("naru-store-").tempdir().unwrap();
        let store = Store::open(home.path()).unwrap();
        World { home, store }
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.home.path().join(path)
    }

    /// Unpacks a tar on a parent.
    pub fn layer(&self, parent: Option<&LayerInfo>, tar: &[u8]) -> store::Result<LayerInfo> {
        let parent = parent.map(|layer| &layer.chain_id);
        self.store.unpack_layer(parent, &Digest::sha256(tar), &MediaType::OCI_LAYER, tar)
    }

    /// An image of these layer tars, stored as they are.
    pub fn image(&self, name: Option<&str>, layers: &[Vec<u8>]) -> ImageRecord {
        let _lease = self.store.lease();
        let mut descriptors = Vec::new();
        let mut parent: Option<Digest> = None;
        for tar in layers {
            let digest = self.store.put_blob(tar).unwrap();
            let layer = self
                .store
                .unpack_layer(parent.as_ref(), &digest, &MediaType::OCI_LAYER, tar.as_slice())
                .unwrap();
            parent = Some(layer.chain_id);
            descriptors.push(Descriptor::new(MediaType::OCI_LAYER, digest, tar.len() as u64));
        }
        let platform = Platform::host();
        let config = ImageConfig {
            created: Some("2024-01-02T03:04:05Z".to_owned()),
            architecture: platform.architecture,
            os: platform.os,
            rootfs: image::RootFs {
                diff_ids: descriptors.iter().map(|layer| layer.digest.clone()).collect(),
                ..image::RootFs::default()
            },
            ..ImageConfig::default()
        };
        let name = name.map(|name| Reference::parse(name).unwrap());
        self.store.create_image(&config, descriptors, None, name.as_ref()).unwrap()
    }

    /// What a container of the image would see.
    pub fn tree_of(&self, id: &Digest) -> BTreeMap<String, String> {
        // A single layer is its own merged tree, and no mount.
        match &self.store.chain_paths(id).unwrap()[..] {
            [one] => tree(one, true),
            _ => tree(&Attached::new(&self.store.mount_image(id).unwrap()).path, true),
        }
    }

    /// Nothing is being made and nothing was left.
    pub fn assert_clean(&self) {
        let left: Vec<_> =
            std::fs::read_dir(self.path("tmp")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(left.is_empty(), "left in tmp: {left:?}");
    }
}

/// The whole chain of an error, as a user sees it.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text.push_str(": ");
        text.push_str(&error.to_string());
        next = error.source();
    }
    text
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A tar built header by header, with any nonsense a test wants.
#[derive(Default)]
pub struct Tar {
    bytes: Vec<u8>,
}

/// One entry: fields to be changed before it is added.
#[derive(Clone)]
pub struct Item<'a> {
    pub flag: u8,
    pub path: &'a [u8],
    pub link: &'a [u8],
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub mtime: u64,
    pub device: (u32, u32),
    pub data: &'a [u8],
    pub pax: Vec<(&'a str, &'a [u8])>,
}

pub fn item<'a>(flag: u8, path: &'a str) -> Item<'a> {
    let mode = if flag == b'5' { 0o755 } else { 0o644 };
    Item {
        flag,
        path: path.as_bytes(),
        link: b"",
        mode,
        uid: 0,
        gid: 0,
        mtime: 1_000_000_000,
        device: (0, 0),
        data: b"",
        pax: Vec::new(),
    }
}

pub fn file<'a>(path: &'a str, data: &'a str) -> Item<'a> {
    Item { data: data.as_bytes(), ..item(b'0', path) }
}

pub fn dir(path: &str) -> Item<'_> {
    item(b'5', path)
}

pub fn symlink<'a>(path: &'a str, target: &'a str) -> Item<'a> {
    Item { link: target.as_bytes(), mode: 0o777, ..item(b'2', path) }
}

pub fn hard_link<'a>(path: &'a str, target: &'a str) -> Item<'a> {
    Item { link: target.as_bytes(), ..item(b'1', path) }
}

impl Tar {
    pub fn of(items: &[Item<'_>]) -> Vec<u8> {
        let mut tar = Tar::default();
        for item in items {
            tar.add(item);
        }
        tar.finish()
    }

    pub fn add(&mut self, item: &Item<'_>) {
        let mut records = Vec::new();
        if item.path.len() > 100 {
            record(&mut records, "path", item.path);
        }
        if item.link.len() > 100 {
            record(&mut records, "linkpath", item.link);
        }
        for (key, value) in &item.pax {
            record(&mut records, key, value);
        }
        if !records.is_empty() {
            self.block(&Item { pax: Vec::new(), data: &records, ..self::item(b'x', "pax") });
        }
        self.block(item);
    }

    fn block(&mut self, item: &Item<'_>) {
        let mut block = [0u8; 512];
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &item.path[..item.path.len().min(100)]);
        put(100, format!("{:07o}", item.mode).as_bytes());
        put(108, format!("{:07o}", item.uid).as_bytes());
        put(116, format!("{:07o}", item.gid).as_bytes());
        put(124, format!("{:011o}", item.data.len()).as_bytes());
        put(136, format!("{:011o}", item.mtime).as_bytes());
        put(148, b"        ");
        put(156, &[item.flag]);
        put(157, &item.link[..item.link.len().min(100)]);
        put(257, b"ustar\x0000");
        put(329, format!("{:07o}", item.device.0).as_bytes());
        put(337, format!("{:07o}", item.device.1).as_bytes());
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        self.bytes.extend_from_slice(&block);
        self.bytes.extend_from_slice(item.data);
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
    }

    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.resize(self.bytes.len() + 1024, 0);
        self.bytes
    }
}

fn record(out: &mut Vec<u8>, key: &str, value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + rest.to_string().len();
    length = rest + length.to_string().len();
    out.extend_from_slice(format!("{length} {key}=").as_bytes());
    out.extend_from_slice(value);
    out.push(b'\n');
}

/// Whether a program is installed; a test that needs one says so and passes without.
pub fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .any(|folder| folder.join(program).is_file());
    if !found {
        eprintln!("skipped: {program} is not installed");
    }
    found
}

/// Runs a program that must succeed; its standard output.
pub fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {errors}{text}");
    text
}

/// A merged tree attached for the time of a test.
pub struct Attached {
    pub path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Attached {
    pub fn new(mount: &std::os::fd::OwnedFd) -> Attached {
        let folder = tempfile::tempdir().unwrap();
        let flags = rustix::mount::MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
        rustix::mount::move_mount(mount, c"", rustix::fs::CWD, folder.path(), flags).unwrap();
        Attached { path: folder.path().to_owned(), _folder: folder }
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.path, rustix::mount::UnmountFlags::DETACH);
    }
}
