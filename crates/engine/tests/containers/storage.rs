//! Volumes, binds, and folders that a crash left.

use api::*;

use crate::world::{Body, World, eventually, shell};

pub(crate) fn volumes_are_made_filled_and_removed(world: &mut World) -> Body<'_> {
    Box::pin(async move {
        let names = async || -> Vec<String> {
            let volumes = world.engine().volume_list(Filters::default()).await.unwrap().volumes.unwrap();
            volumes.into_iter().map(|volume| volume.name).collect()
        };
        let none = r#""NetworkMode":"none""#;
        let ran = world
            .run(&shell(
                "cat /etc/passwd | wc -l; echo kept > /etc/kept",
                &format!(r#"{none},"Binds":["data:/etc"]"#),
            ))
            .await;
        assert_eq!(ran.stdout, "2\n", "the volume begins with the image's files");
        let ran = world
            .run(&shell(
                "cat /d/kept",
                &format!(r#"{none},"Mounts":[{{"Type":"volume","Source":"data","Target":"/d"}}]"#),
            ))
            .await;
        assert_eq!(ran.stdout, "kept\n");
        let id = world.create("", &format!(r#"{{"Volumes":{{"/v":{{}}}},"HostConfig":{{{none}}}}}"#)).await;
        assert_eq!(names().await.len(), 2);
        let mount = &world.inspect(&id).await.mounts.unwrap()[0];
        assert_eq!((mount.typ.as_str(), mount.destination.as_str(), mount.name.len()), ("volume", "/v", 64));
        let used = world.engine().volume_remove("data", false).await.unwrap_err();
        assert_eq!(used.kind, ErrorKind::Conflict);
        world.remove(&id).await;
        assert_eq!(names().await, ["data"], "the volume without a name goes with its container");
        let ran = world
            .run(&shell("cat /etc/kept", &format!(r#"{none},"VolumesFrom":["{}"]"#, ran_with(world).await)))
            .await;
        assert_eq!(ran.stdout, "kept\n");
    })
}

/// A container with the volume `data` at /etc.
async fn ran_with(world: &World) -> String {
    world.create("", r#"{"HostConfig":{"Binds":["data:/etc:ro"]}}"#).await
}

pub(crate) fn binds_and_tmpfs(world: &mut World) -> Body<'_> {
    Box::pin(async move {
        let host = world.path("host");
        let bind = |mode: &str| format!(r#""NetworkMode":"none","Binds":["{}:/mnt{mode}"]"#, host.display());
        let ran = world.run(&shell("echo x > /mnt/file; echo $?", &bind(""))).await;
        assert_eq!(ran.stdout, "0\n", "a missing source is made");
        assert_eq!(std::fs::read_to_string(host.join("file")).unwrap(), "x\n");
        let ran = world.run(&shell("cat /mnt/file; echo y > /mnt/file", &bind(":ro"))).await;
        assert_eq!((ran.stdout.as_str(), ran.code), ("x\n", 1));
        let ran = world
            .run(&shell(
                "grep ' /t ' /proc/mounts | cut -d' ' -f3",
                r#""NetworkMode":"none","Tmpfs":{"/t":"size=1m"}"#,
            ))
            .await;
        assert_eq!(ran.stdout, "tmpfs\n");
        let missing =
            r#"{"HostConfig":{"Mounts":[{"Type":"bind","Source":"/does/not/exist","Target":"/x"}]}}"#;
        let error = world.try_create("", missing).await.unwrap_err();
        assert_eq!(
            error.message,
            "invalid mount config for type \"bind\": bind source path does not exist: /does/not/exist"
        );
        let twice = r#"{"HostConfig":{"Binds":["/tmp:/x","/etc:/x"]}}"#;
        assert_eq!(world.try_create("", twice).await.unwrap_err().message, "Duplicate mount point: /x");
        let missing = world.try_create("", r#"{"Image":"nosuch"}"#).await.unwrap_err();
        assert_eq!(
            (missing.kind, missing.message.as_str()),
            (ErrorKind::NotFound, "No such image: nosuch:latest")
        );
    })
}

pub(crate) fn half_made_and_half_removed_containers(world: &mut World) -> Body<'_> {
    Box::pin(async move {
        let containers = world.config.root.join("containers");
        world.create("whole", "{}").await;
        world.lose_engine().await;
        for folder in [".new-1/upper", ".removing-2/upper/a", "3"] {
            std::fs::create_dir_all(containers.join(folder)).unwrap();
        }
        world.boot().await;
        eventually("what is half is gone", || std::fs::read_dir(&containers).unwrap().count() == 1).await;
        assert_eq!(world.inspect("whole").await.state.unwrap().status, "created");
        world.start("whole").await;
    })
}

pub(crate) fn volumes_of_a_device_are_mounted_while_they_are_used(world: &mut World) -> Body<'_> {
    Box::pin(async move {
        let options =
            r#"{"Name":"scratch","DriverOpts":{"type":"tmpfs","device":"tmpfs","o":"size=64k,uid=7,ro"}}"#;
        let ro = serde_json::from_str(&options.replace("scratch", "fixed")).unwrap();
        world.engine().volume_create(ro).await.unwrap();
        let rw = serde_json::from_str(&options.replace(",ro", "")).unwrap();
        let volume = world.engine().volume_create(rw).await.unwrap();
        let mounts = || std::fs::read_to_string("/proc/self/mounts").unwrap();
        let is_mounted = || mounts().contains(&volume.mountpoint);
        assert!(!is_mounted());
        let with = r#""NetworkMode":"none","Binds":["scratch:/d"]"#;
        let keeper = world.detached("keeper", &shell("echo kept > /d/file; sleep 1000", with)).await;
        let ran = world
            .run(&shell(
                "until cat /d/file 2>/dev/null; do :; done; stat -c %u /d; head -c 100000 /dev/zero > /d/big || echo full",
                with,
            ))
            .await;
        assert!(ran.stdout.ends_with("kept\n7\nfull\n"), "one file system for both, with its limit: {ran:?}");
        assert!(is_mounted(), "one of them still runs");
        world.remove(&keeper).await;
        eventually("unmounted with its last user", || !is_mounted()).await;
        let ran = world.run(&shell("ls /d; echo x > /f/x", &with.replace("]", r#","fixed:/f"]"#))).await;
        assert_eq!((ran.stdout.as_str(), ran.code), ("", 1), "new, and the other one cannot be written");
        world.engine().volume_remove("scratch", true).await.unwrap_err();
        let broken = r#"{"Name":"broken","DriverOpts":{"type":"nosuchfs","device":"x"}}"#;
        world.engine().volume_create(serde_json::from_str(broken).unwrap()).await.unwrap();
        let id = world.create("", &shell("true", r#""NetworkMode":"none","Binds":["broken:/d"]"#)).await;
        let error = world.try_start(&id).await.unwrap_err();
        assert!(error.message.contains("failed to mount local volume: mount nosuchfs \"x\" on "), "{error}");
        assert!(!mounts().contains("/volumes/"), "nothing stays mounted");
    })
}

pub(crate) fn shared_memory_has_its_size(world: &mut World) -> Body<'_> {
    Box::pin(async move {
        let host = r#""NetworkMode":"none","IpcMode":"shareable","ShmSize":65536"#;
        let donor = world.detached("donor", &shell("echo x > /dev/shm/x; sleep 1000", host)).await;
        let ran = world
            .run(&shell(
                "until cat /dev/shm/x 2>/dev/null; do :; done; head -c 100000 /dev/zero > /dev/shm/big || echo full",
                r#""NetworkMode":"none","IpcMode":"container:donor""#,
            ))
            .await;
        assert!(ran.stdout.ends_with("x\nfull\n"), "{ran:?}");
        world.remove(&donor).await;
    })
}
