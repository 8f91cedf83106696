//! Engines that are killed, and the ones after them.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};

use api::*;
use engine::Engine;

use crate::world::{self, Body, World, eventually, shell, within};

/// Role `engine <folder> <container>…`: starts an engine and these containers, says so, and waits to be killed.
pub(crate) fn hold_an_engine(arguments: &[String]) -> ExitCode {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let engine = Engine::start(world::config(Path::new(&arguments[0]))).await.expect("start an engine");
        for container in &arguments[1..] {
            engine
                .container_start(container, ContainerStartQuery::default())
                .await
                .expect("start a container");
        }
        println!("ready");
        std::future::pending::<()>().await;
        drop(engine);
    });
    ExitCode::SUCCESS
}

/// Starts these containers in an engine of its own process.
async fn engine_process(world: &mut World, containers: &[&str]) -> Child {
    world.lose_engine().await;
    let folder = world.path("");
    let folder = folder.to_str().unwrap().trim_end_matches('/');
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["engine", folder])
        .args(containers)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    child
}

pub(crate) fn containers_outlive_a_killed_engine(world: &mut World) -> Body<'_> {
    Box::pin(async move {
        world.create("box", &shell("i=0; while :; do i=$((i+1)); echo $i; sleep 0.01; done", "")).await;
        world
            .create(
                "self",
                &shell("while ! test -e /tmp/go; do sleep 0.01; done; exit 8", r#""AutoRemove":true"#),
            )
            .await;
        let mut engine = engine_process(world, &["box", "self"]).await;
        engine.kill().unwrap();
        engine.wait().unwrap();
        world.boot().await;
        let state = world.state("box").await;
        assert_eq!((state.status.as_str(), state.running), ("running", true));
        assert!(!world.inspect("box").await.network_settings.unwrap().ip_address.is_empty());
        let before = world.logs("box").await;
        while world.logs("box").await == before {
            tokio::task::yield_now().await;
        }
        let config: ExecConfig = serde_json::from_str(r#"{"Cmd":["touch","/tmp/go"]}"#).unwrap();
        let gone = world.engine().container_wait("self", "removed").await.unwrap();
        let exec = world.engine().exec_create("self", config).await.unwrap().id;
        world
            .engine()
            .exec_start(&exec, ExecStartConfig { detach: true, ..Default::default() }, None)
            .await
            .unwrap();
        assert_eq!(within("the removal", gone).await.unwrap().status_code, 8);
        world.engine().container_kill("box", "").await.unwrap();
        assert_eq!(world.exit("box").await, 137);
    })
}

pub(crate) fn exits_while_no_engine_runs(world: &mut World) -> Body<'_> {
    Box::pin(async move {
        let id = world.shell("box", "sleep 0.1; echo last words; exit 11").await;
        let once = world
            .detached("once", &shell("sleep 0.1; exit 12", r#""AutoRemove":true,"NetworkMode":"none""#))
            .await;
        let pids = [world.state(&id).await.pid, world.state(&once).await.pid];
        world.lose_engine().await;
        eventually("both have ended", || pids.iter().all(|pid| !Path::new(&format!("/proc/{pid}")).exists()))
            .await;
        world.boot().await;
        let state = world.state("box").await;
        assert_eq!((state.status.as_str(), state.exit_code), ("exited", 11));
        assert_eq!(world.logs("box").await, "last words\n");
        assert!(world.events(&id).await.contains(&"die".to_owned()));
        let removed = || async { world.engine().container_inspect("once", false).await.is_err() };
        while !removed().await {
            tokio::task::yield_now().await;
        }
    })
}

pub(crate) fn a_killed_monitor_ends_its_container(world: &mut World) -> Body<'_> {
    Box::pin(async move {
        let plain = world.shell("plain", "sleep 1000").await;
        let always =
            world.create("always", &shell("sleep 1000", r#""RestartPolicy":{"Name":"always"}"#)).await;
        world.start(&always).await;
        let parent = |pid: i64| -> i32 {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
            stat.rsplit_once(')').unwrap().1.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        let before = world.state(&always).await.pid;
        for id in [&plain, &always] {
            sys::signal::kill(parent(world.state(id).await.pid), sys::signal::KILL).unwrap();
        }
        assert_eq!(world.exit(&plain).await, 137);
        let state = world.state(&plain).await;
        assert_eq!((state.status.as_str(), state.exit_code), ("exited", 137));
        loop {
            let state = world.state(&always).await;
            if state.status == "running" && state.pid != before {
                break;
            }
            tokio::task::yield_now().await;
        }
        world.stop(&always).await;
    })
}

pub(crate) fn a_reboot(world: &mut World) -> Body<'_> {
    Box::pin(async move {
        let host = |policy: &str| format!(r#""NetworkMode":"none","RestartPolicy":{{"Name":"{policy}"}}"#);
        for policy in ["no", "always", "unless-stopped"] {
            world.detached(policy, &shell("sleep 1000", &host(policy))).await;
        }
        world.detached("stopped", &shell("sleep 1000", &host("unless-stopped"))).await;
        let query = ContainerStopQuery { timeout: Some(0), ..Default::default() };
        world.engine().container_stop("stopped", query).await.unwrap();
        let mut monitors = Vec::new();
        for name in ["no", "always", "unless-stopped"] {
            monitors.push(world.state(name).await.pid);
        }
        world.lose_engine().await;
        // What a reboot does: processes and the run folder are gone.
        for pid in &monitors {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
            let parent = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(1).unwrap().parse().unwrap();
            sys::signal::kill(parent, sys::signal::KILL).unwrap();
            sys::signal::kill(*pid as i32, sys::signal::KILL).unwrap();
        }
        std::fs::remove_dir_all(&world.config.run_dir).unwrap();
        world.boot().await;
        for name in ["always", "unless-stopped"] {
            while world.state(name).await.status != "running" {
                tokio::task::yield_now().await;
            }
        }
        let state = world.state("no").await;
        assert_eq!((state.status.as_str(), state.exit_code), ("exited", 255));
        assert_eq!(world.state("stopped").await.status, "exited");
    })
}
