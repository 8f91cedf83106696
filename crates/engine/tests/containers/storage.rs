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
