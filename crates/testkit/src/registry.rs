//! Debian's `docker-registry` (distribution 2.8) with storage in a temporary folder.
//!
//! ```no_run
//! let registry = testkit::Registry::builder().htpasswd("me", "secret").start();
//! println!("{}/library/app", registry.host());
//! ```

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::{Issued, TokenServer};

/// A running registry; stopped and removed when dropped.
pub struct Registry {
    process: Child,
    folder: TempDir,
    address: SocketAddr,
}

/// What kind of registry.
#[derive(Default)]
pub struct RegistryBuilder {
    tls: Option<(String, String)>,
    client_ca: Option<String>,
    htpasswd: Vec<(String, String)>,
    token: Option<(String, String, String, String)>,
    upstream: Option<String>,
}

impl RegistryBuilder {
    /// HTTPS with this certificate.
    pub fn tls(mut self, server: &Issued) -> Self {
        self.tls = Some((server.certificate.clone(), server.key.clone()));
        self
    }

    /// Demands a client certificate of this authority (PEM).
    pub fn client_ca(mut self, ca: &str) -> Self {
        self.client_ca = Some(ca.to_owned());
        self
    }

    /// Basic authentication; may be called for several users.
    pub fn htpasswd(mut self, user: &str, password: &str) -> Self {
        self.htpasswd.push((user.to_owned(), password.to_owned()));
        self
    }

    /// Bearer tokens from this server.
    pub fn token(mut self, server: &TokenServer) -> Self {
        self.token = Some((server.realm(), server.service(), server.issuer(), server.root_certificate()));
        self
    }

    /// A pull-through cache of another registry (plain HTTP).
    pub fn cache_of(mut self, upstream: &str) -> Self {
        self.upstream = Some(format!("http://{upstream}"));
        self
    }

    /// Starts it and waits until it listens.
    pub fn start(self) -> Registry {
        let folder = tempfile::tempdir().expect("make a temporary folder");
        let config = folder.path().join("config.yml");
        std::fs::write(&config, self.config(&folder)).expect("write the registry's configuration");
        // The shell ends the registry when the pipe closes: also when this process is killed.
        let script = "docker-registry serve \"$1\" 2>&1 </dev/null & pid=$!; exec >/dev/null 2>&1; read -r _; kill -9 $pid";
        let mut process = Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(&config)
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("start docker-registry (package docker-registry)");
        let log = process.stdout.take().expect("the registry's log");
        let mut log = BufReader::new(log);
        let mut said = String::new();
        let address = loop {
            let mut line = String::new();
            let length = log.read_line(&mut line).expect("read the registry's log");
            assert!(length > 0, "docker-registry ended: {said}");
            if let Some(address) = listening_on(&line) {
                break address;
            }
            said.push_str(&line);
        };
        // Somebody has to read on, or the registry blocks on a full pipe.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Registry { process, folder, address }
    }

    fn config(&self, folder: &TempDir) -> String {
        let write = |name: &str, text: &str| -> PathBuf {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("write a file of the registry");
            path
        };
        let storage = folder.path().join("storage");
        let mut config = format!(
            "version: 0.1\nlog: {{level: info, formatter: text, accesslog: {{disabled: true}}}}\n\
             storage:\n  filesystem: {{rootdirectory: {}}}\n  delete: {{enabled: true}}\n\
             http:\n  addr: 127.0.0.1:0\n  secret: test\n",
            storage.display()
        );
        if let Some((certificate, key)) = &self.tls {
            let (certificate, key) = (write("server.crt", certificate), write("server.key", key));
            config.push_str(&format!(
                "  tls:\n    certificate: {}\n    key: {}\n",
                certificate.display(),
                key.display()
            ));
            if let Some(ca) = &self.client_ca {
                config.push_str(&format!("    clientcas: [{}]\n", write("client-ca.crt", ca).display()));
            }
        }
        if !self.htpasswd.is_empty() {
            let lines: Vec<String> =
                self.htpasswd.iter().map(|(user, password)| bcrypt(user, password)).collect();
            let path = write("htpasswd", &lines.concat());
            config.push_str(&format!("auth:\n  htpasswd: {{realm: test, path: {}}}\n", path.display()));
        }
        if let Some(upstream) = &self.upstream {
            config.push_str(&format!("proxy: {{remoteurl: \"{upstream}\"}}\n"));
        }
        if let Some((realm, service, issuer, root)) = &self.token {
            let path = write("token-root.crt", root);
            config.push_str(&format!(
                "auth:\n  token: {{realm: \"{realm}\", service: \"{service}\", issuer: \"{issuer}\", rootcertbundle: {}}}\n",
                path.display()
            ));
        }
        config
    }
}

/// `… msg="listening on 127.0.0.1:41871, tls" …`
fn listening_on(line: &str) -> Option<SocketAddr> {
    let rest = line.split("listening on ").nth(1)?;
    let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ':')).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

fn bcrypt(user: &str, password: &str) -> String {
    let output = Command::new("htpasswd")
        .args(["-nbB", "-C", "4", user, password])
        .output()
        .expect("run htpasswd (package apache2-utils)");
    String::from_utf8_lossy(&output.stdout).trim().to_owned() + "\n"
}

impl Registry {
    /// A plain one: HTTP, no authentication.
    pub fn start() -> Registry {
        Registry::builder().start()
    }

    /// One with options.
    pub fn builder() -> RegistryBuilder {
        RegistryBuilder::default()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `127.0.0.1:<port>`, for references.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Its storage, for tests that damage it.
    pub fn storage(&self) -> PathBuf {
        self.folder.path().join("storage/docker/registry/v2")
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}
