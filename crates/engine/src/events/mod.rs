//! What happened: a ring in memory that live subscribers and `since` read, and `events.jsonl` behind it, so that events
//! survive the engine. Decides nothing; every operation that changes something tells it.
//!
//! The file is a convenience, not a record: it is not flushed, and cut in half when it has grown.

mod filter;

use std::collections::{BTreeMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use api::{EventActor, EventMessage, EventsQuery};
use jiff::Timestamp;
use tokio::sync::{broadcast, mpsc};

use crate::Engine;
use crate::error::Result;

/// Events kept in memory, as in moby.
const RING: usize = 256;
/// Events a slow subscriber may be behind before it loses some.
const BEHIND: usize = 1024;
/// The file is renamed to `events.jsonl.1` at this size, in bytes.
const FILE_LIMIT: u64 = 8 << 20;

/// The engine's events. Cheap to use from any thread.
pub struct Events {
    past: Mutex<Past>,
    live: broadcast::Sender<Arc<EventMessage>>,
}

struct Past {
    ring: VecDeque<Arc<EventMessage>>,
    path: PathBuf,
    file: Option<(File, u64)>,
}

impl Events {
    /// Opens the log below `root` and fills the ring from its end.
    pub(crate) fn open(root: &Path) -> Self {
        let path = root.join("events.jsonl");
        let mut ring: VecDeque<_> = read(&path).map(Arc::new).collect();
        ring.drain(..ring.len().saturating_sub(RING));
        let file = OpenOptions::new().append(true).create(true).open(&path);
        let file = file.and_then(|file| file.metadata().map(|meta| (file, meta.len())));
        if let Err(error) = &file {
            tracing::warn!(%error, path = %path.display(), "events will not survive the engine");
        }
        Self { past: Mutex::new(Past { ring, path, file: file.ok() }), live: broadcast::Sender::new(BEHIND) }
    }

    /// Records an event of `typ` (container, image, volume, network, daemon) and tells all subscribers.
    pub(crate) fn emit(&self, typ: &str, action: &str, id: &str, attributes: BTreeMap<String, String>) {
        let now = Timestamp::now();
        let legacy = matches!(typ, "container" | "image");
        let event = Arc::new(EventMessage {
            status: if legacy { action.to_owned() } else { String::new() },
            id: if legacy { id.to_owned() } else { String::new() },
            from: match typ {
                "container" => attributes.get("image").cloned().unwrap_or_default(),
                _ => String::new(),
            },
            typ: typ.to_owned(),
            action: action.to_owned(),
            actor: EventActor { id: id.to_owned(), attributes: Some(attributes) },
            scope: "local".to_owned(),
            time: now.as_second(),
            time_nano: i64::try_from(now.as_nanosecond()).unwrap_or(i64::MAX),
        });
        // Under one lock, so that a subscriber finds each event either in the past or in the stream.
        let mut past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        past.append(&event);
        past.ring.push_back(Arc::clone(&event));
        if past.ring.len() > RING {
            past.ring.pop_front();
        }
        // Nobody listens: not an error.
        let _ = self.live.send(event);
    }

    /// How many listen.
    pub(crate) fn listeners(&self) -> usize {
        self.live.receiver_count()
    }

    /// The past from `since` on, and the stream that continues it without gap or overlap.
    fn subscribe(
        &self,
        since: Option<Timestamp>,
    ) -> (Vec<Arc<EventMessage>>, broadcast::Receiver<Arc<EventMessage>>) {
        let past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        let live = self.live.subscribe();
        let Some(since) = since else { return (Vec::new(), live) };
        let since = i64::try_from(since.as_nanosecond()).unwrap_or(i64::MIN);
        let older = past.ring.front().is_none_or(|first| first.time_nano > since);
        let from_file = older && past.ring.len() >= RING;
        let events: Vec<_> = match from_file {
            true => [past.path.with_extension("jsonl.1"), past.path.clone()]
                .iter()
                .flat_map(|path| read(path))
                .map(Arc::new)
                .collect(),
            false => past.ring.iter().cloned().collect(),
        };
        (events.into_iter().filter(|event| event.time_nano >= since).collect(), live)
    }
}

impl Past {
    fn append(&mut self, event: &EventMessage) {
        let Ok(mut line) = serde_json::to_vec(event) else { return };
        line.push(b'\n');
        let Some((file, size)) = self.file.as_mut() else { return };
        if file.write_all(&line).is_err() {
            // A full disk must not stop containers.
            return;
        }
        *size += line.len() as u64;
        if *size > FILE_LIMIT && std::fs::rename(&self.path, self.path.with_extension("jsonl.1")).is_ok() {
            let fresh = OpenOptions::new().append(true).create(true).open(&self.path);
            self.file = fresh.ok().map(|file| (file, 0));
        }
    }
}

/// The events in a file; broken lines are passed over (the engine may have been killed while writing one).
fn read(path: &Path) -> impl Iterator<Item = EventMessage> + use<> {
    let lines = File::open(path).into_iter().flat_map(|file| BufReader::new(file).split(b'\n'));
    lines.map_while(|line| line.ok()).filter_map(|line| serde_json::from_slice(&line).ok())
}

impl Engine {
    /// Past events from `since`, then new ones until `until`; forever without one. A point in the past ends the stream
    /// after the past.
    pub async fn events(&self, query: EventsQuery) -> Result<mpsc::Receiver<EventMessage>> {
        filter::check(&query.filters)?;
        let now = Timestamp::now();
        let since = crate::time::parse(&query.since, now)?;
        let until = crate::time::parse(&query.until, now)?;
        if let (Some(since), Some(until)) = (since, until)
            && since > until
        {
            return Err(crate::Error::invalid(format!(
                "`since` time ({}) cannot be after `until` time ({})",
                query.since, query.until
            )));
        }
        // With only `until` moby replays too.
        let since = since.or_else(|| until.map(|_| Timestamp::UNIX_EPOCH));
        let (past, mut live) = self.events.subscribe(since);
        let (sender, receiver) = mpsc::channel(64);
        let activity = self.activity();
        tokio::spawn(async move {
            let _activity = activity;
            let last = until.map(|until| i64::try_from(until.as_nanosecond()).unwrap_or(i64::MAX));
            let wanted = |event: &EventMessage| {
                last.is_none_or(|last| event.time_nano <= last) && filter::matches(&query.filters, event)
            };
            for event in past {
                if wanted(&event) && sender.send((*event).clone()).await.is_err() {
                    return;
                }
            }
            let end = async {
                match until {
                    Some(until) => {
                        tokio::time::sleep(until.duration_since(now).try_into().unwrap_or_default()).await
                    }
                    None => std::future::pending().await,
                }
            };
            tokio::pin!(end);
            loop {
                tokio::select! {
                    () = &mut end => return,
                    () = sender.closed() => return,
                    event = live.recv() => match event {
                        Ok(event) if wanted(&event) => {
                            if sender.send((*event).clone()).await.is_err() {
                                return;
                            }
                        }
                        Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {}
                        Err(broadcast::error::RecvError::Closed) => return,
                    },
                }
            }
        });
        Ok(receiver)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(events: &[Arc<EventMessage>]) -> Vec<&str> {
        events.iter().map(|event| event.action.as_str()).collect()
    }

    #[test]
    fn the_past_survives_and_joins_the_present_without_a_gap() {
        let root = tempfile::tempdir().unwrap();
        let events = Events::open(root.path());
        events.emit("container", "create", "a", BTreeMap::from([("image".into(), "busybox".into())]));
        drop(events);
        // A line that a killed engine left half written.
        let mut file = OpenOptions::new().append(true).open(root.path().join("events.jsonl")).unwrap();
        file.write_all(b"{\"Type\":\"conta\n").unwrap();
        let events = Events::open(root.path());
        let (past, mut live) = events.subscribe(Some(Timestamp::UNIX_EPOCH));
        events.emit("network", "connect", "n", BTreeMap::new());
        assert_eq!(names(&past), ["create"]);
        assert_eq!((past[0].status.as_str(), past[0].from.as_str()), ("create", "busybox"));
        let next = live.try_recv().unwrap();
        assert_eq!((next.action.as_str(), next.status.as_str()), ("connect", ""));
        assert!(live.try_recv().is_err());
        assert!(events.subscribe(None).0.is_empty());
    }

    #[test]
    fn what_the_ring_has_lost_comes_from_the_file() {
        let root = tempfile::tempdir().unwrap();
        let events = Events::open(root.path());
        for n in 0..RING + 10 {
            events.emit("container", &n.to_string(), "a", BTreeMap::new());
        }
        let (past, _live) = events.subscribe(Some(Timestamp::UNIX_EPOCH));
        assert_eq!((past.len(), past[0].action.as_str()), (RING + 10, "0"));
    }
}
