//! Output to log and clients, input from clients.

use crate::world::*;
use monitor::protocol::*;

pub fn output_is_in_the_log_and_with_clients() {
    let mut world = World::new("echo out; echo error >&2; echo -n end");
    let mut raw = world.attach_first(output());
    let mut framed = world.attach_first(AttachSpec { mux: true, ..output() });
    let mut errors = world.attach_first(AttachSpec { stdout: false, ..output() });
    let link = world.start();
    assert_eq!(frames(&framed.all()), ("out\nend".into(), "error\n".into()));
    let text = raw.all_text();
    assert!(text.contains("out\n") && text.contains("error\n") && text.len() == 13, "{text}");
    assert_eq!(errors.all_text(), "error\n");
    assert_eq!(link.finish(&mut world), 0);
    assert_eq!((world.log("stdout"), world.log("stderr")), ("out\nend".into(), "error\n".into()));
}

pub fn input_reaches_the_process_and_ends() {
    let mut world = World::new("cat; echo over");
    world.spec.open_stdin = true;
    world.spec.stdin_once = true;
    let mut client = world.attach_first(AttachSpec { leftover: b"first ".to_vec(), ..streams() });
    let link = world.start();
    client.write(b"second\n");
    client.until("first second\n");
    client.end_input();
    assert_eq!(client.all_text(), "over\n");
    assert_eq!(link.finish(&mut world), 0);
}

pub fn clients_come_and_go() {
    let mut world = World::new("while read line; do echo got $line; done");
    world.spec.open_stdin = true;
    let mut link = world.start();
    let mut first = link.attach(streams());
    first.write(b"one\n");
    first.until("got one");
    // Without StdinOnce the end of one client's input is that client's own affair.
    first.end_input();
    assert_eq!(first.all(), b"");
    let mut second = link.attach(streams());
    let mut listener = link.attach(output());
    second.write(b"two\n");
    second.until("got two");
    listener.until("got two");
    drop(second);
    let mut third = link.attach(streams());
    third.write(b"three\n");
    listener.until("got three");
    link.order(Body::Signal { signal: 9 });
    assert_eq!(listener.all(), b"");
    assert_eq!(link.finish(&mut world), 137);
    assert_eq!(world.log("stdout"), "got one\ngot two\ngot three\n");
}

/// More than all buffers hold.
const MANY: usize = 200_000;

fn numbers() -> String {
    (1..=MANY).map(|number| format!("{number}\n")).collect()
}

pub fn much_output_arrives_whole() {
    let mut world = World::new(&format!("seq 1 {MANY}"));
    let mut slow = world.attach_first(output());
    let mut fast = world.attach_first(AttachSpec { mux: true, ..output() });
    let link = world.start();
    let reader = std::thread::spawn(move || frames(&fast.all()).0);
    // The slow one begins in the middle.
    slow.until("1000\n");
    std::thread::yield_now();
    slow.all();
    assert_eq!(reader.join().unwrap(), numbers());
    assert_eq!(link.finish(&mut world), 0);
    assert_eq!(world.log("stdout"), numbers());
}

pub fn a_client_that_does_not_read_delays_nobody_s_end() {
    // What the client does not read is more than its socket takes, less than what it may be behind.
    let mut world = World::new("seq 1 60000");
    let mut client = world.attach_first(output());
    let mut link = world.start();
    assert_eq!(link.exited(), (0, None));
    link.order(Body::Shutdown);
    assert_eq!(world.state().status, Status::Exited);
    let expected: String = (1..=60_000).map(|number| format!("{number}\n")).collect();
    assert_eq!(client.all_text(), expected);
    assert_eq!(world.gone(), Some(0));
}

pub fn many_processes_write_until_the_end() {
    let mut world = World::new("for i in 1 2 3 4 5 6 7 8; do seq 1 2000 & done; wait");
    let mut client = world.attach_first(output());
    let link = world.start();
    assert_eq!(client.all_text().lines().count(), 8 * 2000);
    assert_eq!(link.finish(&mut world), 0);
}

pub fn a_client_over_tcp_sees_everything() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let (theirs, _) = listener.accept().unwrap();
    let mut world = World::new("read line; seq 1 5000");
    world.spec.open_stdin = true;
    world.give(FdRole::Attach(streams()), theirs);
    let link = world.start();
    // More input than the process reads: closing the socket over it would reset the connection.
    std::io::Write::write_all(&mut client, &b"line\n".repeat(20_000)).unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut client, &mut text).unwrap();
    let expected: String = (1..=5000).map(|number| format!("{number}\n")).collect();
    assert_eq!(text, expected);
    drop(client);
    assert_eq!(link.finish(&mut world), 0);
}
