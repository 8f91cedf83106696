//! Amazon ECR without a helper: AWS credentials as every AWS tool finds them, traded for a registry password.
//!
//! ```text
//! ECR host name ─▶ credential chain ─▶ SigV4 ─▶ GetAuthorizationToken ─▶ AWS:<password>, kept until shortly before its end
//! ```
//! The chain: variables → web identity → shared files (keys, roles, SSO) → container metadata → instance metadata. This module
//! reads no environment and runs no program: the caller hands over an [`Environment`]. Sources: ECR and STS API references,
//! "Signature Version 4 signing process", AWS SDKs and Tools Reference Guide ("Standardized credential providers").

mod call;
mod chain;
mod metadata;
mod profile;
mod registry;
mod sign;
mod sso;
mod sts;
mod token;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::PathBuf;

pub use registry::EcrRegistry;
pub(crate) use token::Tokens;

use crate::auth::Auth;
use crate::config::Registries;

/// Where a process stands: its `AWS_*` variables, its home folder, and whether the machine's own role counts as its own.
#[derive(Clone, Default)]
pub struct Environment {
    /// Environment variables; those that do not start with `AWS_` are not looked at.
    pub variables: BTreeMap<String, String>,
    /// Whose `.aws/config` and `.aws/credentials` are read.
    pub home: Option<PathBuf>,
    /// Whether the instance metadata service is asked when nothing else has credentials.
    pub instance_metadata: bool,
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("variables", &self.variables.keys().collect::<Vec<_>>())
            .field("home", &self.home)
            .field("instance_metadata", &self.instance_metadata)
            .finish()
    }
}

impl Environment {
    /// A variable that is set to something.
    fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    fn is_true(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }
}

/// Access keys, perhaps with a session token.
#[derive(Clone, PartialEq, Eq)]
struct Keys {
    id: String,
    secret: String,
    session: Option<String>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Why AWS gave no password.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A profile that cannot be used.
    #[error("AWS profile {profile:?}: {reason}")]
    Profile {
        /// Its name.
        profile: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A variable that makes no sense.
    #[error("{name}: {reason}")]
    Variable {
        /// Its name.
        name: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A file that cannot be read.
    #[error("read {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A service did not answer.
    #[error("AWS {call}")]
    Request {
        /// The operation.
        call: &'static str,
        /// What happened.
        #[source]
        source: Box<crate::Error>,
    },
    /// A service said no.
    #[error("AWS {call}: {code}: {message}")]
    Refused {
        /// The operation.
        call: &'static str,
        /// Its name for the reason, such as `AccessDeniedException`.
        code: String,
        /// Its words.
        message: String,
    },
    /// An answer that is not what the API reference says.
    #[error("AWS {call}: {reason}")]
    Answer {
        /// The operation.
        call: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

/// Whether a text holds any profile, read as either of the shared files.
pub(crate) fn reads_profiles(text: &str) -> bool {
    profile::Files::holds_any(text)
}

/// User name and password for an ECR registry, by the credentials that [`Environment`] leads to. `None` when the name is not
/// one of ECR's, or nobody has AWS credentials here.
pub async fn registry_auth(registries: &Registries, registry: &str) -> Result<Option<Auth>, Error> {
    match EcrRegistry::parse(registry) {
        Some(ecr) => token::password(registries, &ecr, None).await,
        None => Ok(None),
    }
}

/// The same for one that is known to be ECR's; `refused` is a password that the registry did not take any more.
pub(crate) async fn password(
    registries: &Registries,
    registry: &EcrRegistry,
    refused: Option<&str>,
) -> Result<Option<Auth>, Error> {
    token::password(registries, registry, refused).await
}
