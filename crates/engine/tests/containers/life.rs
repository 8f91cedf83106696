//! What happens to a container after its start: signals, pauses, names, limits, events, waits, removal.

use api::*;

use crate::world::{Body, World, shell, within};

const LOOP: &str = "trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.02; done";

async fn ready(world: &World, id: &str) {
    while !world.logs(id).await.contains("ready") {
        tokio::task::yield_now().await;
    }
}

pub(crate) fn stop_kill_and_restart(world: &mut World) -> Body<'_> {
    Box::pin(async move {
        let id = world.shell("box", LOOP).await;
        let again = world.try_start("box").await.unwrap_err();
        assert_eq!(again.kind, ErrorKind::NotModified);
        ready(world, &id).await;
        let first = world.state(&id).await;
        let query = ContainerStopQuery { timeout: Some(5), ..Default::default() };
        world.engine().container_restart(&id, query.clone()).await.unwrap();
        let second = world.state(&id).await;
        assert_eq!((second.status.as_str(), second.exit_code), ("running", 0));
        assert_ne!((first.pid, &first.started_at), (second.pid, &second.started_at));
        while world.logs(&id).await != "ready\nbye\nready\n" {
            tokio::task::yield_now().await;
        }
        world.stop("box").await;
        let state = world.state(&id).await;
        assert_eq!((state.status.as_str(), state.exit_code), ("exited", 3));
        let again = world.engine().container_stop("box", query.clone()).await.unwrap_err();
        assert_eq!(again.kind, ErrorKind::NotModified);
        let dead = world.engine().container_kill("box", "").await.unwrap_err();
        assert_eq!(dead.message, format!("cannot kill container: box: container {id} is not running"));
        assert_eq!(dead.kind, ErrorKind::Conflict);

        let id = world.shell("deaf", "trap '' TERM; echo ready; while :; do sleep 0.02; done").await;
        ready(world, &id).await;
        let query = ContainerStopQuery { timeout: Some(0), ..Default::default() };
        world.engine().container_stop(&id, query).await.unwrap();
        assert_eq!(world.state(&id).await.exit_code, 137);

        let id = world.shell("", "trap 'exit 7' USR1; echo ready; while :; do sleep 0.02; done").await;
        ready(world, &id).await;
        world.engine().container_kill(&id, "SIGUSR1").await.unwrap();
        assert_eq!(world.exit(&id).await, 7);
        let bad = world.engine().container_kill(&id, "SIGNOSE").await.unwrap_err();
        assert_eq!(
            (bad.kind, bad.message.as_str()),
            (ErrorKind::InvalidParameter, "Invalid signal: SIGNOSE")
        );

        // A container that removes itself survives being restarted.
        let id = world.detached("", &shell("sleep 1000", r#""AutoRemove":true,"NetworkMode":"none""#)).await;
        let query = ContainerStopQuery { timeout: Some(0), ..Default::default() };
        world.engine().container_restart(&id, query).await.unwrap();
        assert_eq!(world.state(&id).await.status, "running");
    })
}

pub(crate) fn pause_and_unpause(world: &mut World) -> Body<'_> {
    Box::pin(async move {
        let id = world.shell("box", "while :; do echo x; sleep 0.01; done").await;
        world.engine().container_pause("box").await.unwrap();
        let state = world.state(&id).await;
        assert_eq!((state.status.as_str(), state.running, state.paused), ("paused", true, true));
        let twice = world.engine().container_pause("box").await.unwrap_err();
        assert_eq!(twice.message, format!("container {id} is already paused"));
        let exec = world.engine().exec_create("box", ExecConfig::default()).await.unwrap_err();
        assert_eq!(exec.kind, ErrorKind::Conflict);
        // What it said before is still being read.
        let mut before = world.logs(&id).await;
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        loop {
            tokio::time::sleep(std::time::Duration::from_millis(60)).await;
            let now = world.logs(&id).await;
            if std::mem::replace(&mut before, now.clone()) == now {
                break;
            }
            assert!(std::time::Instant::now() < deadline, "it goes on, frozen or not");
        }
        world.engine().container_unpause("box").await.unwrap();
        while world.logs(&id).await == before {
            tokio::task::yield_now().await;
        }
        world.engine().container_unpause("box").await.unwrap_err();
        // A paused container can be killed.
        world.engine().container_pause("box").await.unwrap();
        world.engine().container_kill("box", "").await.unwrap();
        assert_eq!(world.exit(&id).await, 137);
        let stopped = world.engine().container_pause("box").await.unwrap_err();
        assert_eq!(stopped.message, format!("container {id} is not running"));
    })
}

pub(crate) fn rename_and_update(world: &mut World) -> Body<'_> {
    Box::pin(async move {
        let id =
            world.detached("a1", &shell("sleep 1000", r#""NetworkMode":"none","Memory":33554432"#)).await;
        world.create("b1", "{}").await;
        let taken = world.engine().container_rename("a1", "b1").await.unwrap_err();
        assert!(
            taken.message.starts_with("Conflict. The container name \"/b1\" is already in use by container")
        );
        world.engine().container_rename("a1", "c1").await.unwrap();
        assert_eq!(world.inspect(&id).await.name, "/c1");
        world.create("a1", "{}").await;
        let request = r#"{"Memory":67108864,"MemorySwap":134217728,"RestartPolicy":{"Name":"on-failure","MaximumRetryCount":2}}"#;
        world.engine().container_update("c1", serde_json::from_str(request).unwrap()).await.unwrap();
        let host = world.inspect(&id).await.host_config.unwrap();
        assert_eq!((host.resources.memory, host.restart_policy.name.as_str()), (64 << 20, "on-failure"));
        let shown = std::fs::read_to_string(format!("/proc/{}/cgroup", world.state(&id).await.pid)).unwrap();
        assert!(shown.contains(&id), "{shown}");
        let bad =
            world.engine().container_update("c1", serde_json::from_str(r#"{"Memory":1}"#).unwrap()).await;
        assert_eq!(bad.unwrap_err().message, "Minimum memory limit allowed is 6MB");
    })
}

pub(crate) fn events_come_in_order(world: &mut World) -> Body<'_> {
    Box::pin(async move {
        let ran = world.run(&shell("exit 4", "")).await;
        world.remove(&ran.id).await;
        let events = world.events(&ran.id).await;
        assert_eq!(events, ["create", "attach", "connect", "start", "die", "disconnect", "destroy"]);
        let id = world.shell("", LOOP).await;
        ready(world, &id).await;
        world.stop(&id).await;
        assert_eq!(
            world.events(&id).await.last_chunk::<4>().unwrap(),
            &["kill", "die", "disconnect", "stop"]
        );
        // One who does not listen is told twice.
        let id = world.shell("", "trap '' TERM; echo ready; while :; do sleep 0.02; done").await;
        ready(world, &id).await;
        let query = ContainerStopQuery { timeout: Some(0), ..Default::default() };
        world.engine().container_stop(&id, query).await.unwrap();
        assert_eq!(
            world.events(&id).await.last_chunk::<5>().unwrap(),
            &["kill", "kill", "die", "disconnect", "stop"]
        );
    })
}

pub(crate) fn waits_end(world: &mut World) -> Body<'_> {
    Box::pin(async move {
        let id = world.create("", &shell("exit 9", r#""NetworkMode":"none""#)).await;
        assert_eq!(world.exit(&id).await, 0, "it does not run");
        let next = world.engine().container_wait(&id, "next-exit").await.unwrap();
        let gone = world.engine().container_wait(&id, "removed").await.unwrap();
        world.start(&id).await;
        assert_eq!(within("the next exit", next).await.unwrap().status_code, 9);
        assert_eq!(world.exit(&id).await, 9);
        world.remove(&id).await;
        assert_eq!(within("the removal", gone).await.unwrap().status_code, 9);
        let bad = world.engine().container_wait(&id, "").await.err().unwrap();
        assert_eq!(bad.message, format!("No such container: {id}"));
    })
}

pub(crate) fn removal_is_refused_and_forced(world: &mut World) -> Body<'_> {
    Box::pin(async move {
        let id = world.shell("box", "sleep 1000").await;
        let plain = ContainerRemoveQuery::default();
        let refused = world.engine().container_remove("box", plain.clone()).await.unwrap_err();
        assert_eq!(
            refused.message,
            "cannot remove container \"/box\": container is running: stop the container before removing or force remove"
        );
        assert_eq!(refused.kind, ErrorKind::Conflict);
        let force = ContainerRemoveQuery { force: true, ..Default::default() };
        world.engine().container_remove("box", force.clone()).await.unwrap();
        let missing = world.engine().container_remove(&id, force).await.unwrap_err();
        assert_eq!(missing.kind, ErrorKind::NotFound);
        let id = world.create("box", "{}").await;
        let client = world.attach(&id, "").await;
        world.engine().container_remove("box", plain).await.unwrap();
        assert_eq!(client.read().await.0, "", "who waited for its start is let go");
    })
}

pub(crate) fn lists_filter(world: &mut World) -> Body<'_> {
    Box::pin(async move {
        let running = world.shell("runs", "sleep 1000").await;
        world.run(&shell("exit 5", r#""NetworkMode":"none""#)).await;
        world.create("labelled", r#"{"Labels":{"a":"b"},"ExposedPorts":{"80/tcp":{}}}"#).await;
        let list = async |all: bool, filters: &str| {
            let query =
                ContainerListQuery { all, filters: Filters::parse(filters).unwrap(), ..Default::default() };
            world.engine().container_list(query).await
        };
        let count = async |all: bool, filters: &str| list(all, filters).await.unwrap().len();
        assert_eq!((count(false, "").await, count(true, "").await), (1, 3));
        let shown = &list(false, "").await.unwrap()[0];
        assert_eq!(
            (shown.id.as_str(), shown.state.as_str(), shown.image.as_str()),
            (running.as_str(), "running", "busybox")
        );
        assert_eq!(shown.names.as_deref().unwrap(), ["/runs"]);
        assert_eq!(shown.command, "sh -c 'sleep 1000'");
        assert!(shown.status.starts_with("Up "), "{}", shown.status);
        for (filters, expected) in [
            (r#"{"name":["runs"]}"#, 1),
            (r#"{"name":["^/runs$"]}"#, 1),
            (r#"{"status":["exited"]}"#, 1),
            (r#"{"exited":["5"]}"#, 1),
            (r#"{"exited":["0"]}"#, 0),
            (r#"{"label":["a=b"]}"#, 1),
            (r#"{"label":["a=c"]}"#, 0),
            (r#"{"ancestor":["busybox"]}"#, 3),
            (r#"{"ancestor":["nosuch"]}"#, 0),
            (r#"{"before":["labelled"]}"#, 2),
            (r#"{"since":["runs"]}"#, 2),
            (r#"{"expose":["80"]}"#, 1),
            (r#"{"network":["none"]}"#, 2),
            (r#"{"health":["none"]}"#, 3),
        ] {
            assert_eq!(count(true, filters).await, expected, "{filters}");
        }
        assert_eq!(list(true, r#"{"x":["y"]}"#).await.unwrap_err().message, "invalid filter 'x'");
        assert_eq!(list(true, r#"{"status":["odd"]}"#).await.unwrap_err().kind, ErrorKind::InvalidParameter);
        let newest = ContainerListQuery { limit: 1, size: true, ..Default::default() };
        let newest = world.engine().container_list(newest).await.unwrap();
        assert_eq!(newest[0].names.as_deref().unwrap(), ["/labelled"]);
        assert!(newest[0].size_root_fs > 500_000, "{}", newest[0].size_root_fs);
    })
}

pub(crate) fn health_checks(world: &mut World) -> Body<'_> {
    Box::pin(async move {
        let json = r#"{"Cmd":["sh","-c","sleep 1000"],"HostConfig":{"NetworkMode":"none"},
            "Healthcheck":{"Test":["CMD-SHELL","test -e /tmp/ok"],"Interval":20000000,"Retries":2}}"#;
        let id = world.detached("box", json).await;
        assert_eq!(world.state(&id).await.health.unwrap().status, "starting");
        while world.state(&id).await.health.unwrap().status != "unhealthy" {
            tokio::task::yield_now().await;
        }
        let exec = r#"{"Cmd":["touch","/tmp/ok"]}"#;
        let exec = world.engine().exec_create("box", serde_json::from_str(exec).unwrap()).await.unwrap().id;
        world
            .engine()
            .exec_start(&exec, ExecStartConfig { detach: true, ..Default::default() }, None)
            .await
            .unwrap();
        while world.state(&id).await.health.unwrap().status != "healthy" {
            tokio::task::yield_now().await;
        }
        let health = world.state(&id).await.health.unwrap();
        assert_eq!((health.failing_streak, health.log.unwrap().last().unwrap().exit_code), (0, 0));
        let events = world.events(&id).await;
        let changes: Vec<_> = events.iter().filter(|action| action.starts_with("health_status")).collect();
        assert_eq!(changes, ["health_status: unhealthy", "health_status: healthy"]);
    })
}

pub(crate) fn policies_restart(world: &mut World) -> Body<'_> {
    Box::pin(async move {
        let host = r#""NetworkMode":"none","RestartPolicy":{"Name":"on-failure","MaximumRetryCount":2}"#;
        let id = world.create("", &shell("echo x; exit 1", host)).await;
        world.start(&id).await;
        while world.state(&id).await.status != "exited" {
            tokio::task::yield_now().await;
        }
        let answer = world.inspect(&id).await;
        assert_eq!((answer.restart_count, answer.state.unwrap().exit_code), (2, 1));
        assert_eq!(world.logs(&id).await, "x\nx\nx\n");
        let id = world
            .detached("", &shell("exit 0", r#""NetworkMode":"none","RestartPolicy":{"Name":"always"}"#))
            .await;
        while world.inspect(&id).await.restart_count < 2 {
            tokio::task::yield_now().await;
        }
        world.stop(&id).await;
        assert_eq!(world.state(&id).await.status, "exited");
    })
}

pub(crate) fn inspect_is_complete(world: &mut World) -> Body<'_> {
    Box::pin(async move {
        let json = r#"{"Cmd":["sleep","1000"],"Env":["A=b"],"Hostname":"box","Labels":{"l":"m"},
            "HostConfig":{"Memory":33554432,"PidsLimit":50,"Binds":["/tmp:/host:ro"]}}"#;
        let id = world.detached("box", json).await;
        let answer = world.inspect("box").await;
        assert_eq!((answer.id.as_str(), answer.path.as_str()), (id.as_str(), "sleep"));
        assert_eq!(answer.args.as_deref().unwrap(), ["1000"]);
        assert!(answer.image.starts_with("sha256:"));
        assert_eq!((answer.driver.as_str(), answer.platform.as_str()), ("overlay2", "linux"));
        assert!(answer.log_path.ends_with("-json.log"));
        assert_eq!(std::fs::read_to_string(&answer.hostname_path).unwrap(), "box\n");
        assert!(std::fs::read_to_string(&answer.hosts_path).unwrap().contains("\tbox\n"));
        assert_eq!(answer.mounts.unwrap()[0].destination, "/host");
        let config = answer.config.unwrap();
        assert_eq!((config.hostname.as_str(), config.image.as_str()), ("box", "busybox"));
        assert_eq!(config.env.unwrap()[0], "A=b");
        let host = answer.host_config.unwrap();
        assert_eq!(
            (host.resources.memory_swap, host.shm_size, host.ipc_mode.as_str()),
            (64 << 20, 64 << 20, "private")
        );
        let network = answer.network_settings.unwrap();
        assert!(!network.ip_address.is_empty());
        assert_eq!(network.networks.unwrap()["bridge"].ip_address, network.ip_address);
        let sized = world.engine().container_inspect("box", true).await.unwrap();
        assert!(sized.size_root_fs.unwrap() > sized.size_rw.unwrap());
        world.engine().container_kill("box", "").await.unwrap();
        let network = world.inspect("box").await.network_settings.unwrap();
        assert_eq!((network.ip_address.as_str(), network.sandbox_key.as_str()), ("", ""));
    })
}
