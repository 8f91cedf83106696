//! Zone files follow who is in a network: coming, going, other names, and what happened while no engine ran.

mod world;

use network::files::Zone;
use network::{EndpointSpec, NetworkSpec};
use world::*;

#[test]
fn a_zone_file_says_who_is_in_a_network() {
    world(|world| {
        let shop =
            world.networks.create(NetworkSpec { name: "shop".to_owned(), ..NetworkSpec::default() }).unwrap();
        let web = world.container_with(
            "shop",
            EndpointSpec {
                container_name: "shop-web-1".to_owned(),
                aliases: vec!["web".to_owned()],
                ..EndpointSpec::default()
            },
        );
        let (attachment, zones) = world.networks.names_files(web.id());
        let file = zones.join(format!("{}.json", shop.id));
        let find = |name: &str| Zone::read(&file).unwrap().find(name);
        assert!(attachment.exists());
        assert!(world.networks.has_names(web.id()));
        for name in ["shop-web-1", "web", "web.shop", &web.id()[..12]] {
            assert_eq!(find(name), [web.ip()], "{name}");
        }

        let second = world.container_with(
            "shop",
            EndpointSpec {
                container_name: "shop-web-2".to_owned(),
                aliases: vec!["web".to_owned()],
                ..EndpointSpec::default()
            },
        );
        assert_eq!(find("web").len(), 2);
        assert!(world.networks.rename(second.id(), "other").is_empty());
        assert_eq!((find("shop-web-2").len(), find("other")), (0, vec![second.ip()]));
        world.networks.disconnect("shop", second.id(), None).unwrap();
        assert_eq!(find("web"), [web.ip()]);

        // A file from before a crash, with a container that has ended in the meantime.
        let stale = std::fs::read(&file).unwrap();
        assert!(world.networks.release(web.id()).is_empty());
        assert!(find("web").is_empty());
        std::fs::write(&file, stale).unwrap();
        assert!(world.restart().adopt(&[]).is_empty());
        assert!(find("web").is_empty());

        world.networks.remove("shop").unwrap();
        assert!(!file.exists());

        let plain = world.container("plain", "bridge");
        assert!(!world.networks.has_names(plain.id()));
        assert_eq!(std::fs::read_dir(&zones).unwrap().count(), 0);
    });
}
