//! Amazon ECR without a helper, against moto's AWS (which checks our signatures) and a registry that takes its passwords.

use std::collections::BTreeMap;
use std::path::Path;

use distribution::aws::{Environment, registry_auth};
use distribution::{Auth, Registries, RegistriesConfig};
use testkit::{Ca, Entry, Fault, ImageSpec, LayerSpec, Moto, Proxy, Registry, When};

use crate::world::{World, config};

const REGION: &str = "eu-central-1";

/// An environment with these variables and no home.
fn environment(variables: &[(&str, &str)]) -> Environment {
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let variables: BTreeMap<_, _> = variables.iter().map(pair).collect();
    Environment { variables, ..Environment::default() }
}

fn with_aws(environment: Environment) -> Registries {
    Registries::new(RegistriesConfig { aws: Some(environment), ..config() })
}

async fn password(environment: Environment, registry: &str) -> Result<Option<String>, String> {
    let found = registry_auth(&with_aws(environment), registry).await;
    found.map(|auth| auth.map(|auth| format!("{}:{}", auth.username, auth.password))).map_err(chain)
}

fn chain(error: distribution::aws::Error) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(&error);
    while let Some(error) = next {
        text = format!("{text}: {error}");
        next = error.source();
    }
    text
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[tokio::test]
async fn every_place_that_credentials_may_come_from() {
    let Some(moto) = Moto::start() else { return };
    let (url, registry) = (moto.url(), moto.registry(REGION));
    let folder = tempfile::tempdir().unwrap();
    let good = Ok(Some(format!("AWS:{}", moto.password())));
    let (id, secret) = moto.user("dev");
    let role = moto.role("puller");

    // The instance's role is somebody whom moto's IAM does not know, so this comes before it looks at signatures.
    let mut instance = environment(&[
        ("AWS_ENDPOINT_URL", url.as_str()),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", url.as_str()),
    ]);
    assert_eq!(password(instance.clone(), &registry).await, Ok(None), "not asked unless allowed");
    instance.instance_metadata = true;
    assert_eq!(password(instance.clone(), &registry).await, good);
    instance.variables.insert("AWS_EC2_METADATA_DISABLED".to_owned(), "true".to_owned());
    assert_eq!(password(instance, &registry).await, Ok(None));

    // Nor does moto take an unsigned request then, which this one has to be.
    let token = write(folder.path(), "token", "a.web.token\n");
    let web = [
        ("AWS_ENDPOINT_URL", url.as_str()),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.as_str()),
        ("AWS_ROLE_ARN", role.as_str()),
    ];
    assert_eq!(password(environment(&web), &registry).await, good);

    moto.check_signatures();
    let endpoint = ("AWS_ENDPOINT_URL", url.as_str());
    let keys = [endpoint, ("AWS_ACCESS_KEY_ID", id.as_str()), ("AWS_SECRET_ACCESS_KEY", secret.as_str())];
    assert_eq!(password(environment(&keys), &registry).await, good);
    let elsewhere = [("AWS_ENDPOINT_URL_ECR", url.as_str()), ("AWS_ENDPOINT_URL", "http://127.0.0.1:1")];
    assert_eq!(password(environment(&[&elsewhere[..], &keys[1..]].concat()), &registry).await, good);
    let wrong = [endpoint, keys[1], ("AWS_SECRET_ACCESS_KEY", "guess")];
    let error = password(environment(&wrong), &registry).await.unwrap_err();
    assert!(error.starts_with("AWS GetAuthorizationToken: SignatureDoesNotMatch: "), "{error}");

    let credentials = format!("[default]\naws_access_key_id={id}\naws_secret_access_key={secret}\n");
    let home = Environment { home: Some(folder.path().to_owned()), ..environment(&[endpoint]) };
    write(folder.path(), ".aws/credentials", &credentials);
    assert_eq!(password(home.clone(), &registry).await, good);

    let config = format!(
        "[profile role]\nrole_arn={role}\nsource_profile=default\nexternal_id=x\n\
         [profile chained]\nrole_arn={role}\nsource_profile=role\n\
         [profile circle]\nrole_arn={role}\nsource_profile=circle2\n[profile circle2]\nrole_arn={role}\nsource_profile=circle\n\
         [profile environment]\nrole_arn={role}\ncredential_source=Environment\n\
         [profile process]\ncredential_process=/bin/true\n[profile empty]\nregion=x\n"
    );
    let config = write(folder.path(), "my-config", &config);
    let profile = |name: &str| {
        let mut environment = home.clone();
        environment.variables.insert("AWS_CONFIG_FILE".to_owned(), config.clone());
        environment.variables.insert("AWS_PROFILE".to_owned(), name.to_owned());
        environment
    };
    for name in ["role", "chained"] {
        assert_eq!(password(profile(name), &registry).await, good, "{name}");
    }
    assert_eq!(password(profile("empty"), &registry).await, Ok(None));
    for (name, want) in [
        ("circle", "source_profile leads in a circle"),
        ("process", "credential_process is not supported: no other program is run."),
        ("environment", "the environment has no credentials"),
        ("nowhere", "AWS profile \"nowhere\": not in the shared config and credentials files"),
    ] {
        let error = password(profile(name), &registry).await.unwrap_err();
        assert!(error.contains(want), "{name}: {error}");
    }

    let task = Proxy::start("127.0.0.1:1".parse().unwrap());
    let body = format!(
        "{{\"AccessKeyId\":\"{id}\",\"SecretAccessKey\":\"{secret}\",\"Expiration\":\"2999-01-01T00:00:00Z\"}}"
    );
    task.fault(When::path("/v1/credentials"), Fault::Status { code: 200, headers: Vec::new(), body });
    let token = write(folder.path(), "pod-token", "let-me-in");
    let full = format!("{}/v1/credentials", task.url());
    let container = [
        endpoint,
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", full.as_str()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token.as_str()),
    ];
    assert_eq!(password(environment(&container), &registry).await, good);
    assert_eq!(task.seen()[0].header("authorization"), Some("let-me-in"));

    assert_eq!(password(environment(&[endpoint]), &registry).await, Ok(None), "nothing anywhere");
    assert_eq!(password(environment(&keys), "ghcr.io").await, Ok(None), "not ECR");
}

/// A registry under an ECR name: TLS by an authority of ours, name by a hosts file.
struct Ecr {
    registry: Registry,
    folder: tempfile::TempDir,
    name: String,
}

impl Ecr {
    fn start(account_host: &str, password: &str) -> Ecr {
        let ca = Ca::new("amazon");
        let registry = Registry::builder().tls(&ca.server(&[account_host])).htpasswd("AWS", password).start();
        let name = format!("{account_host}:{}", registry.address().port());
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &format!("certs.d/{name}/ca.crt"), &ca.certificate());
        write(folder.path(), "hosts", &format!("127.0.0.1 {account_host}\n"));
        let credentials = format!("--dest-creds=AWS:{password}");
        ImageSpec::new(vec![LayerSpec::new(vec![Entry::text("hello", "world")])]).push_with_skopeo(
            &format!("{}/app:1", registry.host()),
            &["--dest-tls-verify=false", &credentials],
        );
        Ecr { registry, folder, name }
    }

    fn world(&self, environment: Environment) -> World {
        let folder = self.folder.path();
        let resolver = distribution::resolve::Files {
            hosts: folder.join("hosts"),
            resolv_conf: folder.join("no-resolv.conf"),
        };
        World::with(RegistriesConfig {
            aws: Some(environment),
            certs_dirs: vec![folder.join("certs.d")],
            resolver,
            ..config()
        })
    }
}

#[tokio::test]
async fn an_image_is_pulled_by_aws_credentials_alone() {
    let Some(moto) = Moto::start() else { return };
    let ecr = Ecr::start(&moto.registry(REGION), &moto.password());
    let (id, secret) = moto.user("dev");
    moto.check_signatures();
    let url = moto.url();
    let image = format!("{}/app:1", ecr.name);
    let keys = [
        ("AWS_ENDPOINT_URL", url.as_str()),
        ("AWS_ACCESS_KEY_ID", id.as_str()),
        ("AWS_SECRET_ACCESS_KEY", secret.as_str()),
    ];
    let world = ecr.world(environment(&keys));
    let pulled = world.pull(&image).await.unwrap();
    assert_eq!(world.read(&pulled, "hello"), "world");

    // Whoever is logged in is asked for, AWS credentials or not.
    let world = ecr.world(environment(&keys)).login("AWS", "something else");
    assert_eq!(world.pull_error(&image).await, "unauthorized: authentication required");

    let nobody = ecr.world(environment(&keys[..1]));
    let want = format!("Head \"https://{}/v2/app/manifests/1\": no basic auth credentials", ecr.name);
    assert_eq!(nobody.pull_error(&image).await, want);

    let wrong = [keys[0], keys[1], ("AWS_SECRET_ACCESS_KEY", "guess")];
    let error = ecr.world(environment(&wrong)).pull_error(&image).await;
    assert!(
        error.contains("/v2/app/manifests/1\": AWS GetAuthorizationToken: SignatureDoesNotMatch"),
        "{error}"
    );
    drop(ecr.registry);
}

#[tokio::test]
async fn a_password_is_kept_until_it_is_refused() {
    let host = "210987654321.dkr.ecr.us-west-2.amazonaws.com";
    let ecr = Ecr::start(host, "second");
    let api = Proxy::start("127.0.0.1:1".parse().unwrap());
    let answer = |token: &str| Fault::Status {
        code: 200,
        headers: Vec::new(),
        body: format!(
            "{{\"authorizationData\":[{{\"authorizationToken\":\"{token}\",\"expiresAt\":32503680000.5}}]}}"
        ),
    };
    // AWS:first, then AWS:second
    api.fault(When::path("/").times(1), answer("QVdTOmZpcnN0"));
    api.fault(When::path("/"), answer("QVdTOnNlY29uZA=="));
    let url = api.url();
    let keys =
        [("AWS_ENDPOINT_URL", url.as_str()), ("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "x")];
    let world = ecr.world(environment(&keys));
    let image = format!("{}/app:1", ecr.name);

    let first = registry_auth(&world.registries, host).await.unwrap();
    assert_eq!(first.as_ref().map(|auth: &Auth| auth.password.as_str()), Some("first"));
    assert_eq!(registry_auth(&world.registries, host).await.unwrap(), first, "from memory");
    assert_eq!(api.seen().len(), 1);

    world.pull(&image).await.unwrap();
    assert_eq!(api.seen().len(), 2, "refused once, fetched once more");
    world.pull(&image).await.unwrap();
    assert_eq!(api.seen().len(), 2, "and kept");
    let target = "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken";
    assert!(api.seen().iter().all(|request| request.header("x-amz-target") == Some(target)));
}
