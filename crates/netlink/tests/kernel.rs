//! The encoders against the kernel, each test in a network namespace of its own, with `ip` and `nft` as second opinion.

use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd;
use std::process::Command;

use netlink::nft::{
    BaseChain, Data, Element, Family, Field, Hook, Key, Kind, MapData, Nat, Nft, Rule, Set, Transaction,
    Verdict,
};
use netlink::route::{Batch, Ipv4Conf, LinkChange, LinkRef, NewLink, NewRoute, Route, Veth};

/// Runs a test on a thread of its own in a fresh network namespace, which dies with the thread.
fn world(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::spawn(|| {
        sys::namespace::unshare(sys::clone::NEWNET).expect("needs root");
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn shell(program: &str, arguments: &str) -> String {
    let output = Command::new(program).args(arguments.split_whitespace()).output().unwrap();
    assert!(output.status.success(), "{program} {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A second network namespace, alive as long as its descriptor.
fn another_netns() -> std::fs::File {
    std::thread::spawn(|| {
        sys::namespace::unshare(sys::clone::NEWNET).unwrap();
        std::fs::File::open("/proc/thread-self/ns/net").unwrap()
    })
    .join()
    .unwrap()
}

#[test]
fn a_bridge_with_a_veth_into_another_namespace() {
    world(|| {
        let netns = another_netns();
        let mut route = Route::open().unwrap();
        let mut batch = Batch::new();
        batch.add_link("br0", Some([2, 0x42, 1, 2, 3, 4]), 1400, &NewLink::Bridge);
        batch.set_link(
            LinkRef::Name("br0"),
            &LinkChange { up: Some(true), ipv4: &[(Ipv4Conf::RouteLocalnet, 1)], ..LinkChange::default() },
        );
        route.run(batch).unwrap();
        let bridge = route.link(LinkRef::Name("br0")).unwrap().unwrap();
        assert_eq!((bridge.kind.as_str(), bridge.mtu, bridge.up), ("bridge", 1400, true));
        assert_eq!(bridge.mac, Some([2, 0x42, 1, 2, 3, 4]));
        assert_eq!(std::fs::read_to_string("/proc/sys/net/ipv4/conf/br0/route_localnet").unwrap(), "1\n");

        let mut batch = Batch::new();
        batch.add_address(bridge.index, (IpAddr::V4(Ipv4Addr::new(10, 9, 8, 1)), 24));
        batch.add_link(
            "veth0",
            None,
            1400,
            &NewLink::Veth(Veth {
                peer_name: "eth0",
                peer_netns: netns.as_fd(),
                peer_mac: Some([2, 0x42, 10, 9, 8, 2]),
            }),
        );
        batch.set_link(
            LinkRef::Name("veth0"),
            &LinkChange {
                up: Some(true),
                master: Some(bridge.index),
                no_ipv6_address: true,
                ..LinkChange::default()
            },
        );
        batch.set_link(LinkRef::Name("veth0"), &LinkChange { isolated: Some(true), ..LinkChange::default() });
        batch.add_route(&NewRoute {
            to: Some((IpAddr::V4(Ipv4Addr::new(10, 99, 0, 0)), 16)),
            gateway: Some(IpAddr::V4(Ipv4Addr::new(10, 9, 8, 7))),
            link: bridge.index,
            ..NewRoute::default()
        });
        route.run(batch).unwrap();

        let veth = route.link(LinkRef::Name("veth0")).unwrap().unwrap();
        assert_eq!((veth.master, veth.kind.as_str()), (Some(bridge.index), "veth"));
        assert!(shell("ip", "-d link show veth0").contains("isolated on"));
        assert!(shell("ip", "addr show br0").contains("inet 10.9.8.1/24 brd 10.9.8.255 scope global br0"));
        assert!(route.routes().unwrap().iter().any(|entry| entry.gateway.is_some() && entry.to.is_some()));
        assert!(route.addresses().unwrap().iter().any(|address| address.prefix == 24));
        assert_eq!(route.links().unwrap().len(), 3);

        let mut batch = Batch::new();
        batch.delete_link(LinkRef::Name("br0"));
        route.run(batch).unwrap();
        assert_eq!(route.link(LinkRef::Name("br0")).unwrap(), None);
    });
}

#[test]
fn every_failure_says_what_was_being_done() {
    world(|| {
        let mut route = Route::open().unwrap();
        let mut batch = Batch::new();
        batch.add_link("br0", None, 0, &NewLink::Bridge);
        batch.add_link("br0", None, 0, &NewLink::Bridge);
        batch.set_link(LinkRef::Name("nosuch"), &LinkChange { up: Some(true), ..LinkChange::default() });
        batch.add_link("br1", None, 0, &NewLink::Bridge);
        let failures = route.run_all(batch).unwrap();
        let texts: Vec<_> = failures.iter().map(|(index, error)| format!("{index}: {error}")).collect();
        assert_eq!(texts, ["1: add link br0: File exists", "2: change link nosuch: No such device"]);
        assert!(failures[0].1.is_exists());
        assert!(failures[1].1.is_missing());
        // Those after a failure are made all the same.
        assert!(route.link(LinkRef::Name("br1")).unwrap().is_some());

        let mut batch = Batch::new();
        batch.add_link("a-name-longer-than-15", None, 0, &NewLink::Bridge);
        let error = route.run(batch).unwrap_err().to_string();
        assert!(error.starts_with("add link a-name-longer-than-15: "), "{error}");
    });
}

const PORTS: [Kind; 2] = [Kind::Proto, Kind::Service];
const TARGET: [Kind; 2] = [Kind::Ipv4, Kind::Service];

fn port(number: u16) -> Element {
    Element {
        key: Key::new().proto(6).port(number),
        data: Some(Data::Value(Key::new().ipv4(Ipv4Addr::new(172, 17, 0, 2)).port(80))),
        comment: "web".to_owned(),
    }
}

fn table() -> Transaction {
    let mut transaction = Transaction::new(Family::Inet, "test");
    transaction.add_table("a test").delete_table().add_table("a test");
    transaction.add_set(&Set { name: "ports", key: &PORTS, data: Some(MapData::Values(&TARGET)) });
    transaction.add_set(&Set { name: "links", key: &[Kind::Ifname], data: None });
    transaction.add_set(&Set {
        name: "verdicts",
        key: &[Kind::Ifname, Kind::Ifname],
        data: Some(MapData::Verdicts),
    });
    transaction.add_base_chain(&BaseChain {
        name: "prerouting",
        kind: "nat",
        hook: Hook::Prerouting,
        priority: -100,
    });
    transaction.add_base_chain(&BaseChain {
        name: "forward",
        kind: "filter",
        hook: Hook::Forward,
        priority: 0,
    });
    transaction.add_base_chain(&BaseChain {
        name: "postrouting",
        kind: "nat",
        hook: Hook::Postrouting,
        priority: 100,
    });
    transaction.add_rule(
        "prerouting",
        &Rule::new().to_this_host().nat_map(Nat::Dnat4, &[Field::L4proto, Field::Dport], "ports", true),
    );
    transaction.add_rule("forward", &Rule::new().established().verdict(Verdict::Accept));
    transaction.add_rule("forward", &Rule::new().verdict_map(&[Field::Iifname, Field::Oifname], "verdicts"));
    transaction.add_rule(
        "forward",
        &Rule::new().in_set(&[Field::Oifname], "links").dnatted().counter().verdict(Verdict::Accept),
    );
    transaction.add_rule(
        "forward",
        &Rule::new()
            .iifname("br0")
            .ipv4()
            .ipv4_daddr_in(Ipv4Addr::new(127, 0, 0, 0), 8)
            .verdict(Verdict::Drop)
            .comment("no loopback"),
    );
    transaction.add_rule(
        "postrouting",
        &Rule::new().in_set(&[Field::Iifname], "links").not_in_set(&[Field::Oifname], "links").masquerade(),
    );
    transaction.add_elements(
        "links",
        &[Element { key: Key::new().ifname("br0"), data: None, comment: String::new() }],
    );
    transaction.add_elements(
        "verdicts",
        &[Element {
            key: Key::new().ifname("br0").ifname("br0"),
            data: Some(Data::Verdict(Verdict::Accept)),
            comment: String::new(),
        }],
    );
    transaction.add_elements("ports", &[port(8080)]);
    transaction
}

#[test]
fn nft_prints_the_rules_as_a_person_would_write_them() {
    world(|| {
        let mut nft = Nft::open().unwrap();
        let before = nft.generation().unwrap();
        nft.commit(table()).unwrap();
        assert_ne!(nft.generation().unwrap(), before);
        // Twice: the table is replaced as a whole.
        nft.commit(table()).unwrap();
        let listed = shell("nft", "list ruleset");
        for line in [
            "table inet test {",
            "type inet_proto . inet_service : ipv4_addr . inet_service",
            "elements = { tcp . 8080 comment \"web\" : 172.17.0.2 . 80 }",
            "type nat hook prerouting priority dstnat; policy accept;",
            "fib daddr type local dnat ip to meta l4proto . th dport map @ports",
            "ct state established,related accept",
            "iifname . oifname vmap @verdicts",
            "elements = { \"br0\" . \"br0\" : accept }",
            "oifname @links ct status dnat counter packets 0 bytes 0 accept",
            "iifname \"br0\" ip daddr 127.0.0.0/8 drop comment \"no loopback\"",
            "iifname @links oifname != @links masquerade",
        ] {
            assert!(listed.contains(line), "no `{line}` in\n{listed}");
        }
        assert_eq!(nft.rules(Family::Inet, "test", "forward").unwrap().len(), 4);
        assert_eq!(nft.keys(Family::Inet, "test", "ports").unwrap(), [port(8080).key]);
        assert_eq!(nft.chains(Family::Inet).unwrap().len(), 3);
        assert!(nft.has_table(Family::Inet, "test").unwrap());
        assert!(!nft.has_table(Family::Ipv4, "test").unwrap());
    });
}

#[test]
fn a_transaction_is_all_or_nothing() {
    world(|| {
        let mut nft = Nft::open().unwrap();
        nft.commit(table()).unwrap();
        let mut transaction = Transaction::new(Family::Inet, "test");
        transaction.add_elements("ports", &[port(81)]).delete_elements("ports", &[port(99)]);
        let error = nft.commit(transaction).unwrap_err();
        assert!(error.is_missing());
        assert_eq!(error.to_string(), "delete elements from test ports: No such file or directory");
        assert_eq!(nft.keys(Family::Inet, "test", "ports").unwrap().len(), 1);
    });
}

#[test]
fn thousands_of_elements_fit_into_one_transaction() {
    world(|| {
        let mut nft = Nft::open().unwrap();
        nft.commit(table()).unwrap();
        let ports: Vec<_> = (10_000..30_000).map(port).collect();
        let mut transaction = Transaction::new(Family::Inet, "test");
        transaction.add_elements("ports", &ports);
        nft.commit(transaction).unwrap();
        assert_eq!(nft.keys(Family::Inet, "test", "ports").unwrap().len(), 20_001);
        let mut transaction = Transaction::new(Family::Inet, "test");
        transaction.delete_elements("ports", &ports);
        nft.commit(transaction).unwrap();
        assert_eq!(nft.keys(Family::Inet, "test", "ports").unwrap().len(), 1);
    });
}

#[test]
fn a_watch_wakes_when_anybody_changes_a_rule() {
    world(|| {
        let mut watch = Nft::watch().unwrap();
        shell("nft", "add table ip somebody");
        assert!(watch.wait());
    });
}
