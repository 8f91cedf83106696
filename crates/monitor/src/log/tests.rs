//! What ends up in log files.

use std::path::PathBuf;

use super::*;

struct World {
    folder: tempfile::TempDir,
    spec: LogSpec,
}

impl World {
    fn new(driver: LogDriver) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("logs/x.log");
        Self { folder, spec: LogSpec { driver, path, ..LogSpec::default() } }
    }

    fn log(&self) -> Log {
        Log::open(&self.spec).unwrap().unwrap()
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join("logs").join(name)).unwrap()
    }

    /// The `log` members.
    fn texts(&self, name: &str) -> Vec<String> {
        self.read(name).lines().map(|line| json(line)["log"].as_str().unwrap().to_owned()).collect()
    }

    fn names(&self) -> Vec<PathBuf> {
        let folder = std::fs::read_dir(self.folder.path().join("logs")).unwrap();
        let mut names: Vec<_> = folder.map(|entry| entry.unwrap().file_name().into()).collect();
        names.sort();
        names
    }
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_line_is_docker_s_line() {
    let mut world = World::new(LogDriver::JsonFile);
    world.spec.attrs.insert("env".into(), "a<b".into());
    world.spec.tag = Some("web".into());
    let mut log = world.log();
    log.write(Stream::Stdout, b"tab\there \"q\" \\ <&> \x1b[0m \xff\xfe caf\xc3\xa9 \xe2\x80\xa8\r\n");
    let text = world.read("x.log");
    let start = concat!(
        r#"{"log":"tab\u0009here \"q\" \\ \u003c\u0026\u003e \u001b[0m \ufffd\ufffd café \u2028\r\n","#,
        r#""stream":"stdout","attrs":{"env":"a\u003cb","tag":"web"},"time":"2"#
    );
    assert!(text.starts_with(start), "{text}");
    assert!(text.ends_with("Z\"}\n"), "{text}");
    json(&text);
}

#[test]
fn lines_are_put_together_for_each_stream() {
    let world = World::new(LogDriver::JsonFile);
    let mut log = world.log();
    log.write(Stream::Stdout, b"one ");
    log.write(Stream::Stderr, b"error\nhalf");
    log.write(Stream::Stdout, b"line\n\nnext");
    assert_eq!(world.texts("x.log"), ["error\n", "one line\n", "\n"]);
    log.end(Stream::Stdout);
    log.end(Stream::Stderr);
    log.end(Stream::Stderr);
    assert_eq!(world.texts("x.log")[3..], ["next", "half"]);
}

#[test]
fn long_lines_are_cut_at_16_kib_however_they_come() {
    let text = format!("{}\nshort\n", "x".repeat(40_000));
    for size in [1000, 2048, 16_384, 50_000] {
        let world = World::new(LogDriver::JsonFile);
        let mut log = world.log();
        for chunk in text.as_bytes().chunks(size) {
            log.write(Stream::Stdout, chunk);
        }
        let texts = world.texts("x.log");
        let lengths: Vec<_> = texts.iter().map(String::len).collect();
        assert_eq!(lengths, [16_384, 16_384, 40_000 - 2 * 16_384 + 1, 6], "chunks of {size}");
        assert_eq!(texts.concat(), text);
        let content = world.read("x.log");
        let times: Vec<_> = content.lines().map(|line| json(line)["time"].clone()).collect();
        assert_eq!((&times[0], &times[0]), (&times[1], &times[2]));
    }
}

#[test]
fn rotation_keeps_the_newest_files() {
    let mut world = World::new(LogDriver::JsonFile);
    world.spec.max_size = Some(1000);
    world.spec.max_file = 3;
    let mut log = world.log();
    let all: Vec<String> = (0..100).map(|number| format!("line {number}\n")).collect();
    for line in &all {
        log.write(Stream::Stdout, line.as_bytes());
    }
    assert_eq!(world.names(), [PathBuf::from("x.log"), "x.log.1".into(), "x.log.2".into()]);
    let kept = [world.texts("x.log.2"), world.texts("x.log.1"), world.texts("x.log")].concat();
    assert_eq!(kept, all[all.len() - kept.len()..]);
    let size = world.read("x.log.1").len();
    assert!((1000..1100).contains(&size), "a file is closed by the entry that fills it: {size}");
}

#[test]
fn one_chunk_can_fill_many_files() {
    let mut world = World::new(LogDriver::JsonFile);
    world.spec.max_size = Some(200);
    world.spec.max_file = 2;
    world.log().write(Stream::Stdout, "x\n".repeat(50).as_bytes());
    assert_eq!(world.names(), [PathBuf::from("x.log"), "x.log.1".into()]);
    assert_eq!(world.texts("x.log.1").len(), 3);
}

#[test]
fn a_single_file_is_emptied() {
    let mut world = World::new(LogDriver::JsonFile);
    world.spec.max_size = Some(300);
    let mut log = world.log();
    for number in 0..20 {
        log.write(Stream::Stdout, format!("line {number}\n").as_bytes());
    }
    assert_eq!(world.names(), [PathBuf::from("x.log")]);
    assert_eq!(world.texts("x.log").last().unwrap(), "line 19\n");
    assert!(world.texts("x.log").len() <= 5);
}

#[test]
fn a_second_run_appends() {
    let world = World::new(LogDriver::JsonFile);
    world.log().write(Stream::Stdout, b"first\n");
    world.log().write(Stream::Stdout, b"second\n");
    assert_eq!(world.texts("x.log"), ["first\n", "second\n"]);
}

#[test]
fn local_entries_read_back() {
    let world = World::new(LogDriver::Local);
    let mut log = world.log();
    log.write(Stream::Stderr, b"\xff<b>\n");
    log.write(Stream::Stdout, &[vec![b'y'; 20_000], b"\n".to_vec()].concat());
    let bytes = std::fs::read(&world.spec.path).unwrap();
    let mut rest = &bytes[..];
    let mut entries = Vec::new();
    while let Some((entry, length)) = local::decode(rest) {
        assert_eq!(rest[..4], rest[length - 4..length]);
        rest = &rest[length..];
        entries.push(entry);
    }
    assert!(rest.is_empty());
    let shape: Vec<_> = entries.iter().map(|e| (e.source.as_str(), e.line.len(), e.complete)).collect();
    assert_eq!(shape, [("stderr", 4, true), ("stdout", 16_384, false), ("stdout", 20_000 - 16_384, true)]);
    assert!(entries.iter().all(|entry| entry.time_nano > 1_600_000_000_000_000_000));
    assert_eq!(entries[0].line, b"\xff<b>");
    assert_eq!(local::decode(&bytes[..10]), None);
}

#[test]
fn no_driver_no_file() {
    let world = World::new(LogDriver::None);
    assert!(Log::open(&world.spec).unwrap().is_none());
}
