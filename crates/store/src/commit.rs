//! From a container's changes to a layer, and from a whole root to a tar.

use std::io::{self, BufWriter, Write};
use std::os::fd::{AsFd, BorrowedFd};

use flate2::write::GzEncoder;
use image::{Compression, Descriptor, Digest, Hasher, MediaType};

use crate::Rootfs;
use crate::blob::NewBlob;
use crate::copy::copy_changes;
use crate::error::{Context, Error, Result};
use crate::fsutil::open_dir;
use crate::later::hash;
use crate::pack::Packer;
use crate::store::Store;

impl Store {
    /// Makes what a container changed a layer on `parent`; its descriptor and diff id, or `None` where nothing has changed. On
    /// overlayfs it is packed later (see `later`). The container should stand still meanwhile.
    pub fn commit_layer(
        &self,
        rootfs: &Rootfs,
        parent: Option<&Digest>,
    ) -> Result<Option<(Descriptor, Digest)>> {
        let made = match rootfs {
            Rootfs::Overlay { upper, .. } => {
                let folder = open_dir(upper).context(|| format!("open {}", upper.display()))?;
                let mut tar_size = 0;
                let staged = self.stage_made(|layer| {
                    let size = copy_changes(folder.as_fd(), layer)
                        .context(|| format!("copy {}", upper.display()))?;
                    let (diff_id, length) = hash(layer)?;
                    tar_size = length;
                    Ok((diff_id, size))
                })?;
                let diff_id = staged.diff_id().clone();
                if diff_id != nothing() {
                    self.publish_layer(parent, staged)?;
                }
                (Descriptor::new(MediaType::OCI_LAYER, diff_id.clone(), tar_size), diff_id)
            }
            Rootfs::Directory(path) => {
                let (layer, diff_id) = self.commit_directory(path, Compression::Gzip)?;
                if diff_id != nothing() {
                    let blob = self.open_blob(&layer.digest)?;
                    self.unpack_layer(parent, &diff_id, &layer.media_type, blob)?;
                }
                (layer, diff_id)
            }
        };
        Ok(Some(made).filter(|(_, diff_id)| *diff_id != nothing()))
    }

    /// Makes a layer blob from whatever `fill` packs.
    pub(crate) fn pack_layer(
        &self,
        compression: Compression,
        fill: impl FnOnce(&mut Packer<LayerWriter>) -> Result<()>,
    ) -> Result<(Descriptor, Digest)> {
        let mut packer = Packer::layer(LayerWriter::new(self.new_blob()?, compression)?);
        fill(&mut packer)?;
        let (blob, diff_id) = packer.finish()?.finish().context(|| "write layer")?;
        let (digest, size) = blob.commit()?;
        Ok((Descriptor::new(MediaType::oci_layer(compression), digest, size), diff_id))
    }

    /// A plain copy has no upper folder: pack what differs.
    fn commit_directory(
        &self,
        path: &std::path::Path,
        compression: Compression,
    ) -> Result<(Descriptor, Digest)> {
        use std::os::unix::ffi::OsStrExt;
        let changes = self.diff(&Rootfs::Directory(path.to_owned()))?;
        let root = open_dir(path).context(|| format!("open {}", path.display()))?;
        self.pack_layer(compression, |packer| {
            for change in &changes {
                let path = change.path.as_os_str().as_bytes();
                let path = path.strip_prefix(b"/").unwrap_or(path);
                packer.add_alone(root.as_fd(), path, change.kind == crate::ChangeKind::Deleted)?;
            }
            Ok(())
        })
    }

    /// Writes a tar of everything in `root`.
    pub fn export(&self, root: BorrowedFd<'_>, out: impl Write) -> Result<()> {
        let mut packer = Packer::new(BufWriter::with_capacity(64 * 1024, out));
        packer.add_below(root, b"")?;
        packer.finish()?;
        Ok(())
    }
}

/// The diff id of an archive of nothing: two blocks of zeros.
fn nothing() -> Digest {
    Digest::sha256([0; 1024])
}

/// Hashes the tar, compresses it, and hands it to a blob.
pub(crate) struct LayerWriter {
    diff: Hasher,
    packed: Encoder,
}

enum Encoder {
    None(Box<NewBlob>),
    Gzip(Box<GzEncoder<NewBlob>>),
    Zstd(Box<zstd::stream::write::Encoder<'static, NewBlob>>),
}

impl LayerWriter {
    pub fn new(blob: NewBlob, compression: Compression) -> Result<LayerWriter> {
        LayerWriter::with_level(blob, compression, None)
    }

    /// With a level on the packer's own scale.
    pub fn with_level(blob: NewBlob, compression: Compression, level: Option<u32>) -> Result<LayerWriter> {
        let packed = match compression {
            Compression::None => Encoder::None(Box::new(blob)),
            Compression::Gzip => {
                // Level 1 is three times as fast as the default and costs a third more bytes.
                let level = flate2::Compression::new(level.unwrap_or(1).min(9));
                Encoder::Gzip(Box::new(GzEncoder::new(blob, level)))
            }
            Compression::Zstd => {
                let level = level.map_or(3, |level| i32::try_from(level.min(22)).unwrap_or(22));
                let encoder = zstd::stream::write::Encoder::new(blob, level);
                Encoder::Zstd(Box::new(encoder.map_err(|error| Error::io("start compression", error))?))
            }
        };
        Ok(LayerWriter { diff: Hasher::sha256(), packed })
    }

    pub fn finish(self) -> io::Result<(NewBlob, Digest)> {
        let blob = match self.packed {
            Encoder::None(blob) => *blob,
            Encoder::Gzip(encoder) => encoder.finish()?,
            Encoder::Zstd(encoder) => encoder.finish()?,
        };
        Ok((blob, self.diff.finish()))
    }
}

impl Write for LayerWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = match &mut self.packed {
            Encoder::None(blob) => blob.write(bytes),
            Encoder::Gzip(encoder) => encoder.write(bytes),
            Encoder::Zstd(encoder) => encoder.write(bytes),
        }?;
        self.diff.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
