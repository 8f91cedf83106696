//! A registry behind a network that fails as told.
//!
//! Every request is forwarded to the registry on a connection of its own, unless a fault stands in its way:
//!
//! ```no_run
//! # let registry = testkit::Registry::start();
//! let proxy = testkit::Proxy::start(registry.address());
//! proxy.fault(testkit::When::blobs().times(2), testkit::Fault::Cut { after: 1000 });
//! ```

use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};

use crate::http::{Seen, Server, answer, read_body, read_head, read_request};

/// What goes wrong.
#[derive(Debug, Clone)]
pub enum Fault {
    /// The connection ends after so many bytes of the answer's body.
    Cut {
        /// Bytes that still arrive.
        after: u64,
    },
    /// One byte of the answer's body is another one.
    Corrupt {
        /// Which byte of what is sent.
        at: u64,
    },
    /// The body ends early, but as if that were all of it.
    Truncate {
        /// Bytes that arrive.
        to: u64,
    },
    /// Another answer.
    Status {
        /// Status code.
        code: u16,
        /// Headers.
        headers: Vec<(String, String)>,
        /// Body.
        body: String,
    },
    /// `307` to the same path and query at another base URL.
    Redirect {
        /// `http://127.0.0.1:1234`.
        base: String,
    },
    /// The registry never sees the Range header, and answers with all of it.
    IgnoreRange,
    /// The registry sees another path.
    OtherPath {
        /// Path and query.
        target: String,
    },
    /// One header of the answer is replaced.
    Header {
        /// Lower-case name.
        name: String,
        /// New value.
        value: String,
    },
    /// The request's body arrives only up to here, then the connection ends.
    CutUpload {
        /// Bytes that the registry gets.
        after: u64,
    },
    /// The answer's body stops coming after so many bytes, and the connection stays open.
    Stall {
        /// Bytes that still arrive.
        after: u64,
    },
}

/// Which requests, and how many of them.
#[derive(Debug, Clone)]
pub struct When {
    method: Option<String>,
    part: String,
    left: u32,
    /// Only requests with more bytes of body.
    longer_than: Option<u64>,
}

impl When {
    /// Requests whose target contains `part`.
    pub fn path(part: &str) -> Self {
        When { method: None, part: part.to_owned(), left: u32::MAX, longer_than: None }
    }

    /// Downloads of blobs.
    pub fn blobs() -> Self {
        When::path("/blobs/sha256:").method("GET")
    }

    /// Manifests.
    pub fn manifests() -> Self {
        When::path("/manifests/")
    }

    /// Only this method.
    pub fn method(mut self, method: &str) -> Self {
        self.method = Some(method.to_owned());
        self
    }

    /// Only requests with more than so many bytes of body.
    pub fn longer_than(mut self, bytes: u64) -> Self {
        self.longer_than = Some(bytes);
        self
    }

    /// Only the next so many.
    pub fn times(mut self, times: u32) -> Self {
        self.left = times;
        self
    }

    fn matches(&self, request: &Seen) -> bool {
        self.left > 0
            && self.method.as_ref().is_none_or(|method| *method == request.method)
            && request.target.contains(&self.part)
            && self.longer_than.is_none_or(|limit| request.length() > limit)
    }
}

/// The proxy; stops when dropped.
pub struct Proxy {
    server: Server,
    state: Arc<State>,
}

struct State {
    upstream: SocketAddr,
    faults: Mutex<Vec<(When, Fault)>>,
    seen: Mutex<Vec<Seen>>,
    sent: Mutex<u64>,
}

impl Proxy {
    /// In front of `upstream` (plain HTTP).
    pub fn start(upstream: SocketAddr) -> Self {
        let state = Arc::new(State {
            upstream,
            faults: Mutex::default(),
            seen: Mutex::default(),
            sent: Mutex::default(),
        });
        let shared = state.clone();
        Proxy { server: Server::start(move |stream| shared.serve(stream)), state }
    }

    /// Adds a fault; the first that matches a request and is not used up counts.
    pub fn fault(&self, when: When, fault: Fault) {
        self.state.faults.lock().expect("no server thread panicked").push((when, fault));
    }

    /// The network is well again.
    pub fn heal(&self) {
        self.state.faults.lock().expect("no server thread panicked").clear();
    }

    /// Every request so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().expect("no server thread panicked").clone()
    }

    /// Requests whose method (empty: any) and target match.
    pub fn count(&self, method: &str, part: &str) -> usize {
        self.seen()
            .iter()
            .filter(|request| {
                (method.is_empty() || request.method == method) && request.target.contains(part)
            })
            .count()
    }

    /// Bytes of bodies sent to clients.
    pub fn sent(&self) -> u64 {
        *self.state.sent.lock().expect("no server thread panicked")
    }

    /// `127.0.0.1:<port>`, for references.
    pub fn host(&self) -> String {
        self.server.address.to_string()
    }

    /// `http://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }
}

impl State {
    fn take_fault(&self, request: &Seen) -> Option<Fault> {
        let mut faults = self.faults.lock().expect("no server thread panicked");
        let (when, fault) = faults.iter_mut().find(|(when, _)| when.matches(request))?;
        when.left -= 1;
        Some(fault.clone())
    }

    fn serve(&self, mut client: TcpStream) -> io::Result<()> {
        let mut reader = BufReader::new(client.try_clone()?);
        let Some(mut request) = read_request(&mut reader)? else { return Ok(()) };
        self.seen.lock().expect("no server thread panicked").push(request.clone());
        let fault = self.take_fault(&request);
        match &fault {
            Some(Fault::Status { code, headers, body }) => {
                read_body(&mut reader, &request.headers)?;
                let headers: Vec<(&str, &str)> =
                    headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                return answer(&mut client, *code, &headers, body.as_bytes());
            }
            Some(Fault::Redirect { base }) => {
                let location = format!("{base}{}", request.target);
                return answer(&mut client, 307, &[("location", &location)], b"");
            }
            Some(Fault::IgnoreRange) => request.headers.retain(|(name, _)| name != "range"),
            Some(Fault::OtherPath { target }) => request.target.clone_from(target),
            _ => {}
        }
        let mut upstream = TcpStream::connect(self.upstream)?;
        request.headers.retain(|(name, _)| name != "connection");
        let mut head = format!("{} {} HTTP/1.1\r\nconnection: close\r\n", request.method, request.target);
        for (name, value) in &request.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        upstream.write_all(head.as_bytes())?;
        let length = request.length();
        let passed = match fault {
            Some(Fault::CutUpload { after }) => length.min(after),
            _ => length,
        };
        io::copy(&mut reader.by_ref().take(passed), &mut upstream)?;
        if passed < length {
            return Ok(());
        }
        self.pass_answer(&request, upstream, client, fault)
    }

    fn pass_answer(
        &self,
        request: &Seen,
        upstream: TcpStream,
        mut client: TcpStream,
        fault: Option<Fault>,
    ) -> io::Result<()> {
        let mut upstream = BufReader::new(upstream);
        let Some((status, mut headers)) = read_head(&mut upstream)? else { return Ok(()) };
        if let Some(Fault::Header { name, value }) = &fault {
            headers.retain(|(key, _)| key != name);
            headers.push((name.clone(), value.clone()));
        }
        if let Some(Fault::Truncate { to }) = &fault {
            headers.retain(|(key, _)| key != "content-length");
            headers.push(("content-length".to_owned(), to.to_string()));
        }
        let mut head = format!("{status}\r\n");
        for (name, value) in headers.iter().filter(|(name, _)| name != "connection") {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("connection: close\r\n\r\n");
        client.write_all(head.as_bytes())?;
        if request.method == "HEAD" {
            return Ok(());
        }
        let mut at = 0u64;
        let mut buffer = vec![0; 16 << 10];
        loop {
            let length = upstream.read(&mut buffer)?;
            if length == 0 {
                return Ok(());
            }
            let piece = &mut buffer[..length];
            let end = at + length as u64;
            let limit = match fault {
                Some(Fault::Cut { after } | Fault::Stall { after }) => after,
                Some(Fault::Truncate { to }) => to,
                _ => u64::MAX,
            };
            if let Some(Fault::Corrupt { at: bad }) = fault
                && (at..end).contains(&bad)
            {
                piece[(bad - at) as usize] ^= 0x55;
            }
            let kept = usize::try_from(limit.saturating_sub(at)).unwrap_or(length).min(length);
            client.write_all(&piece[..kept])?;
            *self.sent.lock().expect("no server thread panicked") += kept as u64;
            if kept < length {
                if let Some(Fault::Stall { .. }) = fault {
                    // Until the client has had enough.
                    let _ = client.read(&mut [0]);
                }
                return Ok(());
            }
            at = end;
        }
    }
}
