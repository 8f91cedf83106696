//! Files of this side as a tar archive.

use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use tar::{Builder, Header, HeaderMode};

use super::super::{Failure, file};
use super::cp_plan::{Plan, Source, base_name, folder_name};

/// What a path of this side is. A link at its end is copied as a link unless it is to be followed; those before it always are.
pub fn source(path: &str, follow: bool) -> Result<Source, Failure> {
    let missing = |error: &io::Error| match error.kind() {
        io::ErrorKind::NotADirectory => Failure::new(1, "not a directory"),
        _ => file::failed("lstat", absolute(path).display(), error),
    };
    let wants_folder = path.ends_with('/') || path.ends_with("/.") || path == ".";
    if follow || wants_folder {
        let real = fs::canonicalize(path).map_err(|error| missing(&error))?;
        let found = fs::metadata(&real).map_err(|error| missing(&error))?;
        if wants_folder && !found.is_dir() {
            return Err(Failure::new(1, "not a directory"));
        }
        let (own, asked) = (base_name(&real.to_string_lossy()), base_name(path));
        let contents = if asked == "." { "/." } else { "" };
        let rebase = (asked != "." && asked != ".." && asked != own).then_some(asked);
        return Ok(Source { path: format!("{}{contents}", real.display()), is_dir: found.is_dir(), rebase });
    }
    let found = fs::symlink_metadata(path).map_err(|error| missing(&error))?;
    Ok(Source { path: path.to_owned(), is_dir: found.is_dir(), rebase: None })
}

/// For messages: where a relative path is.
fn absolute(path: &str) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.into())
}

/// Counts what it passes on.
struct Counted<W> {
    inner: W,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.bytes += count as u64;
        Ok(count)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Writes the archive; answers its size.
pub fn pack(out: impl Write, source: &Source, plan: &Plan) -> anyhow::Result<u64> {
    let mut builder = Builder::new(Counted { inner: io::BufWriter::with_capacity(1 << 16, out), bytes: 0 });
    builder.follow_symlinks(false);
    builder.mode(HeaderMode::Complete);
    builder.sparse(false);
    let base = base_name(&source.path);
    let path = match base.as_str() {
        "." | "/" => PathBuf::from(&source.path),
        base => Path::new(&folder_name(&source.path)).join(base),
    };
    add(&mut builder, &path, &plan.rename(&base))?;
    let mut counted = builder.into_inner()?;
    counted.flush()?;
    Ok(counted.bytes)
}

fn add<W: Write>(builder: &mut Builder<W>, path: &Path, name: &str) -> anyhow::Result<()> {
    let failed = |doing: &str, error: io::Error| {
        anyhow::Error::new(error).context(format!("{doing} {}", path.display()))
    };
    let found: Metadata = fs::symlink_metadata(path).map_err(|error| failed("lstat", error))?;
    let kind = found.file_type();
    if kind.is_dir() {
        builder.append_dir(name, path).map_err(|error| failed("archive", error))?;
        let mut entries: Vec<_> =
            fs::read_dir(path).and_then(Iterator::collect).map_err(|error| failed("open", error))?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let child = entry.file_name();
            add(
                builder,
                &entry.path(),
                &format!("{}/{}", name.trim_end_matches('/'), child.to_string_lossy()),
            )?;
        }
        return Ok(());
    }
    if kind.is_file() {
        let mut file = File::open(path).map_err(|error| failed("open", error))?;
        return builder.append_file(name, &mut file).map_err(|error| failed("archive", error));
    }
    if kind.is_socket() {
        // Archives have no sockets.
        return Ok(());
    }
    if kind.is_fifo() || kind.is_char_device() || kind.is_block_device() {
        let mut header = Header::new_gnu();
        header.set_metadata_in_mode(&found, HeaderMode::Complete);
        header.set_size(0);
        return builder.append_data(&mut header, name, io::empty()).map_err(|error| failed("archive", error));
    }
    builder.append_path_with_name(path, name).map_err(|error| failed("archive", error))
}

/// Whether packing only ended because nobody read on.
pub fn is_cut_short(error: &anyhow::Error) -> bool {
    let kinds = [io::ErrorKind::BrokenPipe, io::ErrorKind::ConnectionReset];
    error
        .chain()
        .any(|cause| cause.downcast_ref::<io::Error>().is_some_and(|error| kinds.contains(&error.kind())))
}
