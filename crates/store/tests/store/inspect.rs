//! Images looked at like commits: steps, differences, shared layers.

use store::{ChangeKind, FileChange, LayerNode};

use crate::world::{Tar, World, dir, file, symlink};

fn base() -> Vec<u8> {
    Tar::of(&[dir("etc"), file("etc/conf", "one\n"), file("etc/old", "x"), file("etc/same", "same")])
}

/// "A /path" of changes in Docker's letters.
fn told(kind: ChangeKind, path: &std::path::Path) -> String {
    let letter = match kind {
        ChangeKind::Modified => 'C',
        ChangeKind::Added => 'A',
        ChangeKind::Deleted => 'D',
    };
    format!("{letter} {}", path.display())
}

#[test]
fn the_log_tells_what_each_layer_changed_newest_first() {
    let world = World::new();
    let top =
        Tar::of(&[dir("etc"), file("etc/.wh.old", ""), file("etc/conf", "three\n"), file("new", "12345")]);
    let image = world.image(Some("app"), &[base(), top]);
    let steps = world.store.image_log(&image.id).unwrap();
    let told: Vec<Vec<String>> = steps
        .iter()
        .map(|step| step.changes.iter().map(|change| told(change.kind, &change.path)).collect())
        .collect();
    assert_eq!(
        told,
        [
            vec!["C /etc", "C /etc/conf", "D /etc/old", "A /new"],
            vec!["A /etc", "A /etc/conf", "A /etc/old", "A /etc/same"]
        ]
    );
    let sizes: Vec<u64> = steps[0].changes.iter().map(|change| change.size).collect();
    assert_eq!(sizes, [0, 6, 0, 5]);
    let layers: Vec<_> = steps.iter().map(|step| step.layer.clone().unwrap()).collect();
    assert_eq!(layers[0].parent.as_ref(), Some(&layers[1].chain_id));
    assert_eq!(layers[1].parent, None);
    world.assert_clean();
}

#[test]
fn a_difference_is_about_content_mode_and_owner_and_not_about_time() {
    let world = World::new();
    let before = world.image(Some("before"), &[base()]);
    let mut tight = file("etc/same", "same");
    (tight.mode, tight.uid) = (0o600, 7);
    let top = Tar::of(&[file("etc/.wh.old", ""), file("etc/conf", "two\n"), tight, symlink("link", "etc")]);
    let after = world.image(Some("after"), &[base(), top]);
    let changes = world.store.image_diff(&before.id, &after.id).unwrap();
    let show = |change: &FileChange| format!("{} {}", told(change.kind, &change.path), change.content);
    let shown: Vec<String> = changes.iter().map(show).collect();
    assert_eq!(shown, ["C /etc/conf true", "D /etc/old true", "C /etc/same false", "A /link true"]);
    let same = &changes[2];
    let mode = |file: &Option<store::FileInfo>| file.as_ref().map(|file| (file.mode, file.uid));
    assert_eq!((mode(&same.before), mode(&same.after)), (Some((0o644, 0)), Some((0o600, 7))));

    let back = world.store.image_diff(&after.id, &before.id).unwrap();
    let shown: Vec<String> = back.iter().map(show).collect();
    assert_eq!(shown, ["C /etc/conf true", "A /etc/old true", "C /etc/same false", "D /link true"]);

    // The same files once more in layers of their own, at another time.
    let mut later = file("etc/conf", "one\n");
    later.mtime = 1;
    let copy = Tar::of(&[dir("etc"), later, file("etc/old", "x"), file("etc/same", "same")]);
    let copy = world.image(None, &[copy]);
    assert_eq!(world.store.image_diff(&before.id, &copy.id).unwrap(), []);
    assert_eq!(world.store.image_diff(&after.id, &after.id).unwrap(), []);
}

#[test]
fn a_folder_that_comes_or_becomes_a_file_is_told_with_all_in_it() {
    let world = World::new();
    let before = world.image(None, &[Tar::of(&[dir("d"), dir("d/e"), file("d/e/f", "x"), file("p", "x")])]);
    let after = world.image(None, &[Tar::of(&[file("d", "now a file"), dir("p"), file("p/q", "y")])]);
    let changes = world.store.image_diff(&before.id, &after.id).unwrap();
    let shown: Vec<String> = changes.iter().map(|change| told(change.kind, &change.path)).collect();
    assert_eq!(shown, ["C /d", "D /d/e", "D /d/e/f", "C /p", "A /p/q"]);
}

#[test]
fn the_tree_has_every_layer_once_with_the_images_that_end_there() {
    let world = World::new();
    let layer = |name: &str| Tar::of(&[file(name, name)]);
    world.image(Some("base"), &[base()]);
    world.image(Some("one"), &[base(), layer("one")]);
    world.image(Some("two"), &[base(), layer("mid"), layer("two")]);
    world.image(Some("other"), &[layer("other")]);
    fn shape(nodes: &[LayerNode]) -> String {
        let node = |node: &LayerNode| {
            let names: Vec<String> =
                node.images.iter().flat_map(|image| image.names.iter().map(|name| name.familiar())).collect();
            format!("{}({})", names.join("+"), shape(&node.children))
        };
        let mut shapes: Vec<String> = nodes.iter().map(node).collect();
        shapes.sort();
        shapes.join(" ")
    }
    let tree = world.store.layer_tree().unwrap();
    assert_eq!(shape(&tree), "base:latest((two:latest()) one:latest()) other:latest()");
}
