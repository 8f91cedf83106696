//! From a root file system tar to an image of one layer.

use std::io::{self, Cursor, Read, Write};

use image::{Compression, Descriptor, Digest, History, ImageConfig, MediaType, Platform, Reference};
use jiff::Timestamp;

use crate::blob::NewBlob;
use crate::decompress::{detect, plain};
use crate::error::{Context, Error, Result};
use crate::store::Store;

/// Bytes that tell how an archive is packed.
const MAGIC: u64 = 8;

impl Store {
    /// Makes an image from a tar (plain, gzip, zstd, bzip2 or xz). `changes` are Dockerfile instructions.
    ///
    /// The archive becomes the layer's blob as it is, if layers may be packed that way; else the tar in it does. The image
    /// survives power loss when this returns: the archive may have been a pipe.
    pub fn import(
        &self,
        archive: impl Read + Send,
        changes: &[String],
        message: &str,
        platform: &Platform,
        name: Option<&Reference>,
    ) -> Result<Digest> {
        let mut inner = image::ContainerConfig::default();
        for change in changes {
            inner.apply_change(change).map_err(|error| Error::Invalid(error.to_string()))?;
        }
        let _lease = self.lease();
        let (layer, diff_id) = self.import_layer(archive)?;
        let created = Some(Timestamp::now().to_string());
        let comment = message.to_owned();
        let config = ImageConfig {
            created: created.clone(),
            architecture: platform.architecture.clone(),
            variant: platform.variant.clone(),
            os: platform.os.clone(),
            config: Some(inner),
            rootfs: image::RootFs { diff_ids: vec![diff_id], ..image::RootFs::default() },
            history: vec![History { created, comment, ..History::default() }],
            ..ImageConfig::default()
        };
        let blob = layer.digest.clone();
        let image = self.create_image(&config, vec![layer], None, name)?;
        self.sync_blobs([&blob, &image.id, &image.manifest])?;
        Ok(image.id)
    }

    fn import_layer(&self, mut archive: impl Read + Send) -> Result<(Descriptor, Digest)> {
        let mut start = Vec::new();
        (&mut archive).take(MAGIC).read_to_end(&mut start).context(|| "read archive")?;
        let packing = detect(&start);
        let archive = Cursor::new(start).chain(archive);
        match packing.of_layer() {
            Some(compression) => self.import_blob(archive, compression),
            None => plain(archive, |plain| self.import_blob(plain, Compression::None)),
        }
    }

    /// The blob and the unpacked layer at once: the archive may be a pipe.
    fn import_blob(
        &self,
        archive: impl Read + Send,
        compression: Compression,
    ) -> Result<(Descriptor, Digest)> {
        let mut tee = Tee { source: archive, blob: self.new_blob()? };
        let staged = self.stage(None, &mut tee).map_err(|error| error.within("import"))?;
        io::copy(&mut tee, &mut io::sink()).context(|| "read archive")?;
        let (digest, size) = tee.blob.commit()?;
        let diff_id = staged.diff_id().clone();
        self.publish_layer(None, staged)?;
        Ok((Descriptor::new(MediaType::oci_layer(compression), digest, size), diff_id))
    }
}

/// Copies what is read into a blob.
struct Tee<R> {
    source: R,
    blob: NewBlob,
}

impl<R: Read> Read for Tee<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        self.blob.write_all(&buffer[..count])?;
        Ok(count)
    }
}
