//! The image `hello`, made from the running binary: the first container needs no registry.
//!
//! One uncompressed layer: inflating ten megabytes would take longer than anything else at the first start. The digest
//! depends on the binary only.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use image::{ContainerConfig, Descriptor, Digest, History, ImageConfig, MediaType, Platform, Reference};
use serde::{Deserialize, Serialize};

use crate::ImageRecord;
use crate::error::{Context, Error, Result};
use crate::fsutil;
use crate::store::Store;
use crate::tar::{Header, Time, Writer};

/// When the image says it was made: the binary's own build date would make two builds differ.
const CREATED: &str = "2026-01-01T00:00:00Z";
const CREATED_SECONDS: i64 = 1_767_225_600;
const NAME: &str = "hello";
const DESCRIPTION: &str = "Prints what a container sees of its own isolation";
const FOLDERS: [(&str, u32); 6] =
    [("dev/", 0o755), ("etc/", 0o755), ("proc/", 0o555), ("root/", 0o700), ("sys/", 0o555), ("tmp/", 0o1777)];
const FILES: [(&str, &str); 2] = [
    ("etc/group", "root:x:0:\nnobody:x:65534:\n"),
    ("etc/passwd", "root:x:0:0:root:/root:/naru\nnobody:x:65534:65534:nobody:/:/naru\n"),
];

/// `hello.json`: which binary the image was made from.
#[derive(PartialEq, Serialize, Deserialize)]
struct Origin {
    device: u64,
    inode: u64,
    size: u64,
    changed: (i64, i64),
    image: Option<Digest>,
}

impl Store {
    /// The image `hello:latest`; cheap when it was made from this binary before. Another image that the user has given the
    /// name is left alone and returned.
    pub fn builtin_hello(&self, exe: &Path) -> Result<ImageRecord> {
        let context = || format!("make image {NAME} from {}", exe.display());
        let meta = std::fs::metadata(exe).context(context)?;
        let mut origin = Origin {
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.size(),
            changed: (meta.ctime(), meta.ctime_nsec()),
            image: None,
        };
        let path = self.root().join("hello.json");
        let made = std::fs::read(&path).ok().and_then(|bytes| serde_json::from_slice::<Origin>(&bytes).ok());
        let made_id = made.as_ref().and_then(|made| made.image.clone());
        let existing = self.image(NAME).ok();
        if let Some(record) = &existing {
            let ours = made_id.as_ref() == Some(&record.id);
            origin.image = made_id.clone();
            if !ours || made.as_ref() == Some(&origin) {
                return Ok(record.clone());
            }
        }
        let lease = self.lease();
        let record = self.make_hello(exe).map_err(|error| error.within(&context()))?;
        drop(lease);
        origin.image = Some(record.id.clone());
        let bytes = serde_json::to_vec(&origin).map_err(|error| Error::corrupt_by(context(), error))?;
        fsutil::write_atomic(&path, &bytes).context(context)?;
        if let Some(old) = existing.filter(|old| old.id != record.id)
            && self.image_by_id(&old.id).is_ok_and(|old| old.is_dangling())
        {
            // Containers made from it keep its layer by their pins.
            self.delete_image(&old.id)?;
        }
        Ok(record)
    }

    fn make_hello(&self, exe: &Path) -> Result<ImageRecord> {
        let mut blob = self.new_blob()?;
        write_layer(exe, &mut blob)?;
        let (digest, size) = blob.commit()?;
        let layer = Descriptor::new(MediaType::OCI_LAYER, digest.clone(), size);
        self.unpack_layer(None, &digest, &layer.media_type, self.open_blob(&digest)?)?;
        let platform = Platform::host();
        let words = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect());
        let labels =
            [("org.opencontainers.image.title", NAME), ("org.opencontainers.image.description", DESCRIPTION)];
        let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let config = ImageConfig {
            created: Some(CREATED.to_owned()),
            architecture: platform.architecture,
            variant: platform.variant,
            os: platform.os,
            config: Some(ContainerConfig {
                env: words(&["PATH=/"]),
                entrypoint: words(&["/naru", "hello"]),
                working_dir: "/".to_owned(),
                labels: Some(labels.into_iter().collect()),
                ..ContainerConfig::default()
            }),
            rootfs: image::RootFs { diff_ids: vec![digest], ..image::RootFs::default() },
            history: vec![History {
                created: Some(CREATED.to_owned()),
                created_by: "naru".to_owned(),
                comment: DESCRIPTION.to_owned(),
                ..History::default()
            }],
            ..ImageConfig::default()
        };
        let name = Reference::parse(NAME).map_err(|error| Error::Invalid(error.to_string()))?;
        self.create_image(&config, vec![layer], None, Some(&name))
    }
}

fn write_layer(exe: &Path, out: impl Write) -> Result<()> {
    let context = || "write layer".to_owned();
    let mtime = Time { seconds: CREATED_SECONDS, nanoseconds: 0 };
    let mut tar = Writer::new(out);
    for (path, mode) in FOLDERS {
        tar.entry(&Header { mtime, ..Header::directory(path.as_bytes(), mode) }).context(context)?;
    }
    for (path, content) in FILES {
        tar.file(&Header { mtime, ..Header::file(path.as_bytes(), 0) }, content.as_bytes())
            .context(context)?;
    }
    let mut file = File::open(exe).context(context)?;
    let size = file.metadata().context(context)?.len();
    tar.entry(&Header { mtime, mode: 0o755, ..Header::file(b"naru", size) }).context(context)?;
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer).context(context)? {
            0 => break,
            count => tar.data(&buffer[..count]).context(context)?,
        }
    }
    tar.finish().context(context)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hello_is_made_once_per_binary_and_is_the_same_everywhere() {
        let exe = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(exe.path(), vec![7; 300_000]).unwrap();
        let make = || {
            let home = tempfile::tempdir().unwrap();
            let store = Store::open(home.path()).unwrap();
            let record = store.builtin_hello(exe.path()).unwrap();
            (home, store, record)
        };
        let (_home, store, first) = make();
        assert_eq!(make().2.id, first.id);
        assert_eq!(store.builtin_hello(exe.path()).unwrap(), first, "nothing is made twice");
        let layer = &store.chain_paths(&first.id).unwrap()[0];
        assert_eq!(std::fs::metadata(layer.join("naru")).unwrap().mode() & 0o7777, 0o755);
        assert_eq!(std::fs::metadata(layer.join("tmp")).unwrap().mode() & 0o7777, 0o1777);

        std::fs::write(exe.path(), vec![8; 300_000]).unwrap();
        let second = store.builtin_hello(exe.path()).unwrap();
        assert_ne!(second.id, first.id);
        assert!(store.image_by_id(&first.id).is_err(), "the image of the old binary is gone");
        assert_eq!(store.layer_ids().unwrap().len(), 1);
    }
}
