//! What `docker run` does: create, attach, wait, start, and what arrives at the client.

use std::io::Write;

use api::*;
use engine::AttachOptions;

use crate::world::{Body, World, shell, within};

const NONE: &str = r#""NetworkMode":"none""#;

pub(crate) fn output_exit_code_and_logs_arrive(world: &mut World) -> Body<'_> {
    Box::pin(async move {
        let ran = world.run(&shell("echo out; echo err >&2; exit 42", NONE)).await;
        assert_eq!((ran.stdout.as_str(), ran.stderr.as_str(), ran.code), ("out\n", "err\n", 42));
        let state = world.state(&ran.id).await;
        assert_eq!(
            (state.status.as_str(), state.running, state.pid, state.exit_code),
            ("exited", false, 0, 42)
        );
        assert!(state.finished_at > state.started_at, "{state:?}");
        assert_eq!(world.logs(&ran.id).await, "out\nerr\n");
        // A second run: what was logged stays.
        world.start(&ran.id).await;
        assert_eq!(world.exit(&ran.id).await, 42);
        assert_eq!(world.logs(&ran.id).await, "out\nout\nerr\nerr\n");
    })
}

pub(crate) fn a_container_that_removes_itself_is_gone(world: &mut World) -> Body<'_> {
    Box::pin(async move {
        let id = world.create("once", &shell("exit 3", r#""AutoRemove":true,"NetworkMode":"none""#)).await;
        let client = world.attach(&id, "").await;
        let gone = world.engine().container_wait(&id, "removed").await.unwrap();
        world.start(&id).await;
        client.read().await;
        assert_eq!(within("the removal", gone).await.unwrap().status_code, 3);
        let error = world.engine().container_inspect("once", false).await.unwrap_err();
        assert_eq!(error.message, "No such container: once");
        world.nothing_is_left().await;
        // The name is free at once.
        world.create("once", "{}").await;
    })
}

pub(crate) fn programs_that_cannot_run(world: &mut World) -> Body<'_> {
    Box::pin(async move {
        let prefix = "failed to create task for container: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: ";
        for (program, reason, code) in [
            ("nosuch", "exec: \"nosuch\": executable file not found in $PATH", 127),
            ("/nosuch", "exec: \"/nosuch\": stat /nosuch: no such file or directory", 127),
            ("/etc", "exec: \"/etc\": is a directory", 126),
            ("/etc/passwd", "exec: \"/etc/passwd\": permission denied", 126),
        ] {
            let id = world.create("", &format!(r#"{{"Cmd":["{program}"],"HostConfig":{{{NONE}}}}}"#)).await;
            let client = world.attach(&id, "").await;
            let error = world.try_start(&id).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::InvalidParameter);
            assert!(error.message.starts_with(prefix), "{}", error.message);
            assert!(error.message.contains(reason), "{}", error.message);
            assert_eq!(client.read().await, (String::new(), String::new()), "its client is let go");
            let state = world.state(&id).await;
            assert_eq!((state.status.as_str(), state.exit_code), ("created", code), "{program}");
            assert_eq!(state.error, error.message);
        }
        let id = world.create("", &format!(r#"{{"User":"nobodyatall","HostConfig":{{{NONE}}}}}"#)).await;
        let error = world.try_start(&id).await.unwrap_err();
        assert!(error.message.contains("unable to find user nobodyatall"), "{}", error.message);
        let query = r#"{"Cmd":["nosuch"],"HostConfig":{"AutoRemove":true,"NetworkMode":"none"}}"#;
        let id = world.create("", query).await;
        let gone = world.engine().container_wait(&id, "removed").await.unwrap();
        world.try_start(&id).await.unwrap_err();
        assert_eq!(within("the removal", gone).await.unwrap().status_code, 127);
    })
}

pub(crate) fn standard_input_and_its_end_arrive(world: &mut World) -> Body<'_> {
    Box::pin(async move {
        let id = world
            .create("", r#"{"Cmd":["wc","-c"],"OpenStdin":true,"StdinOnce":true,"HostConfig":{"NetworkMode":"none"}}"#)
            .await;
        let client = world.attach(&id, &"x".repeat(1 << 20)).await;
        world.start(&id).await;
        assert_eq!(client.read().await.0.trim(), "1048576");
        assert_eq!(world.exit(&id).await, 0);
    })
}

pub(crate) fn the_first_byte_is_not_lost(world: &mut World) -> Body<'_> {
    Box::pin(async move {
        // The client starts the container before its socket has come through.
        for _ in 0..20 {
            let id =
                world.create("", &shell("echo first", r#""AutoRemove":true,"NetworkMode":"none""#)).await;
            let options =
                AttachOptions { stream: true, stdout: true, stderr: true, mux: true, ..Default::default() };
            let attachment = world.engine().container_attach(&id, options).await.unwrap();
            let engine = world.engine().clone();
            let started =
                tokio::spawn(
                    async move { engine.container_start(&id, ContainerStartQuery::default()).await },
                );
            tokio::task::yield_now().await;
            let (client, stream) = crate::world::client(false);
            tokio::spawn(attachment.run(stream));
            assert_eq!(client.read().await.0, "first\n");
            started.await.unwrap().unwrap();
        }
    })
}

pub(crate) fn clients_attach_to_a_running_container(world: &mut World) -> Body<'_> {
    Box::pin(async move {
        let id = world
            .detached(
                "",
                r#"{"Cmd":["sh","-c","echo before; read line; echo got $line"],"OpenStdin":true,"HostConfig":{"NetworkMode":"none"}}"#,
            )
            .await;
        while world.logs(&id).await != "before\n" {
            tokio::task::yield_now().await;
        }
        let options = AttachOptions {
            logs: true,
            stream: true,
            stdin: true,
            stdout: true,
            stderr: true,
            mux: true,
            ..Default::default()
        };
        let mut client = world.attach_with(&id, options, "").await;
        client.socket.write_all(b"it\n").unwrap();
        assert_eq!(client.read().await.0, "before\ngot it\n");
        let only_logs = AttachOptions { logs: true, stdout: true, mux: true, ..Default::default() };
        assert_eq!(world.attach_with(&id, only_logs, "").await.read().await.0, "before\ngot it\n");
    })
}

pub(crate) fn a_terminal_has_its_size(world: &mut World) -> Body<'_> {
    Box::pin(async move {
        let json = r#"{"Tty":true,"Cmd":["sh","-c","stty size; tty; read x; stty size"],"OpenStdin":true,
            "HostConfig":{"NetworkMode":"none","ConsoleSize":[33,77]}}"#;
        let id = world.create("", json).await;
        let options =
            AttachOptions { stream: true, stdin: true, stdout: true, mux: true, ..Default::default() };
        let mut client = world.attach_with(&id, options, "").await;
        world.start(&id).await;
        while !world.logs(&id).await.contains("/dev/pts/0") {
            tokio::task::yield_now().await;
        }
        world.engine().container_resize(&id, ResizeQuery { height: 10, width: 20 }).await.unwrap();
        client.socket.write_all(b"\n").unwrap();
        let (output, _) = client.read().await;
        assert_eq!(output.replace("\r\n", "|"), "33 77|/dev/pts/0||10 20|");
    })
}

pub(crate) fn many_at_once(world: &mut World) -> Body<'_> {
    Box::pin(async move {
        let one = async |number: usize| {
            let ran = world.run(&shell(&format!("echo {number}"), r#""NetworkMode":"bridge""#)).await;
            assert_eq!((ran.stdout, ran.code), (format!("{number}\n"), 0));
        };
        futures_util::future::join_all((0..20).map(one)).await;
    })
}

pub(crate) fn a_hundred_leave_nothing(world: &mut World) -> Body<'_> {
    Box::pin(async move {
        for _ in 0..100 {
            let id = world.detached("", &shell("sleep 1000", "")).await;
            world.remove(&id).await;
        }
        world.nothing_is_left().await;
    })
}

pub(crate) fn init_is_the_first_process(world: &mut World) -> Body<'_> {
    Box::pin(async move {
        let ran = world.run(&shell("cat /proc/1/comm; exit 5", r#""Init":true,"NetworkMode":"none""#)).await;
        assert_eq!((ran.stdout.as_str(), ran.stderr.as_str(), ran.code), ("docker-init\n", "", 5));
    })
}
