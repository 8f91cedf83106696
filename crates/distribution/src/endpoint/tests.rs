//! Which endpoints come out of names, files and settings.

use std::path::Path;

use super::*;
use crate::{RegistriesConfig, resolve};

async fn check(config: RegistriesConfig, name: &str, expected: &[(&str, bool)]) {
    let registries = Registries::new(config);
    let reference = Reference::parse(&format!("{name}/a/b")).unwrap();
    let found = endpoints_for(&registries, &reference, Purpose::Pull).await.unwrap();
    let found: Vec<_> = found.iter().map(|endpoint| (endpoint.base.as_str(), endpoint.verify)).collect();
    assert_eq!(found, expected, "{name}");
}

fn config() -> RegistriesConfig {
    let nowhere = resolve::Files { hosts: "/nonexistent".into(), resolv_conf: "/nonexistent".into() };
    RegistriesConfig { resolver: nowhere, certs_dirs: Vec::new(), ..RegistriesConfig::default() }
}

#[tokio::test]
async fn loopback_is_insecure_and_everything_else_is_not() {
    check(config(), "localhost:5000", &[("https://localhost:5000", false), ("http://localhost:5000", false)])
        .await;
    check(config(), "127.1.2.3", &[("https://127.1.2.3", false), ("http://127.1.2.3", false)]).await;
    check(config(), "[::1]:5000", &[("https://[::1]:5000", false), ("http://[::1]:5000", false)]).await;
    check(config(), "ghcr.io", &[("https://ghcr.io", true)]).await;
    check(config(), "10.1.1.1:5000", &[("https://10.1.1.1:5000", true)]).await;
}

#[tokio::test]
async fn named_registries_and_networks_are_insecure() {
    let insecure = ["reg.lab", "other:5000", "10.0.0.0/8"].map(str::to_owned).to_vec();
    let config = RegistriesConfig { insecure, ..config() };
    let both = |host: &str| [(format!("https://{host}"), false), (format!("http://{host}"), false)];
    for host in ["reg.lab", "reg.lab:5000", "other:5000", "10.9.9.9:1"] {
        let want = both(host);
        let want: Vec<_> = want.iter().map(|(base, verify)| (base.as_str(), *verify)).collect();
        check(config.clone(), host, &want).await;
    }
    check(config, "11.0.0.1:80", &[("https://11.0.0.1:80", true)]).await;
}

#[tokio::test]
async fn an_authority_makes_loopback_secure() {
    let folder = tempfile::tempdir().unwrap();
    let certs = folder.path().join("localhost:5000");
    std::fs::create_dir(&certs).unwrap();
    std::fs::write(certs.join("ca.crt"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        .unwrap();
    let config = RegistriesConfig { certs_dirs: vec![folder.path().to_owned()], ..config() };
    check(config, "localhost:5000", &[("https://localhost:5000", true)]).await;
}

#[tokio::test]
async fn mirrors_come_before_the_hub_and_get_no_push() {
    let mirrors = ["http://127.0.0.1:5001/", "mirror.example/hub"].map(str::to_owned).to_vec();
    let config = RegistriesConfig { mirrors, ..config() };
    let want = [
        ("http://127.0.0.1:5001", false),
        ("https://mirror.example/hub", true),
        ("https://registry-1.docker.io", true),
    ];
    check(config.clone(), "docker.io", &want).await;
    check(config.clone(), "ghcr.io", &[("https://ghcr.io", true)]).await;
    let reference = Reference::parse("alpine").unwrap();
    let push = endpoints_for(&Registries::new(config), &reference, Purpose::Push).await.unwrap();
    assert_eq!(push.iter().map(|it| it.base.as_str()).collect::<Vec<_>>(), ["https://registry-1.docker.io"]);
}

/// Endpoints as text: URL of the repository, and what is special.
async fn shown(config: &RegistriesConfig, name: &str, purpose: Purpose) -> Vec<String> {
    let reference = Reference::parse(name).unwrap();
    let found = endpoints_for(&Registries::new(config.clone()), &reference, purpose).await;
    let found = match found {
        Ok(found) => found,
        Err(error) => return vec![error.message()],
    };
    let line = |endpoint: Endpoint| {
        let repository = endpoint.repository.as_deref().unwrap_or(&reference.repository);
        let mut line = format!("{}{}/{repository}", endpoint.base, endpoint.api);
        for (word, is) in [
            ("mirror", endpoint.mirror),
            ("own", endpoint.own),
            ("unverified", !endpoint.verify),
            ("unresolved", !endpoint.resolves),
        ] {
            line.push_str(&if is { format!(" {word}") } else { String::new() });
        }
        line.push_str(&endpoint.namespace.map(|it| format!(" ns={it}")).unwrap_or_default());
        line
    };
    found.into_iter().map(line).collect()
}

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

#[tokio::test]
async fn hosts_toml_names_hosts_in_order_and_the_server_last() {
    let folder = tempfile::tempdir().unwrap();
    let hosts = "[host.\"https://z.example/cache\"]\ncapabilities=[\"pull\"]\n\
                 [host.\"http://a.example/v2/hub\"]\noverride_path=true\n[host.\"b.example/v2\"]\nskip_verify=true\n";
    write(folder.path(), "docker.io/hosts.toml", hosts);
    write(folder.path(), "reg.example_5000_/hosts.toml", "server = \"http://10.0.0.1:5000\"");
    write(
        folder.path(),
        "_default/hosts.toml",
        "[host.\"https://all.example\"]\ncapabilities=[\"pull\",\"resolve\"]\n",
    );
    write(folder.path(), "broken.example/hosts.toml", "capabilities=[\"fly\"]");
    write(
        folder.path(),
        "conf",
        "[[registry]]\nlocation='docker.io'\n[[registry.mirror]]\nlocation='never.example'\n",
    );
    let config = RegistriesConfig {
        certs_dirs: vec![folder.path().join("missing"), folder.path().to_owned()],
        registries_conf: vec![folder.path().join("conf")],
        ..config()
    };
    assert_eq!(
        shown(&config, "alpine", Purpose::Pull).await,
        [
            "https://z.example/cache/v2/library/alpine mirror unresolved ns=docker.io",
            "http://a.example/v2/hub/library/alpine mirror ns=docker.io",
            "https://b.example/v2/library/alpine mirror unverified ns=docker.io",
            "https://registry-1.docker.io/v2/library/alpine own",
        ]
    );
    assert_eq!(
        shown(&config, "alpine", Purpose::Push).await,
        ["http://a.example/v2/hub/library/alpine ns=docker.io"]
    );
    assert_eq!(shown(&config, "reg.example:5000/x", Purpose::Pull).await, ["http://10.0.0.1:5000/v2/x own"]);
    assert_eq!(
        shown(&config, "ghcr.io/x", Purpose::Pull).await,
        ["https://all.example/v2/x mirror ns=ghcr.io", "https://ghcr.io/v2/x own"]
    );
    assert_eq!(shown(&config, "ghcr.io/x", Purpose::Push).await, ["https://ghcr.io/v2/x own"]);
    let error = shown(&config, "broken.example/x", Purpose::Pull).await;
    assert!(error[0].ends_with("broken.example/hosts.toml: unknown capability \"fly\""), "{error:?}");
}

#[tokio::test]
async fn registries_conf_names_mirrors_locations_and_what_is_blocked() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[[registry]]\nlocation='docker.io'\n[[registry.mirror]]\nlocation='m.example/hub'\n\
                [[registry.mirror]]\nlocation='n.example:5000'\ninsecure=true\n\
                [[registry]]\nprefix='old.example/team'\nlocation='new.example/group'\n\
                [[registry]]\nlocation='lab.example'\ninsecure=true\n\
                [[registry]]\nlocation='evil.example'\nblocked=true\n";
    write(folder.path(), "conf", text);
    let config = RegistriesConfig { registries_conf: vec![folder.path().join("conf")], ..config() };
    assert_eq!(
        shown(&config, "me/app", Purpose::Pull).await,
        [
            "https://m.example/v2/hub/me/app mirror",
            "https://n.example:5000/v2/me/app mirror unverified",
            "http://n.example:5000/v2/me/app mirror unverified",
            "https://registry-1.docker.io/v2/me/app own",
        ]
    );
    assert_eq!(shown(&config, "me/app", Purpose::Push).await, ["https://registry-1.docker.io/v2/me/app own"]);
    for purpose in [Purpose::Pull, Purpose::Push] {
        let moved = shown(&config, "old.example/team/app", purpose).await;
        assert_eq!(moved, ["https://new.example/v2/group/app"]);
        let blocked = shown(&config, "evil.example/x", purpose).await;
        assert_eq!(blocked, ["registry evil.example is blocked in registries.conf"]);
    }
    let lab = ["https://lab.example/v2/x own unverified", "http://lab.example/v2/x own unverified"];
    assert_eq!(shown(&config, "lab.example/x", Purpose::Pull).await, lab);
    assert!(endpoints(&Registries::new(config.clone()), "evil.example").await.is_err());
    assert_eq!(endpoints(&Registries::new(config), "lab.example").await.unwrap().len(), 2);
}
