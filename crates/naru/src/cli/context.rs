//! What every verb has at hand: the client of the engine that is meant, the user's config.json, the global flags. Made
//! lazily: a verb that asks for nothing reads nothing.

use std::cell::OnceCell;
use std::path::Path;

use client::{AutoStart, Client, ConfigFile, Endpoint, Options};

use super::globals::{self, Globals};

/// One command line's surroundings.
pub struct Context {
    globals: Globals,
    config: OnceCell<ConfigFile>,
    client: OnceCell<Client>,
}

impl Context {
    pub(super) fn new(globals: Globals) -> Self {
        Self { globals, config: OnceCell::new(), client: OnceCell::new() }
    }

    /// What was said before the verb.
    pub fn globals(&self) -> &Globals {
        &self.globals
    }

    /// The folder of the user's config.json (`~/.docker`).
    pub fn config_dir(&self) -> &Path {
        &self.globals.settings.config_dir
    }

    /// The user's config.json. One that cannot be read is warned about and taken for empty, as Docker does.
    pub fn config(&self) -> &ConfigFile {
        self.config.get_or_init(|| {
            ConfigFile::read(self.config_dir()).unwrap_or_else(|error| {
                super::output::warn(&format!("WARNING: Error loading config file: {error}"));
                ConfigFile::default()
            })
        })
    }

    /// The client of the engine that is meant; it connects with its first request.
    pub fn client(&self) -> anyhow::Result<&Client> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let config = self.config();
        let endpoint = self.globals.settings.endpoint(config)?;
        let version =
            self.globals.api_version.as_deref().map(|text| text.trim_start_matches('v').parse()).transpose();
        let options = Options {
            autostart: self.autostart(&endpoint),
            endpoint,
            version: version.map_err(|error: api::version::InvalidVersion| {
                anyhow::anyhow!("DOCKER_API_VERSION: {error}")
            })?,
            headers: config.http_headers.clone().into_iter().collect(),
            user_agent: concat!("Naru-Client/", env!("CARGO_PKG_VERSION"), " (linux)").to_owned(),
        };
        Ok(self.client.get_or_init(|| Client::new(options)))
    }

    /// This machine's own engine is started when it is not there; every other engine is somebody else's.
    fn autostart(&self, endpoint: &Endpoint) -> Option<AutoStart> {
        let socket = &self.globals.settings.default_socket;
        if *endpoint != Endpoint::Unix(socket.clone()) || globals::variable("NARU_NO_AUTOSTART").is_some() {
            return None;
        }
        let path = socket.to_str()?.to_owned();
        Some(AutoStart {
            socket: socket.clone(),
            program: std::env::current_exe().ok()?,
            arguments: vec!["engine".to_owned(), "--listening-stdin".to_owned(), path],
            log: self.globals.run_dir.join("engine.log"),
        })
    }
}
