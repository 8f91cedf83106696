//! A connection to systemd over the message bus. One question at a time; signals that arrive meanwhile are kept.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use super::wire::{self, Call, FIXED, Garbled, Message, Reader, Writer};

/// As libdbus waits for an answer.
const PATIENCE: Duration = Duration::from_secs(25);

const BUS: &str = "org.freedesktop.DBus";
const SYSTEMD: &str = "org.freedesktop.systemd1";

/// See the module.
pub struct Connection {
    stream: UnixStream,
    serial: u32,
    signals: Vec<Message>,
}

/// What went wrong with a question.
#[derive(Debug)]
pub enum Failure {
    /// The connection.
    Io(io::Error),
    /// The answer is an error: its name, and what it says.
    Refused(String, String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Garbled> for Failure {
    fn from(_: Garbled) -> Self {
        Self::Io(io::Error::new(io::ErrorKind::InvalidData, "the answer makes no sense"))
    }
}

impl Connection {
    /// Connects and introduces us.
    pub fn open(socket: &Path) -> Result<Self, Failure> {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        // Who we are the other side sees by the socket: so it is right in a user namespace too.
        stream.write_all(b"\0AUTH EXTERNAL\r\nDATA\r\n")?;
        let mut line = read_line(&mut stream)?;
        if line == "DATA" {
            line = read_line(&mut stream)?;
        }
        if !line.starts_with("OK") {
            return Err(Failure::Refused("org.freedesktop.DBus.Error.AuthFailed".into(), line));
        }
        stream.write_all(b"BEGIN\r\n")?;
        let mut connection = Self { stream, serial: 0, signals: Vec::new() };
        connection.ask_bus("Hello", "", Writer::default())?;
        Ok(connection)
    }

    fn ask_bus(&mut self, member: &str, signature: &str, body: Writer) -> Result<Message, Failure> {
        self.ask(&Call {
            destination: BUS,
            path: "/org/freedesktop/DBus",
            interface: BUS,
            member,
            signature,
            body,
        })
    }

    /// Asks for the signals of systemd's manager to be sent to us.
    pub fn listen(&mut self) -> Result<(), Failure> {
        let mut rule = Writer::default();
        rule.text(&format!(
            "type='signal',sender='{SYSTEMD}',interface='{SYSTEMD}.Manager',member='JobRemoved'"
        ));
        self.ask_bus("AddMatch", "s", rule)?;
        self.manager("Subscribe", "", Writer::default()).map(drop)
    }

    /// Calls a method of systemd's manager.
    pub fn manager(&mut self, member: &str, signature: &str, body: Writer) -> Result<Message, Failure> {
        self.systemd("/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", member, signature, body)
    }

    /// A property of a unit that is a text.
    pub fn property(&mut self, path: &str, interface: &str, name: &str) -> Result<String, Failure> {
        let mut body = Writer::default();
        body.text(interface).text(name);
        let answer = self.systemd(path, "org.freedesktop.DBus.Properties", "Get", "ss", body)?;
        Ok(Reader::new(&answer.body).text_in_variant()?)
    }

    fn systemd(
        &mut self,
        path: &str,
        interface: &str,
        member: &str,
        signature: &str,
        body: Writer,
    ) -> Result<Message, Failure> {
        self.ask(&Call { destination: SYSTEMD, path, interface, member, signature, body })
    }

    fn ask(&mut self, call: &Call<'_>) -> Result<Message, Failure> {
        self.serial += 1;
        self.stream.write_all(&call.message(self.serial))?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let message = self.receive(deadline)?;
            match message.kind {
                wire::ANSWER if message.answers == Some(self.serial) => return Ok(message),
                wire::ERROR if message.answers == Some(self.serial) => {
                    let said = Reader::new(&message.body).text().unwrap_or_default();
                    return Err(Failure::Refused(message.error.unwrap_or_default(), said));
                }
                wire::SIGNAL => self.signals.push(message),
                _ => {}
            }
        }
    }

    /// Waits until the job with this path is done; its result.
    pub fn job(&mut self, path: &str) -> Result<String, Failure> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            for signal in std::mem::take(&mut self.signals) {
                if signal.member.as_deref() == Some("JobRemoved")
                    && let Ok((removed, result)) = job_removed(&signal.body)
                    && removed == path
                {
                    return Ok(result);
                }
            }
            let message = self.receive(deadline)?;
            if message.kind == wire::SIGNAL {
                self.signals.push(message);
            }
        }
    }

    fn receive(&mut self, deadline: Instant) -> Result<Message, Failure> {
        if Instant::now() >= deadline {
            return Err(io::Error::from(io::ErrorKind::TimedOut).into());
        }
        let mut fixed = [0; FIXED];
        self.stream.read_exact(&mut fixed)?;
        let (header, body) = wire::lengths(&fixed)?;
        let mut bytes = fixed.to_vec();
        bytes.resize(header + body, 0);
        self.stream.read_exact(&mut bytes[FIXED..])?;
        let body = bytes.split_off(header);
        Ok(Message::read(&bytes, body)?)
    }
}

/// `uoss`: number, job, unit, result.
fn job_removed(body: &[u8]) -> Result<(String, String), Garbled> {
    let mut reader = Reader::new(body);
    reader.number()?;
    let job = reader.text()?;
    reader.text()?;
    Ok((job, reader.text()?))
}

/// A line of the handshake, which ends before messages begin: byte by byte, so that none of theirs is taken.
fn read_line(stream: &mut UnixStream) -> io::Result<String> {
    let mut line = Vec::new();
    let mut byte = [0];
    while !line.ends_with(b"\r\n") {
        stream.read_exact(&mut byte)?;
        line.extend(byte);
        if line.len() > 1024 {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
}
