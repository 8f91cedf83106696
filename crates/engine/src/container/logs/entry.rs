//! One entry of a log: taken off the bytes of a file, and written for a client (moby `daemon/logs.go`). Pure.

use std::borrow::Cow;
use std::collections::BTreeMap;

use api::stream::{self, StreamKind};
use bytes::{BufMut, BytesMut};
use jiff::Timestamp;
use monitor::log::local;
use serde::Deserialize;

/// An entry longer than this is none: the file is damaged.
const LONGEST: usize = 8 << 20;

/// How a file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    JsonFile,
    Local,
}

/// What the bytes of a file begin with.
#[derive(Debug, PartialEq)]
pub(super) enum Decoded<'a> {
    /// An entry of so many bytes.
    Entry(Entry<'a>, usize),
    /// So many bytes that are no entry.
    Garbage(usize),
    /// The beginning of one.
    Incomplete,
}

#[derive(Debug, PartialEq)]
pub(super) struct Entry<'a> {
    is_stderr: bool,
    /// With the line feed, if the line ends here.
    text: Cow<'a, [u8]>,
    time: Time<'a>,
    attributes: BTreeMap<String, String>,
}

#[derive(Debug, PartialEq)]
enum Time<'a> {
    Text(Cow<'a, str>),
    Nanoseconds(i64),
}

#[derive(Deserialize)]
struct JsonLine<'a> {
    #[serde(borrow)]
    log: Cow<'a, str>,
    #[serde(borrow)]
    stream: Cow<'a, str>,
    #[serde(default)]
    attrs: Option<BTreeMap<String, String>>,
    #[serde(borrow)]
    time: Cow<'a, str>,
}

impl Format {
    pub(super) fn decode(self, input: &[u8]) -> Decoded<'_> {
        match self {
            Self::JsonFile => json_line(input),
            Self::Local => local_entry(input),
        }
    }
}

fn json_line(input: &[u8]) -> Decoded<'_> {
    let Some(end) = input.iter().position(|byte| *byte == b'\n') else {
        return if input.len() > LONGEST { Decoded::Garbage(input.len()) } else { Decoded::Incomplete };
    };
    match serde_json::from_slice::<JsonLine<'_>>(&input[..end]) {
        Ok(line) => {
            let text = match line.log {
                Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
                Cow::Owned(text) => Cow::Owned(text.into_bytes()),
            };
            let entry = Entry {
                is_stderr: line.stream == "stderr",
                text,
                time: Time::Text(line.time),
                attributes: line.attrs.unwrap_or_default(),
            };
            Decoded::Entry(entry, end + 1)
        }
        // Half a line, from a full disk or a machine that lost its power.
        Err(_) => Decoded::Garbage(end + 1),
    }
}

fn local_entry(input: &[u8]) -> Decoded<'_> {
    let Some(length) = input.first_chunk::<4>().map(|length| u32::from_be_bytes(*length) as usize) else {
        return Decoded::Incomplete;
    };
    if length > LONGEST {
        // Nothing says where the next entry begins.
        return Decoded::Garbage(input.len());
    }
    match local::decode(input) {
        Some((read, length)) => {
            let mut text = read.line;
            if read.complete {
                text.push(b'\n');
            }
            let entry = Entry {
                is_stderr: read.source == "stderr",
                text: Cow::Owned(text),
                time: Time::Nanoseconds(read.time_nano),
                attributes: BTreeMap::new(),
            };
            Decoded::Entry(entry, length)
        }
        None if input.len() >= length + 8 => Decoded::Garbage(length + 8),
        None => Decoded::Incomplete,
    }
}

impl Time<'_> {
    fn point(&self) -> Option<Timestamp> {
        match self {
            Self::Text(text) => text.parse().ok(),
            Self::Nanoseconds(nanoseconds) => Timestamp::from_nanosecond((*nanoseconds).into()).ok(),
        }
    }
}

/// What a client wants to see, and how.
#[derive(Debug, Clone, Default)]
pub(super) struct Style {
    /// In frames.
    pub mux: bool,
    pub stdout: bool,
    pub stderr: bool,
    pub timestamps: bool,
    /// The entry's attributes before its text.
    pub details: bool,
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
}

/// Entries on their way out.
pub(super) struct Output {
    style: Style,
    pub bytes: BytesMut,
    /// By stream: the last piece ended in the middle of a line.
    inside_line: [bool; 2],
}

impl Output {
    pub(super) fn new(style: Style) -> Self {
        Self { style, bytes: BytesMut::new(), inside_line: [false; 2] }
    }

    /// Writes an entry that is wanted. False when it and all that follow are too late.
    pub(super) fn write(&mut self, entry: &Entry<'_>) -> bool {
        let style = &self.style;
        let time = match style.since.is_some() || style.until.is_some() || style.timestamps {
            true => entry.time.point(),
            false => None,
        };
        if let (Some(until), Some(time)) = (style.until, time)
            && time > until
        {
            return false;
        }
        let early = style.since.is_some_and(|since| time.is_some_and(|time| time < since));
        if early || !(if entry.is_stderr { style.stderr } else { style.stdout }) {
            return true;
        }
        let inside_line = &mut self.inside_line[usize::from(entry.is_stderr)];
        let mut prefix = String::new();
        if !*inside_line {
            if style.timestamps {
                // Nine digits always: columns stay aligned.
                prefix = format!("{:.9} ", time.unwrap_or_default());
            }
            if style.details {
                prefix.push_str(&details(&entry.attributes));
                prefix.push(' ');
            }
        }
        *inside_line = !entry.text.ends_with(b"\n");
        if style.mux {
            let kind = if entry.is_stderr { StreamKind::Stderr } else { StreamKind::Stdout };
            // Entries are far below 4 GiB.
            self.bytes.put_slice(&stream::header(kind, (prefix.len() + entry.text.len()) as u32));
        }
        self.bytes.put_slice(prefix.as_bytes());
        self.bytes.put_slice(&entry.text);
        true
    }
}

/// `key=value,…`, escaped as in a query.
fn details(attributes: &BTreeMap<String, String>) -> String {
    let pairs: Vec<String> =
        attributes.iter().map(|(key, value)| format!("{}={}", escaped(key), escaped(value))).collect();
    pairs.join(",")
}

/// Go's `url.QueryEscape`.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(byte.into()),
            b' ' => out.push('+'),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = concat!(
        r#"{"log":"a \u003cb\u003e\n","stream":"stderr","attrs":{"tag":"x y"},"time":"2026-01-02T03:04:05.5Z"}"#,
        "\n"
    );

    fn text(style: Style, lines: &[&str]) -> (String, bool) {
        let mut output = Output::new(style);
        let mut go_on = true;
        for line in lines {
            let Decoded::Entry(entry, length) = Format::JsonFile.decode(line.as_bytes()) else {
                panic!("{line}")
            };
            assert_eq!(length, line.len());
            go_on = output.write(&entry);
        }
        (String::from_utf8(output.bytes.to_vec()).unwrap(), go_on)
    }

    fn all() -> Style {
        Style { stdout: true, stderr: true, ..Style::default() }
    }

    #[test]
    fn a_line_is_written_as_docker_writes_it() {
        let check = |style: Style, expected: &str| assert_eq!(text(style, &[LINE]).0, expected);
        check(all(), "a <b>\n");
        check(Style { mux: true, ..all() }, "\u{2}\0\0\0\0\0\0\u{6}a <b>\n");
        check(Style { stderr: false, ..all() }, "");
        check(Style { details: true, ..all() }, "tag=x+y a <b>\n");
        check(
            Style { details: true, timestamps: true, ..all() },
            "2026-01-02T03:04:05.500000000Z tag=x+y a <b>\n",
        );
    }

    #[test]
    fn times_limit_what_is_shown() {
        let at = |text: &str| text.parse().ok();
        let early = Style { since: at("2026-01-02T03:04:06Z"), ..all() };
        assert_eq!(text(early, &[LINE]), (String::new(), true));
        let same =
            Style { since: at("2026-01-02T03:04:05.5Z"), until: at("2026-01-02T03:04:05.5Z"), ..all() };
        assert_eq!(text(same, &[LINE]), ("a <b>\n".into(), true));
        let late = Style { until: at("2026-01-02T03:04:05Z"), ..all() };
        assert_eq!(text(late, &[LINE]), (String::new(), false));
    }

    #[test]
    fn pieces_of_a_line_have_one_timestamp() {
        let piece = |text: &str| {
            format!("{{\"log\":\"{text}\",\"stream\":\"stdout\",\"time\":\"2026-01-02T03:04:05Z\"}}\n")
        };
        let style = Style { timestamps: true, ..all() };
        let lines = [piece("one "), piece("line\\n"), piece("next")];
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        assert_eq!(
            text(style, &lines).0,
            "2026-01-02T03:04:05.000000000Z one line\n2026-01-02T03:04:05.000000000Z next"
        );
    }

    #[test]
    fn damage_is_passed_over_and_beginnings_are_waited_for() {
        assert_eq!(Format::JsonFile.decode(b"{\"log\":\"x"), Decoded::Incomplete);
        assert_eq!(Format::JsonFile.decode(b"x\",\"stream\"}\n{"), Decoded::Garbage(13));
        assert_eq!(Format::Local.decode(b"\0\0"), Decoded::Incomplete);
        assert_eq!(Format::Local.decode(b"\0\0\0\x05abc"), Decoded::Incomplete);
        assert_eq!(Format::Local.decode(b"\xff\0\0\x05abc"), Decoded::Garbage(7));
    }
}
