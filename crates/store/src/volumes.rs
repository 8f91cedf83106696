//! Volumes of the local driver: `volumes/<name>/{volume.json, _data/}`.
//!
//! Knows nothing of containers: whether a volume is in use is the engine's to know. Options (`type`, `device`, `o`) are
//! recorded; mounting by them is the launcher's.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

use jiff::Timestamp;
use rustix::fs::{FileType, Mode, OFlags, fstat};
use rustix::io::Errno;

use crate::copy::{attributes, copy_tree};
use crate::error::{Context, Error, Result};
use crate::extract::clean_user_path;
use crate::fsutil::{self, list, open_dir, open_in_root, random, remove_tree, tree_size, unique_name};
use crate::store::{Store, held};
use crate::{ANONYMOUS_VOLUME, Volume};

const LOCAL: &str = "local";
const OPTIONS: [&str; 4] = ["type", "o", "device", "size"];

impl Store {
    /// Creates a volume, or returns the existing one of that name. `None` makes an anonymous one: a random name and a label.
    ///
    /// # Errors
    /// `Invalid` for a bad name or option, `NotFound` for a driver that is not there.
    pub fn create_volume(
        &self,
        name: Option<&str>,
        driver: &str,
        options: &BTreeMap<String, String>,
        labels: &BTreeMap<String, String>,
    ) -> Result<Volume> {
        if !driver.is_empty() && driver != LOCAL {
            let text = format!("error looking up volume plugin {driver}: plugin {driver:?} not found");
            return Err(Error::NotFound(text));
        }
        if let Some(option) = options.keys().find(|option| !OPTIONS.contains(&option.as_str())) {
            return Err(Error::Invalid(format!("invalid option: {option:?}")));
        }
        let _one = held(&self.inner.volumes);
        let anonymous = name.is_none_or(str::is_empty);
        let name = match name.filter(|name| !name.is_empty()) {
            Some(name) => {
                check_name(name)?;
                if let Ok(volume) = self.volume(name) {
                    return Ok(volume);
                }
                name.to_owned()
            }
            None => image::hex_encode(&random::<32>()),
        };
        let mut volume = Volume {
            name,
            driver: LOCAL.to_owned(),
            created: Timestamp::now().to_string(),
            options: options.clone(),
            labels: labels.clone(),
        };
        if anonymous {
            volume.labels.insert(ANONYMOUS_VOLUME.to_owned(), String::new());
        }
        self.place(&volume, !anonymous)
            .map_err(|error| error.within(&format!("create volume {}", volume.name)))?;
        Ok(volume)
    }

    /// Makes the whole folder elsewhere and moves it into place: a volume is there with its record or not at all.
    fn place(&self, volume: &Volume, durable: bool) -> Result<()> {
        let staged = self.inner.tmp_path(&format!("volume-{}", unique_name()));
        let data = staged.join("_data");
        std::fs::create_dir_all(&data).context(|| format!("create {}", data.display()))?;
        rustix::fs::chmod(&staged, Mode::from_raw_mode(0o701)).context(|| "set mode")?;
        rustix::fs::chmod(&data, Mode::from_raw_mode(0o755)).context(|| "set mode")?;
        let record = serde_json::to_vec(volume).map_err(|error| Error::corrupt_by("write record", error))?;
        let target = self.volume_dir(&volume.name);
        let placed = (|| {
            let path = staged.join("volume.json");
            match durable {
                true => fsutil::write_durable(&path, &record),
                false => std::fs::write(&path, &record),
            }?;
            std::fs::rename(&staged, &target)?;
            match durable {
                true => std::fs::File::open(self.root().join("volumes"))?.sync_all(),
                false => Ok(()),
            }
        })();
        if placed.is_err() {
            let _ = std::fs::remove_dir_all(&staged);
        }
        placed.context(|| format!("create {}", target.display()))
    }

    pub fn volume(&self, name: &str) -> Result<Volume> {
        let missing = || Error::NotFound(format!("get {name}: no such volume"));
        if check_name(name).is_err() {
            return Err(missing());
        }
        let path = self.volume_dir(name).join("volume.json");
        let bytes = match std::fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(missing()),
            bytes => bytes.context(|| format!("read {}", path.display()))?,
        };
        serde_json::from_slice(&bytes)
            .map_err(|error| Error::corrupt_by(format!("read {}", path.display()), error))
    }

    /// All volumes, by name.
    pub fn volumes(&self) -> Result<Vec<Volume>> {
        let folder = self.root().join("volumes");
        let folder = open_dir(&folder).context(|| format!("open {}", folder.display()))?;
        let mut names = list(folder.as_fd()).context(|| "list volumes")?;
        names.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let name = |(name, _): (Vec<u8>, _)| String::from_utf8(name).ok();
        Ok(names.into_iter().filter_map(name).filter_map(|name| self.volume(&name).ok()).collect())
    }

    /// Removes a volume with its content.
    pub fn remove_volume(&self, name: &str) -> Result<()> {
        let _one = held(&self.inner.volumes);
        self.volume(name)?;
        let dead = format!("volume-{}", unique_name());
        let path = self.volume_dir(name);
        std::fs::rename(&path, self.inner.tmp_path(&dead))
            .context(|| format!("remove {}", path.display()))?;
        remove_tree(self.inner.tmp_fd(), dead.as_bytes())
            .context(|| format!("remove content of volume {name}"))
    }

    fn volume_dir(&self, name: &str) -> PathBuf {
        self.root().join("volumes").join(name)
    }

    /// Its `_data` folder.
    pub fn volume_path(&self, name: &str) -> PathBuf {
        self.volume_dir(name).join("_data")
    }

    /// Bytes of its files.
    pub fn volume_size(&self, name: &str) -> Result<u64> {
        let path = self.volume_path(name);
        let folder = open_dir(&path).context(|| format!("open {}", path.display()))?;
        tree_size(folder.as_fd()).context(|| format!("measure {}", path.display()))
    }

    /// First use: if the volume is empty, copies what the image has at `path`, with owner and mode of that folder.
    pub fn copy_up(&self, name: &str, image_root: BorrowedFd<'_>, path: &str) -> Result<()> {
        let context = || format!("copy {path} to volume {name}");
        let data = self.volume_path(name);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let data = rustix::fs::open(&data, flags, Mode::empty()).context(context)?;
        if !list(data.as_fd()).context(context)?.is_empty() {
            return Ok(());
        }
        let clean = clean_user_path(path.as_bytes());
        let source = match open_in_root(image_root, &clean, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())
        {
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
            source => source.context(context)?,
        };
        copy_tree(source.as_fd(), data.as_fd()).context(context)?;
        let stat = fstat(&source).context(context)?;
        debug_assert_eq!(FileType::from_raw_mode(stat.st_mode), FileType::Directory);
        attributes(source.as_fd(), b".", &stat)
            .and_then(|attributes| attributes.apply_to_open(data.as_fd()))
            .context(context)
    }
}

fn check_name(name: &str) -> Result<()> {
    if name.len() < 2 {
        let text = "volume name is too short, names should be at least two alphanumeric characters";
        return Err(Error::Invalid(text.to_owned()));
    }
    let word = |byte: u8| byte.is_ascii_alphanumeric();
    let fine = word(name.as_bytes()[0]) && name.bytes().all(|byte| word(byte) || b"_.-".contains(&byte));
    if !fine || name.len() > 255 {
        return Err(Error::Invalid(format!(
            "{name:?} includes invalid characters for a local volume name, only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are \
             allowed. If you intended to pass a host directory, use absolute path"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world() -> (tempfile::TempDir, Store) {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(home.path()).unwrap();
        (home, store)
    }

    #[test]
    fn volumes_are_made_once_and_removed_whole() {
        let (_home, store) = world();
        let none = BTreeMap::new();
        let labels = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        let made = store.create_volume(Some("data"), "local", &none, &labels).unwrap();
        assert_eq!(store.create_volume(Some("data"), "", &none, &none).unwrap(), made);
        let anonymous = store.create_volume(None, "local", &none, &none).unwrap();
        assert_eq!(anonymous.name.len(), 64);
        assert!(anonymous.labels.contains_key(ANONYMOUS_VOLUME));
        assert_eq!(store.volumes().unwrap().len(), 2);
        std::fs::create_dir_all(store.volume_path("data").join("x/y")).unwrap();
        std::fs::write(store.volume_path("data").join("x/y/z"), "12345").unwrap();
        assert_eq!(store.volume_size("data").unwrap(), 5);
        store.remove_volume("data").unwrap();
        let error = store.volume("data").unwrap_err();
        assert_eq!(error.to_string(), "get data: no such volume");
        assert!(store.remove_volume("../layers").is_err());
        assert!(store.create_volume(Some("../x"), "local", &none, &none).is_err());
        assert!(store.create_volume(Some("x1"), "nfs", &none, &none).is_err());
        assert_eq!(std::fs::read_dir(store.root().join("tmp")).unwrap().count(), 0);
    }

    #[test]
    fn first_use_copies_what_the_image_has_and_second_does_not() {
        let (_home, store) = world();
        let none = BTreeMap::new();
        store.create_volume(Some("data"), "local", &none, &none).unwrap();
        let image = tempfile::tempdir().unwrap();
        let www = image.path().join("var/www");
        std::fs::create_dir_all(www.join("sub")).unwrap();
        std::fs::write(www.join("index"), "hello").unwrap();
        std::os::unix::fs::symlink("/var", image.path().join("link")).unwrap();
        std::os::unix::fs::chown(&www, Some(33), Some(33)).unwrap();
        let root = open_dir(image.path()).unwrap();
        store.copy_up("data", root.as_fd(), "/link/www").unwrap();
        let data = store.volume_path("data");
        assert_eq!(std::fs::read_to_string(data.join("index")).unwrap(), "hello");
        use std::os::unix::fs::MetadataExt;
        assert_eq!(std::fs::metadata(&data).unwrap().uid(), 33);
        std::fs::remove_file(data.join("index")).unwrap();
        store.copy_up("data", root.as_fd(), "/var/www").unwrap();
        assert!(!data.join("index").exists(), "sub is still there, so the volume is not empty");
        store.copy_up("data", root.as_fd(), "/nosuch").unwrap();
    }
}
