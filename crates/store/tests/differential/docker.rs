//! A real dockerd in namespaces of its own, spoken to over its socket; its folders are gone with it.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Ends with its standard input: also when this process is killed.
const STAGE: &str = r#"
    mount -t tmpfs run /run
    ip link set lo up
    cd "$1"
    dockerd --host "unix://$1/docker.sock" --data-root "$1/data" --exec-root "$1/exec" --pidfile "$1/docker.pid" \
        --bridge none --iptables=false --ip6tables=false --storage-driver overlay2 < /dev/null > dockerd.log 2>&1 &
    read -r _
    kill $!
    wait $!
"#;

pub struct Docker {
    process: Child,
    home: tempfile::TempDir,
}

impl Docker {
    /// `None` where it isn't installed or can't run, which is said.
    pub fn start() -> Option<Docker> {
        let installed = |program: &str| {
            ["/usr/sbin", "/usr/bin"].iter().any(|folder| Path::new(folder).join(program).exists())
        };
        if !installed("dockerd") || !installed("containerd") {
            eprintln!("skipped: needs Debian's docker.io");
            return None;
        }
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: dockerd needs root");
            return None;
        }
        let home = tempfile::Builder::new().prefix("naru-docker-").tempdir().unwrap();
        let process = Command::new("unshare")
            .args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"])
            .args(["--propagation", "private", "sh", "-c", STAGE, "sh"])
            .arg(home.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut docker = Docker { process, home };
        let deadline = Instant::now() + Duration::from_secs(60);
        while !docker.ping() {
            let ended = docker.process.try_wait().unwrap().is_some();
            assert!(!ended && Instant::now() < deadline, "dockerd does not come up: {}", docker.log());
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(docker)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.home.path().join("dockerd.log")).unwrap_or_default()
    }

    fn ping(&self) -> bool {
        UnixStream::connect(self.home.path().join("docker.sock")).is_ok()
            && self.ask("GET", "/_ping", b"").0 == 200
    }

    /// Status and body. HTTP 1.0: the body ends with the connection.
    fn ask(&self, method: &str, path: &str, body: &[u8]) -> (u16, String) {
        let mut stream = UnixStream::connect(self.home.path().join("docker.sock")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.0\r\nHost: docker\r\nContent-Type: application/x-tar\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        // It may answer, and stop reading, before it has all.
        let _ = stream.write_all(body);
        let mut answer = Vec::new();
        stream
            .read_to_end(&mut answer)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}: {}", self.log()));
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        (status, body.to_owned())
    }

    /// Loads a `docker save` archive; the layer folders of the image, top-most first, or what dockerd had against it.
    pub fn load(&self, archive: &[u8], name: &str) -> Result<Vec<PathBuf>, String> {
        let (status, body) = self.ask("POST", "/v1.41/images/load?quiet=1", archive);
        if status != 200 || body.contains("\"error\"") {
            return Err(format!("{status} {}", body.trim()));
        }
        let (status, body) = self.ask("GET", &format!("/v1.41/images/{name}/json"), b"");
        assert_eq!(status, 200, "{body}");
        let image: serde_json::Value = serde_json::from_str(&body).unwrap();
        let data = &image["GraphDriver"]["Data"];
        let folders = |key: &str| data[key].as_str().unwrap_or_default().split(':').map(PathBuf::from);
        Ok(folders("UpperDir").chain(folders("LowerDir")).filter(|path| path.is_absolute()).collect())
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}
