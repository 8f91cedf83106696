//! Health checks.

use crate::world::*;
use monitor::protocol::*;

const SECOND: u64 = 1_000_000_000;
const MOMENT: u64 = SECOND / 20;

fn world(probe: &str) -> World {
    let mut world = World::new("while :; do sleep 0.05; done");
    world.spec.health = Some(Box::new(HealthSpec {
        plan: world.exec_plan(probe),
        interval: MOMENT,
        timeout: 20 * SECOND,
        start_period: 0,
        start_interval: MOMENT,
        retries: 2,
    }));
    world
}

fn probed(link: &mut Link) -> (HealthStatus, bool, HealthEntry) {
    link.event("a probe", |event| match event {
        Event::Health { status, changed, entry } => Some((*status, *changed, entry.clone())),
        _ => None,
    })
}

pub fn healthy_then_unhealthy() {
    let mut world = world("cat /tmp/sick 2>/dev/null && exit 3; echo fine");
    // A file system of its own, so that the probe has something to look at.
    let folder = world.folder.path().join("tmp");
    std::fs::create_dir(&folder).unwrap();
    world.spec.plan.mounts.push(runtime::Mount {
        target: "/tmp".into(),
        source: runtime::MountSource::Bind { path: folder.clone(), recursive: false, nofollow: false },
        attributes: 0,
        clear: 0,
        recursive_attributes: 0,
        recursive_clear: 0,
        propagation: Vec::new(),
        idmap: None,
        copy_up: false,
    });
    let mut link = world.start();
    assert_eq!(link.status().state.health.unwrap().status, HealthStatus::Starting);
    let (status, changed, entry) = probed(&mut link);
    assert_eq!((status, changed), (HealthStatus::Healthy, true));
    assert_eq!((entry.exit_code, entry.output.as_str()), (0, "fine\n"));
    assert!(entry.start <= entry.end);
    let (status, changed, _) = probed(&mut link);
    assert_eq!((status, changed), (HealthStatus::Healthy, false));
    std::fs::write(folder.join("sick"), "y".repeat(5000)).unwrap();
    let (status, entry) = loop {
        let (status, changed, entry) = probed(&mut link);
        if changed {
            break (status, entry);
        }
    };
    assert_eq!((status, entry.exit_code), (HealthStatus::Unhealthy, 3));
    assert_eq!(entry.output, format!("{}...", "y".repeat(4096)));
    let health = link.status().state.health.unwrap();
    assert!(health.failing_streak >= 2 && health.log.len() <= 5);
    // A frozen container is left alone, and looked at again afterwards.
    link.order(Body::Pause);
    link.order(Body::Unpause);
    probed(&mut link);
    end(link, &mut world);
    assert_eq!(world.state().health.unwrap().status, HealthStatus::Unhealthy);
}

pub fn a_probe_that_takes_too_long() {
    let mut world = world("echo begin; sleep 1000");
    let health = world.spec.health.as_mut().unwrap();
    health.timeout = SECOND / 2;
    health.start_period = 100 * SECOND;
    let mut link = world.start();
    let (status, changed, entry) = probed(&mut link);
    assert_eq!((status, changed, entry.exit_code), (HealthStatus::Starting, false, -1));
    assert_eq!(entry.output, "Health check exceeded timeout (500ms): begin\n");
    assert_eq!(link.status().state.health.unwrap().failing_streak, 0);
    end(link, &mut world);
}

pub fn a_probe_on_demand() {
    let mut world = world("exit 0");
    world.spec.health.as_mut().unwrap().interval = 1000 * SECOND;
    let mut link = world.start();
    link.order(Body::HealthCheckNow);
    assert_eq!(link.status().state.health.unwrap().status, HealthStatus::Healthy);
    end(link, &mut world);

    let mut world = self::world("");
    let health = world.spec.health.as_mut().unwrap();
    health.interval = 1000 * SECOND;
    health.plan.args = vec!["no-such-program".into()];
    let mut link = world.start();
    link.order(Body::HealthCheckNow);
    let (_, _, entry) = probed(&mut link);
    assert_eq!(entry.exit_code, -1);
    assert!(entry.output.contains("no-such-program"), "{}", entry.output);
    end(link, &mut world);
}
