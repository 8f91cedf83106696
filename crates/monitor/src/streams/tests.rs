//! Sessions driven by hand: the test is the process at one end of the streams and the clients at the other.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use runtime::Stdio;

use super::*;

struct World {
    poller: Poller,
    session: Session,
    /// The process's ends.
    stdin: Option<std::fs::File>,
    stdout: Option<std::fs::File>,
    stderr: Option<std::fs::File>,
    lingering: Vec<(u32, Lingering)>,
    next_key: u32,
    detached: usize,
    finished: bool,
    buffer: Vec<u8>,
}

impl World {
    fn new(ends_with_client: bool) -> Self {
        Self::with(Sink::Nowhere, ends_with_client)
    }

    fn with(sink: Sink, ends_with_client: bool) -> Self {
        let poller = Poller::new().unwrap();
        let (stdio, ends) = Ends::open(Kind::Pipes { input: true }).unwrap();
        let Stdio::Pipes { stdin, stdout, stderr } = stdio else { panic!("no pipes") };
        let session = Session::new(&poller, 1, ends, sink, ends_with_client).unwrap();
        Self {
            poller,
            session,
            stdin: stdin.map(Into::into),
            stdout: Some(stdout.into()),
            stderr: Some(stderr.into()),
            lingering: Vec::new(),
            next_key: 0,
            detached: 0,
            finished: false,
            buffer: vec![0; 16 << 10],
        }
    }

    fn attach(&mut self, spec: AttachSpec) -> UnixStream {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        self.session.attach(theirs.into(), spec, &mut self.buffer);
        self.settle();
        ours
    }

    /// Handles events until there are none.
    fn work(&mut self) {
        loop {
            let mut events = Vec::new();
            let poller = self.poller.clone();
            poller.wait(Some(Duration::ZERO), |token, flags| events.push((token, flags))).unwrap();
            if events.is_empty() {
                return;
            }
            for (token, flags) in events {
                match token {
                    Token::Stream(_, part) => self.session.stream_ready(part, &mut self.buffer),
                    Token::Client(_, key) => self.session.client_ready(key, flags, &mut self.buffer),
                    Token::Lingering(_) => {}
                    other => panic!("{other:?}"),
                }
            }
            self.settle();
        }
    }

    fn settle(&mut self) {
        let settled = self.session.settle(&mut self.next_key);
        self.detached += settled.detached;
        self.finished |= settled.finished;
        self.lingering.extend(settled.leaving);
        let buffer = &mut self.buffer;
        self.lingering.retain_mut(|(_, lingering)| lingering.advance(buffer) != Farewell::Over);
    }

    fn until(&mut self, what: &str, condition: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while !condition(self) {
            assert!(Instant::now() < deadline, "waited in vain: {what}");
            self.work();
        }
    }
}

fn both() -> AttachSpec {
    AttachSpec { stdin: true, stdout: true, stderr: true, ..AttachSpec::default() }
}

fn read_some(stream: &mut UnixStream) -> Vec<u8> {
    let mut buffer = [0; 4096];
    let count = stream.read(&mut buffer).unwrap();
    buffer[..count].to_vec()
}

fn read_all(stream: &mut UnixStream) -> Vec<u8> {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    all
}

#[test]
fn output_reaches_every_client_raw_or_in_frames_and_then_ends() {
    let mut world = World::new(true);
    let mut raw = world.attach(both());
    let mut framed = world.attach(AttachSpec { mux: true, ..both() });
    let mut errors = world.attach(AttachSpec { stderr: true, ..AttachSpec::default() });
    world.stdout.as_mut().unwrap().write_all(b"out").unwrap();
    world.work();
    world.stderr.as_mut().unwrap().write_all(b"error").unwrap();
    world.work();
    (world.stdout, world.stderr) = (None, None);
    world.work();
    assert!(!world.finished, "streams may end before the process does");
    world.session.process_ended();
    world.settle();
    assert!(world.finished);
    drop(
        world
            .session
            .dismiss(&mut world.next_key)
            .into_iter()
            .map(|(_, mut l)| l.advance(&mut world.buffer))
            .collect::<Vec<_>>(),
    );
    assert_eq!(read_all(&mut raw), b"outerror");
    assert_eq!(read_all(&mut framed), b"\x01\0\0\0\0\0\0\x03out\x02\0\0\0\0\0\0\x05error");
    assert_eq!(read_all(&mut errors), b"error");
}

#[test]
fn input_and_its_end_reach_the_process_and_output_goes_on() {
    let mut world = World::new(true);
    let mut client = world.attach(AttachSpec { leftover: b"early ".to_vec(), ..both() });
    client.write_all(b"late").unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    world.work();
    let mut text = String::new();
    world.stdin.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "early late");
    world.stdout.as_mut().unwrap().write_all(b"answer").unwrap();
    world.work();
    assert_eq!(read_some(&mut client), b"answer");
}

#[test]
fn without_stdin_once_the_end_of_input_disconnects_the_client() {
    let mut world = World::new(false);
    let mut client = world.attach(both());
    client.write_all(b"x").unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    world.work();
    assert_eq!(read_all(&mut client), b"");
    let mut second = world.attach(both());
    second.write_all(b"y").unwrap();
    world.work();
    let mut bytes = [0; 2];
    world.stdin.as_mut().unwrap().read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"xy");
}

#[test]
fn a_client_that_sends_and_vanishes_is_heard() {
    let mut world = World::new(true);
    let mut client = world.attach(both());
    client.write_all(b"last words").unwrap();
    drop(client);
    world.work();
    let mut text = String::new();
    world.stdin.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "last words");
    assert!(world.session.clients.is_empty());
}

#[test]
fn a_client_that_vanishes_amid_output_still_ends_the_input() {
    let mut world = World::new(true);
    let client = world.attach(both());
    drop(client);
    // The failing write is seen before the hang-up.
    world.session.deliver(Stream::Stdout, b"lost");
    world.settle();
    world.work();
    let mut text = String::new();
    world.stdin.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "");
    assert!(world.session.clients.is_empty());
}

#[test]
fn a_client_without_input_may_close_its_writing_side() {
    let mut world = World::new(true);
    let mut client = world.attach(AttachSpec { stdout: true, ..AttachSpec::default() });
    client.shutdown(std::net::Shutdown::Write).unwrap();
    world.work();
    world.stdout.as_mut().unwrap().write_all(b"still here").unwrap();
    world.work();
    assert_eq!(read_some(&mut client), b"still here");
    drop(client);
    world.until("the client is forgotten", |world| world.session.clients.is_empty());
}

#[test]
fn a_client_that_does_not_read_holds_the_process_up_and_loses_nothing() {
    let mut world = World::new(true);
    let mut slow = world.attach(AttachSpec { stdout: true, ..AttachSpec::default() });
    let mut stdout = world.stdout.take().unwrap();
    rustix::io::ioctl_fionbio(&stdout, true).unwrap();
    let mut written = 0_usize;
    let byte = |position: usize| (position % 251) as u8;
    loop {
        let piece: Vec<u8> = (written..written + 4096).map(byte).collect();
        match stdout.write(&piece) {
            Ok(count) => written += count,
            Err(_) => {
                let before = world.session.clients[0].behind();
                world.work();
                if world.session.clients[0].behind() == before {
                    break;
                }
            }
        }
        world.work();
    }
    assert!((LIMIT..LIMIT + (1 << 20)).contains(&written), "{written}");
    // Held up, the loop sleeps.
    world.poller.wait(Some(Duration::ZERO), |token, _| panic!("{token:?}")).unwrap();
    drop(stdout);
    world.stderr = None;
    world.session.process_ended();
    world.settle();
    world.work();
    assert!(world.session.is_drained() && !world.finished);
    let reader = std::thread::spawn(move || read_all(&mut slow));
    world.until("the client has everything", |world| world.finished);
    for (_, mut lingering) in world.session.dismiss(&mut world.next_key) {
        assert_eq!(lingering.advance(&mut world.buffer), Farewell::Over);
    }
    let all = reader.join().unwrap();
    assert_eq!(all.len(), written);
    assert!(all.iter().enumerate().all(|(position, value)| *value == byte(position)));
}

#[test]
fn input_waits_until_the_process_reads() {
    let mut world = World::new(true);
    let mut client = world.attach(both());
    client.set_nonblocking(true).unwrap();
    let mut sent = 0;
    loop {
        match client.write(&[7; 4096]) {
            Ok(count) => sent += count,
            Err(_) => {
                let before = sent;
                world.work();
                if let Ok(count) = client.write(&[7; 4096]) {
                    sent += count;
                }
                if sent == before {
                    break;
                }
            }
        }
    }
    world.poller.wait(Some(Duration::ZERO), |token, _| panic!("{token:?}")).unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    let mut stdin = world.stdin.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut all = Vec::new();
        stdin.read_to_end(&mut all).unwrap();
        all.len()
    });
    world.until("everything is read", |_| reader.is_finished());
    assert_eq!(reader.join().unwrap(), sent);
}

#[test]
fn a_process_that_closes_its_input_does_not_end_the_client() {
    let mut world = World::new(true);
    let mut client = world.attach(both());
    world.stdin = None;
    client.write_all(b"nobody reads this").unwrap();
    world.work();
    world.stdout.as_mut().unwrap().write_all(b"hi").unwrap();
    world.work();
    assert_eq!(read_some(&mut client), b"hi");
}

#[test]
fn streams_that_somebody_else_holds_open_can_be_cut_off() {
    let sink = Sink::Capture { bytes: Vec::new(), limit: 4, more: false };
    let mut world = World::with(sink, true);
    world.stdout.as_mut().unwrap().write_all(b"123456").unwrap();
    world.work();
    world.session.process_ended();
    world.settle();
    assert!(!world.finished);
    world.session.cut_off();
    world.settle();
    assert!(world.finished);
    assert_eq!(world.session.captured(), (b"1234".to_vec(), true));
}

#[test]
fn a_client_that_typed_too_much_still_sees_a_clean_end() {
    let mut world = World::new(true);
    let mut client = world.attach(AttachSpec { stdout: true, ..AttachSpec::default() });
    client.write_all(b"never read").unwrap();
    world.stdout.as_mut().unwrap().write_all(b"bye").unwrap();
    world.work();
    (world.stdout, world.stderr) = (None, None);
    world.session.process_ended();
    world.work();
    for (_, mut lingering) in world.session.dismiss(&mut world.next_key) {
        assert_eq!(lingering.advance(&mut world.buffer), Farewell::Over);
    }
    assert_eq!(read_all(&mut client), b"bye");
}
