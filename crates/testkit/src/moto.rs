//! AWS on this machine: moto's server (`pip install 'moto[server]'`), with users and roles, and signatures checked if wanted.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use crate::http::request;

/// The account that everything belongs to.
const ACCOUNT: &str = "123456789012";
const ALLOW_ALL: &str =
    "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"*\"}]}";

/// A running server; stopped when dropped.
pub struct Moto {
    process: Child,
    address: SocketAddr,
}

impl Moto {
    /// `None`, said aloud, where no `moto_server` is installed.
    pub fn start() -> Option<Moto> {
        // The shell ends the server when the pipe closes: also when this process is killed.
        let script = "moto_server -H 127.0.0.1 -p 0 2>&1 </dev/null & pid=$!; exec >/dev/null 2>&1; read -r _; kill -9 $pid";
        if !Command::new("moto_server")
            .arg("--help")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
        {
            eprintln!("SKIPPED: no moto_server here (pip install 'moto[server]')");
            return None;
        }
        let mut process = Command::new("sh")
            .args(["-c", script])
            .env("PYTHONUNBUFFERED", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("start a shell");
        let mut log = BufReader::new(process.stdout.take().expect("the server's log"));
        let mut said = String::new();
        let address = loop {
            let mut line = String::new();
            let length = log.read_line(&mut line).expect("read the server's log");
            assert!(length > 0, "moto_server ended: {said}");
            said.push_str(&line);
            let found = line.split("Running on http://").nth(1).map(str::trim);
            if let Some(address) = found.and_then(|address| address.parse().ok()) {
                break address;
            }
        };
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Some(Moto { process, address })
    }

    /// For `AWS_ENDPOINT_URL`, and the instance metadata service too.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The password that `GetAuthorizationToken` gives to the user `AWS`.
    pub fn password(&self) -> String {
        format!("{ACCOUNT}-auth-token")
    }

    /// The account's registry in a region.
    pub fn registry(&self, region: &str) -> String {
        format!("{ACCOUNT}.dkr.ecr.{region}.amazonaws.com")
    }

    /// A user who may do everything: access key and secret.
    pub fn user(&self, name: &str) -> (String, String) {
        self.iam(&format!("Action=CreateUser&UserName={name}"));
        self.iam(&format!(
            "Action=PutUserPolicy&UserName={name}&PolicyName=all&PolicyDocument={}",
            encode(ALLOW_ALL)
        ));
        let answer = self.iam(&format!("Action=CreateAccessKey&UserName={name}"));
        (element(&answer, "AccessKeyId"), element(&answer, "SecretAccessKey"))
    }

    /// A role that may do everything: its ARN.
    pub fn role(&self, name: &str) -> String {
        self.iam(&format!(
            "Action=CreateRole&RoleName={name}&AssumeRolePolicyDocument={}",
            encode(ALLOW_ALL)
        ));
        self.iam(&format!(
            "Action=PutRolePolicy&RoleName={name}&PolicyName=all&PolicyDocument={}",
            encode(ALLOW_ALL)
        ));
        format!("arn:aws:iam::{ACCOUNT}:role/{name}")
    }

    /// From now on every request needs a signature that is right.
    pub fn check_signatures(&self) {
        let done = request(self.address, "POST", "/moto-api/reset-auth", &[], b"0").expect("talk to moto");
        assert_eq!(done.0, 200);
    }

    fn iam(&self, form: &str) -> String {
        let scope = "AWS4-HMAC-SHA256 Credential=setup/20200101/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=0";
        let headers = [("authorization", scope), ("content-type", "application/x-www-form-urlencoded")];
        let form = format!("{form}&Version=2010-05-08");
        let (status, _, body) =
            request(self.address, "POST", "/", &headers, form.as_bytes()).expect("talk to moto");
        let text = String::from_utf8_lossy(&body).into_owned();
        assert_eq!(status, 200, "{text}");
        text
    }
}

fn encode(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn element(xml: &str, name: &str) -> String {
    let start = xml.split_once(&format!("<{name}>")).unwrap_or_else(|| panic!("no {name} in {xml}")).1;
    start.split('<').next().unwrap_or_default().to_owned()
}

impl Drop for Moto {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}
