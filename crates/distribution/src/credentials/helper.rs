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

pub(super) fn get(helper: &str, server: &str) -> Result<Auth, CredentialsError> {
    let mut auth = Auth { server_address: server.to_owned(), ..Auth::default() };
    let output = match run(helper, "get", server.as_bytes(), "getting") {
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

pub(super) fn store(helper: &str, server: &str, auth: &Auth) -> Result<(), CredentialsError> {
    let (username, secret) = match auth.identity_token.is_empty() {
        true => (auth.username.clone(), auth.password.clone()),
        false => (TOKEN_USER.to_owned(), auth.identity_token.clone()),
    };
    let secret = Secret { server: server.to_owned(), username, secret };
    run(helper, "store", &serde_json::to_vec(&secret).unwrap_or_default(), "storing").map(drop)
}

pub(super) fn erase(helper: &str, server: &str) -> Result<(), CredentialsError> {
    match run(helper, "erase", server.as_bytes(), "erasing") {
        Err(CredentialsError::Helper { output, .. }) if output.contains(NOT_FOUND) => Ok(()),
        outcome => outcome.map(drop),
    }
}

/// Server addresses and user names of everything the helper keeps.
pub(super) fn list(helper: &str) -> Result<BTreeMap<String, String>, CredentialsError> {
    let output = run(helper, "list", b"unused", "getting")?;
    parse(helper, &output)
}

fn parse<T: for<'de> Deserialize<'de>>(helper: &str, output: &str) -> Result<T, CredentialsError> {
    let what = format!("answer of docker-credential-{helper}");
    serde_json::from_str(output).map_err(|source| CredentialsError::Format { what, source })
}

fn run(helper: &str, verb: &str, input: &[u8], doing: &'static str) -> Result<String, CredentialsError> {
    let program = format!("docker-credential-{helper}");
    let failed = |error: String, output: String| CredentialsError::Helper { doing, error, output };
    if helper.contains('/') {
        return Err(failed(format!("invalid helper name {helper:?}"), String::new()));
    }
    let child = Command::new(&program)
        .arg(verb)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn();
    let mut child = child.map_err(|error| {
        let why = match error.kind() {
            io::ErrorKind::NotFound => format!("exec: {program:?}: executable file not found in $PATH"),
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
