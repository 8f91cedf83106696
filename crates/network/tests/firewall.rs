//! Among other people's firewalls: what others set up stays as it is and cuts nobody off, and what they throw away of ours comes
//! back while the engine runs.

mod world;

use network::{NetworkSpec, Proto};
use world::*;

const FOREIGN: &str = "table inet filter { chain forward { type filter hook forward priority 0; policy drop; ct state established accept; }; }; \
                       table ip nat { chain post { type nat hook postrouting priority 100; oifname \"tun0\" masquerade; }; };";

fn nft(commands: &str) {
    shell(&format!("nft -f - <<'END'\n{}\nEND", commands.replace("; ", "\n")));
}

#[test]
fn a_forward_chain_that_drops_lets_containers_through() {
    world(|world| {
        nft(FOREIGN);
        let before = world.shell("nft list ruleset");
        let web = world.container("web", "bridge");
        web.serve_tcp(80);
        serve_tcp(&world.neighbour, 80);
        assert!(tcp(&web.netns, at(NEIGHBOUR, 80)).is_some());
        assert!(no_tcp(&world.neighbour, at(HOST, 8080)));
        let _published = world.networks.publish(&[port(8080, 80, Proto::Tcp)], &web.endpoint).unwrap();
        assert!(tcp(&world.neighbour, at(HOST, 8080)).is_some());

        world.networks.create(NetworkSpec { name: "red".to_owned(), ..NetworkSpec::default() }).unwrap();
        assert_eq!(world.shell("nft list table inet filter").matches("naru: ").count(), 4);
        world.networks.remove("red").unwrap();
        assert_eq!(world.shell("nft list table inet filter").matches("naru: ").count(), 2);
        assert!(world.networks.teardown().is_empty());
        assert_eq!(world.shell("nft list ruleset"), before, "nothing of others is touched");
    });
}

#[test]
fn flushed_rules_come_back() {
    world(|world| {
        let web = world.container("web", "bridge");
        web.serve_tcp(80);
        let _published = world.networks.publish(&[port(8080, 80, Proto::Tcp)], &web.endpoint).unwrap();
        let ours = || world.shell("nft list tables").contains("table inet naru");
        let before = world.shell("nft list table inet naru");
        for harm in ["nft flush ruleset", "nft delete table inet naru", "nft flush map inet naru publish4"] {
            world.shell(harm);
            eventually(harm, || ours() && world.shell("nft list table inet naru") == before);
            assert_eq!(tcp(&world.neighbour, at(HOST, 8080)), Some(NEIGHBOUR), "{harm}");
        }
        // A firewall that comes up later and forwards nothing.
        nft(FOREIGN);
        eventually("a way through", || tcp(&world.neighbour, at(HOST, 8080)).is_some());
        assert!(world.networks.teardown().is_empty());
        assert!(!ours());
    });
}
