//! The host's routes and our subnets: new networks keep clear of routes, and one that was there before the route is named, and moved
//! while nobody is in it.

mod world;

use std::sync::{Arc, Mutex};

use network::{NetworkSpec, PoolSpec};
use world::*;

fn spec(name: &str, subnet: Option<&str>) -> NetworkSpec {
    let pools = subnet.map(|subnet| PoolSpec { subnet: subnet.to_owned(), ..PoolSpec::default() });
    NetworkSpec { name: name.to_owned(), pools: pools.into_iter().collect(), ..NetworkSpec::default() }
}

/// What the engine is told, in the order of telling.
fn told(world: &World) -> Arc<Mutex<Vec<String>>> {
    let told = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&told);
    world.networks.on_collision(move |collision| list.lock().unwrap().push(collision.to_string()));
    told
}

#[test]
fn a_network_that_the_host_comes_to_route_elsewhere_is_named_once() {
    world(|world| {
        let told = told(world);
        world.networks.create(spec("mine", Some("10.50.1.0/24"))).unwrap();
        let web = world.container("web", "mine");
        world.shell("ip route add 10.50.0.0/16 via 203.0.113.2");
        let wide = "subnet 10.50.1.0/24 of network mine overlaps with 10.50.0.0/16 via 203.0.113.2 on wan0: \
                    the network hides that part of it from this host";
        eventually("told of the wide route", || *told.lock().unwrap() == [wide]);
        world.shell("ip route add 10.50.1.128/25 dev wan0");
        let narrow = "subnet 10.50.1.0/24 of network mine overlaps with 10.50.1.128/25 on wan0: \
                      the host sends there what is for the containers";
        eventually("told of the narrow one, and only of that", || *told.lock().unwrap() == [wide, narrow]);
        assert_eq!(world.networks.collisions().unwrap().len(), 2);
        assert_eq!(world.networks.get("mine").unwrap().pools[0].subnet.to_string(), "10.50.1.0/24");
        world.shell("ip route del 10.50.0.0/16; ip route del 10.50.1.128/25");
        eventually("no collision is left", || world.networks.collisions().unwrap().is_empty());
        assert!(world.networks.release(web.id()).is_empty());
    });
}

#[test]
fn a_picked_subnet_that_is_routed_elsewhere_changes_while_nobody_is_in_it() {
    world(|world| {
        let told = told(world);
        let busy = world.networks.create(spec("busy", None)).unwrap();
        let idle = world.networks.create(spec("idle", None)).unwrap();
        let asked = world.networks.create(spec("asked", Some("172.16.9.0/24"))).unwrap();
        let subnets = [&busy, &idle, &asked].map(|network| network.pools[0].subnet.to_string());
        assert_eq!(subnets, ["172.16.0.0/24", "172.16.1.0/24", "172.16.9.0/24"]);
        let first = world.container("first", "busy");
        world.shell("ip route add 172.16.0.0/16 via 203.0.113.2");
        eventually("told of three", || told.lock().unwrap().len() == 3);
        let (second, third) = (world.container("second", "idle"), world.container("third", "asked"));
        for (name, subnet) in
            [("busy", "172.16.0.0/24"), ("idle", "172.18.0.0/24"), ("asked", "172.16.9.0/24")]
        {
            assert_eq!(world.networks.get(name).unwrap().pools[0].subnet.to_string(), subnet, "{name}");
        }
        assert_eq!(second.ip().to_string(), "172.18.0.2");
        serve_tcp(&world.neighbour, 80);
        assert_eq!(tcp(&second.netns, at(NEIGHBOUR, 80)), Some(HOST), "the moved network leads out");
        let next = world.networks.create(spec("next", None)).unwrap();
        assert_eq!(next.pools[0].subnet.to_string(), "172.18.1.0/24");
        for container in [first, second, third] {
            assert!(world.networks.release(container.id()).is_empty());
        }
    });
}
