//! Beside real firewalls and a real Docker in the same network namespace: what they do when they come, reload and go cuts nobody
//! of ours off, and what they have of their own still works. Each runs on copies of its files, in a mount namespace of its own.

mod world;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use network::Proto;
use network::doctor::{Examination, Reached, Who};
use world::*;

/// A program that is told what to do a word at a time, and says `done` after each.
struct Peer {
    child: Child,
    words: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Peer {
    /// Runs a script as the calling thread's host; None, said aloud, where a program of it is not installed.
    fn start(programs: &[&str], script: &str) -> Option<Self> {
        let is_there = |program: &&&str| {
            ["/usr/sbin", "/usr/bin", "/sbin", "/bin"]
                .iter()
                .any(|folder| std::path::Path::new(folder).join(program).exists())
        };
        if let Some(missing) = programs.iter().find(|program| !is_there(program)) {
            eprintln!("skipped: {missing} is not installed");
            return None;
        }
        let mut child = Command::new("timeout")
            .args([
                "--kill-after",
                "5",
                "120",
                "unshare",
                "--mount",
                "--pid",
                "--fork",
                "--kill-child",
                "--mount-proc",
            ])
            .args(["--propagation", "private", "sh", "-c"])
            .arg(format!(
                "exec 3>&1 >&2; mount -t tmpfs none /run; d=$(mktemp -d); trap 'rm -rf $d' EXIT\n{script}"
            ))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("timeout (coreutils), unshare (util-linux)");
        let (words, answers) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Some(Self { child, words, answers })
    }

    fn tell(&mut self, word: &str) {
        writeln!(self.words, "{word}").unwrap_or_else(|error| panic!("{word}: {error}"));
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        assert_eq!(answer, "done\n", "{word}");
    }

    /// Ends it: it reads no more words.
    fn end(self) {
        let Self { mut child, words, .. } = self;
        drop(words);
        assert!(child.wait().unwrap().success());
    }
}

const UFW: &str = r#"
    cp -a /etc/ufw $d/ufw; sed 's/^IPT_SYSCTL=.*/IPT_SYSCTL=/' /etc/default/ufw > $d/default
    mount --bind $d/ufw /etc/ufw; mount --bind $d/default /etc/default/ufw
    while read word; do
        case $word in up) ufw --force enable;; *) ufw --force $word;; esac && echo done >&3
    done
    umount /etc/ufw /etc/default/ufw
"#;

const FIREWALLD: &str = r#"
    cp -a /etc/firewalld $d/etc
    cat > $d/bus.conf <<X
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path=$d/bus</listen><auth>EXTERNAL</auth><policy context="default">
<allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/><allow user="*"/></policy></busconfig>
X
    export DBUS_SYSTEM_BUS_ADDRESS=unix:path=$d/bus
    while read word; do
        case $word in
            up)
                dbus-daemon --config-file=$d/bus.conf --nofork --nopidfile & bus=$!
                until [ -S $d/bus ]; do sleep 0.05; done
                firewalld --nofork --nopid --system-config $d/etc --log-target console & daemon=$!
                until firewall-cmd --state; do sleep 0.1; done;;
            reload) firewall-cmd --reload;;
            down) kill $daemon; wait $daemon; kill $bus; wait $bus; true;;
        esac && echo done >&3
    done
"#;

/// Comes, reloads and goes, and each time containers reach the outside and are reached by their published ports.
fn comes_reloads_and_goes(
    programs: &'static [&'static str],
    script: &'static str,
    words: &'static [&'static str],
) {
    world(move |world| {
        let Some(mut peer) = Peer::start(programs, script) else { return };
        let web = world.container("web", "bridge");
        web.serve_tcp(80);
        serve_tcp(&world.neighbour, 80);
        let _published = world.networks.publish(&[port(8080, 80, Proto::Tcp)], &web.endpoint).unwrap();
        for word in words {
            peer.tell(word);
            eventually(&format!("out after {word}"), || tcp(&web.netns, at(NEIGHBOUR, 80)) == Some(HOST));
            eventually(&format!("in after {word}"), || {
                tcp(&world.neighbour, at(HOST, 8080)) == Some(NEIGHBOUR)
            });
            // The doctor follows a connection through their rules and comes to the same.
            let ports = world.networks.diagnose(&Examination::default()).unwrap().ports;
            let mut clients = ports.iter().flat_map(|port| &port.clients);
            let others = clients.find(|client| client.to == HOST && client.who != Who::This);
            assert_eq!(others.unwrap().verdict.reached, Reached::Yes, "after {word}: {others:?}");
            assert!(
                no_tcp(&world.neighbour, at(HOST, 8081)),
                "what is not published is not reached after {word}"
            );
        }
        peer.end();
        assert!(world.networks.release(web.id()).is_empty());
        assert!(world.networks.teardown().is_empty());
        let rules = world.shell("nft list ruleset");
        assert!(!rules.contains("naru"), "{rules}");
    });
}

#[test]
fn ufw_comes_reloads_and_goes() {
    comes_reloads_and_goes(&["ufw"], UFW, &["up", "reload", "disable"]);
}

#[test]
fn firewalld_comes_reloads_and_goes() {
    comes_reloads_and_goes(
        &["firewalld", "firewall-cmd", "dbus-daemon"],
        FIREWALLD,
        &["up", "reload", "down"],
    );
}

const DOCKER: &str = r#"
    group=naru-peer-$(basename $d); daemon=
    server() { docker --host unix://$d/sock "$@"; }
    down() {
        server rm -f web; kill $daemon; wait $daemon; daemon=
        for folder in /sys/fs/cgroup/$group /sys/fs/cgroup/*/$group; do [ ! -d $folder ] || rmdir $folder; done
    }
    while read word; do
        case $word in
            up)
                dockerd --data-root $d/data --exec-root $d/exec --pidfile $d/pid --host unix://$d/sock --cgroup-parent /$group \
                    --log-level error & daemon=$!
                until server version >/dev/null; do kill -0 $daemon || break; sleep 0.2; done
                mkdir -p $d/image/bin; cp /bin/busybox $d/image/bin
                tar -C $d/image -c . | server import - busybox &&
                server run -d --name web -p 8090:80 busybox /bin/busybox sh -c \
                    'while true; do /bin/busybox nc -l -p 80 -e /bin/busybox echo -n 192.0.2.7; done';;
            down) down;;
        esac && echo done >&3
    done
    [ -z "$daemon" ] || down
"#;

#[test]
fn docker_publishes_beside_us() {
    world(|world| {
        let Some(mut docker) = Peer::start(&["dockerd", "docker", "busybox"], DOCKER) else { return };
        let web = world.container("web", "bridge");
        web.serve_tcp(80);
        serve_tcp(&world.neighbour, 80);
        let _published = world.networks.publish(&[port(8080, 80, Proto::Tcp)], &web.endpoint).unwrap();
        docker.tell("up");
        let theirs = Some(ip("192.0.2.7"));
        eventually("docker's port", || tcp(&world.neighbour, at(HOST, 8090)) == theirs);
        eventually("our port", || tcp(&world.neighbour, at(HOST, 8080)) == Some(NEIGHBOUR));
        eventually("our way out", || tcp(&web.netns, at(NEIGHBOUR, 80)) == Some(HOST));
        eventually("docker's port from our container", || tcp(&web.netns, at(HOST, 8090)) == theirs);
        world.shell("nft delete table inet naru");
        // Whoever connects before that is taken by the socket that holds the port, which nobody serves here.
        eventually("our rules come back", || world.shell("nft list tables").contains("table inet naru"));
        eventually("our port after our rules went", || {
            tcp(&world.neighbour, at(HOST, 8080)) == Some(NEIGHBOUR)
        });
        assert_eq!(tcp(&world.neighbour, at(HOST, 8090)), theirs, "docker's port still");
        docker.tell("down");
        docker.end();
        assert_eq!(tcp(&world.neighbour, at(HOST, 8080)), Some(NEIGHBOUR), "after docker went");
        assert!(world.networks.release(web.id()).is_empty());
        assert!(world.networks.teardown().is_empty());
        let rules = world.shell("nft list ruleset");
        assert!(!rules.contains("naru"), "{rules}");
    });
}
