//! With systemd itself as the first process (`cargo xtask lane` boots such a machine); elsewhere skipped aloud.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use cgroup::*;

fn scope(name: &str) -> Option<Scope> {
    if !Path::new("/run/systemd/private").exists() {
        println!("skipped: systemd does not run here");
        return None;
    }
    Some(Scope {
        manager: Manager::system(None),
        unit: format!("naru-{}-{name}.scope", std::process::id()),
        slice: "naru-lane.slice".into(),
        description: "a test".into(),
    })
}

fn folder(scope: &Scope) -> PathBuf {
    Path::new("/sys/fs/cgroup/naru.slice/naru-lane.slice").join(&scope.unit)
}

/// What systemd says about the unit.
fn property(scope: &Scope, name: &str) -> String {
    let output = Command::new("systemctl").args(["show", "-P", name, &scope.unit]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[track_caller]
fn until_forgotten(scope: &Scope) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while property(scope, "LoadState") != "not-found" {
        assert!(Instant::now() < deadline, "systemd still knows {}", scope.unit);
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn limits() -> Resources {
    Resources {
        memory: Memory { limit: Some(64 << 20), swap: Some(96 << 20), ..Memory::default() },
        cpu: Cpu {
            shares: Some(1024),
            quota: Some(50_000),
            period: Some(100_000),
            cpus: Some("0".into()),
            ..Cpu::default()
        },
        pids: Some(50),
        ..Resources::default()
    }
}

#[test]
fn a_scope_is_made_changed_and_forgotten() {
    let Some(scope) = scope("whole") else { return };
    let host = Host::detect().unwrap();
    let (group, stand_in) = Cgroup::create_in_scope(&host, &scope, &limits()).unwrap();
    let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
    group.add(child.id() as i32).unwrap();
    drop(stand_in);
    let file = |name: &str| std::fs::read_to_string(folder(&scope).join(name)).unwrap().trim().to_owned();
    assert_eq!(file("cgroup.procs"), child.id().to_string());
    for (name, value) in [("memory.max", 64 << 20), ("memory.swap.max", 32 << 20), ("pids.max", 50)] {
        assert_eq!(file(name), value.to_string(), "{name}");
    }
    for (name, value) in [
        ("ActiveState", "active"),
        ("Delegate", "yes"),
        ("Slice", "naru-lane.slice"),
        ("Description", "a test"),
        ("MemoryMax", "67108864"),
        ("MemorySwapMax", "33554432"),
        ("TasksMax", "50"),
        ("CPUWeight", "100"),
        ("CPUQuotaPerSecUSec", "500ms"),
        ("AllowedCPUs", "0"),
    ] {
        assert_eq!(property(&scope, name), value, "{name}");
    }
    let memory = Memory { limit: Some(32 << 20), swap: Some(32 << 20), ..Memory::default() };
    group.apply(&Resources { pids: Some(40), memory, ..Resources::default() }).unwrap();
    assert_eq!((file("pids.max"), property(&scope, "TasksMax")), ("40".into(), "40".into()));
    assert_eq!((file("memory.swap.max"), property(&scope, "MemoryMax")), ("0".into(), "33554432".into()));
    // systemd reads all its units again and takes nothing back.
    assert!(Command::new("systemctl").arg("daemon-reload").status().unwrap().success());
    assert_eq!(file("pids.max"), "40");
    group.freeze().unwrap();
    let waiter = std::thread::spawn(move || child.wait().unwrap());
    group.remove().unwrap();
    waiter.join().unwrap();
    assert!(!folder(&scope).exists());
    until_forgotten(&scope);
}

#[test]
fn one_that_is_left_is_replaced_and_an_empty_one_is_forgotten() {
    let Some(scope) = scope("again") else { return };
    let host = Host::detect().unwrap();
    for round in 0..3 {
        let (group, stand_in) = Cgroup::create_in_scope(&host, &scope, &Resources::default()).unwrap();
        assert_eq!(group.procs().unwrap().len(), 1, "{round}");
        if round > 0 {
            drop(stand_in);
        } else {
            // Left as by a launcher that was killed: it lives until the next one stops it.
            std::mem::forget(stand_in);
        }
    }
    until_forgotten(&scope);
    assert!(!folder(&scope).exists());
}

#[test]
fn what_it_refuses_is_told() {
    let Some(mut scope) = scope("bad") else { return };
    scope.unit = "bad name.scope".into();
    let error = Cgroup::create_in_scope(&Host::detect().unwrap(), &scope, &Resources::default()).unwrap_err();
    assert!(error.to_string().starts_with("start the unit bad name.scope: "), "{error}");
}
