//! Created containers whose first process waits for the start.

use std::process::{Command, Stdio};
use std::time::Duration;

use api::*;

use crate::world::{Body, World, children, eventually, is_spare, shell};

/// Creates a container, whose process waits; its id and that process.
async fn create(world: &World, json: &str) -> (String, i32) {
    // A monitor for it, which comes with the start of another.
    let first = world.shell("", "exit 0").await;
    world.exit(&first).await;
    world.remove(&first).await;
    eventually("a monitor waits for a container", || children().into_iter().any(is_spare)).await;
    let id = world.create("", json).await;
    eventually("a process waits for the start", || waiting_in(world, &id).is_some()).await;
    let pid = waiting_in(world, &id).unwrap();
    (id, pid)
}

fn cgroup_of(world: &World, id: &str) -> cgroup::Cgroup {
    let host = cgroup::Host::detect().unwrap();
    cgroup::Cgroup::open(&host, &format!("{}/{id}", world.config.cgroup_parent))
}

fn processes(world: &World, id: &str) -> Vec<i32> {
    cgroup_of(world, id).pids().unwrap_or_default()
}

/// The process of a container that has not come to its program.
fn waiting_in(world: &World, id: &str) -> Option<i32> {
    processes(world, id).into_iter().find(|pid| is_spare(*pid))
}

pub(crate) fn a_start_lets_it_go(world: &mut World) -> Body<'_> {
    Box::pin(async move {
        world.loopback_up();
        for host in [r#""NetworkMode":"none""#, r#""NetworkMode":"host""#, ""] {
            // As the docker command asks: with empty lists, and without a network.
            let host = [host, r#""Devices":[],"Links":[],"Binds":null"#].map(str::to_owned);
            let host = host.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(",");
            let (id, pid) = create(world, &shell("ip -4 addr show eth0; sleep 1000", &host)).await;
            let state = world.state(&id).await;
            assert_eq!((state.status.as_str(), state.pid), ("created", 0));
            world.start(&id).await;
            let inspected = world.inspect(&id).await;
            assert_eq!(inspected.state.unwrap().pid, i64::from(pid), "{host}");
            let address = inspected.network_settings.unwrap().ip_address;
            if !address.is_empty() {
                let mut logs = String::new();
                while !logs.contains("inet ") {
                    logs = world.logs(&id).await;
                }
                assert!(logs.contains(&format!("inet {address}/")), "{logs}");
            }
            world.remove(&id).await;
        }
    })
}

pub(crate) fn a_change_takes_its_place(world: &mut World) -> Body<'_> {
    Box::pin(async move {
        let json = shell("cat /late; sleep 1000", r#""NetworkMode":"none""#);
        // What is written into its files now is there when it starts.
        let (id, pid) = create(world, &json).await;
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(5);
        header.set_mode(0o644);
        archive.append_data(&mut header, "late", &b"here\n"[..]).unwrap();
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        sender.send(Ok(archive.into_inner().unwrap().into())).await.unwrap();
        drop(sender);
        let query = ContainerArchiveQuery { path: "/".to_owned(), ..Default::default() };
        world.engine().container_archive_put(&id, query, receiver).await.unwrap();
        assert!(!processes(world, &id).contains(&pid));
        world.start(&id).await;
        while world.logs(&id).await != "here\n" {
            tokio::task::yield_now().await;
        }
        assert_ne!(world.state(&id).await.pid, i64::from(pid));
        world.remove(&id).await;

        let (id, pid) = create(world, &json).await;
        let update: ContainerUpdateRequest = serde_json::from_str(r#"{"Memory":33554432}"#).unwrap();
        world.engine().container_update(&id, update).await.unwrap();
        assert!(processes(world, &id).is_empty());
        world.start(&id).await;
        let now = world.state(&id).await.pid;
        assert_ne!(now, i64::from(pid));
        let limits: Vec<String> = cgroup_of(world, &id)
            .folders()
            .filter_map(|(_, folder)| {
                let read = |name: &str| std::fs::read_to_string(folder.join(name)).ok();
                read("memory.limit_in_bytes").or_else(|| read("memory.max"))
            })
            .collect();
        assert!(limits.iter().any(|limit| limit.trim() == "33554432"), "{limits:?}");
        world.remove(&id).await;

        let (id, _) = create(world, &json).await;
        world.remove(&id).await;
        world.nothing_is_left().await;
    })
}

pub(crate) fn several_wait(world: &mut World) -> Body<'_> {
    Box::pin(async move {
        let json = shell("exit 6", r#""NetworkMode":"none""#);
        let mut waiting = vec![create(world, &json).await];
        for _ in 0..2 {
            eventually("a monitor waits for the next", || {
                children().into_iter().filter(|pid| is_spare(*pid)).count() > waiting.len()
            })
            .await;
            let id = world.create("", &json).await;
            eventually("a process waits for the start", || waiting_in(world, &id).is_some()).await;
            waiting.push((id.clone(), waiting_in(world, &id).unwrap()));
        }
        for (id, pid) in waiting {
            assert_eq!(waiting_in(world, &id), Some(pid));
            world.start(&id).await;
            assert_eq!(world.exit(&id).await, 6);
        }
    })
}

pub(crate) fn it_does_not_wait_for_ever(world: &mut World) -> Body<'_> {
    Box::pin(async move {
        let (id, _) = create(world, &shell("exit 6", r#""NetworkMode":"none""#)).await;
        eventually("it is given up", || processes(world, &id).is_empty()).await;
        eventually("a monitor waits for the next", || children().into_iter().all(is_spare)).await;
        world.start(&id).await;
        assert_eq!(world.exit(&id).await, 6);
    })
}

pub(crate) fn it_ends_with_the_engine(world: &mut World) -> Body<'_> {
    Box::pin(async move {
        let (id, _) = create(world, &shell("exit 6", r#""NetworkMode":"none""#)).await;
        world.lose_engine().await;
        assert!(processes(world, &id).is_empty());
        world.boot().await;
        world.start(&id).await;
        assert_eq!(world.exit(&id).await, 6);
    })
}

pub(crate) fn what_a_killed_monitor_leaves_is_removed(world: &mut World) -> Body<'_> {
    Box::pin(async move {
        let id = world.create("", &shell("exit 6", r#""NetworkMode":"none""#)).await;
        world.lose_engine().await;
        let host = cgroup::Host::detect().unwrap();
        let path = format!("{}/{id}", world.config.cgroup_parent);
        let left = cgroup::Cgroup::create(&host, &path, &cgroup::Resources::default()).unwrap();
        let mut sleep = Command::new("sleep");
        let mut process = sleep.arg("1000").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        for (_, folder) in left.folders() {
            // Some want to be set up first.
            let _ = std::fs::write(folder.join("cgroup.procs"), process.id().to_string());
        }
        assert_eq!(processes(world, &id).len(), 1);
        world.boot().await;
        assert!(left.folders().all(|(_, folder)| !folder.exists()));
        assert!(!process.wait().unwrap().success());
        world.start(&id).await;
        assert_eq!(world.exit(&id).await, 6);
    })
}

pub(crate) fn it_keeps_no_address_from_others(world: &mut World) -> Body<'_> {
    Box::pin(async move {
        world.loopback_up();
        let json = r#"{"Name":"few","IPAM":{"Config":[{"Subnet":"10.99.7.0/29"}]}}"#;
        let network = world.engine().network_create(serde_json::from_str(json).unwrap()).await.unwrap();
        let host = r#""NetworkMode":"few""#;
        // The network's first container has one made ready for the next.
        let first = world.detached("", &shell("exit 0", host)).await;
        world.exit(&first).await;
        world.remove(&first).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        let (id, _) = create(world, &shell("sleep 1000", host)).await;
        // All that the network has: whichever waits with the first is among them.
        for last in 2..=6 {
            let endpoints = format!(
                r#""NetworkingConfig":{{"EndpointsConfig":{{"few":{{"IPAMConfig":{{"IPv4Address":"10.99.7.{last}"}}}}}}}}"#
            );
            let json = format!(r#"{{"Cmd":["sleep","1000"],"HostConfig":{{{host}}},{endpoints}}}"#);
            world.detached("", &json).await;
        }
        let error = world.try_start(&id).await.unwrap_err();
        assert!(error.message.contains("no available IPv4 addresses"), "{}", error.message);
        let query = ContainerListQuery { all: true, ..ContainerListQuery::default() };
        for container in world.engine().container_list(query).await.unwrap() {
            world.remove(&container.id).await;
        }
        world.engine().network_remove(&network.id).await.unwrap();
    })
}

fn exec(json: &str) -> ExecConfig {
    serde_json::from_str(json).unwrap()
}

pub(crate) fn an_exec_waits_for_its_start_too(world: &mut World) -> Body<'_> {
    Box::pin(async move {
        let id = world.shell("box", "sleep 1000").await;
        let (engine, first) = (world.engine(), world.state("box").await.pid);
        let waits = || processes(world, &id).into_iter().find(|pid| i64::from(*pid) != first);
        let config = exec(r#"{"Cmd":["sh","-c","exit 6"],"AttachStdin":false}"#);
        let made = engine.exec_create("box", config.clone()).await.unwrap().id;
        eventually("a process waits for the start", || waits().is_some()).await;
        let pid = waits().unwrap();
        let inspected = engine.exec_inspect(&made).await.unwrap();
        assert_eq!((inspected.running, inspected.pid), (false, 0));
        engine.exec_start(&made, ExecStartConfig { detach: true, ..Default::default() }, None).await.unwrap();
        let mut inspected = engine.exec_inspect(&made).await.unwrap();
        while inspected.running {
            inspected = engine.exec_inspect(&made).await.unwrap();
        }
        assert_eq!((inspected.exit_code, inspected.pid), (Some(6), i64::from(pid)));

        // One that is not started ends, and can be started still.
        let made = engine.exec_create("box", config).await.unwrap().id;
        eventually("a process waits for the start", || waits().is_some()).await;
        eventually("it is given up", || waits().is_none()).await;
        engine.exec_start(&made, ExecStartConfig { detach: true, ..Default::default() }, None).await.unwrap();
        eventually("it has ended", || waits().is_none()).await;
    })
}

pub(crate) fn nothing_waits_where_it_could_be_traced(world: &mut World) -> Body<'_> {
    Box::pin(async move {
        let host = r#""NetworkMode":"none","CapAdd":["SYS_PTRACE"]"#;
        let id = world.detached("box", &shell("sleep 1000", host)).await;
        let made = world.engine().exec_create("box", exec(r#"{"Cmd":["true"]}"#)).await.unwrap().id;
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(processes(world, &id).len(), 1);
        let start = ExecStartConfig { detach: true, ..Default::default() };
        world.engine().exec_start(&made, start, None).await.unwrap();
        while world.engine().exec_inspect(&made).await.unwrap().running {
            tokio::task::yield_now().await;
        }
        assert_eq!(world.engine().exec_inspect(&made).await.unwrap().exit_code, Some(0));
    })
}
