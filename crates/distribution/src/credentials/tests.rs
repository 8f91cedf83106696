//! Credentials against files and a helper script in a temporary folder.

use super::*;

fn folder_with(config: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.json"), config).unwrap();
    folder
}

#[track_caller]
fn check(config: &str, given: Option<&str>, registry: &str, want: (&str, &str, &str)) {
    let folder = folder_with(config);
    let auth = Credentials::load(folder.path(), given).unwrap().lookup(registry).unwrap();
    assert_eq!((auth.username.as_str(), auth.password.as_str(), auth.identity_token.as_str()), want);
}

#[test]
fn entries_are_found_by_key_host_and_url() {
    // `u:p:w`
    let config = r#"{"auths":{"https://index.docker.io/v1/":{"auth":"dTpwOnc="},
        "https://reg.example/v2/":{"auth":"dTpwOnc="},
        "tok.example":{"auth":"dTo=","identitytoken":"refresh"}}}"#;
    check(config, None, "docker.io", ("u", "p:w", ""));
    check(config, None, "https://index.docker.io/v1/", ("u", "p:w", ""));
    check(config, None, "reg.example", ("u", "p:w", ""));
    check(config, None, "tok.example", ("u", "", "refresh"));
    check(config, None, "unknown.example", ("", "", ""));
    check("", None, "docker.io", ("", "", ""));
    let given = r#"{"auths":{"reg.example":{"auth":"eDp5"}}}"#;
    check(config, Some(given), "reg.example", ("x", "y", ""));
}

#[test]
fn storing_and_erasing_keep_the_rest_of_the_file() {
    let folder = folder_with(r#"{"psFormat":"x","auths":{"a.example":{"auth":"dTpw"}},"zzz":[1]}"#);
    let mut credentials = Credentials::load(folder.path(), None).unwrap();
    let auth = Auth {
        username: "u".to_owned(),
        password: "secret".to_owned(),
        server_address: "b.example:5000".to_owned(),
        ..Auth::default()
    };
    credentials.store(&auth).unwrap();
    assert!(credentials.erase("a.example").unwrap());
    assert!(!credentials.erase("a.example").unwrap());
    let again = Credentials::load(folder.path(), None).unwrap();
    assert_eq!(again.lookup("b.example:5000").unwrap(), auth);
    assert_eq!(again.document["psFormat"], "x");
    assert_eq!(again.document["zzz"], serde_json::json!([1]));
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(again.path()).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn broken_entries_are_errors_not_anonymous_pulls() {
    let folder = folder_with(r#"{"auths":{"a.example":{"auth":"!!!"}}}"#);
    let credentials = Credentials::load(folder.path(), None).unwrap();
    assert!(matches!(credentials.lookup("a.example"), Err(CredentialsError::Entry(_))));
    let folder = folder_with("{");
    assert!(matches!(Credentials::load(folder.path(), None), Err(CredentialsError::Format { .. })));
}

#[test]
fn a_missing_helper_is_named() {
    let folder = folder_with(r#"{"credHelpers":{"a.example":"naru-test-does-not-exist"}}"#);
    let credentials = Credentials::load(folder.path(), None).unwrap();
    let error = credentials.lookup("a.example").unwrap_err().to_string();
    let want = "error getting credentials - err: exec: \"docker-credential-naru-test-does-not-exist\": executable file \
                not found in $PATH, out: ``";
    assert_eq!(error, want);
}

#[test]
fn headers_round_trip_in_every_spelling() {
    let auth = Auth { username: "u".to_owned(), password: "p?>~".to_owned(), ..Auth::default() };
    let header = auth.to_header();
    assert_eq!(Auth::from_header(&header), Some(auth.clone()));
    assert_eq!(Auth::from_header(header.trim_end_matches('=')), Some(auth.clone()));
    assert_eq!(Auth::from_header(&header.replace('-', "+").replace('_', "/")), Some(auth));
    assert_eq!(Auth::from_header(""), Some(Auth::default()));
    assert_eq!(Auth::from_header("!!"), None);
}

#[test]
fn logins_of_podman_are_found_after_ours_and_only_those_of_whole_registries() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let first = file("first", r#"{"auths":{"docker.io":{"auth":"dTpw"},"ghcr.io/team":{"auth":"eDp5"}}}"#);
    let second = file("second", r#"{"auths":{"docker.io":{"auth":"eDp5"},"ghcr.io":{"auth":"dTpw"}}}"#);
    let files = [folder.path().join("missing"), first, second, file("empty", "")];
    let user = |registry: &str| lookup_in(&files, registry).unwrap().map(|auth| auth.username);
    assert_eq!(user("docker.io").as_deref(), Some("u"));
    assert_eq!(user("ghcr.io").as_deref(), Some("u"));
    assert_eq!(user("quay.io"), None);
    let broken = file("broken", "{");
    assert!(lookup_in(&[broken], "quay.io").unwrap_err().to_string().starts_with("parse "));
}
