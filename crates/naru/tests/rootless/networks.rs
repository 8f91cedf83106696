//! Networks of an engine without root, with each of the programs that make a way out, and with none.

use crate::world::as_user;

/// The host of the user is `10.77.0.2` on a link to another, which has a web server at an address that only routing leads to.
const HOSTS: &str = r#"
    { rm -f "$1/tun" && mknod "$1/tun" c 10 200 && chmod 666 "$1/tun"; }
    test ! -e /dev/net/tun || mount --bind "$1/tun" /dev/net/tun
    for program in $HIDDEN; do mount --bind /dev/null /usr/bin/$program; done
    echo 'nameserver 192.0.2.53' > "$1/resolv.conf"
    test ! -e /etc/resolv.conf || mount --bind "$1/resolv.conf" /etc/resolv.conf
    ip link set lo up
    unshare --net sh -c 'echo > "$1/ready"; exec sleep 1000' sh "$1" &
    outside=$!
    until test -e "$1/ready"; do sleep 0.01; done
    ip link add up0 type veth peer name up1 netns $outside
    ip address add 10.77.0.2/24 dev up0 && ip link set up0 up && ip route add default via 10.77.0.1
    mkdir -p "$1/outside" "$1/here"
    echo from outside > "$1/outside/index.html"
    echo from the host > "$1/here/index.html"
    nsenter --net=/proc/$outside/ns/net sh -c '
        ip link set lo up; ip address add 198.51.100.7/32 dev lo
        ip address add 10.77.0.1/24 dev up1; ip link set up1 up
        exec busybox httpd -p 198.51.100.7:9000 -h "$1/outside"' sh "$1"
    busybox httpd -p 10.77.0.2:9001 -h "$1/here"
"#;

/// What the scripts have in common.
const WORDS: &str = r#"
    get() { timeout 20 busybox wget -q -O - "$1" 2> /dev/null; }
    inside() { naru run --rm "$@"; }
    program() { called 'pas*' ''; called 'slirp4netns' ''; }
    left() { called naru ' network-home '; program; }
    # Whoever sends gets it back. A datagram may be lost while nobody listens yet.
    echo='socket(S, PF_INET, SOCK_DGRAM, 17); bind(S, sockaddr_in(81, INADDR_ANY)); while ($from = recv(S, $said, 99, 0)) { send(S, $said, 0, $from) }'
    ask='socket(S, PF_INET, SOCK_DGRAM, 17); connect(S, sockaddr_in(8081, inet_aton("127.0.0.1"))); alarm 2; send(S, "ping", 0); recv(S, $said, 99, 0); print $said; exit($said ne "ping")'
    serve="echo hi > /index.html; exec httpd -f -p 80 -h /"
"#;

fn said(hidden: &str, alone: bool, script: &str) -> Option<Vec<String>> {
    for program in ["/usr/bin/pasta", "/usr/bin/slirp4netns", "/usr/bin/perl"] {
        if !std::path::Path::new(program).exists() {
            eprintln!("skipped: needs {program}");
            return None;
        }
    }
    let setup = format!("HIDDEN='{hidden}'\n{HOSTS}");
    as_user(&format!("{WORDS}\n{script}"), alone, &setup)
}

/// With one of the programs: everything that a user does with networks, and that nothing is left.
fn with_a_way_out(program: &str, hidden: &str) {
    let script = r#"
        say $(inside box wget -q -O - http://198.51.100.7:9000/)
        naru network create yard > /dev/null
        naru run --detach --name web --network yard --publish 8080:80 --publish 127.0.0.1:8081:81/udp \
            --volume /usr:/usr:ro box sh -c "perl -MSocket -e '$echo' & $serve" > /dev/null
        wait_for 'test "$(get http://127.0.0.1:8080/)" = hi'
        say by loopback: $(get http://127.0.0.1:8080/) by its address: $(get http://10.77.0.2:8080/) by IPv6: $(get 'http://[::1]:8080/')
        say by name: $(inside --network yard box wget -q -O - http://web/)
        say the host: $(inside --network yard box wget -q -O - http://host.docker.internal:9001/)
        say the host: $(inside --add-host here:host-gateway box wget -q -O - http://here:9001/)
        say by the gateway: $(inside --network yard box sh -c 'wget -q -O - http://$(ip route | sed -n "s/default via \([0-9.]*\).*/\1/p"):8080/')
        wait_for 'perl -MSocket -e "$ask" > answer'
        say by UDP: $(cat answer)
        for port in 8080:80 80:80 8082:80/sctp 10.77.0.2:9001:80; do
            inside --publish $port box true 2>&1 | grep --only-matching -e 'port is already allocated$' -e 'port is already allocated:' \
                -e 'net.ipv4.ip_unprivileged_port_start=80' -e 'cannot be published without root'
        done
        say others: $(naru ps --format '{{.Names}} {{.Ports}}')
        naru network doctor | grep -e 'reach the outside' -e 'this host by 127.0.0.1'
        say $(naru info 2> /dev/null | grep --count 'way out')
        # The engine dies: ports are the monitor's. The next engine finds the networks.
        killed=$(engine)
        kill -KILL $killed
        wait_for "gone $killed"
        say no engine: $(get http://127.0.0.1:8080/)
        say by name: $(inside --network yard box wget -q -O - http://web/)
        say again: $(get http://127.0.0.1:8080/) $(left | wc -l)
        # The program dies; another takes its place.
        kill -KILL $(program)
        wait_for 'test "$(inside box timeout 10 wget -q -O - http://198.51.100.7:9000/ 2> /dev/null)" = "from outside"'
        naru rm --force web > /dev/null
        say free: $(get http://127.0.0.1:8080/)
        naru network rm yard
        kill -TERM $(engine)
        wait_for 'test -z "$(left)"'
        say left: $(left) $(ls "$XDG_RUNTIME_DIR/naru" | grep --count home)
    "#;
    let Some(said) = said(hidden, false, script) else { return };
    let reach = format!("note: networks reach the outside by {program}");
    let expected = [
        "from outside",
        "by loopback: hi by its address: hi by IPv6: hi",
        "by name: hi",
        "the host: from the host",
        "the host: from the host",
        "by the gateway: hi",
        "by UDP: ping",
        "port is already allocated",
        "net.ipv4.ip_unprivileged_port_start=80",
        "cannot be published without root",
        "port is already allocated:",
        "others: web 0.0.0.0:8080->80/tcp, [::]:8080->80/tcp, 127.0.0.1:8081->81/udp",
        &reach,
        "  yes     this host by 127.0.0.1, relayed",
        "  yes     this host by 127.0.0.1, relayed",
        "0",
        "no engine: hi",
        "by name: hi",
        "again: hi 2",
        "free:",
        "yard",
        "left: 0",
    ];
    assert_eq!(said, expected);
}

#[test]
fn networks_reach_the_outside_by_pasta() {
    with_a_way_out("pasta", "slirp4netns");
}

#[test]
fn networks_reach_the_outside_by_slirp4netns() {
    with_a_way_out("slirp4netns", "passt");
}

#[test]
fn without_a_program_there_is_no_way_out_and_it_is_said() {
    let script = r#"
        naru run --detach --name web --publish 8080:80 box sh -c "$serve" 2>&1 > /dev/null | grep --only-matching -e 'Neither .* installed' \
            -e 'Install pasta (package passt) or slirp4netns' -e 'use --network host'
        wait_for 'test "$(get http://127.0.0.1:8080/)" = hi'
        say $(get http://127.0.0.1:8080/)
        inside --network none box echo none
        say $(inside --network host box wget -q -O - http://198.51.100.7:9000/)
        inside box timeout 10 wget -q -O - http://198.51.100.7:9000/ 2>&1 | grep --count "can't connect"
        naru info 2>&1 > /dev/null | grep --only-matching 'Neither pasta nor slirp4netns'
        naru network doctor | grep problem
        naru rm --force web > /dev/null
        kill -TERM $(engine)
        wait_for 'test -z "$(left)"'
        say left: $(left)
    "#;
    let Some(said) = said("passt slirp4netns", false, script) else { return };
    let expected = [
        "Neither pasta nor slirp4netns is installed",
        "Install pasta (package passt) or slirp4netns",
        "use --network host",
        "hi",
        "none",
        "from outside",
        "1",
        "Neither pasta nor slirp4netns",
        "problem: neither pasta nor slirp4netns is installed: containers reach nothing outside their networks",
        "left:",
    ];
    assert_eq!(said, expected);
}

#[test]
fn a_user_without_a_range_of_ids_has_networks() {
    let script = r#"
        { cat rootfs/bin/busybox > busybox; chmod 755 busybox; mkdir -p one/bin; mv busybox one/bin; ln -s busybox one/bin/sh; }
        tar --create --owner 33 --group 44 --directory one . | "$NARU" import - one > /dev/null
        say $(inside one busybox wget -q -O - http://198.51.100.7:9000/)
        naru run --detach --name web --publish 8080:80 one sh -c "echo hi > /index.html; exec busybox httpd -f -p 80 -h /" > /dev/null
        wait_for 'test "$(get http://127.0.0.1:8080/)" = hi'
        naru network doctor | grep 'reach the outside'
        naru rm --force web
        kill -TERM $(engine)
        wait_for 'test -z "$(left)"'
    "#;
    for (program, hidden) in [("pasta", "slirp4netns"), ("slirp4netns", "passt")] {
        let Some(said) = said(hidden, true, script) else { return };
        let reach = format!("note: networks reach the outside by {program}");
        assert_eq!(said, ["from outside", reach.as_str(), "web"]);
    }
}

#[test]
fn a_program_that_cannot_run_is_followed_by_the_next_and_named() {
    let script = r#"
        mkdir bin
        printf '#!/bin/sh\necho "no luck today" >&2\nexit 3\n' > bin/pasta
        chmod 755 bin/pasta
        kill -TERM $(engine)
        wait_for 'test -z "$(engine)"'
        PATH="$PWD/bin:$PATH"
        say $(inside box wget -q -O - http://198.51.100.7:9000/)
        naru network doctor | grep -e note -e warning
        kill -TERM $(engine)
        wait_for 'test -z "$(left)"'
        # And where no other is, the container starts all the same.
        mkdir alone
        for name in sh cat tr sleep grep sed; do ln -s /usr/bin/$name alone; done
        PATH="$PWD/bin:$PWD/alone"
        say $(inside box echo started)
        naru network doctor | grep problem
        naru info 2>&1 > /dev/null | grep --only-matching 'networks have no way out.*'
        kill -TERM $(engine)
        wait_for 'test -z "$(left)"'
    "#;
    let Some(said) = said("", false, script) else { return };
    let expected = [
        "from outside",
        "note: networks reach the outside by slirp4netns",
        "warning: pasta ended: no luck today (exit status: 3)",
        "started",
        "problem: networks have no way out: pasta ended: no luck today (exit status: 3)",
        "networks have no way out: pasta ended: no luck today (exit status: 3)",
    ];
    assert_eq!(said, expected);
}
