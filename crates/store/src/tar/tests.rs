//! The reader against archives made by GNU tar in every dialect it knows, and against the writer.

use std::io::{BufReader, Read as _};
use std::path::Path;
use std::process::Command;

use super::*;

fn entries(bytes: &[u8]) -> Result<Vec<(Entry, Vec<u8>)>, TarError> {
    // A small buffer, so that headers and data cross its edges.
    let mut reader = Reader::new(BufReader::with_capacity(700, bytes));
    let mut found = Vec::new();
    while let Some(entry) = reader.next()? {
        let data = reader.read_all(1 << 24)?.unwrap();
        found.push((entry, data));
    }
    Ok(found)
}

fn gnu_tar(folder: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("tar").arg("-C").arg(folder).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn every_dialect_gnu_tar_writes_is_read() {
    let home = tempfile::tempdir().unwrap();
    let long = "l".repeat(80);
    let folder = home.path().join(&long).join(&long);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("file"), "content").unwrap();
    std::fs::write(home.path().join("plain"), vec![7; 1500]).unwrap();
    std::os::unix::fs::symlink(format!("{long}/{long}/{long}"), home.path().join("link")).unwrap();
    for format in ["gnu", "oldgnu", "pax", "posix"] {
        let bytes = gnu_tar(home.path(), &["--format", format, "--sort=name", "-cf-", "."]);
        let found = entries(&bytes).unwrap();
        let find = |end: &str| {
            let path = |entry: &Entry| String::from_utf8(entry.path.clone()).unwrap();
            found
                .iter()
                .find(|(entry, _)| path(entry).ends_with(end))
                .unwrap_or_else(|| panic!("{format} {end}"))
        };
        assert_eq!(find("/file").1, b"content", "{format}");
        assert_eq!(find("/file").0.path, format!("./{long}/{long}/file").into_bytes());
        assert_eq!(find("/plain").1, vec![7; 1500]);
        assert_eq!(find("/link").0.link, format!("{long}/{long}/{long}").into_bytes());
        assert_eq!(find("/link").0.kind, Kind::Symlink);
        assert_eq!(found[0].0.kind, Kind::Directory);
    }
    for format in ["v7", "ustar"] {
        let bytes = gnu_tar(home.path(), &["--format", format, "-cf-", "plain"]);
        assert_eq!(entries(&bytes).unwrap()[0].1, vec![7; 1500], "{format}");
    }
}

#[test]
fn sparse_files_of_all_four_kinds_give_the_same_map() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("sparse");
    let file = std::fs::File::create(&path).unwrap();
    use std::os::unix::fs::FileExt;
    // Enough fragments to need extension blocks in the old GNU form.
    for at in 0..40u64 {
        file.write_all_at(&[at as u8 + 1; 4096], at * 1024 * 1024).unwrap();
    }
    file.set_len(50 * 1024 * 1024).unwrap();
    let forms: [&[&str]; 4] = [
        &["--format=gnu"],
        &["--format=pax", "--sparse-version=0.0"],
        &["--format=pax", "--sparse-version=0.1"],
        &["--format=pax", "--sparse-version=1.0"],
    ];
    for form in forms {
        let arguments = [form, &["-S", "-cf-", "sparse"]].concat();
        let found = entries(&gnu_tar(home.path(), &arguments)).unwrap();
        let (entry, data) = &found[0];
        assert_eq!((entry.path.as_slice(), entry.size), (&b"sparse"[..], 50 * 1024 * 1024), "{form:?}");
        let map = entry.sparse.as_ref().unwrap();
        let mut whole = vec![0; entry.size as usize];
        let mut from = 0;
        for (offset, length) in map {
            let (offset, length) = (*offset as usize, *length as usize);
            whole[offset..offset + length].copy_from_slice(&data[from..from + length]);
            from += length;
        }
        assert!(whole == std::fs::read(&path).unwrap(), "{form:?}");
        assert_eq!(found.len(), 1);
    }
}

#[test]
fn what_the_writer_writes_the_reader_and_gnu_tar_read() {
    let long_path = [&b"d/".repeat(120)[..], b"f\xff"].concat();
    let xattrs = vec![(b"user.b".to_vec(), b"\0\n=".to_vec()), (b"user.a".to_vec(), b"".to_vec())];
    let mut writer = Writer::new(Vec::new());
    let time = |seconds| Time { seconds, nanoseconds: 0 };
    writer
        .entry(&Header { mtime: time(-5), uid: 4_000_000_000, ..Header::directory(b"d/", 0o1777) })
        .unwrap();
    writer
        .file(&Header { mtime: time(1 << 34), xattrs: &xattrs, ..Header::file(&long_path, 0) }, b"hello")
        .unwrap();
    let link = [b'x'; 300];
    writer.entry(&Header { kind: Kind::Symlink, link: &link, ..Header::file(b"s", 0) }).unwrap();
    writer.entry(&Header { kind: Kind::Char, device: (1, 3), ..Header::file(b"null", 0) }).unwrap();
    let bytes = writer.finish().unwrap();
    assert_eq!(bytes.len() % BLOCK, 0);

    let found = entries(&bytes).unwrap();
    assert_eq!((found[0].0.mode, found[0].0.uid, found[0].0.mtime.seconds), (0o1777, 4_000_000_000, -5));
    assert_eq!((found[1].0.path.clone(), found[1].1.clone()), (long_path, b"hello".to_vec()));
    assert_eq!(found[1].0.mtime.seconds, 1 << 34);
    // To PAX a record without a value is none, and so it is to dockerd.
    assert_eq!(found[1].0.xattrs, [xattrs[0].clone()]);
    assert_eq!(found[2].0.link, link);
    assert_eq!((found[3].0.kind, found[3].0.device), (Kind::Char, (1, 3)));

    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("a.tar"), &bytes).unwrap();
    let archive = home.path().join("a.tar");
    let listing = gnu_tar(home.path(), &["-tf", archive.to_str().unwrap()]);
    assert_eq!(listing.iter().filter(|byte| **byte == b'\n').count(), 4);
}

#[test]
fn damage_is_named() {
    let mut writer = Writer::new(Vec::new());
    writer.file(&Header::file(b"a", 0), &[1; 1000]).unwrap();
    let good = writer.finish().unwrap();
    let check = |bytes: &[u8], want: &str| assert_eq!(entries(bytes).unwrap_err().to_string(), want);
    check(&good[..700], "tar: archive ends in the middle of a file at byte 700");
    check(&good[..100], "tar: archive ends in the middle of a header at byte 100");
    let mut flipped = good.clone();
    flipped[3] ^= 1;
    check(&flipped, "tar: header checksum does not match at byte 0");
    let mut after_end = good.clone();
    let end = after_end.len();
    after_end[end - 400] = 1;
    check(&after_end, "tar: header follows an end mark at byte 2048");
    assert_eq!(entries(&good[..1536]).unwrap().len(), 1, "an end mark may be missing");
    assert_eq!(entries(&[]).unwrap().len(), 0);
    assert_eq!(entries(&[0; 512]).unwrap().len(), 0);
}

#[test]
fn random_bytes_never_panic() {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut writer = Writer::new(Vec::new());
    let xattrs = vec![(b"user.a".to_vec(), b"v".to_vec())];
    writer.file(&Header { xattrs: &xattrs, ..Header::file(&[b'p'; 200], 0) }, &[1; 1000]).unwrap();
    let good = writer.finish().unwrap();
    for _ in 0..20_000 {
        let mut bytes = good.clone();
        for _ in 0..next() % 6 {
            let at = next() as usize % bytes.len();
            bytes[at] = next() as u8;
        }
        // Repair the checksums, or nothing behind them is ever reached.
        for start in (0..bytes.len()).step_by(BLOCK) {
            let sum: u64 = (0..BLOCK)
                .map(|at| if (148..156).contains(&at) { 32 } else { u64::from(bytes[start + at]) })
                .sum();
            bytes[start + 148..start + 155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        }
        let mut reader = Reader::new(bytes.as_slice());
        while let Ok(Some(_)) = reader.next() {
            let _ = reader.read_all(1 << 20);
        }
        let mut rest = Vec::new();
        reader.into_input().read_to_end(&mut rest).unwrap();
    }
}
