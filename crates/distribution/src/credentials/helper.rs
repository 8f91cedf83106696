//! Credential helpers: `docker-credential-<name> get|store|erase|list`, JSON over stdin and stdout.
//!
//! A helper that knows nothing answers with exit code 1 and a sentence on stdout; clients match the sentence. The user name
//! `<token>` says that the secret is an identity token.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use super::CredentialsError;
use crate::auth::Auth;

const TOKEN_USER: &str = "<token>";
const NOT_FOUND: &str = "credentials not found in native keychain";

#[derive(Serialize, Deserialize)]
struct Secret {
    #[serde(rename = "ServerURL", default)]
    server: String,
    #[serde(rename = "Username", default)]
    username: String,
    #[serde(rename = "Secret", default)]
    secret: String,
}

/// One helper program.
pub(super) struct Helper {
    program: String,
}

pub(super) fn get(helper: &Helper, server: &str) -> Result<Auth, CredentialsError> {
    let mut auth = Auth { server_address: server.to_owned(), ..Auth::default() };
    let output = match helper.run("get", server.as_bytes(), "getting") {
        Ok(output) => output,
        Err(CredentialsError::Helper { output, .. }) if output.contains(NOT_FOUND) => return Ok(auth),
        Err(error) => return Err(error),
    };
    let secret: Secret = parse(helper, &output)?;
    match secret.username == TOKEN_USER {
        true => auth.identity_token = secret.secret,
        false => (auth.username, auth.password) = (secret.username, secret.secret),
    }
    Ok(auth)
}

pub(super) fn store(helper: &Helper, server: &str, auth: &Auth) -> Result<(), CredentialsError> {
    let (username, secret) = match auth.identity_token.is_empty() {
        true => (auth.username.clone(), auth.password.clone()),
        false => (TOKEN_USER.to_owned(), auth.identity_token.clone()),
    };
    let secret = Secret { server: server.to_owned(), username, secret };
    helper.run("store", &serde_json::to_vec(&secret).unwrap_or_default(), "storing").map(drop)
}

pub(super) fn erase(helper: &Helper, server: &str) -> Result<(), CredentialsError> {
    match helper.run("erase", server.as_bytes(), "erasing") {
        Err(CredentialsError::Helper { output, .. }) if output.contains(NOT_FOUND) => Ok(()),
        outcome => outcome.map(drop),
    }
}

/// Server addresses and user names of everything the helper keeps.
pub(super) fn list(helper: &Helper) -> Result<BTreeMap<String, String>, CredentialsError> {
    let output = helper.run("list", b"unused", "getting")?;
    parse(helper, &output)
}

fn parse<T: for<'de> Deserialize<'de>>(helper: &Helper, output: &str) -> Result<T, CredentialsError> {
    let what = format!("answer of {}", helper.program);
    serde_json::from_str(output).map_err(|source| CredentialsError::Format { what, source })
}

impl Helper {
    /// `docker-credential-<name>`, found in `$PATH`.
    pub fn named(name: &str) -> Self {
        Helper { program: format!("docker-credential-{name}") }
    }

    fn run(&self, verb: &str, input: &[u8], doing: &'static str) -> Result<String, CredentialsError> {
        let failed = |error: String, output: String| CredentialsError::Helper { doing, error, output };
        let child = Command::new(&self.program)
            .arg(verb)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn();
        let mut child = child.map_err(|error| {
            let why = match error.kind() {
                io::ErrorKind::NotFound => {
                    format!("exec: {:?}: executable file not found in $PATH", self.program)
                }
                _ => error.to_string(),
            };
            failed(why, String::new())
        })?;
        if let Some(mut stdin) = child.stdin.take() {
            // A helper may answer without reading; its answer counts, not the broken pipe.
            let _ = stdin.write_all(input);
        }
        let done = child.wait_with_output().map_err(|error| failed(error.to_string(), String::new()))?;
        let output = String::from_utf8_lossy(&done.stdout).trim().to_owned();
        match done.status.success() {
            true => Ok(output),
            false => Err(failed(done.status.to_string(), output)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// A helper that keeps one secret in a file beside it.
    const SCRIPT: &str = r#"#!/bin/sh
file="$0.secret"
case "$1" in
store) cat > "$file" ;;
get) read -r _; if test -e "$file"; then cat "$file"; else echo "credentials not found in native keychain"; exit 1; fi ;;
erase) rm -f "$file" ;;
list) printf '{"reg.example":"me"}' ;;
*) echo "no such verb"; exit 2 ;;
esac
"#;

    #[test]
    fn the_protocol() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("helper");
        std::fs::write(&script, SCRIPT).unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        let helper = Helper { program: script.display().to_string() };

        assert!(get(&helper, "reg.example").unwrap().is_empty(), "unknown is not an error");
        let auth = |username: &str, password: &str, token: &str| Auth {
            username: username.to_owned(),
            password: password.to_owned(),
            identity_token: token.to_owned(),
            server_address: "reg.example".to_owned(),
            ..Auth::default()
        };
        for kept in [auth("me", "secret", ""), auth("", "", "refresh")] {
            store(&helper, "reg.example", &kept).unwrap();
            assert_eq!(get(&helper, "reg.example").unwrap(), kept);
        }
        assert_eq!(list(&helper).unwrap(), BTreeMap::from([("reg.example".to_owned(), "me".to_owned())]));
        erase(&helper, "reg.example").unwrap();
        assert!(get(&helper, "reg.example").unwrap().is_empty());

        let error = helper.run("dance", b"", "getting").unwrap_err().to_string();
        assert_eq!(error, "error getting credentials - err: exit status: 2, out: `no such verb`");
    }
}
