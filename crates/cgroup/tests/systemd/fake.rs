//! A message bus with systemd's manager on it, as far as one client can see: it speaks the protocol (read here independently of
//! the product's code), remembers what it was asked, and makes no cgroups.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// See the module.
pub struct Fake {
    folder: tempfile::TempDir,
    state: Arc<Mutex<State>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
pub struct State {
    /// Method and raw arguments, in order.
    pub calls: Vec<(String, Vec<u8>)>,
    /// What it says about the scope's place.
    pub control_group: String,
    /// A unit of the name is there until it is stopped.
    pub taken: bool,
    /// What jobs end with.
    pub result: &'static str,
    /// Instead of all answers.
    pub garbage: Option<Vec<u8>>,
    is_over: bool,
}

impl Fake {
    pub fn new(control_group: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("bus")).unwrap();
        let state = State { control_group: control_group.to_owned(), result: "done", ..State::default() };
        let state = Arc::new(Mutex::new(state));
        let shared = state.clone();
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.lock().unwrap().is_over {
                    break;
                }
                // The client going away is its end.
                let _ = serve(stream.unwrap(), &shared);
            }
        });
        Self { folder, state, thread: Some(thread) }
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("bus")
    }

    pub fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
    }

    /// The methods called since the last time.
    pub fn take_calls(&self) -> Vec<(String, Vec<u8>)> {
        std::mem::take(&mut self.state.lock().unwrap().calls)
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.state.lock().unwrap().is_over = true;
        let _ = UnixStream::connect(self.socket());
        self.thread.take().unwrap().join().unwrap();
    }
}

fn serve(mut stream: UnixStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut hello = [0; 22];
    stream.read_exact(&mut hello)?;
    assert_eq!(&hello, b"\0AUTH EXTERNAL\r\nDATA\r\n");
    stream.write_all(b"DATA\r\nOK 0123456789abcdef0123456789abcdef\r\n")?;
    let mut begin = [0; 7];
    stream.read_exact(&mut begin)?;
    assert_eq!(&begin, b"BEGIN\r\n");
    loop {
        let mut fixed = [0; 16];
        stream.read_exact(&mut fixed)?;
        let number = |at: usize| u32::from_le_bytes(fixed[at..at + 4].try_into().unwrap());
        let (body, serial, fields) = (number(4), number(8), number(12));
        let mut rest = vec![0; (fields.next_multiple_of(8) + body) as usize];
        stream.read_exact(&mut rest)?;
        let body = rest.split_off(fields.next_multiple_of(8) as usize);
        // Field 3, of type s: the method.
        let at = rest.windows(4).position(|window| window == [3, 1, b's', 0]).unwrap() + 4;
        let length = rest[at] as usize;
        let member = String::from_utf8(rest[at + 4..at + 4 + length].to_vec()).unwrap();
        let mut state = state.lock().unwrap();
        if let Some(garbage) = &state.garbage {
            return stream.write_all(garbage);
        }
        for message in answers(&mut state, &member, serial) {
            stream.write_all(&message)?;
        }
        state.calls.push((member, body));
    }
}

fn answers(state: &mut State, member: &str, serial: u32) -> Vec<Vec<u8>> {
    let removed = |job: &str| {
        let mut body = 1_u32.to_le_bytes().to_vec();
        for part in [job, "the.scope", state.result] {
            text(&mut body, part);
        }
        // Before the answer: nobody promised an order.
        message(4, &[(3, b's', "JobRemoved")], "uoss", &body, None)
    };
    let answer = |signature: &str, value: &str| {
        let mut body = Vec::new();
        if signature == "v" {
            body.extend(b"\x01s\0\0");
        }
        text(&mut body, value);
        message(2, &[], signature, &body, Some(serial))
    };
    let error = |name: &str| {
        let mut body = Vec::new();
        text(&mut body, "so it is");
        message(3, &[(4, b's', name)], "s", &body, Some(serial))
    };
    match member {
        "StartTransientUnit" if state.taken => vec![error("org.freedesktop.systemd1.UnitExists")],
        "StartTransientUnit" => vec![removed("/job/1"), answer("o", "/job/1")],
        "StopUnit" if state.taken => {
            state.taken = false;
            vec![removed("/job/3"), answer("o", "/job/2"), removed("/job/2")]
        }
        "StopUnit" => vec![error("org.freedesktop.systemd1.NoSuchUnit")],
        "GetUnit" => vec![answer("o", "/unit/the_2escope")],
        "Get" => vec![answer("v", &state.control_group)],
        "Hello" => vec![answer("s", ":1.1")],
        _ => vec![message(2, &[], "", &[], Some(serial))],
    }
}

fn text(to: &mut Vec<u8>, text: &str) {
    to.resize(to.len().next_multiple_of(4), 0);
    to.extend((text.len() as u32).to_le_bytes());
    to.extend(text.as_bytes());
    to.push(0);
}

fn message(
    kind: u8,
    fields: &[(u8, u8, &str)],
    signature: &str,
    body: &[u8],
    answers: Option<u32>,
) -> Vec<u8> {
    let mut header = Vec::new();
    for (code, kind, value) in fields {
        header.resize(header.len().next_multiple_of(8), 0);
        header.extend([*code, 1, *kind, 0]);
        text(&mut header, value);
    }
    if let Some(serial) = answers {
        header.resize(header.len().next_multiple_of(8), 0);
        header.extend([5, 1, b'u', 0]);
        header.extend(serial.to_le_bytes());
    }
    header.resize(header.len().next_multiple_of(8), 0);
    header.extend([8, 1, b'g', 0, signature.len() as u8]);
    header.extend(signature.as_bytes());
    header.push(0);
    let mut message = vec![b'l', kind, 0, 1];
    for number in [body.len() as u32, 99, header.len() as u32] {
        message.extend(number.to_le_bytes());
    }
    message.extend(&header);
    message.resize(message.len().next_multiple_of(8), 0);
    message.extend(body);
    message
}
