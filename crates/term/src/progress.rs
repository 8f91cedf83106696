//! Draws the progress streams of pull, push, load and import: on a terminal one line per layer, redrawn in place; elsewhere
//! one plain line per step and no bars. The text is that of moby's `jsonmessage`.

use api::{JsonMessage, ProgressDetail};

/// Draws messages one by one.
#[derive(Debug)]
pub struct Progress {
    /// Columns of the terminal; `None` = not a terminal.
    columns: Option<usize>,
    /// Ids that have a line, in order of their lines.
    lines: Vec<String>,
}

impl Progress {
    /// For a terminal of so many columns, or for something else.
    pub fn new(columns: Option<usize>) -> Self {
        Self { columns, lines: Vec::new() }
    }

    /// The text to write for a message; `Err` is the message of an error within the stream. `now` is in Unix seconds.
    pub fn draw(&mut self, message: &JsonMessage, now: i64) -> Result<String, String> {
        if let Some(detail) = &message.error_detail {
            return Err(detail.message.clone());
        }
        if !message.error.is_empty() {
            return Err(message.error.clone());
        }
        if message.aux.is_some() {
            return Ok(String::new());
        }
        let mut out = String::new();
        let mut up = 0;
        if !message.id.is_empty() && (message.progress_detail.is_some() || !message.progress.is_empty()) {
            let line = self.lines.iter().position(|id| *id == message.id).unwrap_or_else(|| {
                self.lines.push(message.id.clone());
                if self.columns.is_some() {
                    out.push('\n');
                }
                self.lines.len() - 1
            });
            up = self.lines.len() - line;
            if self.columns.is_some() {
                out.push_str(&format!("\x1b[{up}A"));
            }
        } else {
            // A line without a bar moves everything: later bars start anew below it.
            self.lines.clear();
        }
        self.line(message, now, &mut out);
        if !message.id.is_empty() && self.columns.is_some() && up > 0 {
            out.push_str(&format!("\x1b[{up}B"));
        }
        Ok(out)
    }

    fn line(&self, message: &JsonMessage, now: i64, out: &mut String) {
        let bar =
            message.progress_detail.as_ref().map(|detail| bar(detail, self.columns.unwrap_or(200), now));
        let mut end = "";
        match (&bar, self.columns) {
            (Some(_), Some(_)) if message.stream.is_empty() => {
                out.push_str("\x1b[2K\r");
                end = "\r";
            }
            (Some(bar), _) if !bar.is_empty() => return,
            _ => (),
        }
        if !message.id.is_empty() {
            out.push_str(&format!("{}: ", message.id));
        }
        if !message.from.is_empty() {
            out.push_str(&format!("(from {}) ", message.from));
        }
        match bar {
            Some(bar) if self.columns.is_some() => out.push_str(&format!("{} {bar}{end}", message.status)),
            _ if !message.progress.is_empty() => {
                out.push_str(&format!("{} {}{end}", message.status, message.progress));
            }
            _ if !message.stream.is_empty() => out.push_str(&format!("{}{end}", message.stream)),
            _ => out.push_str(&format!("{}{end}\n", message.status)),
        }
    }
}

/// `[====>   ]  1.2MB/3.4MB 5s`; empty when nothing is known.
fn bar(detail: &ProgressDetail, columns: usize, now: i64) -> String {
    let (current, total) = (detail.current, detail.total);
    if current <= 0 && total <= 0 {
        return String::new();
    }
    if total <= 0 {
        return match detail.units.as_str() {
            "" => format!("{:>8}", crate::size::human(current as f64)),
            units => format!("{current} {units}"),
        };
    }
    let half_percent = ((current as f64 / total as f64 * 100.0) as usize / 2).min(50);
    let mut out = String::new();
    if columns > 110 {
        out.push_str(&format!("[{}>{}] ", "=".repeat(half_percent), " ".repeat(50 - half_percent)));
    }
    match detail.units.as_str() {
        _ if detail.hide_counts => (),
        "" if current > total => out.push_str(&format!("{:>8}", crate::size::human(current as f64))),
        "" => {
            let (current, total) = (crate::size::human(current as f64), crate::size::human(total as f64));
            out.push_str(&format!("{current:>8}/{total}"));
        }
        units if current > total => out.push_str(&format!("{current} {units}")),
        units => out.push_str(&format!("{current}/{total} {units}")),
    }
    if current > 0 && detail.start > 0 && half_percent < 50 && columns > 50 {
        let left = (total - current) as f64 * ((now - detail.start) as f64 / current as f64);
        out.push_str(&format!(" {}", crate::duration::go((left as i64).saturating_mul(1_000_000_000))));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(columns: Option<usize>, lines: &[&str]) -> String {
        let mut progress = Progress::new(columns);
        lines
            .iter()
            .map(|line| progress.draw(&serde_json::from_str(line).expect("JSON"), 0).expect("no error"))
            .collect()
    }

    const PULL: &[&str] = &[
        r#"{"status":"Pulling from library/busybox","id":"latest"}"#,
        r#"{"status":"Pulling fs layer","progressDetail":{},"id":"aaa"}"#,
        r#"{"status":"Downloading","progressDetail":{"current":1048576,"total":4194304},"id":"aaa"}"#,
        r#"{"status":"Download complete","progressDetail":{},"id":"aaa"}"#,
        r#"{"status":"Status: Downloaded newer image for busybox:latest"}"#,
    ];

    #[test]
    fn without_a_terminal_there_are_no_bars() {
        assert_eq!(
            draw(None, PULL),
            "latest: Pulling from library/busybox\naaa: Pulling fs layer\naaa: Download complete\nStatus: Downloaded newer image for busybox:latest\n"
        );
    }

    #[test]
    fn on_a_terminal_a_layers_line_is_redrawn() {
        assert_eq!(
            draw(Some(120), PULL),
            concat!(
                "latest: Pulling from library/busybox\n",
                "\n\x1b[1A\x1b[2K\raaa: Pulling fs layer \r\x1b[1B",
                "\x1b[1A\x1b[2K\raaa: Downloading [============>                                      ]  1.049MB/4.194MB\r\x1b[1B",
                "\x1b[1A\x1b[2K\raaa: Download complete \r\x1b[1B",
                "Status: Downloaded newer image for busybox:latest\n"
            )
        );
        // A narrow terminal has no room for the bar.
        assert!(draw(Some(80), PULL).contains("aaa: Downloading  1.049MB/4.194MB\r"));
    }

    #[test]
    fn an_error_in_the_stream_is_an_error() {
        let message =
            serde_json::from_str(r#"{"errorDetail":{"message":"no such"},"error":"no such"}"#).expect("JSON");
        assert_eq!(Progress::new(None).draw(&message, 0), Err("no such".to_owned()));
    }
}
