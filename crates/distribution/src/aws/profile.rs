//! The shared files, `~/.aws/config` and `~/.aws/credentials`: sections of `key = value`, and a profile put together from both.
//!
//! Source: AWS SDKs and Tools Reference Guide, "Shared config and credentials files". In `config` a profile other than
//! `default` is `[profile NAME]`; in `credentials` it is `[NAME]`, and its values win.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::{Environment, Error};

/// The two files together.
#[derive(Debug, Default)]
pub(super) struct Files {
    profiles: BTreeMap<String, Settings>,
    sso_sessions: BTreeMap<String, Settings>,
}

/// What one section sets.
pub(super) type Settings = BTreeMap<String, String>;

impl Files {
    pub fn read(environment: &Environment) -> Result<Self, Error> {
        let path = |variable: &str, name: &str| match environment.get(variable) {
            Some(path) => Some(expand(path, environment.home.as_deref())),
            None => environment.home.as_ref().map(|home| home.join(".aws").join(name)),
        };
        let mut files = Files::default();
        if let Some(path) = path("AWS_CONFIG_FILE", "config") {
            files.add_config(&text(&path)?);
        }
        if let Some(path) = path("AWS_SHARED_CREDENTIALS_FILE", "credentials") {
            files.add_credentials(&text(&path)?);
        }
        Ok(files)
    }

    pub fn profile(&self, name: &str) -> Option<&Settings> {
        self.profiles.get(name)
    }

    pub fn sso_session(&self, name: &str) -> Option<&Settings> {
        self.sso_sessions.get(name)
    }

    /// Whether a text sets anything, as either file.
    pub fn holds_any(text: &str) -> bool {
        let mut files = Files::default();
        files.add_config(text);
        files.add_credentials(text);
        files.profiles.values().any(|settings| !settings.is_empty())
    }

    fn add_config(&mut self, text: &str) {
        for (section, settings) in sections(text) {
            let (kind, name) = match section.split_once([' ', '\t']) {
                Some((kind, name)) => (kind, name.trim().trim_matches('"')),
                None => ("profile", section.as_str()),
            };
            match kind {
                // `[name]` without `profile` counts for `default` alone.
                "profile" if section.contains(' ') || name == "default" => {
                    self.profiles.entry(name.to_owned()).or_default().extend(settings);
                }
                "sso-session" => self.sso_sessions.entry(name.to_owned()).or_default().extend(settings),
                _ => {}
            }
        }
    }

    fn add_credentials(&mut self, text: &str) {
        for (section, settings) in sections(text) {
            self.profiles.entry(section).or_default().extend(settings);
        }
    }
}

fn text(path: &Path) -> Result<String, Error> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(String::new())
        }
        Err(source) => Err(Error::File { path: path.to_owned(), source }),
    }
}

fn expand(path: &str, home: Option<&Path>) -> PathBuf {
    match (path.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(path),
    }
}

/// Sections in order. Indented lines belong to the key above them (nested settings that concern single services): skipped.
fn sections(text: &str) -> Vec<(String, Settings)> {
    let mut sections: Vec<(String, Settings)> = Vec::new();
    for line in text.lines() {
        let is_nested = line.starts_with([' ', '\t']);
        let line = line.trim();
        if is_nested || line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[') {
            let name = name.split(']').next().unwrap_or_default().trim();
            sections.push((name.to_owned(), Settings::new()));
        } else if let (Some((key, value)), Some((_, settings))) = (line.split_once('='), sections.last_mut())
        {
            let value = value.split(" #").next().unwrap_or_default();
            let value = value.split(" ;").next().unwrap_or_default();
            settings.insert(key.trim().to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    sections
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_come_from_both_files() {
        let mut files = Files::default();
        files.add_config(
            "# comment\n[default]\nregion = eu-west-1 ; here\n\n[profile dev]\nrole_arn=arn:aws:iam::1:role/x\n\
             source_profile = default\ns3 =\n  max_concurrent_requests = 20\n[ignored]\nregion = x\n\
             [sso-session corp]\nsso_region = us-east-1\n[profile \"with space\"]\nregion=y\n",
        );
        files.add_credentials(
            "[default]\naws_access_key_id = AKID\nAWS_SECRET_ACCESS_KEY = a=b\n[other]\nregion=z\nbroken line\n",
        );
        let get = |profile: &str, key: &str| files.profile(profile)?.get(key).map(String::as_str);
        assert_eq!(get("default", "region"), Some("eu-west-1"));
        assert_eq!(get("default", "aws_secret_access_key"), Some("a=b"));
        assert_eq!(get("dev", "source_profile"), Some("default"));
        assert_eq!(get("dev", "max_concurrent_requests"), None);
        assert_eq!(get("ignored", "region"), None);
        assert_eq!(get("other", "region"), Some("z"));
        assert_eq!(get("with space", "region"), Some("y"));
        assert_eq!(files.sso_session("corp").unwrap()["sso_region"], "us-east-1");
    }

    #[test]
    fn files_that_are_missing_are_empty_and_variables_name_others() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("mine"), "[default]\nregion=q\n").unwrap();
        let mut environment = Environment { home: Some(folder.path().to_owned()), ..Environment::default() };
        assert!(Files::read(&environment).unwrap().profile("default").is_none());
        environment.variables.insert("AWS_CONFIG_FILE".to_owned(), "~/mine".to_owned());
        assert_eq!(Files::read(&environment).unwrap().profile("default").unwrap()["region"], "q");
    }
}
