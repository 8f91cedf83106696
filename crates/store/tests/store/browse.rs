//! Images read without a container.

use std::io::Read;

use store::{Error, FileKind};

use crate::world::{Tar, World, dir, file, symlink};

#[test]
fn files_and_folders_of_an_image_are_read_as_a_process_inside_would() {
    let world = World::new();
    let base = Tar::of(&[
        dir("etc"),
        file("etc/old", "1"),
        file("etc/conf", "lower"),
        symlink("link", "/etc/conf"),
        symlink("out", "../../../../etc/conf"),
        symlink("folder", "etc"),
        symlink("loop", "loop"),
        dir("hidden"),
        dir("hidden/deep"),
        file("hidden/deep/file", "x"),
    ]);
    let top = Tar::of(&[
        file("etc/.wh.old", ""),
        file("etc/conf", "upper"),
        dir("hidden"),
        file("hidden/.wh..wh..opq", ""),
        dir("hidden/deep"),
        file("hidden/deep/new", "y"),
    ]);
    let image = world.image(Some("app"), &[base, top]);
    let names = |path: &str| -> Vec<String> {
        let files = world.store.list_files(&image.id, path).unwrap();
        files.iter().map(|file| file.path.display().to_string()).collect()
    };
    assert_eq!(names("/"), ["/etc", "/folder", "/hidden", "/link", "/loop", "/out"]);
    assert_eq!(names("etc/"), ["/etc/conf"]);
    assert_eq!(names("folder"), ["/etc/conf"]);
    assert_eq!(names("/etc/conf"), ["/etc/conf"]);
    assert_eq!(
        names("/hidden/deep"),
        ["/hidden/deep/new"],
        "what an opaque folder hides, it hides at any depth"
    );

    let files = world.store.list_files(&image.id, "/").unwrap();
    let link = files.iter().find(|file| file.path.ends_with("link")).unwrap();
    assert_eq!((link.kind, link.link_target.as_deref()), (FileKind::Symlink, Some("/etc/conf".as_ref())));
    let read = |path: &str| {
        let mut text = String::new();
        world.store.open_file(&image.id, path).unwrap().read_to_string(&mut text).unwrap();
        text
    };
    for path in ["/etc/conf", "etc/../etc/conf", "/link", "/out", "/folder/conf", "../../etc/conf"] {
        assert_eq!(read(path), "upper", "{path}");
    }
    for path in ["/etc/old", "/nothing", "/etc/conf/", "/etc/conf/x", "/hidden/deep/file"] {
        let error = world.store.open_file(&image.id, path).unwrap_err();
        assert!(matches!(error, Error::NotFound(_)), "{path}: {error}");
    }
    for path in ["/", "/etc", "/loop"] {
        let error = world.store.open_file(&image.id, path).unwrap_err();
        assert!(matches!(error, Error::Invalid(_)), "{path}: {error}");
    }
}
