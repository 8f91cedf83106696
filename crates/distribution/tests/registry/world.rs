//! What every test here starts with: a store of its own, impatient retries, and a record of the progress.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use distribution::{
    Auth, Progress, ProgressSink, PullOptions, Pulled, Registries, RegistriesConfig, Result, Retry,
};
use image::Reference;
use store::Store;
use tempfile::TempDir;

pub struct World {
    pub store: Store,
    pub registries: Registries,
    pub options: PullOptions,
    said: Arc<Mutex<Vec<String>>>,
    _folder: TempDir,
}

/// Retries within milliseconds.
pub fn config() -> RegistriesConfig {
    RegistriesConfig {
        certs_dirs: Vec::new(),
        registries_conf: Vec::new(),
        retry: Retry {
            attempts: 4,
            base: Duration::from_millis(2),
            max: Duration::from_millis(10),
            connect: Duration::from_secs(5),
            // Longer than anybody waits for a processor.
            stall: Duration::from_secs(20),
        },
        ..RegistriesConfig::default()
    }
}

pub fn registries() -> Registries {
    Registries::new(config())
}

pub fn reference(text: &str) -> Reference {
    Reference::parse(text).unwrap()
}

pub fn user(name: &str, password: &str) -> Auth {
    Auth { username: name.to_owned(), password: password.to_owned(), ..Auth::default() }
}

impl World {
    pub fn new() -> Self {
        World::with(config())
    }

    pub fn with(config: RegistriesConfig) -> Self {
        let folder = tempfile::tempdir().unwrap();
        World {
            store: Store::open(&folder.path().join("root")).unwrap(),
            registries: Registries::new(config),
            options: PullOptions::default(),
            said: Arc::default(),
            _folder: folder,
        }
    }

    pub fn login(mut self, name: &str, password: &str) -> Self {
        self.options.auth = Some(user(name, password));
        self
    }

    pub fn sink(&self) -> ProgressSink {
        let said = self.said.clone();
        Arc::new(move |progress: Progress| {
            let line = match progress.id() {
                Some(id) => format!("{id}: {}", progress.status()),
                None => progress.status(),
            };
            let mut said = said.lock().unwrap();
            // Bars repeat.
            if said.last() != Some(&line) {
                said.push(line);
            }
        })
    }

    /// The lines shown so far, without repetitions; forgets them.
    pub fn said(&self) -> Vec<String> {
        std::mem::take(&mut self.said.lock().unwrap())
    }

    pub async fn pull(&self, name: &str) -> Result<Pulled> {
        distribution::pull(&self.store, &reference(name), &self.options, &self.registries, &self.sink()).await
    }

    /// The error of a pull that must fail, as Docker prints it; also checks that nothing became visible.
    pub async fn pull_error(&self, name: &str) -> String {
        let before = self.store.images().unwrap().len();
        let error = self.pull(name).await.map(|pulled| pulled.record.id).unwrap_err();
        assert_eq!(self.store.images().unwrap().len(), before, "a failed pull left an image");
        error.message()
    }

    /// Text of a file in an image, looked up through its layers.
    pub fn read(&self, pulled: &Pulled, path: &str) -> String {
        let layers = self.store.chain_paths(&pulled.record.id).unwrap();
        let found = layers.iter().find_map(|layer| std::fs::read(layer.join(path)).ok());
        String::from_utf8(found.unwrap_or_else(|| panic!("no {path} in the image"))).unwrap()
    }
}
