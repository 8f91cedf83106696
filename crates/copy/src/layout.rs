//! OCI image layouts in a folder (image-spec, "image-layout.md").

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use image::{Descriptor, Digest, Index, annotation};

use crate::error::{Context as _, Error, Result};
use crate::files::{self, Blobs, Files};

const LAYOUT: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;

impl Files {
    /// An image of a layout.
    pub fn layout(folder: &Path, name: Option<&str>) -> Result<Files> {
        let place = format!("oci:{}", folder.display());
        let path = folder.join("index.json");
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::NotFound(format!("{place} is no OCI image layout: it has no index.json")));
            }
            bytes => bytes.context(|| format!("read {}", path.display()))?,
        };
        let index = Index::parse(&bytes).map_err(|error| Error::Invalid(format!("{place}: {error}")))?;
        let entry = files::choose(&index, name, &place)?;
        let name = files::name_of(&entry);
        Ok(Files { root: entry.bare(), name, blobs: Blobs::Folder(folder.to_owned()) })
    }
}

/// A layout that is written to; made if it is not there.
pub(crate) struct Layout {
    folder: PathBuf,
}

impl Layout {
    pub fn open(folder: &Path) -> Result<Layout> {
        let blobs = folder.join("blobs/sha256");
        fs::create_dir_all(&blobs).context(|| format!("create folder {}", blobs.display()))?;
        let marker = folder.join("oci-layout");
        if !marker.exists() {
            fs::write(&marker, LAYOUT).context(|| format!("write {}", marker.display()))?;
        }
        Ok(Layout { folder: folder.to_owned() })
    }

    pub fn has(&self, blob: &Descriptor) -> bool {
        let meta = fs::metadata(files::path(&self.folder, &blob.digest));
        meta.is_ok_and(|meta| meta.is_file() && meta.len() == blob.size)
    }

    /// Writes a blob beside its place and puts it there when it is whole. The stream checks itself.
    pub async fn put(
        &self,
        digest: &Digest,
        mut pieces: BoxStream<'static, std::io::Result<Bytes>>,
    ) -> Result<()> {
        let target = files::path(&self.folder, digest);
        let context = || format!("write {}", target.display());
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).context(context)?;
        }
        let partial = Partial::create(&target)?;
        let mut file = fs::File::create(&partial.path).context(context)?;
        while let Some(piece) = pieces.next().await {
            file.write_all(&piece.context(context)?).context(context)?;
        }
        partial.finish(&target)
    }

    /// Names a document, taking the name from any other. Without a name it is the layout's image without one.
    pub fn name(&self, root: &Descriptor, name: Option<&str>) -> Result<()> {
        let path = self.folder.join("index.json");
        let context = || format!("write {}", path.display());
        let mut index = match fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Index::new(Vec::new()),
            bytes => {
                let bytes = bytes.context(|| format!("read {}", path.display()))?;
                Index::parse(&bytes)
                    .map_err(|error| Error::Invalid(format!("{}: {error}", path.display())))?
            }
        };
        let mut entry = root.bare();
        if let Some(name) = name {
            entry.annotations.insert(annotation::REF_NAME.to_owned(), name.to_owned());
        }
        index.manifests.retain(|known| match name {
            Some(name) => known.annotation(annotation::REF_NAME) != Some(name),
            None => known.annotation(annotation::REF_NAME).is_some() || known.digest != entry.digest,
        });
        index.manifests.push(entry);
        let partial = Partial::create(&path)?;
        fs::write(&partial.path, index.to_bytes()).context(context)?;
        partial.finish(&path)
    }
}

/// A file in the making; gone unless it is finished.
pub(crate) struct Partial {
    pub path: PathBuf,
}

impl Partial {
    pub fn create(target: &Path) -> Result<Partial> {
        let name = target.file_name().and_then(|name| name.to_str());
        let name =
            name.ok_or_else(|| Error::Invalid(format!("{} is no name for a file", target.display())))?;
        let path = target.with_file_name(format!(".{name}.{}", std::process::id()));
        Ok(Partial { path })
    }

    pub fn finish(self, target: &Path) -> Result<()> {
        fs::rename(&self.path, target).context(|| format!("rename to {}", target.display()))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}
