//! The `registries.conf` of Podman, Skopeo and their kin: prefixes of image names, where they really are, and their mirrors.
//!
//! Of the prefixes that an image name begins with, the longest decides; one with a tag or digest is for that image alone. Format:
//! containers-registries.conf(5), version 2; drop-ins: containers-registries.conf.d(5). Short names are Docker's here, so `unqualified-search-registries` and aliases have no effect.

use std::path::{Path, PathBuf};

use image::Reference;
use serde::Deserialize;

use crate::error::{Error, Result};

/// All `[[registry]]` tables that count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rules(Vec<Rule>);

/// One `[[registry]]` table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(crate) struct Rule {
    prefix: String,
    location: String,
    pub insecure: bool,
    pub blocked: bool,
    mirror_by_digest_only: bool,
    #[serde(rename = "mirror")]
    mirrors: Vec<Mirror>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct Mirror {
    location: String,
    insecure: bool,
    pull_from_mirror: Option<Kind>,
}

/// For which references a mirror may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    All,
    DigestOnly,
    TagOnly,
}

/// Where an image is to be looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// `host[:port]`.
    pub host: String,
    pub repository: String,
    /// The tag or digest there, where it is another one.
    pub version: Option<String>,
    pub insecure: bool,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct File {
    registry: Vec<Rule>,
    /// Version 1.
    registries: Option<toml::Table>,
}

impl Rules {
    /// Reads files, and `*.conf` of folders by name; what comes later replaces tables with the same prefix.
    pub fn read(paths: &[PathBuf]) -> Result<Rules> {
        let mut rules = Rules::default();
        for path in paths {
            let mut files = vec![path.clone()];
            if let Ok(entries) = std::fs::read_dir(path) {
                files = entries.flatten().map(|entry| entry.path()).collect();
                files.retain(|file| file.extension().is_some_and(|extension| extension == "conf"));
                files.sort();
            }
            for file in files {
                rules.add_file(&file)?;
            }
        }
        Ok(rules)
    }

    fn add_file(&mut self, path: &Path) -> Result<()> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if super::is_absent(&error) => return Ok(()),
            Err(error) => return Err(Error::Configuration(format!("read {}: {error}", path.display()))),
        };
        let wrong = |reason: String| Error::Configuration(format!("{}: {reason}", path.display()));
        self.add(&text).map_err(wrong)
    }

    /// Adds one file's tables.
    pub fn add(&mut self, text: &str) -> Result<(), String> {
        let file: File = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        if file.registries.is_some() {
            return Err(
                "[registries.…] is format version 1; only version 2 ([[registry]]) is read".to_owned()
            );
        }
        for mut rule in file.registry {
            rule.check()?;
            self.0.retain(|older| older.prefix != rule.prefix);
            self.0.push(rule);
        }
        Ok(())
    }

    /// The table that decides about an image.
    pub fn find(&self, reference: &Reference) -> Option<&Rule> {
        self.longest(&names(reference))
    }

    /// The table that decides about a registry as a whole.
    pub fn find_registry(&self, registry: &str) -> Option<&Rule> {
        self.longest(&[registry.to_owned()])
    }

    fn longest(&self, names: &[String]) -> Option<&Rule> {
        let covered = |rule: &Rule| names.iter().filter_map(|name| matched(&rule.prefix, name)).max();
        let matching = self.0.iter().filter_map(|rule| Some((covered(rule)?, rule)));
        matching.max_by_key(|(length, _)| *length).map(|(_, rule)| rule)
    }
}

impl Rule {
    fn check(&mut self) -> Result<(), String> {
        for location in
            [&mut self.location].into_iter().chain(self.mirrors.iter_mut().map(|mirror| &mut mirror.location))
        {
            if location.contains("://") {
                return Err(format!("invalid location {location:?}: it must not have a scheme"));
            }
            while location.ends_with('/') {
                location.pop();
            }
        }
        if self.prefix.is_empty() {
            self.prefix.clone_from(&self.location);
        }
        while self.prefix.ends_with('/') {
            self.prefix.pop();
        }
        let wildcard = self.prefix.starts_with("*.");
        if self.prefix.is_empty() || (self.location.is_empty() && !wildcard && !self.blocked) {
            return Err("a [[registry]] needs a location".to_owned());
        }
        if wildcard && self.prefix.contains('/') {
            return Err(format!("invalid prefix {:?}: a wildcard stands for hosts alone", self.prefix));
        }
        if self.mirrors.iter().any(|mirror| mirror.location.is_empty()) {
            return Err(format!("a mirror of {:?} has no location", self.prefix));
        }
        Ok(())
    }

    /// The mirrors that may be asked for this reference, in order.
    pub fn mirrors(&self, reference: &Reference) -> Result<Vec<Place>> {
        let by_digest = reference.digest.is_some();
        let wanted = |mirror: &&Mirror| {
            let usual = if self.mirror_by_digest_only { Kind::DigestOnly } else { Kind::All };
            match mirror.pull_from_mirror.unwrap_or(usual) {
                Kind::All => true,
                Kind::DigestOnly => by_digest,
                Kind::TagOnly => !by_digest,
            }
        };
        let places = self.mirrors.iter().filter(wanted);
        places.map(|mirror| self.place(reference, &mirror.location, mirror.insecure)).collect()
    }

    /// Where the image itself is; `None` where its name already says it.
    pub fn location(&self, reference: &Reference) -> Result<Option<Place>> {
        if self.location.is_empty() || self.location == self.prefix {
            return Ok(None);
        }
        self.place(reference, &self.location, self.insecure).map(Some)
    }

    /// `location` in the prefix's place.
    fn place(&self, reference: &Reference, location: &str, insecure: bool) -> Result<Place> {
        let name = reference.name();
        let is_whole = has_version(&self.prefix);
        let rest = match self.prefix.strip_prefix('*') {
            // The whole host is replaced.
            Some(_) => &name[reference.registry.len()..],
            None => name.get(self.prefix.len()..).unwrap_or_default(),
        };
        let whole = format!("{location}{rest}");
        let invalid =
            || Error::Configuration(format!("registries.conf makes {name} into {whole:?}, which is no name"));
        // In place of one tag or digest another may stand; without one, what was asked for is asked for there.
        let parsed = (is_whole && has_version(location)).then(|| Reference::parse(&whole));
        let version = match parsed.transpose().map_err(|_| invalid())? {
            Some(Reference { digest: Some(digest), .. }) => Some(digest.to_string()),
            Some(Reference { tag, .. }) => tag,
            None => None,
        };
        let path = if version.is_some() { without_version(&whole) } else { &whole };
        let (host, repository) = path.split_once('/').ok_or_else(invalid)?;
        let is_name = !host.is_empty()
            && repository.split('/').all(|part| {
                !part.is_empty()
                    && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
            });
        if !is_name || host.contains('@') {
            return Err(invalid());
        }
        Ok(Place { host: host.to_owned(), repository: repository.to_owned(), version, insecure })
    }
}

/// What prefixes are compared with: the name alone, and with tag and digest.
fn names(reference: &Reference) -> Vec<String> {
    let name = reference.name();
    let tag = reference.tag.iter().map(|tag| format!("{name}:{tag}"));
    let digest = reference.digest.iter().map(|digest| format!("{name}@{digest}"));
    std::iter::once(name.clone()).chain(tag).chain(digest).collect()
}

/// Whether a prefix or location ends in a tag or a digest; the colon before a port is none.
fn has_version(text: &str) -> bool {
    without_version(text).len() < text.len()
}

fn without_version(text: &str) -> &str {
    let name = text.split('@').next().unwrap_or_default();
    match (name.rfind(':'), name.find('/')) {
        (Some(colon), Some(_)) if !name[colon..].contains('/') => &name[..colon],
        _ => name,
    }
}

/// How much of `name` a prefix covers, if it does.
fn matched(prefix: &str, name: &str) -> Option<usize> {
    if let Some(domain) = prefix.strip_prefix('*') {
        let host = name.split('/').next().unwrap_or_default();
        return (host.len() > domain.len() && host.ends_with(domain)).then_some(domain.len());
    }
    let rest = name.strip_prefix(prefix)?;
    (rest.is_empty() || rest.starts_with(['/', ':', '@'])).then_some(prefix.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Rules {
        let mut rules = Rules::default();
        rules.add(text).unwrap();
        rules
    }

    #[track_caller]
    fn check(text: &str, name: &str, mirrors: &[&str], location: Option<&str>) {
        let rules = rules(text);
        let reference = Reference::parse(name).unwrap();
        let shown = |place: Place| {
            let version = place.version.map(|version| format!(" {version}")).unwrap_or_default();
            let insecure = if place.insecure { " insecure" } else { "" };
            format!("{}/{}{version}{insecure}", place.host, place.repository)
        };
        let rule = rules.find(&reference);
        let found: Vec<String> = rule
            .map_or_else(Vec::new, |rule| rule.mirrors(&reference).unwrap())
            .into_iter()
            .map(shown)
            .collect();
        assert_eq!(found, mirrors, "{name}");
        let found = rule.and_then(|rule| rule.location(&reference).unwrap()).map(shown);
        assert_eq!(found.as_deref(), location, "{name}");
    }

    const BOTH: &str = r#"
        unqualified-search-registries = ["example.com"]
        [[registry]]
        location = "docker.io"
        [[registry.mirror]]
        location = "mirror.local:5000/hub/"
        insecure = true
        [[registry.mirror]]
        location = "second.example"
        pull-from-mirror = "digest-only"
        [[registry]]
        prefix = "docker.io/library"
        location = "internal.example/official"
        [[registry]]
        prefix = "*.corp.example"
        location = "proxy.example/corp"
        [[registry]]
        prefix = "*.lab.corp.example"
        insecure = true
    "#;
    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn the_longest_prefix_decides_and_names_are_rewritten() {
        check(BOTH, "me/app", &["mirror.local:5000/hub/me/app insecure"], None);
        check(
            BOTH,
            &format!("me/app@{DIGEST}"),
            &["mirror.local:5000/hub/me/app insecure", "second.example/me/app"],
            None,
        );
        check(BOTH, "alpine", &[], Some("internal.example/official/alpine"));
        check(BOTH, "docker.io.example/app", &[], None);
        check(BOTH, "a.corp.example/x/y", &[], Some("proxy.example/corp/x/y"));
        check(BOTH, "corp.example/x/y", &[], None);
        check(BOTH, "a.lab.corp.example/x", &[], None);
        let find = |name: &str| rules(BOTH).find(&Reference::parse(name).unwrap()).cloned();
        assert!(find("a.lab.corp.example/x").unwrap().insecure);
        assert_eq!(find("ghcr.io/x"), None);
    }

    #[test]
    fn a_prefix_may_be_one_tag_or_one_digest() {
        let text = format!(
            "[[registry]]\nlocation='docker.io'\n[[registry.mirror]]\nlocation='m.example'\n\
             [[registry]]\nprefix='docker.io/library/busybox:1.36'\nlocation='pinned.example:5000/tools/busybox'\n\
             [[registry.mirror]]\nlocation='other.example/busybox:1.36-musl'\n\
             [[registry]]\nprefix='docker.io/library/busybox:1.37'\nlocation='pinned.example/busybox@{DIGEST}'\n\
             [[registry]]\nprefix='docker.io/library/busybox@{DIGEST}'\nlocation='digests.example/busybox'\n\
             [[registry]]\nprefix='localhost:5000'\nlocation='ports.example'\n"
        );
        let pinned = Some("pinned.example:5000/tools/busybox");
        check(&text, "busybox:1.36", &["other.example/busybox 1.36-musl"], pinned);
        check(&text, "busybox:1.36.1", &["m.example/library/busybox"], None);
        check(&text, "busybox", &["m.example/library/busybox"], None);
        check(&text, "busybox:1.37", &[], Some(&format!("pinned.example/busybox {DIGEST}")));
        check(&text, &format!("busybox@{DIGEST}"), &[], Some("digests.example/busybox"));
        check(&text, "localhost:5000/a/b:1.36", &[], Some("ports.example/a/b"));
        let wrong = "[[registry]]\nprefix='a.example/b'\nlocation='c.example/d:1'\n";
        let reference = Reference::parse("a.example/b:1").unwrap();
        assert!(rules(wrong).find(&reference).unwrap().location(&reference).is_err());
    }

    #[test]
    fn mirrors_by_digest_or_by_tag_only() {
        let text = "[[registry]]\nlocation='r.example'\nmirror-by-digest-only=true\n[[registry.mirror]]\nlocation='m.example'\n\
                    [[registry.mirror]]\nlocation='t.example'\npull-from-mirror='tag-only'\n";
        check(text, "r.example/a:1", &["t.example/a"], None);
        check(text, &format!("r.example/a@{DIGEST}"), &["m.example/a"], None);
    }

    #[test]
    fn drop_ins_replace_tables_of_the_same_prefix() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        let main = folder.path().join("main");
        write(
            "main",
            "[[registry]]\nlocation='a.example'\nblocked=true\n[[registry]]\nlocation='b.example'\nblocked=true\n",
        );
        write("20-last.conf", "[[registry]]\nprefix='a.example'\nlocation='c.example'\n");
        write("10-first.conf", "[[registry]]\nprefix='a.example'\nlocation='wrong.example'\n");
        write("ignored.txt", "nonsense");
        let paths = [main, folder.path().to_owned(), folder.path().join("missing.conf")];
        let rules = Rules::read(&paths).unwrap();
        let reference = Reference::parse("a.example/x").unwrap();
        let rule = rules.find(&reference).unwrap();
        assert!(!rule.blocked);
        assert_eq!(rule.location(&reference).unwrap().unwrap().host, "c.example");
        assert!(rules.find_registry("b.example").unwrap().blocked);
        write("30-broken.conf", "[[registry]]\ninsecure=true\n");
        let error = Rules::read(&paths).unwrap_err().message();
        assert!(error.ends_with("30-broken.conf: a [[registry]] needs a location"), "{error}");
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        let error = |text: &str| Rules::default().add(text).unwrap_err();
        assert!(error("[registries.search]\nregistries=['x']").contains("version 1"));
        assert!(error("[[registry]]\nlocation='https://x'").contains("must not have a scheme"));
        assert!(error("[[registry]]\nprefix='*.x/y'\nlocation='z'").contains("wildcard"));
        assert!(error("[[registry]]\nlocation='x'\n[[registry.mirror]]\n").contains("no location"));
        assert!(
            error("[[registry]]\nlocation='x'\n[[registry.mirror]]\nlocation='y'\npull-from-mirror='z'")
                .contains("unknown variant")
        );
    }
}
