//! A token server as registries use them: GET with Basic, POST with OAuth2, JWTs signed with ES256.
//!
//! Format of the JWT: distribution `docs/spec/auth/jwt.md`; the signer's certificate travels in `x5c` and is issued by
//! [`TokenServer::root_certificate`], which the registry gets as `rootcertbundle`.

use std::io::{self, BufReader};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use serde_json::{Value, json};

use crate::http::{Seen, Server, answer, pairs, read_body, read_request};
use crate::{Ca, Issued};

const ISSUER: &str = "testkit";
const SERVICE: &str = "test-registry";

/// Somebody who may do everything; anybody else may pull from `public/…`.
#[derive(Debug, Clone)]
pub struct User {
    /// Name.
    pub name: String,
    /// Password.
    pub password: String,
    /// The refresh token that stands for this user.
    pub refresh_token: String,
}

/// The server; stops when dropped.
pub struct TokenServer {
    server: Server,
    state: Arc<State>,
}

struct State {
    ca: String,
    signer: Issued,
    users: Vec<User>,
    seen: Mutex<Vec<Seen>>,
    expires_in: Mutex<Option<i64>>,
    revoked: Mutex<bool>,
    only_get: Mutex<bool>,
}

impl TokenServer {
    /// Starts with one user; its refresh token is `refresh-<name>`.
    pub fn start(name: &str, password: &str) -> Self {
        let ca = Ca::new("token root");
        let user = User {
            name: name.to_owned(),
            password: password.to_owned(),
            refresh_token: format!("refresh-{name}"),
        };
        let state = Arc::new(State {
            signer: ca.client("token signer"),
            ca: ca.certificate(),
            users: vec![user],
            seen: Mutex::default(),
            expires_in: Mutex::new(Some(300)),
            revoked: Mutex::new(false),
            only_get: Mutex::new(false),
        });
        let shared = state.clone();
        TokenServer { server: Server::start(move |stream| shared.serve(stream)), state }
    }

    /// URL for `WWW-Authenticate: Bearer realm=`.
    pub fn realm(&self) -> String {
        format!("http://{}/token", self.server.address)
    }

    pub(crate) fn service(&self) -> String {
        SERVICE.to_owned()
    }

    pub(crate) fn issuer(&self) -> String {
        ISSUER.to_owned()
    }

    /// PEM for the registry's `rootcertbundle`.
    pub fn root_certificate(&self) -> String {
        self.state.ca.clone()
    }

    /// Every request so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().expect("no server thread panicked").clone()
    }

    /// What `expires_in` says from now on.
    pub fn set_expires_in(&self, seconds: Option<i64>) {
        *self.state.expires_in.lock().expect("no server thread panicked") = seconds;
    }

    /// While set, there is no OAuth2 part: POST is 405, and a refresh token is a password.
    pub fn set_only_get(&self, only_get: bool) {
        *self.state.only_get.lock().expect("no server thread panicked") = only_get;
    }

    /// While set, tokens are made that the registry refuses, as after a change of keys.
    pub fn set_revoked(&self, revoked: bool) {
        *self.state.revoked.lock().expect("no server thread panicked") = revoked;
    }
}

impl State {
    fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        let mut reader = BufReader::new(stream.try_clone()?);
        let Some(request) = read_request(&mut reader)? else { return Ok(()) };
        let body = read_body(&mut reader, &request.headers)?;
        self.seen.lock().expect("no server thread panicked").push(request.clone());
        let form = pairs(&String::from_utf8_lossy(&body));
        let field = |name: &str| form.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        let only_get = *self.only_get.lock().expect("no server thread panicked");
        let (user, scopes, offline) = match request.method.as_str() {
            "POST" if only_get => return refuse(&mut stream, 405, "method not allowed"),
            "POST" => {
                let user = match field("grant_type").as_deref() {
                    Some("refresh_token") => {
                        self.by_refresh_token(&field("refresh_token").unwrap_or_default())
                    }
                    Some("password") => self.by_password(
                        &field("username").unwrap_or_default(),
                        &field("password").unwrap_or_default(),
                    ),
                    _ => return refuse(&mut stream, 400, "unsupported grant type"),
                };
                let scopes = field("scope").unwrap_or_default().split(' ').map(str::to_owned).collect();
                match user {
                    Some(user) => (Some(user), scopes, field("access_type").as_deref() == Some("offline")),
                    None => return refuse(&mut stream, 401, "incorrect username or password"),
                }
            }
            _ => match request.header("authorization").map(|value| self.by_basic(value)) {
                Some(None) => return refuse(&mut stream, 401, "incorrect username or password"),
                user => {
                    let offline = request.query("offline_token") == ["true"];
                    (user.flatten(), request.query("scope"), offline)
                }
            },
        };
        let token = self.token(user, &scopes);
        let mut body = json!({ "token": token, "access_token": token });
        if let Some(seconds) = *self.expires_in.lock().expect("no server thread panicked") {
            body["expires_in"] = json!(seconds);
        }
        if let (Some(user), true) = (user, offline) {
            body["refresh_token"] = json!(user.refresh_token);
        }
        answer(&mut stream, 200, &[("content-type", "application/json")], body.to_string().as_bytes())
    }

    fn by_password(&self, name: &str, password: &str) -> Option<&User> {
        self.users.iter().find(|user| user.name == name && user.password == password)
    }

    fn by_refresh_token(&self, token: &str) -> Option<&User> {
        self.users.iter().find(|user| user.refresh_token == token)
    }

    fn by_basic(&self, header: &str) -> Option<&User> {
        let decoded = STANDARD.decode(header.strip_prefix("Basic ")?).ok()?;
        let decoded = String::from_utf8(decoded).ok()?;
        let (name, password) = decoded.split_once(':')?;
        self.by_password(name, password).or_else(|| self.by_refresh_token(password))
    }

    fn token(&self, user: Option<&User>, scopes: &[String]) -> String {
        let access: Vec<Value> = scopes.iter().filter_map(|scope| granted(user, scope)).collect();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        let header = json!({ "typ": "JWT", "alg": "ES256", "x5c": [STANDARD.encode(&self.signer.der)] });
        let revoked = *self.revoked.lock().expect("no server thread panicked");
        let claims = json!({
            "iss": if revoked { "somebody else" } else { ISSUER },
            "aud": SERVICE,
            "sub": user.map_or("", |user| user.name.as_str()),
            "nbf": now - 10,
            "iat": now - 10,
            "exp": now + 600,
            "jti": now.to_string(),
            "access": access,
        });
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let payload = format!("{}.{}", encode(&header), encode(&claims));
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &self.signer.key_der, &random)
            .expect("the signer's key is P-256");
        let signature = key.sign(&random, payload.as_bytes()).expect("sign a token");
        format!("{payload}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// `repository:public/app:pull,push` → what this caller gets of it.
fn granted(user: Option<&User>, scope: &str) -> Option<Value> {
    let (kind, rest) = scope.split_once(':')?;
    let (name, actions) = rest.rsplit_once(':')?;
    let allowed = |action: &&str| user.is_some() || (*action == "pull" && name.starts_with("public/"));
    let actions: Vec<&str> = actions.split(',').filter(allowed).collect();
    Some(json!({ "type": kind, "name": name, "actions": actions }))
}

fn refuse(stream: &mut TcpStream, status: u16, text: &str) -> io::Result<()> {
    let body = json!({ "details": text }).to_string();
    answer(stream, status, &[("content-type", "application/json")], body.as_bytes())
}
