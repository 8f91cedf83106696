//! `auth.json` of podman, skopeo and buildah, read and never written: a login there serves here too. The format is that of
//! `config.json`; keys may be narrower than a registry there, and those are left to the tools that wrote them.
//! Source: containers-auth.json(5).

use std::path::PathBuf;

use serde_json::Value;

use super::{Credentials, CredentialsError};
use crate::auth::Auth;

/// Credentials for a registry from the first of these files that has any. A file that is missing or somebody else's has none.
pub fn lookup_in(files: &[PathBuf], registry: &str) -> Result<Option<Auth>, CredentialsError> {
    for file in files.iter().filter(|file| std::fs::File::open(file).is_ok()) {
        let mut credentials = Credentials::read(file.clone())?;
        if let Some(Value::Object(auths)) = credentials.document.get_mut("auths") {
            auths.retain(|key, _| key.contains("://") || !key.contains('/'));
        }
        let auth = credentials.lookup(registry)?;
        if !auth.is_empty() {
            return Ok(Some(auth));
        }
    }
    Ok(None)
}
