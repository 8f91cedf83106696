//! What a network costs a container's start, in the engine: on a bridge against none, with the next namespace ready and without,
//! and with five hundred containers on the bridge against the first ones.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::time::Instant;

use super::api::Connection;
use super::launch::settle;
use super::peers::{Bench, Peer};
use super::table::Row;

const MANY: usize = 500;
const SAMPLES: usize = 20;

/// A made container.
struct Made {
    id: String,
    /// Milliseconds from the request until it runs.
    took: f64,
}

/// Makes a container that sleeps, with this of its host configuration, and starts it.
fn start(engine: &mut Connection, host: &Value) -> Result<Made> {
    let body = json!({
        "Image": "busybox", "Cmd": ["sleep", "100000"], "HostConfig": host, "ExposedPorts": { "80/tcp": {} },
    });
    let created = engine.ask("POST", "/containers/create", Some(&body))?;
    let id = created["Id"].as_str().context("no id")?.to_owned();
    // What was removed just before is still being taken down.
    settle();
    let before = Instant::now();
    engine.ask("POST", &format!("/containers/{id}/start"), None)?;
    Ok(Made { id, took: before.elapsed().as_secs_f64() * 1e3 })
}

fn remove(engine: &mut Connection, id: &str) -> Result<()> {
    engine.ask("DELETE", &format!("/containers/{id}?force=1"), None).map(drop)
}

fn on(network: &str) -> Value {
    json!({ "NetworkMode": network })
}

/// Starts on a bridge that is in use, and first starts on a new one, less a start without a network just before.
pub fn starts(bench: &Bench, rounds: usize) -> Result<Vec<Row>> {
    let mut rows = [
        Row::new("start: what a bridge in use costs, against no network").within(1.0),
        Row::new("start: what a new bridge costs, against no network").within(4.0),
    ];
    let with_api: Vec<(&Peer, _)> =
        bench.peers.iter().filter_map(|peer| Some((peer, peer.socket.as_ref()?))).collect();
    let mut engines = with_api
        .into_iter()
        .map(|(peer, socket)| Ok((peer, Connection::open(socket)?)))
        .collect::<Result<Vec<_>>>()?;
    for round in 0..=rounds {
        for (peer, engine) in &mut engines {
            let mut one = |network: &str| {
                let made = start(engine, &on(network))?;
                remove(engine, &made.id)?;
                anyhow::Ok(made.took)
            };
            // The first after another engine's turn is cold, whatever its network.
            one("none")?;
            let (none, bridge) = (one("none")?, one("bridge")?);
            peer.ok(&["network", "create", "fresh"])?;
            let (none_again, first) = (one("none")?, one("fresh")?);
            peer.ok(&["network", "rm", "fresh"])?;
            // The first round is cold for reasons that are not the network's.
            if round > 0 {
                rows[0].add(&peer.name, bridge - none);
                rows[1].add(&peer.name, first - none_again);
            }
        }
    }
    Ok(rows.into())
}

/// The first starts on a bridge, and those around the five hundredth, without a port and with one.
pub fn many(bench: &Bench) -> Result<[Row; 2]> {
    const FEW: &str = "first";
    let peer = bench.naru();
    let mut engine = Connection::open(peer.socket.as_ref().context("no socket")?)?;
    peer.ok(&["network", "create", "--subnet", "10.77.0.0/16", "many"])?;
    let plain = on("many");
    let published = json!({ "NetworkMode": "many", "PortBindings": { "80/tcp": [{ "HostPort": "" }] } });
    let mut rows = [
        Row::new("start, 500 containers on the bridge, against the first").at_most(1.3, FEW),
        Row::new("start with a published port, 500 on the bridge, against the first").at_most(1.3, FEW),
    ];
    let mut ids = Vec::new();
    let mut run = |host: &Value| {
        let made = start(&mut engine, host)?;
        ids.push(made.id);
        anyhow::Ok(made.took)
    };
    // The first of all makes the bridge.
    run(&plain)?;
    let mut sample = |who: &str, run: &mut dyn FnMut(&Value) -> Result<f64>| {
        for _ in 0..SAMPLES {
            rows[0].add(who, run(&plain)?);
            rows[1].add(who, run(&published)?);
        }
        anyhow::Ok(())
    };
    sample(FEW, &mut run)?;
    for _ in 0..MANY - 1 - 4 * SAMPLES {
        run(&published)?;
    }
    sample("naru", &mut run)?;
    for id in ids {
        remove(&mut engine, &id)?;
    }
    peer.ok(&["network", "rm", "many"])?;
    Ok(rows)
}
