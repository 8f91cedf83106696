//! Where images are, as users write it. The forms with files are skopeo's.

use std::path::PathBuf;
use std::str::FromStr;

use image::Reference;

/// One side of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// `docker://NAME` or `NAME`: a registry.
    Registry(Reference),
    /// `oci:FOLDER[:NAME]`: an OCI image layout.
    Layout {
        /// The folder.
        folder: PathBuf,
        /// The image's name in it.
        name: Option<String>,
    },
    /// `oci-archive:FILE[:NAME]`: an OCI image layout in a tar.
    OciArchive {
        /// The tar.
        file: PathBuf,
        /// The image's name in it.
        name: Option<String>,
    },
    /// `docker-archive:FILE[:NAME]`: what `docker save` writes.
    DockerArchive {
        /// The tar.
        file: PathBuf,
        /// The image's name in it.
        name: Option<String>,
    },
    /// `naru:NAME`: the engine that commands talk to.
    Engine(String),
    /// `ssh://[USER@]HOST[:PORT]/NAME`: the engine of another machine. The name may be left out of a destination.
    Remote {
        /// `ssh://…` up to the name.
        host: String,
        /// The image's name there; perhaps empty.
        name: String,
    },
}

/// Words that name no place.
#[derive(Debug, thiserror::Error)]
#[error("invalid place {text:?}: {reason}")]
pub struct PlaceError {
    text: String,
    reason: String,
}

impl FromStr for Place {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Place, PlaceError> {
        let invalid = |reason: &str| PlaceError { text: text.to_owned(), reason: reason.to_owned() };
        let (scheme, rest) = text.split_once(':').unwrap_or(("", text));
        let file = || -> Result<(PathBuf, Option<String>), PlaceError> {
            let (path, name) = rest.split_once(':').map_or((rest, None), |(path, name)| (path, Some(name)));
            match path {
                "" => Err(invalid("the path is missing")),
                path => Ok((path.into(), name.filter(|name| !name.is_empty()).map(str::to_owned))),
            }
        };
        match scheme {
            "oci" => file().map(|(folder, name)| Place::Layout { folder, name }),
            "oci-archive" => file().map(|(file, name)| Place::OciArchive { file, name }),
            "docker-archive" => file().map(|(file, name)| Place::DockerArchive { file, name }),
            "naru" if !rest.starts_with('/') => match rest {
                "" => Err(invalid("the image's name is missing")),
                name => Ok(Place::Engine(name.to_owned())),
            },
            "ssh" if rest.starts_with("//") => {
                let (host, name) = rest[2..].split_once('/').unwrap_or((&rest[2..], ""));
                match host {
                    "" => Err(invalid("the host is missing")),
                    host => Ok(Place::Remote { host: format!("ssh://{host}"), name: name.to_owned() }),
                }
            }
            _ => {
                let name = text.strip_prefix("docker://").unwrap_or(text);
                let reference = Reference::parse(name).map_err(|error| invalid(&error.to_string()))?;
                Ok(Place::Registry(reference))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read() {
        let place = |text: &str| text.parse::<Place>().map_err(|error| error.to_string());
        let registry = |name: &str| Ok(Place::Registry(Reference::parse(name).unwrap()));
        assert_eq!(place("docker://localhost:5000/app:1"), registry("localhost:5000/app:1"));
        assert_eq!(place("localhost:5000/app:1"), registry("localhost:5000/app:1"));
        assert_eq!(place("debian"), registry("docker.io/library/debian"));
        let layout = |folder: &str, name: Option<&str>| {
            Ok(Place::Layout { folder: folder.into(), name: name.map(str::to_owned) })
        };
        assert_eq!(place("oci:/tmp/x"), layout("/tmp/x", None));
        assert_eq!(place("oci:x:app:1"), layout("x", Some("app:1")));
        let archive = Place::DockerArchive { file: "a.tar".into(), name: Some("app:1".to_owned()) };
        assert_eq!(place("docker-archive:a.tar:app:1"), Ok(archive));
        assert_eq!(place("naru:app:1"), Ok(Place::Engine("app:1".to_owned())));
        let remote = |host: &str, name: &str| Ok(Place::Remote { host: host.into(), name: name.into() });
        assert_eq!(place("ssh://me@host:2222/team/app:1"), remote("ssh://me@host:2222", "team/app:1"));
        assert_eq!(place("ssh://host"), remote("ssh://host", ""));
    }

    #[test]
    fn mistakes_are_named() {
        for (text, reason) in [
            ("oci:", "the path is missing"),
            ("naru:", "the image's name is missing"),
            ("ssh:///x", "the host is missing"),
            ("UPPER", "invalid reference format"),
        ] {
            let error = text.parse::<Place>().unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
