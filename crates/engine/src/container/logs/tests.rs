//! Logs read while they are written, rotated and emptied.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;

/// Writes entries as a monitor does: rotation when a file is full, before the next entry.
struct Writer {
    path: PathBuf,
    format: Format,
    file: Option<File>,
    size: usize,
    limit: usize,
    keep: u32,
}

impl Writer {
    fn new(folder: &Path, format: Format) -> Self {
        let path = folder.join("x.log");
        Self { file: None, path, format, size: 0, limit: usize::MAX, keep: 1 }
    }

    fn numbered(&self, number: u32) -> PathBuf {
        match number {
            0 => self.path.clone(),
            number => format!("{}.{number}", self.path.display()).into(),
        }
    }

    fn write(&mut self, text: &str) {
        if self.size >= self.limit {
            self.rotate();
        }
        let entry = encode(self.format, text);
        let open = || OpenOptions::new().append(true).create(true).open(&self.path).unwrap();
        self.file.get_or_insert_with(open).write_all(&entry).unwrap();
        self.size += entry.len();
    }

    fn rotate(&mut self) {
        self.size = 0;
        if self.keep < 2 {
            self.file.as_ref().unwrap().set_len(0).unwrap();
            return;
        }
        self.file = None;
        for number in (0..self.keep - 1).rev() {
            let _ = std::fs::rename(self.numbered(number), self.numbered(number + 1));
        }
    }
}

fn encode(format: Format, text: &str) -> Vec<u8> {
    match format {
        Format::JsonFile => {
            format!("{{\"log\":\"{text}\\n\",\"stream\":\"stdout\",\"time\":\"2026-01-02T03:04:05Z\"}}\n")
                .into()
        }
        Format::Local => {
            // source = "stdout", time_nano = 1, line = text
            let mut body = b"\x0a\x06stdout\x10\x01\x1a".to_vec();
            body.push(text.len() as u8);
            body.extend_from_slice(text.as_bytes());
            let length = (body.len() as u32).to_be_bytes();
            [&length[..], &body, &length].concat()
        }
    }
}

fn style() -> Style {
    Style { stdout: true, stderr: true, ..Style::default() }
}

fn reader(writer: &Writer, tail: Option<u64>) -> Reader {
    Reader::open(writer.path.clone(), writer.format, style(), tail).unwrap()
}

/// Everything up to the present end.
fn read(reader: &mut Reader) -> String {
    let mut text = Vec::new();
    loop {
        let (bytes, state) = reader.step().unwrap();
        text.extend_from_slice(&bytes);
        if state != State::More {
            return String::from_utf8(text).unwrap();
        }
    }
}

fn lines(numbers: std::ops::Range<u32>) -> String {
    numbers.map(|number| format!("line {number}\n")).collect()
}

fn both(test: impl Fn(Writer)) {
    for format in [Format::JsonFile, Format::Local] {
        let folder = tempfile::tempdir().unwrap();
        test(Writer::new(folder.path(), format));
    }
}

#[test]
fn no_file_is_no_output() {
    both(|writer| {
        assert_eq!(read(&mut reader(&writer, None)), "");
        assert_eq!(read(&mut reader(&writer, Some(3))), "");
    });
}

#[test]
fn rotated_files_are_read_in_order() {
    both(|mut writer| {
        (writer.limit, writer.keep) = (400, 100);
        (0..200).for_each(|number| writer.write(&format!("line {number}")));
        assert!(writer.numbered(3).exists());
        assert_eq!(read(&mut reader(&writer, None)), lines(0..200));
    });
}

#[test]
fn a_rotation_that_is_half_done_hides_no_file() {
    both(|mut writer| {
        (writer.limit, writer.keep) = (1, 100);
        writer.write("line 0");
        let mut follower = reader(&writer, None);
        assert_eq!(read(&mut follower), lines(0..1));
        (1..6).for_each(|number| writer.write(&format!("line {number}")));
        // As between two of its renames: from the highest number down.
        for number in (2..6).rev() {
            std::fs::rename(writer.numbered(number), writer.numbered(number + 1)).unwrap();
        }
        assert_eq!(read(&mut reader(&writer, None)), lines(0..6));
        assert_eq!(read(&mut reader(&writer, Some(5))), lines(1..6));
        assert_eq!(read(&mut follower), lines(1..6));
    });
}

#[test]
fn the_last_lines_are_found_across_files_and_chunks() {
    both(|mut writer| {
        (writer.limit, writer.keep) = (100_000, 100);
        (0..5000).for_each(|number| writer.write(&format!("line {number}")));
        for tail in [0, 1, 2, 499, 1300, 2600, 4999, 5000, 9000] {
            let expected = lines(5000 - tail.min(5000)..5000);
            assert_eq!(read(&mut reader(&writer, Some(tail.into()))), expected, "{tail}");
        }
    });
}

#[test]
fn an_entry_that_is_being_written_is_shown_when_it_is_there() {
    both(|mut writer| {
        (0..3).for_each(|number| writer.write(&format!("line {number}")));
        let entry = encode(writer.format, "line 3");
        let file = writer.file.as_mut().unwrap();
        file.write_all(&entry[..10]).unwrap();
        let (mut two, mut none) = (reader(&writer, Some(2)), reader(&writer, Some(0)));
        assert_eq!((read(&mut two), read(&mut none)), (lines(1..3), String::new()));
        writer.file.as_mut().unwrap().write_all(&entry[10..]).unwrap();
        assert_eq!((read(&mut two), read(&mut none)), (lines(3..4), lines(3..4)));
    });
}

#[test]
fn a_reader_follows_rotations_however_many_it_missed() {
    both(|mut writer| {
        (writer.limit, writer.keep) = (400, 100);
        writer.write("line 0");
        let mut reader = reader(&writer, None);
        assert_eq!(read(&mut reader), lines(0..1));
        (1..100).for_each(|number| writer.write(&format!("line {number}")));
        assert_eq!(read(&mut reader), lines(1..100));
        writer.rotate();
        assert_eq!(read(&mut reader), "");
        writer.write("line 100");
        assert_eq!(read(&mut reader), lines(100..101));
    });
}

#[test]
fn a_log_of_one_file_goes_on_after_it_was_emptied() {
    both(|mut writer| {
        writer.limit = 400;
        (0..4).for_each(|number| writer.write(&format!("line {number}")));
        let mut reader = reader(&writer, None);
        assert_eq!(read(&mut reader), lines(0..4));
        writer.rotate();
        writer.write("line 4");
        assert_eq!(read(&mut reader), lines(4..5));
    });
}

#[test]
fn damage_costs_only_what_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(folder.path(), Format::JsonFile);
    writer.write("line 0");
    writer.file.as_mut().unwrap().write_all(b"{\"log\":\"ha\n").unwrap();
    writer.write("line 1");
    assert_eq!(read(&mut reader(&writer, None)), lines(0..2));
}

/// A follower of a container whose life the test tells.
struct Follower {
    life: tokio::sync::watch::Sender<Life>,
    frames: mpsc::Receiver<Result<Bytes>>,
}

impl Follower {
    fn new(writer: &Writer, watch: impl FnOnce(&Path) -> FolderWatch, until: Option<Timestamp>) -> Self {
        let run = super::super::status::Run { pid: 1, start_ticks: 1 };
        let life = tokio::sync::watch::Sender::new(Life { status: Status::Running(run), ..Life::default() });
        let watch = watch(writer.path.parent().unwrap());
        let follow = Follow { watch, life: life.subscribe(), until };
        let (sender, frames) = mpsc::channel(DEPTH);
        tokio::spawn(pump(reader(writer, None), Some(follow), sender));
        Self { life, frames }
    }

    async fn read(&mut self, length: usize) -> String {
        let mut text = String::new();
        while text.len() < length {
            let piece = tokio::time::timeout(Duration::from_secs(10), self.frames.recv()).await;
            let piece = piece.expect("nothing comes").expect("the stream ended").unwrap();
            text.push_str(std::str::from_utf8(&piece).unwrap());
        }
        text
    }

    async fn rest(&mut self) -> String {
        let mut text = String::new();
        while let Some(piece) = self.frames.recv().await {
            text.push_str(std::str::from_utf8(&piece.unwrap()).unwrap());
        }
        text
    }
}

#[tokio::test]
async fn a_follower_sees_every_line_of_a_busy_rotating_writer_and_the_last_words() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(folder.path(), Format::JsonFile);
    (writer.limit, writer.keep) = (20_000, 1000);
    let mut follower = Follower::new(&writer, FolderWatch::new, None);
    let thread = std::thread::spawn(move || {
        (0..20_000).for_each(|number| writer.write(&format!("line {number}")));
        writer
    });
    let text = follower.read(lines(0..20_000).len()).await;
    assert_eq!(text, lines(0..20_000));
    let mut writer = thread.join().unwrap();
    writer.write("last words");
    follower.life.send_modify(|life| life.status = Status::Exited);
    assert_eq!(follower.rest().await, "last words\n");
}

#[tokio::test]
async fn without_inotify_a_follower_looks_again_and_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(folder.path(), Format::Local);
    let mut follower = Follower::new(&writer, |_| FolderWatch::Periodic, None);
    writer.write("line 0");
    assert_eq!(follower.read(7).await, lines(0..1));
    writer.write("line 1");
    assert_eq!(follower.read(7).await, lines(1..2));
}

#[tokio::test]
async fn a_follower_ends_at_its_time_and_when_its_client_goes() {
    let folder = tempfile::tempdir().unwrap();
    let writer = Writer::new(folder.path(), Format::JsonFile);
    let until = Timestamp::now() + Duration::from_millis(50);
    assert_eq!(Follower::new(&writer, FolderWatch::new, Some(until)).rest().await, "");
    let Follower { life, frames } = Follower::new(&writer, FolderWatch::new, None);
    drop(frames);
    // The pump holds the other end.
    tokio::time::timeout(Duration::from_secs(10), life.closed()).await.expect("the pump goes on");
}

#[test]
fn the_engine_answers_by_driver_and_state() {
    crate::testing::world(async |engine| {
        let query = || ContainerLogsQuery { stdout: true, stderr: true, ..Default::default() };
        let web = crate::testing::container(engine, "web", |record| {
            record.host.log_config.typ = "json-file".into()
        });
        std::fs::write(web.record().log_path(&web.folder), encode(Format::JsonFile, "line 0")).unwrap();
        let mut logs =
            engine.container_logs("web", ContainerLogsQuery { follow: true, ..query() }).await.unwrap();
        assert_eq!(logs.frames.recv().await.unwrap().unwrap(), "\u{1}\0\0\0\0\0\0\u{7}line 0\n");
        assert!(logs.frames.recv().await.is_none(), "nobody writes: nothing to follow");
        let error =
            engine.container_logs("web", ContainerLogsQuery { since: "soon".into(), ..query() }).await.err();
        assert!(error.unwrap().message.starts_with("invalid value for \"since\""));
        crate::testing::container(engine, "mute", |record| record.host.log_config.typ = "none".into());
        let error = engine.container_logs("mute", query()).await.err().unwrap();
        assert_eq!(error.message, "configured logging driver does not support reading");
        web.change(|life| life.status = Status::Dead);
        assert_eq!(engine.container_logs("web", query()).await.err().unwrap().kind, ErrorKind::Conflict);
    });
}
