//! What is done with images: pulls of 200 MB and 1 GB beside the same work done by hand, a pull of one missing layer, save,
//! load, push, commit, the removal of 100,000 files, and the list of 500 images.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::peers::{Bench, REGISTRY};
use super::table::Row;
use super::{image, memory, timed};

/// The least that a pull has to do, as a shell does it: every layer in parallel from the registry through a digest and a
/// decompressor to files. `$1` folder, `$2` repository's URL, the rest: layers.
const BY_HAND: &str = r#"
    set -e -o pipefail
    folder=$1 url=$2
    shift 2
    for layer in "$@"; do
        mkdir -p "$folder/$layer"
        curl -sf "$url/blobs/$layer" | tee >(sha256sum > /dev/null) | gunzip | tar -x -C "$folder/$layer" &
        jobs="$jobs $!"
    done
    for job in $jobs; do wait $job; done
"#;

impl Bench {
    /// Pulls an image, removed again before each round, beside the floor; and the most memory that the engine took.
    pub fn pull(&self, name: &str, title: &str, rounds: usize, make: fn(&Path) -> Result<()>) -> Result<Row> {
        let layout = self.path(name);
        make(&layout)?;
        self.push_layout(&layout, name)?;
        let layers = image::layer_digests(&layout)?;
        std::fs::remove_dir_all(&layout)?;
        let reference = format!("{REGISTRY}/{name}");
        let mut row = Row::new(title);
        let mut peak = 0;
        for _ in 0..rounds {
            for peer in self.pullers() {
                if peer.name == "naru" {
                    memory::forget_peak(&peer.name)?;
                }
                row.add(&peer.name, timed(peer.command(&["pull", "-q", &reference]))?);
                if peer.name == "naru" {
                    peak = memory::peak(&peer.name)?.max(peak);
                }
                peer.ok(&["rmi", &reference])?;
            }
            row.add("by hand", self.by_hand(name, &layers)?);
        }
        row.note(format!("engine's peak RSS {} MiB", peak / 1024));
        Ok(row)
    }

    fn by_hand(&self, name: &str, layers: &[String]) -> Result<f64> {
        let folder = self.path("by-hand");
        let mut command = Command::new("bash");
        command.args(["-c", BY_HAND, "bash"]).arg(&folder).arg(format!("http://{REGISTRY}/v2/{name}"));
        command.args(layers).stdin(Stdio::null());
        let took = timed(command)?;
        std::fs::remove_dir_all(&folder)?;
        Ok(took)
    }

    /// A pull where all layers but one are here: time, and bytes through the loopback.
    pub fn pull_delta(&self, rounds: usize) -> Result<Row> {
        let layout = self.path("delta");
        image::large(&layout)?;
        self.push_layout(&layout, "base")?;
        image::larger(&layout)?;
        self.push_layout(&layout, "delta")?;
        let missing = image::layer_digests(&layout)?.pop().context("an image without layers")?;
        let missing = layout.join("blobs/sha256").join(missing.trim_start_matches("sha256:"));
        let missing = std::fs::metadata(missing)?.len();
        let (base, delta) = (format!("{REGISTRY}/base"), format!("{REGISTRY}/delta"));
        let mut row = Row::new("pull of one missing layer");
        for peer in self.pullers() {
            peer.ok(&["pull", "-q", &base])?;
            let mut most = 0;
            for _ in 0..rounds {
                let before = loopback_bytes()?;
                row.add(&peer.name, timed(peer.command(&["pull", "-q", &delta]))?);
                most = most.max((loopback_bytes()? - before).saturating_sub(missing));
                peer.ok(&["rmi", &delta])?;
            }
            row.note(format!(
                "{}: {} KiB more than the layer on the network, frames and all",
                peer.name,
                most / 1024
            ));
            peer.ok(&["rmi", &base])?;
        }
        std::fs::remove_dir_all(&layout)?;
        Ok(row)
    }

    /// `push`, `save`, `load` and `commit` of the 200 MB image or as much. What is pushed was pulled or loaded, and
    /// all of them remember where its layers lie.
    pub fn transfers(&self, rounds: usize) -> Result<Vec<Row>> {
        let layout = self.path("moved");
        image::large(&layout)?;
        self.push_layout(&layout, "moved")?;
        std::fs::remove_dir_all(&layout)?;
        let data = self.path("data");
        std::fs::create_dir(&data)?;
        let mut words = image::Words::new(9);
        for number in 0..200 {
            std::fs::write(data.join(number.to_string()), words.text(1 << 20))?;
        }
        let name = format!("{REGISTRY}/moved");
        let rows = [
            "save, 200 MB",
            "load, 200 MB",
            "push, 200 MB to a new repository of a registry that has it",
            "push, 200 MB to a registry that knows nothing",
            "commit, 200 MB in 200 files",
        ];
        let mut rows = rows.map(Row::new);
        for peer in &self.peers {
            peer.ok(&["pull", "-q", &name])?;
            peer.ok(&["create", "--name", "changed", "--network", "none", "busybox", "true"])?;
            peer.ok(&["cp", &data.display().to_string(), "changed:/data"])?;
        }
        for round in 0..rounds {
            for peer in &self.peers {
                let target = format!("{REGISTRY}/pushed-{}-{round}", peer.name);
                peer.ok(&["tag", &name, &target])?;
                rows[2].add(&peer.name, timed(peer.command(&["push", "-q", &target]))?);
                peer.ok(&["rmi", &target])?;
                self.with_new_registry(|registry| {
                    let target = format!("{registry}/pushed");
                    peer.ok(&["tag", &name, &target])?;
                    rows[3].add(&peer.name, timed(peer.command(&["push", "-q", &target]))?);
                    peer.ok(&["rmi", &target]).map(drop)
                })?;
                let file = self.path("saved.tar").display().to_string();
                let _ = std::fs::remove_file(&file);
                rows[0].add(&peer.name, timed(peer.command(&["save", "-o", &file, &name]))?);
                peer.ok(&["rmi", &name])?;
                rows[1].add(&peer.name, timed(peer.command(&["load", "-q", "-i", &file]))?);
                std::fs::remove_file(&file)?;
                rows[4].add(&peer.name, timed(peer.command(&["commit", "changed", "committed"]))?);
                peer.ok(&["rmi", "committed"])?;
            }
        }
        for peer in &self.peers {
            peer.ok(&["rm", "changed"])?;
            peer.ok(&["rmi", &name])?;
        }
        std::fs::remove_dir_all(&data)?;
        Ok(rows.into())
    }

    /// Removal of an image of 100,000 files.
    pub fn remove_many(&self, rounds: usize) -> Result<Row> {
        let layout = self.path("many");
        image::many(&layout)?;
        self.push_layout(&layout, "many")?;
        std::fs::remove_dir_all(&layout)?;
        let name = format!("{REGISTRY}/many");
        let mut row = Row::new("rmi of 100,000 files");
        for _ in 0..rounds {
            for peer in self.pullers() {
                peer.ok(&["pull", "-q", &name])?;
                // Files that never came to the disk are gone in no time, and not every engine brings them there.
                timed(Command::new("sync"))?;
                row.add(&peer.name, timed(peer.command(&["rmi", &name]))?);
            }
        }
        Ok(row)
    }

    /// The list of 500 images, by API.
    pub fn list_images(&self, rounds: usize) -> Result<Row> {
        let archive: PathBuf = self.path("crowd.tar");
        image::crowd(&archive, 500)?;
        let mut row = Row::new("GET /images/json, 500 images");
        for peer in self.peers.iter().filter(|peer| peer.socket.is_some()) {
            peer.ok(&["load", "-q", "-i", &archive.display().to_string()])?;
            let socket = peer.socket.as_deref().context("a peer without a socket")?;
            for _ in 0..rounds {
                let start = Instant::now();
                let output = Command::new("curl")
                    .args(["-sf", "-o", "/dev/null", "-w", "%{time_total}", "--unix-socket"])
                    .arg(socket)
                    .arg("http://engine/v1.41/images/json")
                    .output()
                    .context("run curl")?;
                ensure!(
                    output.status.success(),
                    "{}: no list of images after {:?}",
                    peer.name,
                    start.elapsed()
                );
                let seconds: f64 = String::from_utf8_lossy(&output.stdout).trim().parse()?;
                row.add(&peer.name, seconds * 1e3);
            }
        }
        Ok(row)
    }
}

/// Bytes that the loopback of this network namespace has carried.
fn loopback_bytes() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/net/dev")?;
    let line = text.lines().find_map(|line| line.trim().strip_prefix("lo:")).context("no loopback")?;
    Ok(line.split_whitespace().next().context("no counter")?.parse()?)
}
