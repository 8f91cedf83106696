//! One kept connection to an engine's socket, and requests over it: what is timed through it is the engine, not a client's start.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// See the module.
pub struct Connection(BufReader<UnixStream>);

impl Connection {
    pub fn open(socket: &Path) -> Result<Self> {
        let stream =
            UnixStream::connect(socket).with_context(|| format!("connect to {}", socket.display()))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Sends a request and reads its answer; an error status is an error.
    pub fn ask(&mut self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let body = self.send(method, path, body)?;
        Ok(serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    /// As [`Connection::ask`], for an answer that is not JSON.
    pub fn bytes(&mut self, method: &str, path: &str) -> Result<Vec<u8>> {
        self.send(method, path, None)
    }

    fn send(&mut self, method: &str, path: &str, body: Option<&Value>) -> Result<Vec<u8>> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: naru\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        self.0.get_mut().write_all(request.as_bytes())?;
        let (status, body) = self.answer().with_context(|| format!("{method} {path}"))?;
        ensure!(status < 400, "{method} {path}: {status}: {}", String::from_utf8_lossy(&body));
        Ok(body)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        ensure!(self.0.read_line(&mut line)? > 0, "the connection ended");
        Ok(line.trim_end().to_owned())
    }

    fn answer(&mut self) -> Result<(u16, Vec<u8>)> {
        let first = self.line()?;
        let status = first.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no status")?;
        let (mut length, mut chunked) = (0, false);
        loop {
            let header = self.line()?.to_ascii_lowercase();
            match header.split_once(':') {
                None => break,
                Some(("content-length", value)) => length = value.trim().parse()?,
                Some(("transfer-encoding", value)) => chunked = value.trim() == "chunked",
                Some(_) => {}
            }
        }
        let mut body = Vec::new();
        if !chunked {
            self.0.by_ref().take(length).read_to_end(&mut body)?;
            return Ok((status, body));
        }
        loop {
            let size = u64::from_str_radix(&self.line()?, 16)?;
            self.0.by_ref().take(size).read_to_end(&mut body)?;
            self.line()?;
            if size == 0 {
                return Ok((status, body));
            }
        }
    }
}
