//! Networks through the engine: what clients ask, what they read back, and what happens to containers.

use api::*;

use crate::Engine;
use crate::container::model::Container;
use crate::networks::endpoint;
use crate::testing::{Process, container, world};

async fn create(engine: &Engine, json: &str) -> crate::Result<String> {
    Ok(engine.network_create(serde_json::from_str(json).unwrap()).await?.id)
}

async fn connect(engine: &Engine, network: &str, container: &str, settings: &str) -> crate::Result<()> {
    let json = format!(r#"{{"Container":"{container}","EndpointConfig":{settings}}}"#);
    engine.network_connect(network, serde_json::from_str(&json).unwrap()).await
}

async fn disconnect(engine: &Engine, network: &str, container: &str, force: bool) -> crate::Result<()> {
    let request = NetworkDisconnectRequest { container: container.to_owned(), force };
    engine.network_disconnect(network, request).await
}

async fn names(engine: &Engine, filters: &str) -> Vec<String> {
    let networks = engine.network_list(Filters::parse(filters).unwrap()).await.unwrap();
    networks.into_iter().map(|network| network.name).collect()
}

fn asked(container: &Container) -> Vec<String> {
    endpoint::asked(&container.record()).into_keys().collect()
}

/// The names of the links in a namespace.
fn links(process: &Process) -> Vec<String> {
    let text =
        sys::in_netns(process.netns(), || std::fs::read_to_string("/proc/thread-self/net/dev")).unwrap();
    let names = text.unwrap();
    names.lines().skip(2).map(|line| line.split(':').next().unwrap().trim().to_owned()).collect()
}

async fn past(engine: &Engine, filters: &str) -> Vec<String> {
    let query = EventsQuery {
        since: "1".into(),
        until: jiff::Timestamp::now().as_second().to_string() + ".999999999",
        filters: Filters::parse(filters).unwrap(),
    };
    let mut events = engine.events(query).await.unwrap();
    let mut texts = Vec::new();
    while let Some(event) = events.recv().await {
        texts.push(format!("{} {}", event.action, event.actor.attributes.unwrap()["name"]));
    }
    texts
}

#[test]
fn networks_are_made_found_and_removed() {
    world(async |engine| {
        let id = create(
            engine,
            r#"{"Name":"mine","Labels":{"a":"b"},"IPAM":{"Config":[{"Subnet":"10.9.0.0/16"}]}}"#,
        )
        .await
        .unwrap();
        assert_eq!(names(engine, "").await, ["bridge", "host", "mine", "none"]);
        for (filters, expected) in [
            (r#"{"type":["custom"]}"#, &["mine"][..]),
            (r#"{"name":["^mi"]}"#, &["mine"]),
            (r#"{"label":["a=b"]}"#, &["mine"]),
            (r#"{"driver":["null"]}"#, &["none"]),
            (r#"{"dangling":["true"]}"#, &["mine"]),
            (r#"{"scope":["swarm"]}"#, &[]),
        ] {
            assert_eq!(names(engine, filters).await, expected, "{filters}");
        }
        let error = engine.network_list(Filters::parse(r#"{"type":["x"]}"#).unwrap()).await.unwrap_err();
        assert_eq!(error.message, "invalid filter: 'type'='x'");
        let seen = engine.network_inspect(&id[..12], NetworkInspectQuery::default()).await.unwrap();
        let config = &seen.ipam.config.unwrap()[0];
        assert_eq!(
            (seen.scope.as_str(), config.subnet.as_str(), config.gateway.as_str()),
            ("local", "10.9.0.0/16", "10.9.0.1")
        );
        let elsewhere = NetworkInspectQuery { scope: "swarm".into(), ..Default::default() };
        assert_eq!(
            engine.network_inspect("mine", elsewhere).await.unwrap_err().message,
            "network mine not found"
        );

        assert_eq!(create(engine, r#"{"Name":"mine"}"#).await.unwrap_err().kind, ErrorKind::Conflict);
        assert_eq!(create(engine, r#"{"Name":"host"}"#).await.unwrap_err().kind, ErrorKind::Forbidden);
        engine.network_remove("mine").await.unwrap();
        assert_eq!(engine.network_remove("mine").await.unwrap_err().message, "network mine not found");
        assert_eq!(past(engine, r#"{"type":["network"]}"#).await, ["create mine", "destroy mine"]);
    });
}

#[test]
fn prune_keeps_what_any_container_refers_to() {
    world(async |engine| {
        for name in ["used", "free", "kept"] {
            create(engine, &format!(r#"{{"Name":"{name}","Labels":{{"name":"{name}"}}}}"#)).await.unwrap();
        }
        container(engine, "web", |record| record.host.network_mode = "used".into());
        let prune = async |filters: &str| {
            engine.network_prune(Filters::parse(filters).unwrap()).await.unwrap().networks_deleted
        };
        assert_eq!(prune(r#"{"until":["10m"]}"#).await, None);
        assert_eq!(prune(r#"{"label!":["name=kept"]}"#).await, Some(vec!["free".into()]));
        assert_eq!(names(engine, r#"{"type":["custom"]}"#).await, ["kept", "used"]);
    });
}

#[test]
fn a_stopped_containers_networks_are_only_recorded() {
    world(async |engine| {
        create(engine, r#"{"Name":"mine"}"#).await.unwrap();
        let web = container(engine, "web", |_| {});
        connect(engine, "mine", "web", r#"{"Aliases":["w"],"EndpointID":"stale"}"#).await.unwrap();
        assert_eq!(asked(&web), ["bridge", "mine"]);
        let written = crate::container::record::Record::read(&web.folder).unwrap();
        assert_eq!(written.endpoints["mine"].aliases, Some(vec!["w".into()]));
        assert_eq!(written.endpoints["mine"].endpoint_id, "");
        let check = async |network: &str, text: &str| {
            assert_eq!(connect(engine, network, "web", "{}").await.unwrap_err().message, text);
        };
        check("none", "container cannot be connected to multiple networks with one of the networks in private (none) mode").await;
        check("host", "container cannot be disconnected from host network or connected to host network")
            .await;
        check("missing", "network missing not found").await;
        disconnect(engine, "bridge", "web", false).await.unwrap();
        assert_eq!(asked(&web), ["mine"]);
        let error = disconnect(engine, "bridge", "web", false).await.unwrap_err();
        assert_eq!(error.message, format!("container {} is not connected to the network bridge", web.id));
        container(engine, "joined", |record| record.host.network_mode = "container:web".into());
        let error = connect(engine, "mine", "joined", "{}").await.unwrap_err();
        assert!(error.message.starts_with("container sharing network namespace"), "{error}");
        let error = connect(engine, "mine", "nobody", "{}").await.unwrap_err();
        assert_eq!(error.message, "No such container: nobody");
    });
}

#[test]
fn a_running_container_gets_and_loses_its_interface_at_once() {
    world(async |engine| {
        create(engine, r#"{"Name":"mine","IPAM":{"Config":[{"Subnet":"10.9.0.0/16"}]}}"#).await.unwrap();
        let web = container(engine, "web", |record| record.config.hostname = "box".into());
        std::fs::write(web.folder.join("hosts"), "127.0.0.1\tlocalhost\n").unwrap();
        let process = Process::start(&web);
        let settings = r#"{"IPAMConfig":{"IPv4Address":"10.9.7.7"},
            "DriverOpts":{"com.docker.network.endpoint.sysctls":"net.ipv4.conf.IFNAME.log_martians=1"}}"#;
        connect(engine, "mine", "web", settings).await.unwrap();
        assert_eq!(links(&process), ["lo", "eth0"]);
        let martians = sys::in_netns(process.netns(), || {
            std::fs::read_to_string("/proc/sys/net/ipv4/conf/eth0/log_martians")
        });
        assert_eq!(martians.unwrap().unwrap(), "1\n");
        let hosts = || std::fs::read_to_string(web.folder.join("hosts")).unwrap();
        assert_eq!(hosts(), "127.0.0.1\tlocalhost\n10.9.7.7\tbox\n");
        let seen = engine.network_inspect("mine", NetworkInspectQuery::default()).await.unwrap();
        let inside = &seen.containers.unwrap()[&web.id];
        assert_eq!((inside.name.as_str(), inside.ipv4_address.as_str()), ("web", "10.9.7.7/16"));
        let error = connect(engine, "mine", "web", "{}").await.unwrap_err();
        assert_eq!(
            (error.kind, error.message.as_str()),
            (ErrorKind::Forbidden, "endpoint with name web already exists in network mine")
        );
        let error = engine.network_remove("mine").await.unwrap_err();
        assert!(error.message.contains("has active endpoints"), "{error}");

        disconnect(engine, "mine", "web", false).await.unwrap();
        assert_eq!(links(&process), ["lo"]);
        assert_eq!(hosts(), "127.0.0.1\tlocalhost\n");
        assert_eq!(disconnect(engine, "mine", "web", false).await.unwrap_err().kind, ErrorKind::Forbidden);
        let events = past(engine, r#"{"network":["mine"]}"#).await;
        assert_eq!(events, ["create mine", "connect mine", "disconnect mine"]);
    });
}

#[test]
fn force_takes_a_lost_containers_endpoint_away() {
    world(async |engine| {
        create(engine, r#"{"Name":"mine"}"#).await.unwrap();
        let web = container(engine, "web", |_| {});
        let process = Process::start(&web);
        connect(engine, "mine", "web", "{}").await.unwrap();
        engine.containers.remove(&web.id);
        drop(process);
        assert_eq!(disconnect(engine, "mine", "web", false).await.unwrap_err().kind, ErrorKind::NotFound);
        disconnect(engine, "mine", "web", true).await.unwrap();
        engine.network_remove("mine").await.unwrap();
    });
}
