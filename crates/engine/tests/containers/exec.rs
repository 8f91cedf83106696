//! `docker exec`.

use std::io::Write;

use api::*;

use crate::world::{Body, World, client};

async fn exec(world: &World, json: &str) -> (String, String) {
    exec_with(world, json, "").await
}

/// Creates and starts an exec with a client; its id and what it wrote.
async fn exec_with(world: &World, json: &str, input: &str) -> (String, String) {
    let mut config: ExecConfig = serde_json::from_str(json).unwrap();
    (config.attach_stdout, config.attach_stderr) = (true, true);
    let tty = config.tty;
    let id = world.engine().exec_create("box", config).await.unwrap().id;
    let (client, stream) = client(tty);
    if !input.is_empty() {
        (&client.socket).write_all(input.as_bytes()).unwrap();
        client.socket.shutdown(std::net::Shutdown::Write).unwrap();
    }
    // What went wrong is told to the client, too.
    let _ = world.engine().exec_start(&id, ExecStartConfig { tty, ..Default::default() }, Some(stream)).await;
    let (stdout, stderr) = client.read().await;
    (id, stdout + &stderr)
}

async fn code(world: &World, id: &str) -> i64 {
    loop {
        if let Some(code) = world.engine().exec_inspect(id).await.unwrap().exit_code {
            return code;
        }
        tokio::task::yield_now().await;
    }
}

pub(crate) fn commands_run_and_end(world: &mut World) -> Body<'_> {
    Box::pin(async move {
        let container = world.shell("box", "sleep 1000").await;
        let (id, output) = exec(
            world,
            r#"{"Cmd":["sh","-c","echo $X $PWD; echo err >&2; exit 6"],"Env":["X=5"],"WorkingDir":"/etc"}"#,
        )
        .await;
        assert_eq!((output.as_str(), code(world, &id).await), ("5 /etc\nerr\n", 6));
        let (id, output) = exec(world, r#"{"Cmd":["id","-u"],"User":"65534:65534"}"#).await;
        assert_eq!((output.as_str(), code(world, &id).await), ("65534\n", 0));
        let (_, output) = exec(world, r#"{"Cmd":["tty"],"Tty":true}"#).await;
        assert!(output.starts_with("/dev/pts/"), "{output}");
        let (_, output) =
            exec(world, r#"{"Cmd":["sh","-c","grep CapEff /proc/self/status"],"Privileged":true}"#).await;
        let own = std::fs::read_to_string("/proc/self/status").unwrap();
        let own = own.lines().find_map(|line| line.strip_prefix("CapBnd:")).unwrap();
        assert_eq!(output.trim(), format!("CapEff:{own}"), "all that this host has");
        let again = world.engine().exec_check(&id).await.unwrap_err();
        assert_eq!(
            (again.kind, again.message),
            (ErrorKind::Conflict, format!("Error: Exec command {id} has already run"))
        );
        let missing = world.engine().exec_check("nosuch").await.unwrap_err();
        assert_eq!(missing.message, "No such exec instance: nosuch");
        let events = world.events(&container).await;
        assert!(
            events.contains(&"exec_create: id -u".to_owned()) && events.contains(&"exec_die".to_owned()),
            "{events:?}"
        );
        let config: ExecConfig = serde_json::from_str(r#"{"Cmd":["sleep","1000"]}"#).unwrap();
        let id = world.engine().exec_create("box", config).await.unwrap().id;
        world
            .engine()
            .exec_start(&id, ExecStartConfig { detach: true, ..Default::default() }, None)
            .await
            .unwrap();
        let shown = world.engine().exec_inspect(&id).await.unwrap();
        assert!(shown.running && shown.pid > 0, "{shown:?}");
        assert_eq!(world.inspect("box").await.exec_ids.unwrap(), [id.as_str()]);
        // It ends with its container.
        world.engine().container_kill("box", "").await.unwrap();
        assert_eq!(code(world, &id).await, 137);
        let config: ExecConfig = serde_json::from_str(r#"{"Cmd":["true"]}"#).unwrap();
        let stopped = world.engine().exec_create("box", config).await.unwrap_err();
        assert_eq!(stopped.message, format!("container {container} is not running"));
    })
}

pub(crate) fn commands_that_cannot_run(world: &mut World) -> Body<'_> {
    Box::pin(async move {
        world.shell("box", "sleep 1000").await;
        let prefix = "OCI runtime exec failed: exec failed: unable to start container process: ";
        let (id, output) = exec(world, r#"{"Cmd":["nosuch"]}"#).await;
        assert_eq!(
            output,
            format!("{prefix}exec: \"nosuch\": executable file not found in $PATH: unknown\r\n")
        );
        assert_eq!(code(world, &id).await, 127);
        let (id, output) = exec(world, r#"{"Cmd":["/etc/passwd"]}"#).await;
        assert!(output.contains("permission denied"), "{output}");
        assert_eq!(code(world, &id).await, 126);
    })
}

pub(crate) fn input_reaches_a_command(world: &mut World) -> Body<'_> {
    Box::pin(async move {
        world.shell("box", "sleep 1000").await;
        let (_, output) = exec_with(world, r#"{"Cmd":["cat"],"AttachStdin":true}"#, "typed\n").await;
        assert_eq!(output, "typed\n");
    })
}

pub(crate) fn a_resize_waits_for_the_start(world: &mut World) -> Body<'_> {
    Box::pin(async move {
        world.shell("box", "sleep 1000").await;
        let json = r#"{"Cmd":["sh","-c","stty size; read x; stty size"],"Tty":true,"AttachStdin":true,"AttachStdout":true}"#;
        let config = serde_json::from_str(json).unwrap();
        let id = world.engine().exec_create("box", config).await.unwrap().id;
        let (client, stream) = client(true);
        let start = ExecStartConfig { tty: true, ..Default::default() };
        let (resized, started) = tokio::join!(
            world.engine().exec_resize(&id, ResizeQuery { height: 11, width: 22 }),
            world.engine().exec_start(&id, start, Some(stream)),
        );
        started.unwrap();
        resized.unwrap();
        (&client.socket).write_all(b"\n").unwrap();
        let (output, _) = client.read().await;
        assert!(output.contains("11 22"), "{output}");
        let late = world.engine().exec_resize(&id, ResizeQuery { height: 1, width: 2 }).await.unwrap_err();
        assert_eq!(late.kind, ErrorKind::Conflict, "{late}");
    })
}
