//! Containers with a terminal.

use crate::world::*;
use monitor::protocol::*;

pub fn a_terminal_has_a_size_and_echoes() {
    // The signal ends a `read`.
    let loops = "while [ \"$line\" != end ]; do read line; echo got $line; done";
    let mut world = World::with_terminal(&format!("stty size; trap 'stty size' WINCH; {loops}"));
    world.spec.console_size = Some((33, 101));
    let mut client = world.attach_first(AttachSpec { mux: true, ..streams() });
    let mut link = world.start();
    // Raw although frames were asked for.
    client.until("33 101\r\n");
    client.write(b"hello\r");
    client.until("got hello\r\n");
    link.order(Body::Resize { exec: None, width: 80, height: 24 });
    client.write(b"\r");
    client.until("24 80\r\n");
    client.write(b"end\r");
    client.all();
    assert_eq!(link.finish(&mut world), 0);
    assert!(world.log("stdout").contains("got hello\r\n"));
}

pub fn detach_keys_leave_the_container_running() {
    let mut world = World::with_terminal("while read line; do echo got $line; done");
    let attach = AttachSpec { detach_keys: vec![0x10, 0x11], ..streams() };
    let mut client = world.attach_first(attach.clone());
    let mut link = world.start();
    client.write(b"one\r");
    client.until("got one");
    client.write(b"\x10");
    client.write(b"\x11");
    client.all();
    link.event("the detachment", |event| (*event == Event::Detached { exec: None }).then_some(()));
    let mut client = link.attach(AttachSpec { leftover: b"two\r".to_vec(), ..attach });
    client.until("got two");
    client.write(b"\x04");
    client.all();
    assert_eq!(link.finish(&mut world), 0);
}
