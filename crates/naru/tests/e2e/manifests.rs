//! `manifest`: lists made by ours and by the stock client are the same to the byte, and both read each other's files.

use crate::image_archives::{is_new, skopeo_digest, two_platforms};
use crate::registry::{HOST, Registry};
use crate::world::{Ran, World};

/// Two single-platform images at the registry.
fn images(world: &World) -> [String; 2] {
    let (layout, _) = two_platforms(world);
    ["amd64", "arm64"].map(|arch| {
        let name = format!("{HOST}/team/{arch}:1");
        let source = format!("oci:{}:latest", layout.display());
        let words =
            ["image", "copy", "--platform", &format!("linux/{arch}"), &source, &name].map(str::to_owned);
        world.naru(words).ok();
        name
    })
}

#[test]
fn lists_are_made_annotated_and_pushed_as_by_the_stock_client() {
    let world = World::empty();
    if !is_new(&world) {
        return;
    }
    let _registry = Registry::start(&world);
    let [amd, arm] = images(&world);
    let list = format!("{HOST}/team/list:1");
    let both = |words: &[&str]| -> [Ran; 2] { [world.naru(words), world.docker(words)] };
    let made = |insecure: bool, program: &str| {
        let mut words = vec!["manifest", "create"];
        words.extend(insecure.then_some("--insecure"));
        words.extend([list.as_str(), &amd, &arm]);
        if program == "naru" { world.naru(&words) } else { world.docker(&words) }
    };
    let annotate = [
        "manifest",
        "annotate",
        "--variant",
        "v8",
        "--os-features",
        "a,b",
        "--os-version",
        "10",
        &list,
        &arm,
    ];
    let mut digests = Vec::new();
    for (maker, other) in [("naru", "docker"), ("docker", "naru")] {
        assert_eq!(made(true, maker).line(), format!("Created manifest list {list}"));
        // Each changes what the other made.
        if other == "naru" { world.naru(annotate) } else { world.docker(annotate) }.ok();
        let [ours, theirs] = both(&["manifest", "inspect", &list]).map(Ran::ok);
        assert_eq!(ours, theirs);
        assert!(ours.contains("\"os.features\": [\n"), "{ours}");
        made(true, maker).fails(1, "refusing to amend an existing manifest list with no --amend flag");
        let push = ["manifest", "push", "--insecure", "-p", &list];
        let pushed = if maker == "naru" { world.naru(push) } else { world.docker(push) }.ok();
        digests.push(pushed.lines().last().expect("a digest").to_owned());
        assert_eq!(pushed.lines().filter(|line| line.starts_with("Pushed ref ")).count(), 2, "{pushed}");
        world.naru(["manifest", "rm", &list]).fails(1, &format!("No such manifest: {list}"));
    }
    assert_eq!(digests[0], digests[1]);
    assert_eq!(skopeo_digest(&world, &format!("docker://{list}")), digests[0]);

    for words in [
        &["manifest", "inspect", "--insecure", &list][..],
        &["manifest", "inspect", "--insecure", "-v", &list],
        &["manifest", "inspect", "--insecure", &amd],
        &["manifest", "inspect", "--insecure", "-v", &amd],
    ] {
        let [ours, theirs] = both(words).map(Ran::ok);
        assert_eq!(ours, theirs, "{words:?}");
    }
}

#[test]
fn what_no_list_can_have_is_refused_as_by_the_stock_client() {
    let world = World::empty();
    if !is_new(&world) {
        return;
    }
    let _registry = Registry::start(&world);
    let [amd, arm] = images(&world);
    let list = format!("{HOST}/team/list:1");
    world.naru(["manifest", "create", "--insecure", &list, &amd]).ok();
    let missing = format!("{HOST}/team/missing:1");
    for (words, text) in [
        (&["manifest", "create", "--insecure", "new", &missing][..], format!("no such manifest: {missing}")),
        (
            &["manifest", "annotate", &list, &arm],
            format!("manifest for image {arm} does not exist in {list}"),
        ),
        (
            &["manifest", "annotate", "--os", "foo", "--arch", "bar", &list, &amd],
            "manifest entry for image has unsupported os/arch combination: foo/bar".to_owned(),
        ),
        (&["manifest", "rm", "nosuch"], "No such manifest: docker.io/library/nosuch:latest".to_owned()),
    ] {
        world.docker(words).fails(1, &text);
        world.naru(words).fails(1, &text);
    }
    world.naru(["manifest", "create", "--amend", "--insecure", &list, &arm]).ok();
    let shown = world.docker(["manifest", "inspect", &list]).ok();
    assert!(
        shown.contains("\"architecture\": \"arm64\"") && shown.contains("\"architecture\": \"amd64\""),
        "{shown}"
    );
    let one = world.naru(["manifest", "inspect", &list, &arm]).ok();
    assert!(one.contains("\"config\": {"), "{one}");
}
