//! What a container has written: `docker logs`. Reads the files that its monitor writes (`monitor::log`), never the monitor.
//!
//! ```text
//! folder watch ─┐
//! life ─────────┼─▶ pump ──▶ Reader::step (on a blocking thread) ──▶ pieces ──▶ client
//! client gone ──┘
//! ```
//! No thread waits with a follower. Whether the container has ended is asked before the files are read to their end, so that
//! its last words are never lost.

mod entry;
mod files;
mod reader;
#[cfg(test)]
mod tests;
mod watch;

use api::*;
use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::mpsc;

use self::entry::{Format, Style};
use self::reader::{Reader, State};
use self::watch::FolderWatch;
use super::status::{Life, Status};
use crate::Engine;
use crate::blocking::blocking;
use crate::error::{Error, Result};

/// Pieces on their way to a client.
const DEPTH: usize = 4;

/// Output of `logs`.
pub struct Logs {
    /// The container has a terminal: pieces are raw, not frames.
    pub tty: bool,
    pub frames: mpsc::Receiver<Result<Bytes>>,
}

impl Engine {
    /// What was written so far, and with `follow` what is written until the container ends.
    pub async fn container_logs(&self, id: &str, query: ContainerLogsQuery) -> Result<Logs> {
        let container = self.containers.find(id)?;
        let record = container.record();
        if matches!(container.status(), Status::Removing | Status::Dead) {
            return Err(Error::conflict(
                "can not get logs from container which is dead or marked for removal",
            ));
        }
        let format = match record.log_driver() {
            "json-file" | "" => Format::JsonFile,
            "local" => Format::Local,
            _ => {
                let text = "configured logging driver does not support reading";
                return Err(Error::new(ErrorKind::NotImplemented, text));
            }
        };
        let now = Timestamp::now();
        let time = |name: &str, text: &str| {
            crate::time::parse(text, now)
                .map_err(|error| error.context(format!("invalid value for {name:?}")))
        };
        let style = Style {
            mux: !record.config.tty,
            stdout: query.stdout,
            stderr: query.stderr,
            timestamps: query.timestamps,
            details: query.details,
            since: time("since", &query.since)?,
            until: time("until", &query.until)?,
        };
        let path = record.log_path(&container.folder);
        // Whatever is no number means all.
        let tail = query.tail.parse::<i64>().ok().and_then(|lines| u64::try_from(lines).ok());
        let until = style.until;
        let life = container.watch();
        let follow = (query.follow && container.status().is_up()).then(|| Follow {
            watch: FolderWatch::new(&container.folder),
            life,
            until,
        });
        let reader = blocking(move || Reader::open(path, format, style, tail)).await?;
        let (sender, frames) = mpsc::channel(DEPTH);
        tokio::spawn(pump(reader, follow, sender));
        Ok(Logs { tty: record.config.tty, frames })
    }
}

/// What a follower waits for.
struct Follow {
    watch: FolderWatch,
    life: tokio::sync::watch::Receiver<Life>,
    until: Option<Timestamp>,
}

impl Follow {
    fn has_ended(&mut self) -> bool {
        let life = self.life.borrow_and_update();
        life.removed || !life.status.is_up() || self.until.is_some_and(|until| Timestamp::now() > until)
    }

    /// Returns when there may be more to read, or nothing will come any more.
    async fn changed(&mut self) {
        let until = async {
            match self.until {
                Some(until) => {
                    let left = until.duration_since(Timestamp::now()).try_into().unwrap_or_default();
                    tokio::time::sleep(left).await;
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.life.changed() => {}
            () = self.watch.changed() => {}
            () = until => {}
        }
    }
}

/// Sends what the reader finds until its end, or the client's.
async fn pump(mut reader: Reader, mut follow: Option<Follow>, sender: mpsc::Sender<Result<Bytes>>) {
    loop {
        // Before reading: what was written before the end is read below.
        let ended = follow.as_mut().is_none_or(Follow::has_ended);
        loop {
            let step = blocking(move || {
                let step = reader.step();
                Ok((reader, step))
            });
            let (bytes, state) = match step.await {
                Ok((back, Ok(step))) => {
                    reader = back;
                    step
                }
                Ok((_, Err(error))) | Err(error) => {
                    let _ = sender.send(Err(error)).await;
                    return;
                }
            };
            if !bytes.is_empty() && sender.send(Ok(bytes)).await.is_err() {
                return;
            }
            match state {
                State::More => {}
                State::AtEnd => break,
                State::Finished => return,
            }
        }
        let Some(follow) = follow.as_mut().filter(|_| !ended) else { return };
        tokio::select! {
            () = sender.closed() => return,
            () = follow.changed() => {}
        }
    }
}
