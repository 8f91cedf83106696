//! Containers in networks.

use std::io::Read;
use std::net::TcpStream;

use api::*;

use crate::world::{Body, World, eventually, shell};

pub(crate) fn bridge_hosts_and_ports(world: &mut World) -> Body<'_> {
    Box::pin(async move {
        world.loopback_up();
        let json = r#"{"Cmd":["sh","-c","echo served | nc -l -p 80"],"Hostname":"web","ExposedPorts":{"81/tcp":{}},
            "HostConfig":{"PortBindings":{"80/tcp":[{"HostIp":"127.0.0.1"}]},"ExtraHosts":["other:10.1.2.3"]}}"#;
        let id = world.detached("web", json).await;
        let settings = world.inspect(&id).await.network_settings.unwrap();
        let ports = settings.ports.clone().unwrap();
        assert_eq!(ports["81/tcp"], None);
        let bound = &ports["80/tcp"].as_ref().unwrap()[0];
        assert_eq!(bound.host_ip, "127.0.0.1");
        let hosts = std::fs::read_to_string(world.inspect(&id).await.hosts_path).unwrap();
        assert!(hosts.contains(&format!("{}\tweb\n", settings.ip_address)), "{hosts}");
        assert!(hosts.contains("10.1.2.3\tother\n"), "{hosts}");
        let port: u16 = bound.host_port.parse().unwrap();
        let mut text = String::new();
        eventually("the port is served", || {
            let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
            text.clear();
            stream.read_to_string(&mut text).is_ok() && !text.is_empty()
        })
        .await;
        assert_eq!(text, "served\n");
        let list = world
            .engine()
            .container_list(ContainerListQuery { all: true, ..Default::default() })
            .await
            .unwrap();
        assert_eq!(list[0].image, "busybox");
        // Two containers on one bridge reach each other.
        let other = world.detached("", &shell("nc -l -p 9 -e echo hi", "")).await;
        let address = world.inspect(&other).await.network_settings.unwrap().ip_address;
        let script = format!("for i in 1 2 3 4 5 6 7 8 9; do nc {address} 9 && break; sleep 0.1; done");
        assert_eq!(world.run(&shell(&script, "")).await.stdout, "hi\n");
    })
}

pub(crate) fn links_tell_of_the_other_container(world: &mut World) -> Body<'_> {
    Box::pin(async move {
        let json = r#"{"Cmd":["sleep","1000"],"Env":["USER=me"],"ExposedPorts":{"5432/tcp":{}}}"#;
        let db = world.detached("db", json).await;
        let address = world.inspect(&db).await.network_settings.unwrap().ip_address;
        let linked = shell(
            "env | grep ^DATA; grep data /etc/hosts; grep host.docker /etc/hosts",
            r#""Links":["db:data"]"#,
        );
        let web = world.create("web", &linked).await;
        world.start(&web).await;
        world.exit(&web).await;
        let output = world.logs(&web).await;
        for line in [
            "DATA_NAME=/web/data",
            &format!("DATA_PORT=tcp://{address}:5432"),
            "DATA_ENV_USER=me",
            &format!("{address}\tdata {} db", &db[..12]),
            "172.17.0.1\thost.docker.internal host.naru.internal",
        ] {
            assert!(output.lines().any(|seen| seen == line), "{line}: {output}");
        }
        world.remove(&db).await;
        let error = world.try_start(&web).await.unwrap_err();
        assert_eq!(error.message, "No such container: db");
    })
}

pub(crate) fn links_give_names_until_they_are_removed(world: &mut World) -> Body<'_> {
    Box::pin(async move {
        let db = world.detached("db", r#"{"Cmd":["sleep","1000"]}"#).await;
        let web = world.create("web", r#"{"Cmd":["true"],"HostConfig":{"Links":["db:data"]}}"#).await;
        let names = async || {
            let all = ContainerListQuery { all: true, ..Default::default() };
            let list = world.engine().container_list(all).await.unwrap();
            list.into_iter().find(|container| container.id == db).unwrap().names.unwrap()
        };
        assert_eq!(names().await, ["/db", "/web/data"]);
        let unlink = async |name: &str| {
            let query = ContainerRemoveQuery { link: true, ..Default::default() };
            world.engine().container_remove(name, query).await.map_err(|error| error.message)
        };
        assert_eq!(unlink("web/nosuch").await.unwrap_err(), "No such container: web/nosuch");
        assert_eq!(
            unlink("nosuch/data").await.unwrap_err(),
            "Cannot get parent /nosuch for link name /nosuch/data"
        );
        assert_eq!(
            unlink("web").await.unwrap_err(),
            "Conflict, cannot remove the default link name of the container"
        );
        unlink("web/data").await.unwrap();
        assert_eq!(names().await, ["/db"]);
        assert_eq!(world.inspect(&web).await.host_config.unwrap().links.unwrap_or_default().len(), 0);
    })
}

pub(crate) fn endpoint_settings_are_checked_at_create(world: &mut World) -> Body<'_> {
    Box::pin(async move {
        let json = r#"{"Cmd":["true"],"NetworkingConfig":{"EndpointsConfig":{"bridge":{"IPAMConfig":{"IPv4Address":"172.17.0.9"}}}}}"#;
        assert_eq!(
            world.try_create("", json).await.unwrap_err().message,
            "invalid config for network bridge: invalid endpoint settings:\nuser specified IP address is supported on user defined networks only"
        );
    })
}

pub(crate) fn shared_and_host_networks(world: &mut World) -> Body<'_> {
    Box::pin(async move {
        world.shell("first", "sleep 1000").await;
        let links = |host: &str| shell("ls /sys/class/net | wc -l; hostname", host);
        let first = world.inspect("first").await;
        let shared = world.run(&links(r#""NetworkMode":"container:first""#)).await;
        assert_eq!(shared.stdout, format!("1\n{}\n", first.config.unwrap().hostname));
        let host = world.run(&links(r#""NetworkMode":"host""#)).await;
        assert!(
            host.stdout.ends_with(&format!("{}\n", rustix::system::uname().nodename().to_string_lossy()))
        );
        let ended = world.create("", &links(r#""NetworkMode":"container:first""#)).await;
        world.engine().container_kill("first", "").await.unwrap();
        let error = world.try_start(&ended).await.unwrap_err();
        assert!(
            error.message.starts_with("cannot join network namespace of a non running container"),
            "{}",
            error.message
        );
        let gone = r#"{"HostConfig":{"NetworkMode":"container:nosuch"}}"#;
        assert_eq!(world.try_create("", gone).await.unwrap_err().message, "No such container: nosuch");
    })
}

pub(crate) fn a_start_that_fails_gives_everything_back(world: &mut World) -> Body<'_> {
    Box::pin(async move {
        let missing = world.create("", r#"{"HostConfig":{"NetworkMode":"nosuch"}}"#).await;
        assert_eq!(world.try_start(&missing).await.unwrap_err().message, "network nosuch not found");
        let json = r#"{"Cmd":["nosuch"],"HostConfig":{"PortBindings":{"80/tcp":[{"HostPort":"8123"}]}}}"#;
        let id = world.create("", json).await;
        world.try_start(&id).await.unwrap_err();
        assert_eq!(world.inspect(&id).await.network_settings.unwrap().ip_address, "");
        // The port is free for the next one, and taken then.
        let json =
            r#"{"Cmd":["sleep","1000"],"HostConfig":{"PortBindings":{"80/tcp":[{"HostPort":"8123"}]}}}"#;
        world.detached("", json).await;
        let second = world.create("", json).await;
        let error = world.try_start(&second).await.unwrap_err();
        assert!(
            error.message.ends_with("Bind for 0.0.0.0:8123 failed: port is already allocated"),
            "{}",
            error.message
        );
        let state = world.state(&second).await;
        assert_eq!((state.status.as_str(), state.exit_code), ("created", 128));
    })
}

pub(crate) fn names_are_answered_on_user_networks(world: &mut World) -> Body<'_> {
    Box::pin(async move {
        let network = r#"{"Name":"back"}"#;
        world.engine().network_create(serde_json::from_str(network).unwrap()).await.unwrap();
        let json = r#"{"Cmd":["nc","-l","-p","9","-e","echo","hi"],"HostConfig":{"NetworkMode":"back"},
            "NetworkingConfig":{"EndpointsConfig":{"back":{"Aliases":["cache"]}}}}"#;
        let id = world.detached("db", json).await;
        let endpoint =
            world.inspect(&id).await.network_settings.unwrap().networks.unwrap().remove("back").unwrap();
        assert!(endpoint.dns_names.unwrap().contains(&"cache".to_owned()));
        let script =
            "for i in 1 2 3 4 5 6 7 8 9; do nc cache 9 && break; sleep 0.1; done; cat /etc/resolv.conf";
        let ran = world.run(&shell(script, r#""NetworkMode":"back""#)).await;
        assert!(ran.stdout.starts_with("hi\nnameserver 127.0.0.11\n"), "{ran:?}");
        world.remove(&id).await;
        world.engine().network_remove("back").await.unwrap();
    })
}

pub(crate) fn names_come_with_a_network_that_is_connected_later(world: &mut World) -> Body<'_> {
    Box::pin(async move {
        let network = r#"{"Name":"late"}"#;
        world.engine().network_create(serde_json::from_str(network).unwrap()).await.unwrap();
        let json = r#"{"Cmd":["sleep","1000"],"HostConfig":{"NetworkMode":"late"}}"#;
        world.detached("db", json).await;
        let script = "until grep -q 127.0.0.11 /etc/resolv.conf; do sleep 0.02; done; nslookup -type=a db";
        let id = world.detached("app", &shell(script, "")).await;
        let before = std::fs::read_to_string(world.inspect(&id).await.resolv_conf_path).unwrap();
        assert!(!before.contains("127.0.0.11"), "{before}");
        let connect = format!(r#"{{"Container":"{id}"}}"#);
        world.engine().network_connect("late", serde_json::from_str(&connect).unwrap()).await.unwrap();
        let (code, output) = (world.exit(&id).await, world.logs(&id).await);
        assert_eq!(code, 0, "{output}");
        // Whoever leaves the last network with names asks the host's servers again, and finds names when it comes back.
        let app = world.detached("stays", r#"{"Cmd":["sleep","1000"]}"#).await;
        let path = world.inspect(&app).await.resolv_conf_path;
        let text = || std::fs::read_to_string(&path).unwrap();
        assert_eq!(text(), before);
        let connect = format!(r#"{{"Container":"{app}"}}"#);
        for _ in 0..2 {
            world.engine().network_connect("late", serde_json::from_str(&connect).unwrap()).await.unwrap();
            assert!(text().starts_with("nameserver 127.0.0.11\n"), "{}", text());
            world.engine().network_disconnect("late", serde_json::from_str(&connect).unwrap()).await.unwrap();
            assert_eq!(text(), before);
        }
        std::fs::write(&path, "nameserver 192.0.2.1\n").unwrap();
        world.engine().network_connect("late", serde_json::from_str(&connect).unwrap()).await.unwrap();
        assert_eq!(text(), "nameserver 192.0.2.1\n", "what the user wrote stays");
        world.remove(&app).await;
        for name in ["app", "db"] {
            world.remove(name).await;
        }
        world.engine().network_remove("late").await.unwrap();
    })
}

pub(crate) fn ports_are_published_when_a_network_with_a_way_out_comes(world: &mut World) -> Body<'_> {
    Box::pin(async move {
        world.loopback_up();
        let network = r#"{"Name":"closed","Internal":true}"#;
        world.engine().network_create(serde_json::from_str(network).unwrap()).await.unwrap();
        let json = r#"{"Cmd":["sh","-c","while true; do echo served | nc -l -p 80; done"],
            "HostConfig":{"NetworkMode":"closed","PortBindings":{"80/tcp":[{"HostPort":"8080"}]}}}"#;
        let id = world.detached("web", json).await;
        let ports = world.inspect(&id).await.network_settings.unwrap().ports.unwrap();
        assert_eq!(ports["80/tcp"], None);
        assert!(TcpStream::connect("127.0.0.1:8080").is_err());

        let connect: NetworkConnectRequest =
            serde_json::from_str(&format!(r#"{{"Container":"{id}"}}"#)).unwrap();
        let taken = std::net::TcpListener::bind("0.0.0.0:8080").unwrap();
        let error = world.engine().network_connect("bridge", connect.clone()).await.unwrap_err();
        assert!(error.message.contains("0.0.0.0:8080 failed: port is already allocated"), "{error}");
        assert_eq!(world.inspect(&id).await.network_settings.unwrap().networks.unwrap().len(), 1);
        drop(taken);
        world.engine().network_connect("bridge", connect).await.unwrap();
        let ports = world.inspect(&id).await.network_settings.unwrap().ports.unwrap();
        assert_eq!(ports["80/tcp"].as_ref().unwrap()[0].host_port, "8080");
        for address in ["127.0.0.1:8080", "[::1]:8080"] {
            eventually("the port is served", || {
                let Ok(mut stream) = TcpStream::connect(address) else { return false };
                stream.set_read_timeout(Some(std::time::Duration::from_secs(2))).unwrap();
                let mut text = String::new();
                stream.read_to_string(&mut text).is_ok() && text == "served\n"
            })
            .await;
        }
        // With nowhere to lead, the port must not lead to the host itself.
        let host = std::net::TcpListener::bind("127.0.0.1:80").unwrap();
        host.set_nonblocking(true).unwrap();
        let disconnect = format!(r#"{{"Container":"{id}"}}"#);
        world
            .engine()
            .network_disconnect("bridge", serde_json::from_str(&disconnect).unwrap())
            .await
            .unwrap();
        let mut stream = TcpStream::connect("127.0.0.1:8080").unwrap();
        stream.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
        assert_eq!(stream.read(&mut [0; 8]).unwrap(), 0, "nobody is there");
        assert!(host.accept().is_err(), "least of all the host's own service");
        world.remove(&id).await;
        world.engine().network_remove("closed").await.unwrap();
    })
}
