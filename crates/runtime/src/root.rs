//! Paths inside a container's root. The image decides what is there, so every look-up is `openat2(RESOLVE_IN_ROOT)` on the root's
//! descriptor: symbolic links, also absolute ones, end inside, and magic links of procfs are not followed at all.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

const IN_ROOT: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS);
const FOLDER: Mode = Mode::from_raw_mode(0o755);

/// How many dangling links are followed in one path.
const MAX_LINKS: u32 = 40;

/// A root folder.
pub struct Root(OwnedFd);

impl Root {
    /// The folder that `fd` is.
    pub fn new(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// The root folder itself.
    pub fn fd(&self) -> impl AsFd {
        &self.0
    }

    /// Opens what is at `path`.
    pub fn open(&self, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        self.resolve(path, flags, IN_ROOT)
    }

    /// Opens what is at `path` if there is no symbolic link on the way: for proc and sysfs, which programs trust by their name.
    pub fn open_ordinary(&self, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        self.resolve(path, flags, IN_ROOT | ResolveFlags::NO_SYMLINKS)
    }

    fn resolve(&self, path: &str, flags: OFlags, resolve: ResolveFlags) -> Result<OwnedFd, Errno> {
        // EAGAIN: something was renamed while ".." was looked up.
        let mut tries = 0;
        loop {
            match rustix::fs::openat2(&self.0, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
                Err(Errno::AGAIN | Errno::INTR) if tries < 100 => tries += 1,
                result => return result,
            }
        }
    }

    /// The folder at `path`, made with its parents if missing.
    pub fn folder(&self, path: &str) -> Result<OwnedFd, Errno> {
        match self.open(path, OFlags::PATH | OFlags::DIRECTORY) {
            Err(Errno::NOENT) => self.make_folder(path, MAX_LINKS),
            result => result,
        }
    }

    fn make_folder(&self, path: &str, links: u32) -> Result<OwnedFd, Errno> {
        let mut prefix = String::new();
        let mut current = self.open("/", OFlags::PATH | OFlags::DIRECTORY)?;
        for name in path.split('/').filter(|name| !name.is_empty() && *name != ".") {
            let parent = prefix.clone();
            prefix.push('/');
            prefix.push_str(name);
            current = match self.open(&prefix, OFlags::PATH | OFlags::DIRECTORY) {
                Err(Errno::NOENT) => match rustix::fs::mkdirat(&current, name, FOLDER) {
                    Ok(()) => self.open(&prefix, OFlags::PATH | OFlags::DIRECTORY)?,
                    Err(Errno::EXIST) => {
                        self.make_folder(&self.dangling(&current, &parent, name, links)?, links - 1)?
                    }
                    Err(error) => return Err(error),
                },
                result => result?,
            };
        }
        Ok(current)
    }

    /// Where the link `name` of the folder `parent` points to; the target does not exist.
    fn dangling(&self, folder: &OwnedFd, parent: &str, name: &str, links: u32) -> Result<String, Errno> {
        if links == 0 {
            return Err(Errno::LOOP);
        }
        match rustix::fs::readlinkat(folder, name, Vec::new()) {
            Ok(target) => {
                let target = target.to_str().map_err(|_| Errno::ILSEQ)?;
                Ok(if target.starts_with('/') { target.to_owned() } else { format!("{parent}/{target}") })
            }
            // Made by somebody else in this moment.
            Err(Errno::INVAL) => Ok(format!("{parent}/{name}")),
            Err(error) => Err(error),
        }
    }

    /// The file at `path`, made empty with its parents if missing.
    pub fn file(&self, path: &str) -> Result<OwnedFd, Errno> {
        self.make_file(path, MAX_LINKS)
    }

    fn make_file(&self, path: &str, links: u32) -> Result<OwnedFd, Errno> {
        match self.open(path, OFlags::PATH) {
            Err(Errno::NOENT) => {}
            result => return result,
        }
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let folder = self.folder(if parent.is_empty() { "/" } else { parent })?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::WRONLY;
        match rustix::fs::openat(&folder, name, flags, FOLDER) {
            Ok(_) => rustix::fs::openat(
                &folder,
                name,
                OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                Mode::empty(),
            ),
            Err(Errno::EXIST) => self.make_file(&self.dangling(&folder, parent, name, links)?, links - 1),
            Err(error) => Err(error),
        }
    }

    /// The folder above `path`, made if missing, and the last name.
    pub fn parent<'path>(&self, path: &'path str) -> Result<(OwnedFd, &'path str), Errno> {
        let path = path.trim_end_matches('/');
        let (parent, name) = path.rsplit_once('/').ok_or(Errno::INVAL)?;
        if name.is_empty() || name == "." || name == ".." {
            return Err(Errno::INVAL);
        }
        Ok((self.folder(if parent.is_empty() { "/" } else { parent })?, name))
    }

    /// The whole content of a regular file of at most `limit` bytes; `None` if it is missing.
    pub fn read(&self, path: &str, limit: usize) -> Result<Option<Vec<u8>>, Errno> {
        // An image may have a named pipe there, which would block.
        let file = match self.open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            result => result?,
        };
        let stat = rustix::fs::fstat(&file)?;
        if rustix::fs::FileType::from_raw_mode(stat.st_mode) != rustix::fs::FileType::RegularFile {
            return Err(Errno::INVAL);
        }
        let size = usize::try_from(stat.st_size).unwrap_or(usize::MAX);
        if size > limit {
            return Err(Errno::FBIG);
        }
        let mut bytes = vec![0; size];
        let mut filled = 0;
        while filled < size {
            match rustix::io::read(&file, &mut bytes[filled..])? {
                0 => break,
                count => filled += count,
            }
        }
        bytes.truncate(filled);
        keep(file);
        Ok(Some(bytes))
    }
}

/// Leaves a descriptor open: in the child `execve` closes them all at once.
pub fn keep(descriptor: impl Into<OwnedFd>) {
    std::mem::forget(descriptor.into());
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn world(test: impl FnOnce(&std::path::Path, &Root)) {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("naru-root-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let fd = rustix::fs::open(&folder, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap();
        test(&folder, &Root::new(fd));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn links_end_inside() {
        world(|folder, root| {
            std::fs::create_dir(folder.join("etc")).unwrap();
            std::fs::write(folder.join("etc/passwd"), "inside").unwrap();
            symlink("/etc/passwd", folder.join("absolute")).unwrap();
            symlink("../../../../../../etc/passwd", folder.join("etc/climbing")).unwrap();
            symlink("/proc/self/root", folder.join("magic")).unwrap();
            for path in ["/absolute", "/etc/climbing", "/../../etc/passwd"] {
                assert_eq!(root.read(path, 100).unwrap().unwrap(), b"inside", "{path}");
            }
            assert_eq!(root.read("/magic", 100), Ok(None));
            assert_eq!(root.read("/etc/passwd", 3), Err(Errno::FBIG));
            assert_eq!(root.read("/etc", 100), Err(Errno::INVAL));
        });
    }

    #[test]
    fn what_is_missing_is_made_inside() {
        world(|folder, root| {
            symlink("/run", folder.join("var-run")).unwrap();
            symlink("../x/y", folder.join("up")).unwrap();
            symlink("/loop", folder.join("loop")).unwrap();
            root.folder("/var-run/app").unwrap();
            root.folder("/up/z").unwrap();
            root.file("/a/b/file").unwrap();
            root.file("/var-run/file").unwrap();
            symlink("/etc/target", folder.join("link")).unwrap();
            root.file("/link").unwrap();
            assert!(root.folder("/loop/x").is_err());
            for path in ["run/app", "x/y/z", "a/b/file", "run/file", "etc/target"] {
                assert!(folder.join(path).exists(), "{path}");
            }
        });
    }
}
