//! Signatures while the bodies are being written.
#![allow(unused_variables, missing_docs)]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

use image::{Digest, Platform, Reference};

use crate::*;

impl Store {
    // archives
    /// Makes an image from a root file system tar. `changes` are Dockerfile instructions.
    pub fn import(
        &self,
        archive: impl Read + Send,
        changes: &[String],
        message: &str,
        platform: &Platform,
        name: Option<&Reference>,
    ) -> Result<Digest> {
        unreachable!("in progress")
    }
    /// Writes images as docker-archive and OCI layout in one tar. `names` are names or ids as `image` takes them.
    pub fn save(&self, names: &[String], platforms: &[Platform], out: impl Write) -> Result<()> {
        unreachable!("in progress")
    }
    /// Reads a docker-archive or an OCI layout (outer gzip and zstd too).
    pub fn load(
        &self,
        archive: impl Read + Send,
        platforms: &[Platform],
        progress: &mut dyn FnMut(LoadProgress),
    ) -> Result<Vec<ImageRecord>> {
        unreachable!("in progress")
    }

    // volumes
    /// Creates a volume, or returns the existing one of that name. `None` makes an anonymous one.
    pub fn create_volume(
        &self,
        name: Option<&str>,
        driver: &str,
        options: &BTreeMap<String, String>,
        labels: &BTreeMap<String, String>,
    ) -> Result<Volume> {
        unreachable!("in progress")
    }
    pub fn volume(&self, name: &str) -> Result<Volume> {
        unreachable!("in progress")
    }
    pub fn volumes(&self) -> Result<Vec<Volume>> {
        unreachable!("in progress")
    }
    /// Whether containers use it is the caller's to know.
    pub fn remove_volume(&self, name: &str) -> Result<()> {
        unreachable!("in progress")
    }
    /// Its `_data` folder.
    pub fn volume_path(&self, name: &str) -> PathBuf {
        unreachable!("in progress")
    }
    pub fn volume_size(&self, name: &str) -> Result<u64> {
        unreachable!("in progress")
    }
    /// First use: if the volume is empty, copies what the image has at `path`, with owner and mode of that folder.
    pub fn copy_up(&self, name: &str, image_root: BorrowedFd<'_>, path: &str) -> Result<()> {
        unreachable!("in progress")
    }

    /// The image `hello:latest`, made from the running binary; cheap when it is there already.
    pub fn builtin_hello(&self, exe: &Path) -> Result<ImageRecord> {
        unreachable!("in progress")
    }
}
