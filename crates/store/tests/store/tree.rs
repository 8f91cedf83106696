//! Trees described as text, to be compared.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use image::Digest;

/// A tree as sorted lines: path, kind, mode, owner, time, content or target, attributes. `times` adds modification times.
pub fn tree(root: &Path, times: bool) -> BTreeMap<String, String> {
    let mut lines = BTreeMap::new();
    let mut inodes: BTreeMap<u64, String> = BTreeMap::new();
    walk(root, root, times, &mut inodes, &mut lines);
    lines
}

fn walk(
    root: &Path,
    at: &Path,
    times: bool,
    inodes: &mut BTreeMap<u64, String>,
    lines: &mut BTreeMap<String, String>,
) {
    let mut names: Vec<_> = std::fs::read_dir(at).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    for path in names {
        let meta = match path.symlink_metadata() {
            // Overlayfs lists whiteouts of folders that it has nothing to merge with.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            meta => meta.unwrap(),
        };
        let kind = meta.file_type();
        let shown = path.strip_prefix(root).unwrap().as_os_str().as_bytes().escape_ascii().to_string();
        let what = if kind.is_dir() {
            "dir".to_owned()
        } else if kind.is_symlink() {
            format!("-> {}", std::fs::read_link(&path).unwrap().as_os_str().as_bytes().escape_ascii())
        } else if kind.is_file() {
            format!("file {} {}", meta.size(), Digest::sha256(std::fs::read(&path).unwrap()).short())
        } else if kind.is_char_device() || kind.is_block_device() {
            let kind = if kind.is_char_device() { "char" } else { "block" };
            format!("{kind} {}:{}", rustix::fs::major(meta.rdev()), rustix::fs::minor(meta.rdev()))
        } else if kind.is_fifo() {
            "fifo".to_owned()
        } else {
            "socket".to_owned()
        };
        let mut line = format!("{what} {:o} {}:{}", meta.mode() & 0o7777, meta.uid(), meta.gid());
        if times {
            line.push_str(&format!(" {}.{:09}", meta.mtime(), meta.mtime_nsec()));
        }
        if !kind.is_dir() && meta.nlink() > 1 {
            let first = inodes.entry(meta.ino()).or_insert_with(|| shown.clone());
            line.push_str(&format!(" = {first}"));
        }
        for (name, value) in xattrs(&path) {
            line.push_str(&format!(" {name}={}", value.escape_ascii()));
        }
        lines.insert(shown, line);
        if kind.is_dir() {
            walk(root, &path, times, inodes, lines);
        }
    }
}

pub fn xattrs(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut names = vec![0u8; 4096];
    let count = rustix::fs::llistxattr(path, &mut names).unwrap_or(0);
    let mut found = BTreeMap::new();
    for name in names[..count].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0u8; 4096];
        let size = rustix::fs::lgetxattr(path, name, &mut value).unwrap();
        value.truncate(size);
        found.insert(String::from_utf8_lossy(name).into_owned(), value);
    }
    found
}
