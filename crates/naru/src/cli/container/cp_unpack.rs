//! A tar archive as files of this side. The archive comes out of a container, so nothing in it may reach beyond the folder it
//! is unpacked in: neither by its name nor through links that it made before.

use std::fs::{self, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, makedev, mknodat, utimensat};
use tar::{Archive, Entry, EntryType};

use super::super::Failure;
use super::cp_plan::{Place, Plan, folder_name};

/// What a path of this side is. It need not exist; its folder has to.
pub fn destination(path: &str) -> Result<Place, Failure> {
    match fs::metadata(path) {
        Ok(found) => Ok(Place { path: path.to_owned(), exists: true, is_dir: found.is_dir() }),
        Err(_) => {
            let folder = folder_name(path);
            match fs::metadata(&folder) {
                Ok(_) => Ok(Place { path: path.to_owned(), exists: false, is_dir: false }),
                Err(_) => {
                    let folder = std::path::absolute(&folder).unwrap_or_else(|_| folder.into());
                    Err(Failure::new(1, format!("invalid output path: directory {folder:?} does not exist")))
                }
            }
        }
    }
}

/// Unpacks by plan.
pub fn unpack(archive: impl Read, plan: &Plan) -> anyhow::Result<()> {
    let mut archive = Archive::new(io::BufReader::with_capacity(1 << 16, archive));
    archive.set_preserve_permissions(true);
    let mut folders = Vec::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let name = plan.rename(&String::from_utf8_lossy(&entry.path_bytes()));
        let target = place(Path::new(&plan.folder), &name)?;
        one(&mut entry, plan, &target, &mut folders)
            .map_err(|error| error.context(format!("copy to {}", target.display())))?;
    }
    // Last: a folder that may not be written to can be filled before, and filling changes its time.
    for (path, mode, time) in folders.into_iter().rev() {
        fs::set_permissions(&path, Permissions::from_mode(mode))?;
        let time = Timespec { tv_sec: time, tv_nsec: 0 };
        utimensat(CWD, &path, &Timestamps { last_access: time, last_modification: time }, AtFlags::empty())?;
    }
    Ok(())
}

fn one<R: Read>(
    entry: &mut Entry<'_, R>,
    plan: &Plan,
    target: &Path,
    folders: &mut Vec<(PathBuf, u32, i64)>,
) -> anyhow::Result<()> {
    let kind = entry.header().entry_type();
    let existing = fs::symlink_metadata(target).ok();
    let (is_folder, was_folder) = (kind == EntryType::Directory, existing.as_ref().map(fs::Metadata::is_dir));
    match (is_folder, was_folder) {
        (true, Some(false)) => {
            anyhow::bail!("cannot overwrite non-directory {target:?} with directory {target:?}")
        }
        (false, Some(true)) => {
            anyhow::bail!("cannot overwrite directory {target:?} with non-directory {target:?}")
        }
        _ => (),
    }
    if is_folder {
        if existing.is_none() {
            fs::create_dir(target)?;
            fs::set_permissions(target, Permissions::from_mode(0o700))?;
        }
        let (mode, time) = (entry.header().mode()? & 0o7777, entry.header().mtime()? as i64);
        folders.push((target.to_owned(), mode, time));
        return Ok(());
    }
    if let EntryType::Link = kind {
        let name = entry.link_name_bytes().unwrap_or_default();
        let first = place(Path::new(&plan.folder), &plan.rename(&String::from_utf8_lossy(&name)))?;
        if existing.is_some() {
            fs::remove_file(target)?;
        }
        return Ok(fs::hard_link(first, target)?);
    }
    if let Some(file_type) = special(kind) {
        if existing.is_some() {
            fs::remove_file(target)?;
        }
        let header = entry.header();
        let device =
            makedev(header.device_major()?.unwrap_or_default(), header.device_minor()?.unwrap_or_default());
        return Ok(mknodat(CWD, target, file_type, Mode::from_raw_mode(header.mode()?), device)?);
    }
    entry.unpack(target)?;
    Ok(())
}

/// What is made by `mknod`.
fn special(kind: EntryType) -> Option<FileType> {
    match kind {
        EntryType::Fifo => Some(FileType::Fifo),
        EntryType::Char => Some(FileType::CharacterDevice),
        EntryType::Block => Some(FileType::BlockDevice),
        _ => None,
    }
}

/// The path of a name below the folder; fails where the name, or a link on the way, leads out of it.
fn place(folder: &Path, name: &str) -> Result<PathBuf, Failure> {
    let outside =
        || Failure::new(1, format!("the archive names {name:?}, which is outside of {}", folder.display()));
    let mut path = folder.to_owned();
    let mut parts = Path::new(name).components().peekable();
    while let Some(part) = parts.next() {
        match part {
            Component::Normal(part) => path.push(part),
            Component::CurDir | Component::RootDir => continue,
            _ => return Err(outside()),
        }
        let is_link = || fs::symlink_metadata(&path).is_ok_and(|found| found.is_symlink());
        if parts.peek().is_some() && is_link() {
            return Err(outside());
        }
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileTypeExt;

    use super::super::cp_pack;
    use super::super::cp_plan::plan;
    use super::*;

    /// Packs `source` and unpacks it at `destination`, both below one folder.
    fn copy(root: &Path, source: &str, destination_: &str) -> anyhow::Result<()> {
        let source = cp_pack::source(root.join(source).to_str().unwrap(), false)?;
        let place = destination(root.join(destination_).to_str().unwrap())?;
        let plan = plan(&source, &place)?;
        let mut archive = Vec::new();
        // The other side names entries as it finds them.
        let own = Plan { to: plan.from.clone(), ..plan.clone() };
        cp_pack::pack(&mut archive, &source, &own)?;
        unpack(archive.as_slice(), &plan)
    }

    #[test]
    fn a_folder_arrives_as_it_was() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        fs::create_dir_all(path("s/empty")).unwrap();
        fs::write(path("s/f"), "text").unwrap();
        fs::set_permissions(path("s/f"), Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink("f", path("s/link")).unwrap();
        mknodat(CWD, path("s/pipe"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        fs::set_permissions(path("s/empty"), Permissions::from_mode(0o555)).unwrap();
        copy(root.path(), "s", "new").unwrap();
        assert_eq!(fs::read_to_string(path("new/f")).unwrap(), "text");
        assert_eq!(fs::metadata(path("new/f")).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(fs::metadata(path("new/pipe")).unwrap().file_type().is_fifo());
        assert_eq!(fs::read_link(path("new/link")).unwrap(), Path::new("f"));
        assert_eq!(fs::metadata(path("new/empty")).unwrap().permissions().mode() & 0o777, 0o555);
        fs::create_dir(path("there")).unwrap();
        copy(root.path(), "s", "there").unwrap();
        assert!(path("there/s/f").exists());
        copy(root.path(), "s/.", "there").unwrap();
        assert!(path("there/f").exists());
        copy(root.path(), "s/f", "there/g").unwrap();
        assert_eq!(fs::read_to_string(path("there/g")).unwrap(), "text");
        fs::create_dir(path("there/h")).unwrap();
        let error = copy(root.path(), "s", "s/f").unwrap_err();
        assert_eq!(error.to_string(), "cannot copy directory");
        assert!(copy(root.path(), "s/f", "nowhere/x").unwrap_err().to_string().contains("does not exist"));
    }

    #[test]
    fn nothing_reaches_out() {
        let root = tempfile::tempdir().unwrap();
        let secret = root.path().join("secret");
        fs::create_dir(&secret).unwrap();
        let target = root.path().join("t");
        fs::create_dir(&target).unwrap();
        std::os::unix::fs::symlink(&secret, target.join("out")).unwrap();
        assert!(place(&target, "out/x").is_err(), "through a link");
        assert!(place(&target, "../x").is_err(), "by name");
        assert_eq!(place(&target, "./a/b").unwrap(), target.join("a/b"));
        assert_eq!(place(&target, "out").unwrap(), target.join("out"), "the link itself may be replaced");
    }
}
