//! Layers as dockerd unpacks them and as we do: for generated layers of every kind of nastiness the trees are the same, or
//! both refuse. Where we differ on purpose, a table says why.

mod dialect;
mod docker;
mod generate;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Mutex;

use image::Digest;
use store::Store;

use dialect::{Dialect, Item, Sparse};
use docker::Docker;
use generate::Random;

#[path = "../store/tree.rs"]
mod tree;

const LAYERS: usize = 200;
/// `NARU_TEST_SEED=n` tries others.
const SEED: u64 = 1;

type Tree = BTreeMap<String, String>;

struct Ours {
    _home: tempfile::TempDir,
    store: Store,
}

impl Ours {
    fn new() -> Ours {
        let home = tempfile::Builder::new().prefix("naru-differential-").tempdir().unwrap();
        let store = Store::open(home.path()).unwrap();
        Ours { _home: home, store }
    }

    fn load(&self, archive: &[u8], name: &str) -> Result<Vec<PathBuf>, String> {
        let loaded = self.store.load(archive, &[], &mut |_| {}).map_err(|error| chain(&error))?;
        assert_eq!(loaded.len(), 1, "{name}");
        Ok(self.store.chain_paths(&self.store.image(name).unwrap().id).unwrap())
    }
}

/// The error with all its reasons.
fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

/// What `docker save` would have written.
fn archive(layers: &[Vec<u8>], name: &str) -> Vec<u8> {
    let diff_ids: Vec<String> = layers.iter().map(|layer| Digest::sha256(layer).to_string()).collect();
    let platform = image::Platform::host();
    let config = serde_json::json!({
        "architecture": platform.architecture, "os": "linux", "created": "2024-01-02T03:04:05Z", "config": {},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    let names: Vec<String> = (0..layers.len()).map(|number| format!("{number}.tar")).collect();
    let manifest = serde_json::json!([{"Config": "config.json", "RepoTags": [name], "Layers": names}]);
    let mut out = Vec::new();
    let mut add = |name: &str, data: Vec<u8>| {
        dialect::write(&mut out, &Item { data, ..Item::new(b'0', name.as_bytes()) });
    };
    add("config.json", config.to_string().into_bytes());
    for (name, layer) in names.iter().zip(layers) {
        add(name, layer.clone());
    }
    add("manifest.json", manifest.to_string().into_bytes());
    out.resize(out.len() + 1024, 0);
    out
}

/// The kernel's view of layer folders, top-most first, mounted where nobody sees it.
fn merged(layers: &[PathBuf], implied: &BTreeSet<Vec<u8>>) -> Tree {
    let implied: BTreeSet<String> = implied.iter().map(|path| path.escape_ascii().to_string()).collect();
    let empty = tempfile::tempdir().unwrap();
    let point = tempfile::tempdir().unwrap();
    let lower: Vec<String> = layers
        .iter()
        .map(|layer| layer.as_path())
        .chain([empty.path()])
        .map(|path| path.display().to_string())
        .collect();
    let options = std::ffi::CString::new(format!("lowerdir={}", lower.join(":"))).unwrap();
    let walk = || {
        let flags = rustix::mount::MountFlags::RDONLY;
        rustix::mount::mount("overlay", point.path(), "overlay", flags, Some(options.as_c_str())).unwrap();
        tree::tree(point.path(), true)
    };
    let mut tree = sys::namespace::in_own_mounts(walk).unwrap();
    for (path, line) in &mut tree {
        if implied.contains(path) && line.starts_with("dir") {
            *line = "dir".to_owned();
        }
    }
    tree
}

/// Where two trees differ.
fn differences(ours: &Tree, theirs: &Tree) -> Vec<String> {
    let paths: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
    let line = |tree: &Tree, path: &String| tree.get(path).cloned().unwrap_or_else(|| "nothing".to_owned());
    paths
        .into_iter()
        .map(|path| (path, line(ours, path), line(theirs, path)))
        .filter(|(_, ours, theirs)| ours != theirs)
        .map(|(path, ours, theirs)| format!("  {path}\n    ours:   {ours}\n    docker: {theirs}"))
        .collect()
}

#[derive(PartialEq)]
enum Outcome {
    Equal,
    RefusedByBoth,
    Differs(String),
}

fn compared(ours: &Ours, docker: &Docker, image: &generate::Image, name: &str) -> Outcome {
    let archive = archive(&image.layers, name);
    match (ours.load(&archive, name), docker.load(&archive, name)) {
        (Ok(mine), Ok(theirs)) => {
            let (mine, theirs) = (merged(&mine, &image.implied), merged(&theirs, &image.implied));
            match differences(&mine, &theirs).join("\n") {
                none if none.is_empty() => Outcome::Equal,
                some => Outcome::Differs(some),
            }
        }
        (Err(_), Err(_)) => Outcome::RefusedByBoth,
        (Ok(_), Err(error)) => Outcome::Differs(format!("  only docker refuses: {error}")),
        (Err(error), Ok(_)) => Outcome::Differs(format!("  only we refuse: {error}")),
    }
}

#[test]
fn layers_become_what_dockerd_makes_of_them() {
    let Some(docker) = Docker::start() else { return };
    what_differs_differs_on_purpose(&docker);
    generated_layers_become_the_same(&docker);
}

fn generated_layers_become_the_same(docker: &Docker) {
    let seed = std::env::var("NARU_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(SEED);
    let mut random = Random::new(seed);
    let ours = Ours::new();
    let mut images = Vec::new();
    let mut layers = 0;
    while layers < LAYERS {
        let image = generate::image(&mut random, 2 + images.len() % 3);
        layers += image.layers.len();
        images.push(image);
    }
    let queue = Mutex::new(images.iter().enumerate());
    let outcomes = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some((number, image)) = { queue.lock().unwrap().next() } {
                    let outcome = compared(&ours, docker, image, &format!("nasty:{number}"));
                    outcomes.lock().unwrap().push((number, outcome));
                }
            });
        }
    });
    let mut outcomes = outcomes.into_inner().unwrap();
    outcomes.sort_by_key(|(number, _)| *number);
    let count = |wanted: Outcome| outcomes.iter().filter(|(_, outcome)| *outcome == wanted).count();
    let (equal, refused) = (count(Outcome::Equal), count(Outcome::RefusedByBoth));
    let told = |(number, outcome): &(usize, Outcome)| match outcome {
        Outcome::Differs(how) => {
            Some(format!("seed {seed}, image {number}:\n{how}\n{}", images[*number].told.join("--\n")))
        }
        _ => None,
    };
    let failures: Vec<String> = outcomes.iter().filter_map(told).collect();
    eprintln!("{layers} layers: {equal} images equal, {refused} refused by both");
    assert!(failures.is_empty(), "{} images differ\n{}", failures.len(), failures.join("\n\n"));
    assert!(equal > 30 && refused > 5, "{equal} equal, {refused} refused: nothing was compared");
}

/// What is known of both engines about layers they differ on.
enum Verdict {
    /// Docker takes it.
    WeRefuse,
    /// Lines of our tree.
    DockerRefuses(&'static [(&'static str, &'static str)]),
    /// What both take differently: path, ours, docker's.
    Differs(&'static [(&'static str, &'static str, &'static str)]),
}

struct Difference {
    why: &'static str,
    layers: Vec<Vec<Item>>,
    verdict: Verdict,
}

fn file(path: &str, data: &str) -> Item {
    Item { data: data.as_bytes().to_vec(), ..Item::new(b'0', path.as_bytes()) }
}

fn dir(path: &str) -> Item {
    Item::new(b'5', path.as_bytes())
}

fn link(path: &str, target: &str) -> Item {
    Item { link: target.as_bytes().to_vec(), ..Item::new(b'1', path.as_bytes()) }
}

fn on_purpose() -> Vec<Difference> {
    use Verdict::{Differs, DockerRefuses, WeRefuse};
    let difference = |why, layers: &[&[Item]], verdict| Difference {
        why,
        layers: layers.iter().map(|layer| layer.to_vec()).collect(),
        verdict,
    };
    let opaque_xattr = Item {
        dialect: Dialect::Pax,
        xattrs: vec![("trusted.overlay.opaque".to_owned(), b"y".to_vec())],
        ..dir("d")
    };
    let sparse = Item {
        dialect: Dialect::Gnu,
        sparse: Some((Sparse::OldGnu, 4, vec![(2, 2)])),
        ..Item { flag: b'S', ..file("sparse", "xy") }
    };
    vec![
        difference("a name that climbs out is an attack, not a name", &[&[file("../x", "1")]], WeRefuse),
        difference("… also when it is written as absolute", &[&[file("/../x", "1")]], WeRefuse),
        difference(
            "… and as the target of a hard link",
            &[&[file("x", "1"), link("y", "../../x")]],
            WeRefuse,
        ),
        difference(
            "an owner beyond 32 bits wraps around to somebody else, even to root",
            &[&[Item { dialect: Dialect::Pax, uid: 1 << 32, ..file("x", "1") }]],
            WeRefuse,
        ),
        difference(
            "overlayfs' own attributes would let an archive redirect look-ups into other layers",
            &[&[dir("d"), file("d/below", "1")], &[opaque_xattr]],
            Differs(&[("d/below", "file 1 6b86b273ff34 644 0:0", "")]),
        ),
        difference(
            "what a marker removes stays removed, also where the layer makes the folder anew",
            &[&[dir("d"), file("d/secret", "1")], &[file(".wh.d", ""), dir("d"), file("d/new", "2")]],
            Differs(&[("d/secret", "", "file 1 6b86b273ff34 644 0:0")]),
        ),
        difference(
            "… and where the marker is that of the root",
            &[&[file("secret", "1")], &[file(".wh..wh..opq", ""), file("new", "2")]],
            Differs(&[("secret", "", "file 1 6b86b273ff34 644 0:0")]),
        ),
        difference(
            "AUFS' book-keeping was never meant to be seen",
            &[&[file(".wh..wh.plnk/1.2", "1"), file("x", "1")]],
            Differs(&[
                (".wh..wh.plnk", "", "dir 755 0:0"),
                (".wh..wh.plnk/1.2", "", "file 1 6b86b273ff34 644 0:0"),
            ]),
        ),
        difference(
            "a folder that an entry is only put into keeps its mode: a /tmp that loses its sticky bit lets users delete each \
             other's files",
            &[&[Item { mode: 0o1777, ..dir("tmp") }], &[file("tmp/x", "1")]],
            Differs(&[("tmp", "dir 1777 0:0", "dir 755 0:0")]),
        ),
        difference(
            "links into lower layers are in image-spec, and other storage drivers of Docker take them",
            &[&[file("x", "1")], &[link("y", "x")]],
            DockerRefuses(&[("x", "file 1 6b86b273ff34 644 0:0"), ("y", "file 1 6b86b273ff34 644 0:0")]),
        ),
        difference(
            "of two entries for one path the last counts, as for every tar program",
            &[&[file("x", "1"), dir("x"), file("x/y", "1"), file("x", "22")]],
            DockerRefuses(&[("x", "file 2 785f3ec7eb32 644 0:0"), ("x/y", "")]),
        ),
        difference(
            "markers say what is gone from the layers below, in whatever order they stand",
            &[
                &[file("x", "1"), file("y", "1")],
                &[file("x", "22"), file(".wh.x", ""), file(".wh.y", ""), file("./.wh.y", "")],
            ],
            DockerRefuses(&[("x", "file 2 785f3ec7eb32 644 0:0"), ("y", "")]),
        ),
        difference(
            "GNU tar's first way to write holes is read by every tar program",
            &[&[sparse]],
            DockerRefuses(&[("sparse", "file 4 ")]),
        ),
    ]
}

fn what_differs_differs_on_purpose(docker: &Docker) {
    let ours = Ours::new();
    for (number, difference) in on_purpose().into_iter().enumerate() {
        let why = difference.why;
        let tar = |items: &Vec<Item>| {
            let mut tar = Vec::new();
            items.iter().for_each(|item| dialect::write(&mut tar, item));
            tar.resize(tar.len() + 1024, 0);
            tar
        };
        let layers: Vec<Vec<u8>> = difference.layers.iter().map(tar).collect();
        let name = format!("purpose:{number}");
        let archive = archive(&layers, &name);
        let (mine, theirs) = (ours.load(&archive, &name), docker.load(&archive, &name));
        let tree = |layers: &Result<Vec<PathBuf>, String>| {
            merged(layers.as_ref().unwrap_or_else(|error| panic!("{why}: {error}")), &BTreeSet::new())
        };
        let check = |who: &str, tree: &Tree, path: &str, want: &str| match tree.get(path) {
            Some(line) => assert!(!want.is_empty() && line.starts_with(want), "{why}: {who}: {path}: {line}"),
            None => assert!(want.is_empty(), "{why}: {who}: {path} is not there"),
        };
        match difference.verdict {
            Verdict::WeRefuse => {
                assert!(mine.is_err(), "{why}: we take it");
                tree(&theirs);
            }
            Verdict::DockerRefuses(lines) => {
                assert!(theirs.is_err(), "{why}: docker takes it");
                let mine = tree(&mine);
                lines.iter().for_each(|(path, want)| check("ours", &mine, path, want));
            }
            Verdict::Differs(lines) => {
                let (mine, theirs) = (tree(&mine), tree(&theirs));
                for (path, own, other) in lines {
                    check("ours", &mine, path, own);
                    check("docker's", &theirs, path, other);
                }
            }
        }
    }
}
