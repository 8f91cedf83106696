//! Registries from the user's side: who is asked for credentials, the command line or the engine. Registry and AWS run inside the
//! world, under Amazon's names. Needs docker-registry, apache2-utils, and moto's server for Amazon ECR.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use crate::world::{World, ran, run};

const ECR: &str = "123456789012.dkr.ecr.eu-west-1.amazonaws.com:5000";
const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "secret")];

/// A server inside the world; ends with the test.
struct Server(Child);

impl Server {
    /// Starts it and waits for a line with `sign`.
    fn start(mut command: Command, sign: &str) -> Server {
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("start a server");
        let mut server = Server(child);
        let mut log = BufReader::new(server.0.stderr.take().expect("piped"));
        let (mut line, mut said) = (String::new(), String::new());
        while !line.contains(sign) {
            line.clear();
            assert!(log.read_line(&mut line).expect("read the log") > 0, "the server ended: {said}");
            said.push_str(&line);
        }
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Debian's registry on a port, for one user or for everybody.
fn registry(world: &World, port: u16, user: Option<(&str, &str)>) -> Server {
    let own = |name: &str| world.path(&format!("{name}-{port}"));
    let mut config = format!(
        "version: 0.1\nstorage:\n  filesystem: {{rootdirectory: {}}}\nhttp:\n  addr: 127.0.0.1:{port}\n  secret: x\n",
        own("registry").display()
    );
    if let Some((user, password)) = user {
        let htpasswd = Command::new("htpasswd").args(["-nbB", "-C", "4", user, password]).output().unwrap();
        std::fs::write(own("htpasswd"), htpasswd.stdout).unwrap();
        config
            .push_str(&format!("auth:\n  htpasswd: {{realm: test, path: {}}}\n", own("htpasswd").display()));
    }
    std::fs::write(own("registry.yml"), config).unwrap();
    let mut command = world.command("docker-registry");
    command.arg("serve").arg(own("registry.yml")).env("OTEL_TRACES_EXPORTER", "none");
    Server::start(command, "listening on")
}

#[test]
fn amazon_ecr_by_the_users_keys_and_by_the_engines() {
    let found =
        Command::new("moto_server").arg("--help").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !found.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: no moto_server here (pip install 'moto[server]')");
        return;
    }
    let world = World::empty();
    let mut moto = world.command("moto_server");
    moto.args(["-H", "127.0.0.1", "-p", "5001"]).env("PYTHONUNBUFFERED", "1");
    let _moto = Server::start(moto, "Running on");
    let _registry = registry(&world, 5000, Some(("AWS", "123456789012-auth-token")));
    let hosts = world.path("hosts");
    std::fs::write(&hosts, format!("127.0.0.1 localhost {}\n", ECR.replace(":5000", ""))).unwrap();
    run(world.command("mount").arg("--bind").arg(&hosts).arg("/etc/hosts")).ok();

    let settle = |mut command: Command| {
        command.env("HOME", world.path("home")).env("NARU_INSECURE_REGISTRY", ECR);
        command.env("AWS_ENDPOINT_URL", "http://127.0.0.1:5001").env("AWS_EC2_METADATA_DISABLED", "true");
        command
    };
    let naru = || settle(world.naru_command());
    let archive = crate::world::busybox_archive();
    run(naru().args(["load", "-q", "-i"]).arg(archive)).ok();
    let image = format!("{ECR}/app:1");
    run(naru().args(["tag", "busybox", &image])).ok();

    run(naru().args(["push", "-q", &image])).fails(1, "no basic auth credentials");
    run(naru().args(["push", "-q", &image]).envs(KEYS)).ok();
    run(naru().args(["rmi", &image])).ok();
    run(naru().args(["pull", "-q", &image]).envs(KEYS)).ok();
    run(naru().args(["pull", &image]).env("AWS_PROFILE", "gone"))
        .fails(1, "AWS profile \"gone\": not in the shared config and credentials files");

    // A login goes before the keys, also a wrong one.
    let wrong = r#"{"auths":{"HOST":{"auth":"QVdTOndyb25n"}}}"#.replace("HOST", ECR);
    run(naru().args(["pull", &image]).env("DOCKER_AUTH_CONFIG", wrong).envs(KEYS))
        .fails(1, "unauthorized: authentication required");

    // The stock client knows nothing of AWS: then the engine looks, at home and not at what its first command had.
    let docker = || settle(world.docker_command());
    run(docker().args(["pull", "-q", &image]).envs(KEYS)).fails(1, "no basic auth credentials");
    std::fs::create_dir_all(world.path("home/.aws")).unwrap();
    let file = "[default]\naws_access_key_id = AKID\naws_secret_access_key = secret\n";
    std::fs::write(world.path("home/.aws/credentials"), file).unwrap();
    run(docker().args(["pull", "-q", &image])).ok();
}

#[test]
fn a_login_serves_both_clients_until_the_logout() {
    let world = World::new();
    let _registry = registry(&world, 5000, Some(("me", "secret")));
    let host = "127.0.0.1:5000";
    let login = |password: &str| {
        let mut command = world.naru_command();
        command.args(["login", "-u", "me", "--password-stdin", host]).stdin(Stdio::piped());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(format!("{password}\n").as_bytes()).unwrap();
        ran(child.wait_with_output().unwrap())
    };
    login("wrong")
        .fails(1, "login attempt to http://127.0.0.1:5000/v2/ failed with status: 401 Unauthorized");
    let config = world.path("docker-config/config.json");
    assert!(!std::fs::read_to_string(&config).unwrap_or_default().contains(host), "nothing is kept");
    assert!(login("secret").ok().contains("Login Succeeded"));
    let kept = std::fs::read_to_string(&config).unwrap();
    assert!(kept.contains("bWU6c2VjcmV0") && !kept.contains("secret\""), "{kept}");

    let image = format!("{host}/app:1");
    world.naru(["tag", "busybox", &image]).ok();
    world.naru(["push", "-q", &image]).ok();
    world.naru(["rmi", &image]).ok();
    world.docker(["pull", "-q", &image]).ok();
    assert_eq!(world.naru(["logout", host]).line(), format!("Removing login credentials for {host}"));
    world.naru(["pull", "-q", &image]).fails(1, "no basic auth credentials");
}

#[test]
fn an_operators_registries_conf_moves_docker_hub() {
    let world = World::empty();
    let _registry = registry(&world, 5002, None);
    let conf = world.path("registries.conf");
    let naru = || {
        let mut command = world.naru_command();
        command.env("CONTAINERS_REGISTRIES_CONF", &conf);
        command
    };
    let archive = crate::world::busybox_archive();
    run(naru().args(["load", "-q", "-i"]).arg(archive)).ok();
    run(naru().args(["tag", "busybox", "127.0.0.1:5002/hub/library/tool:1"])).ok();
    run(naru().args(["push", "-q", "127.0.0.1:5002/hub/library/tool:1"])).ok();
    // The file is read by the engine that runs already.
    let text = "[[registry]]\nprefix = 'docker.io'\nlocation = '127.0.0.1:5002/hub'\n\
                [[registry]]\nlocation = 'blocked.example'\nblocked = true\n";
    std::fs::write(&conf, text).unwrap();
    let pulled = run(naru().args(["run", "--rm", "--network", "none", "tool:1", "echo", "moved"]));
    assert!(pulled.ok().ends_with("moved\n"));
    let names = run(naru().args(["images", "--format", "{{.Repository}}:{{.Tag}}"])).ok();
    assert!(names.lines().any(|name| name == "tool:1"), "{names}");
    run(naru().args(["pull", "blocked.example/x"]))
        .fails(1, "registry blocked.example is blocked in registries.conf");
}

#[test]
fn what_only_a_mirror_has_is_copied_and_looked_at_with_the_login_for_the_mirror() {
    let world = World::empty();
    let mirror = "127.0.0.1:5002";
    let _registry = registry(&world, 5002, Some(("me", "secret")));
    let conf = world.path("registries.conf");
    let naru =
        |words: &[&str]| run(world.naru_command().args(words).env("CONTAINERS_REGISTRIES_CONF", &conf));
    naru(&["load", "-q", "-i", crate::world::busybox_archive().to_str().expect("UTF-8")]).ok();
    naru(&["login", "-u", "me", "-p", "secret", mirror]).ok();
    let there = format!("{mirror}/cache/team/app:1");
    naru(&["tag", "busybox", &there]).ok();
    naru(&["push", "-q", &there]).ok();
    let text = format!(
        "[[registry]]\nlocation = 'upstream.invalid'\n[[registry.mirror]]\nlocation = '127.0.0.1:1'\n\
         [[registry.mirror]]\nlocation = '{mirror}/cache'\n"
    );
    std::fs::write(&conf, text).unwrap();

    let name = "upstream.invalid/team/app:1";
    let manifest = naru(&["manifest", "inspect", name]).ok();
    assert_eq!(manifest, naru(&["manifest", "inspect", &there]).ok());
    naru(&["manifest", "create", "upstream.invalid/team/list:1", name]).ok();
    let layout = format!("oci:{}:latest", world.path("copied").display());
    naru(&["image", "copy", name, &layout]).ok();
    naru(&["logout", mirror]).ok();
    assert_ne!(naru(&["manifest", "inspect", name]).code, 0, "without a login nobody gives it");
}
