//! From a root file system tar to an image of one layer.

use std::io::{self, Read, Write};

use image::{Compression, Descriptor, Digest, History, ImageConfig, MediaType, Platform, Reference};
use jiff::Timestamp;

use crate::blob::NewBlob;
use crate::decompress::detect;
use crate::error::{Context, Error, Result};
use crate::store::Store;

impl Store {
    /// Makes an image from a tar (plain, gzip or zstd). `changes` are Dockerfile instructions.
    ///
    /// The archive becomes the layer's blob as it is: nothing is packed again.
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
        let mut tee = Tee { source: archive, blob: self.new_blob()?, start: Vec::new() };
        let staged = self.stage(None, &mut tee).map_err(|error| error.within("import"))?;
        io::copy(&mut tee, &mut io::sink()).context(|| "read archive")?;
        let compression = detect(&tee.start).unwrap_or(Compression::None);
        let (digest, size) = tee.blob.commit()?;
        let diff_id = staged.diff_id().clone();
        self.publish_layer(None, staged)?;
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
        let layer = Descriptor::new(MediaType::oci_layer(compression), digest, size);
        Ok(self.create_image(&config, vec![layer], None, name)?.id)
    }
}

/// Copies what is read into a blob.
struct Tee<R> {
    source: R,
    blob: NewBlob,
    /// The first bytes, which tell the packing.
    start: Vec<u8>,
}

impl<R: Read> Read for Tee<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        let missing = 8usize.saturating_sub(self.start.len()).min(count);
        self.start.extend_from_slice(&buffer[..missing]);
        self.blob.write_all(&buffer[..count])?;
        Ok(count)
    }
}
