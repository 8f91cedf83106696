//! What connecting and publishing cost: `cargo test -p network --test cost -- --ignored --nocapture`.

mod world;

use std::time::{Duration, Instant};

use network::{EndpointSpec, NetworkSpec, PortSpec, Proto};
use world::world;

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

#[test]
#[ignore = "measures"]
fn connect_and_publish() {
    world(|world| {
        let (mut sandbox, mut connect, mut publish, mut release) = (vec![], vec![], vec![], vec![]);
        for number in 0..200u16 {
            let start = Instant::now();
            let mut fresh = world.networks.sandbox(Some("bridge")).unwrap();
            let made = start.elapsed();
            let spec = EndpointSpec {
                container_id: format!("{number:064x}"),
                container_name: format!("c{number}"),
                ..EndpointSpec::default()
            };
            let start = Instant::now();
            let endpoint = world.networks.connect("bridge", &mut fresh, spec).unwrap();
            let connected = start.elapsed();
            let port = PortSpec { host_ip: None, host_ports: (0, 0), container_port: 80, proto: Proto::Tcp };
            let start = Instant::now();
            let published = world.networks.publish(&[port], &endpoint).unwrap();
            publish.push(start.elapsed());
            if number == 0 {
                println!("first: sandbox {made:?} connect {connected:?} publish {:?}", publish[0]);
            } else {
                sandbox.push(made);
                connect.push(connected);
            }
            let netns = fresh.into_netns();
            world.networks.refill();
            // As long as a container's start takes.
            std::thread::sleep(Duration::from_millis(10));
            drop((netns, published));
            let start = Instant::now();
            assert!(world.networks.release(&format!("{number:064x}")).is_empty());
            release.push(start.elapsed());
        }
        println!(
            "warm: sandbox {:?} connect {:?} publish {:?} release {:?}",
            median(sandbox),
            median(connect),
            median(publish),
            median(release)
        );
    });
    for _ in 0..10 {
        world::world_with(
            |config| config.warm = 0,
            |world| {
                let mut times = Vec::new();
                for number in 0..10 {
                    let start = Instant::now();
                    let mut fresh = world.networks.sandbox(Some("bridge")).unwrap();
                    let made = start.elapsed();
                    let spec =
                        EndpointSpec { container_id: format!("{number:064x}"), ..EndpointSpec::default() };
                    world.networks.connect("bridge", &mut fresh, spec).unwrap();
                    times.push((made, start.elapsed()));
                    drop(fresh);
                }
                println!("cold: first {:?}, then {:?}", times[0], times[5]);
            },
        );
    }
}

#[test]
#[ignore = "measures"]
fn first_on_a_new_bridge() {
    world(|world| {
        let _in_use = world.container("other", "bridge");
        let (mut sandbox, mut connect) = (vec![], vec![]);
        for number in 0..50 {
            let name = format!("fresh{number}");
            world.networks.create(NetworkSpec { name: name.clone(), ..NetworkSpec::default() }).unwrap();
            let start = Instant::now();
            let mut fresh = world.networks.sandbox(Some(&name)).unwrap();
            sandbox.push(start.elapsed());
            let spec = EndpointSpec { container_id: format!("{number:064x}"), ..EndpointSpec::default() };
            let start = Instant::now();
            world.networks.connect(&name, &mut fresh, spec).unwrap();
            connect.push(start.elapsed());
            // Until the next is waiting: not while this is measured.
            std::thread::sleep(Duration::from_millis(10));
            drop(fresh);
            assert!(world.networks.release(&format!("{number:064x}")).is_empty());
            world.networks.remove(&name).unwrap();
        }
        println!("new bridge: sandbox {:?} connect {:?}", median(sandbox), median(connect));
    });
}
