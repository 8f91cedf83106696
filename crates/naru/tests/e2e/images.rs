//! Images made on the spot for the tests, as docker archives (`manifest.json`, config and layers in one tar).

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use sha2::{Digest, Sha256};

/// `busybox:latest` from the host's static busybox (Debian's package busybox-static).
pub fn busybox(archive: &Path) {
    let program = std::fs::read("/bin/busybox").expect("busybox-static is installed");
    let list = Command::new("/bin/busybox").arg("--list").output().expect("busybox runs").stdout;
    let mut layer = tar::Builder::new(Vec::new());
    for folder in ["bin", "dev", "etc", "home", "proc", "root", "sys", "usr", "usr/bin", "var"] {
        entry(&mut layer, &format!("{folder}/"), tar::EntryType::Directory, 0o755, &[]);
    }
    entry(&mut layer, "tmp/", tar::EntryType::Directory, 0o1777, &[]);
    entry(&mut layer, "bin/busybox", tar::EntryType::Regular, 0o755, &program);
    for applet in String::from_utf8_lossy(&list).lines().filter(|applet| *applet != "busybox") {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_mode(0o777);
        header.set_size(0);
        layer.append_link(&mut header, format!("bin/{applet}"), "busybox").expect("append a link");
    }
    entry(
        &mut layer,
        "etc/passwd",
        tar::EntryType::Regular,
        0o644,
        b"root:x:0:0:root:/root:/bin/sh\nwww:x:33:33:www:/var:/bin/sh\n",
    );
    entry(&mut layer, "etc/group", tar::EntryType::Regular, 0o644, b"root:x:0:\nwww:x:33:\nextra:x:44:www\n");
    write(archive, "busybox:latest", &layer.into_inner().expect("finish the layer"));
}

/// An image of one file of this many bytes that nothing makes smaller.
pub fn large(archive: &Path, name: &str, bytes: usize) {
    let mut state = 1u32;
    let step = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let data: Vec<u8> = (0..bytes).map(step).collect();
    let mut layer = tar::Builder::new(Vec::new());
    entry(&mut layer, "large", tar::EntryType::Regular, 0o644, &data);
    write(archive, name, &layer.into_inner().expect("finish the layer"));
}

fn write(archive: &Path, name: &str, layer: &[u8]) {
    let config = serde_json::json!({
        "architecture": std::env::consts::ARCH.replace("x86_64", "amd64").replace("aarch64", "arm64"), "os": "linux",
        "created": "2024-01-01T00:00:00Z",
        "config": {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], "Cmd": ["sh"]},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", hex(layer))]},
        "history": [{"created": "2024-01-01T00:00:00Z", "created_by": name}],
    });
    let config = serde_json::to_vec(&config).expect("JSON");
    let config_name = format!("{}.json", hex(&config));
    let manifest = serde_json::json!([{"Config": config_name, "RepoTags": [name], "Layers": ["layer.tar"]}]);
    let mut out = tar::Builder::new(File::create(archive).expect("create the archive"));
    entry(&mut out, &config_name, tar::EntryType::Regular, 0o644, &config);
    entry(&mut out, "layer.tar", tar::EntryType::Regular, 0o644, layer);
    entry(
        &mut out,
        "manifest.json",
        tar::EntryType::Regular,
        0o644,
        &serde_json::to_vec(&manifest).expect("JSON"),
    );
    out.into_inner().expect("finish the archive").flush().expect("write the archive");
}

fn entry(out: &mut tar::Builder<impl Write>, name: &str, kind: tar::EntryType, mode: u32, data: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(data.len() as u64);
    out.append_data(&mut header, name, data).expect("append an entry");
}

fn hex(data: &[u8]) -> String {
    Sha256::digest(data).iter().map(|byte| format!("{byte:02x}")).collect()
}
