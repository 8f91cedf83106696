//! Streams of pull, push, load and import: one JSON object and `\r\n` for each step, in Docker's exact strings.
//!
//! The work runs inside the answer's body, so a client that goes away cancels it. Its first message decides the status: work
//! that fails before saying anything gets a proper error; later errors are an `errorDetail` line after the 200.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use api::{ErrorDetail, JsonMessage, ProgressDetail};
use bytes::Bytes;
use distribution::{LayerStep, Progress, ProgressSink};
use serde_json::json;
use tokio::sync::mpsc;

use crate::error::Error;
use crate::response::{self, Answer};

/// Beyond so many unsent lines, bars are no longer redrawn; steps are never lost.
const QUEUE: usize = 512;

type Work = Pin<Box<dyn Future<Output = Result<(), engine::Error>> + Send>>;

/// The sending half, given to the work.
#[derive(Clone)]
pub(crate) struct Lines {
    queue: mpsc::UnboundedSender<JsonMessage>,
    queued: Arc<AtomicUsize>,
}

impl Lines {
    /// Queues a line. A line with a bar is dropped when the client does not keep up.
    pub(crate) fn send(&self, message: JsonMessage) {
        let is_bar = message.progress_detail.as_ref().is_some_and(|detail| detail.current > 0);
        if is_bar && self.queued.load(Ordering::Relaxed) > QUEUE {
            return;
        }
        self.queued.fetch_add(1, Ordering::Relaxed);
        // The client may be gone; the work is then about to be dropped.
        let _ = self.queue.send(message);
    }

    /// As the sink that the registry client fills.
    pub(crate) fn sink(self) -> ProgressSink {
        Arc::new(move |progress| render(&progress).into_iter().for_each(|message| self.send(message)))
    }
}

struct Running {
    work: Option<Work>,
    lines: mpsc::UnboundedReceiver<JsonMessage>,
    queued: Arc<AtomicUsize>,
    failure: Option<Error>,
}

impl Running {
    async fn next(&mut self) -> Option<JsonMessage> {
        while let Some(work) = self.work.as_mut() {
            tokio::select! {
                biased;
                Some(line) = self.lines.recv() => return Some(self.taken(line)),
                outcome = work => {
                    self.work = None;
                    self.failure = outcome.err().map(Error::from);
                }
            }
        }
        self.lines.try_recv().ok().map(|line| self.taken(line))
    }

    fn taken(&self, line: JsonMessage) -> JsonMessage {
        self.queued.fetch_sub(1, Ordering::Relaxed);
        line
    }
}

/// Answers with the lines of `work`.
pub(crate) async fn stream<F>(work: impl FnOnce(Lines) -> F) -> Answer
where
    F: Future<Output = Result<(), engine::Error>> + Send + 'static,
{
    let (queue, lines) = mpsc::unbounded_channel();
    let queued = Arc::new(AtomicUsize::new(0));
    let work: Work = Box::pin(work(Lines { queue, queued: Arc::clone(&queued) }));
    let mut running = Running { work: Some(work), lines, queued, failure: None };
    let first = running.next().await;
    if first.is_none()
        && let Some(error) = running.failure
    {
        return Err(error);
    }
    let body = futures_util::stream::unfold((first, running), async |(first, mut running)| {
        let line = match first {
            Some(line) => line,
            None => match running.next().await {
                Some(line) => line,
                None => failed(&running.failure.take()?.message),
            },
        };
        Some((Ok::<_, std::convert::Infallible>(encode(&line)), (None, running)))
    });
    response::stream(response::JSON, body)
}

/// The line that reports a failure in the middle of a stream.
pub(crate) fn failed(message: &str) -> JsonMessage {
    JsonMessage {
        error_detail: Some(ErrorDetail { message: message.to_owned(), ..Default::default() }),
        error: message.to_owned(),
        ..Default::default()
    }
}

/// A plain line, for `load` and `import`.
pub(crate) fn status(text: impl Into<String>) -> JsonMessage {
    JsonMessage { status: text.into(), ..Default::default() }
}

fn encode(message: &JsonMessage) -> Bytes {
    let mut line = serde_json::to_vec(message).unwrap_or_default();
    line.extend_from_slice(b"\r\n");
    line.into()
}

/// Docker's messages for a step.
fn render(progress: &Progress) -> Vec<JsonMessage> {
    let id = progress.id().unwrap_or_default().to_owned();
    let mut message = JsonMessage { status: progress.status(), id, ..Default::default() };
    if let Progress::Layer { step, .. } = progress {
        let detail = progress.detail().map(|(current, total)| ProgressDetail {
            current: current.try_into().unwrap_or(i64::MAX),
            total: total.try_into().unwrap_or(i64::MAX),
            ..Default::default()
        });
        message.progress = detail.as_ref().map(bar).unwrap_or_default();
        // Docker announces retries with a message that has no progress at all.
        message.progress_detail =
            Some(detail.unwrap_or_default()).filter(|_| !matches!(step, LayerStep::Retrying { .. }));
    }
    if let Progress::PushedInsteadOfIndex { index, manifest } = progress {
        message.aux = Some(json!({
            "manifestPushedInsteadOfIndex": true,
            "originalIndex": index,
            "selectedManifest": manifest,
        }));
    }
    let mut messages = vec![message];
    if let Progress::Pushed(pushed) = progress {
        messages.push(JsonMessage {
            progress_detail: Some(ProgressDetail::default()),
            aux: Some(json!({"Tag": pushed.tag, "Digest": pushed.digest.to_string(), "Size": pushed.size})),
            ..Default::default()
        });
    }
    messages
}

/// The bar as text, as Go's `JSONProgress.String` draws it where the width of the terminal is not known.
fn bar(detail: &ProgressDetail) -> String {
    let (current, total) = (detail.current, detail.total);
    if current <= 0 && total <= 0 {
        return String::new();
    }
    if total <= 0 {
        return format!("{:>8}", human_size(current));
    }
    let done = (((current as f64 / total as f64) * 100.0) as usize / 2).min(50);
    let left = " ".repeat(50 - done);
    let numbers = match current > total {
        true => format!("{:>8}", human_size(current)),
        false => format!("{:>8}/{}", human_size(current), human_size(total)),
    };
    format!("[{}>{left}] {numbers}", "=".repeat(done))
}

/// `units.HumanSize`: four significant digits, powers of 1000.
fn human_size(bytes: i64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    let mut size = bytes as f64;
    let mut unit = 0;
    while size >= 1000.0 && unit + 1 < units.len() {
        size /= 1000.0;
        unit += 1;
    }
    let decimals = match size {
        size if size >= 100.0 => 1,
        size if size >= 10.0 => 2,
        _ => 3,
    };
    let digits = format!("{size:.decimals$}");
    format!("{}{}", digits.trim_end_matches('0').trim_end_matches('.'), units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::ErrorKind;
    use http_body_util::BodyExt;

    fn line(progress: Progress) -> String {
        let lines: Vec<u8> = render(&progress).iter().flat_map(encode).collect();
        String::from_utf8(lines).unwrap()
    }

    fn layer(step: LayerStep) -> String {
        line(Progress::Layer { id: "5cc84ad355aa".into(), step })
    }

    #[test]
    fn lines_are_dockers() {
        let bar = format!("[{}>{}] ", "=".repeat(25), " ".repeat(25));
        assert_eq!(
            layer(LayerStep::Downloading { current: 1_113_000, total: 2_226_000 }),
            format!(
                "{{\"status\":\"Downloading\",\"progressDetail\":{{\"current\":1113000,\"total\":2226000}},\"progress\":\"{bar} 1.113MB/2.226MB\",\"id\":\"5cc84ad355aa\"}}\r\n"
            )
        );
        assert_eq!(
            layer(LayerStep::PullComplete),
            "{\"status\":\"Pull complete\",\"progressDetail\":{},\"id\":\"5cc84ad355aa\"}\r\n"
        );
        assert_eq!(
            line(Progress::PullingFrom { reference: "latest".into(), repository: "library/busybox".into() }),
            "{\"status\":\"Pulling from library/busybox\",\"id\":\"latest\"}\r\n"
        );
        assert_eq!(
            line(Progress::Status { newer: true, reference: "busybox:latest".into() }),
            "{\"status\":\"Status: Downloaded newer image for busybox:latest\"}\r\n"
        );
    }

    #[test]
    fn a_push_ends_with_its_digest_as_text_and_as_data() {
        let digest = image::Digest::sha256(b"");
        let text = line(Progress::Pushed(distribution::PushedTag {
            tag: "v1".into(),
            digest: digest.clone(),
            size: 528,
        }));
        let (status, aux) = text.split_once("\r\n").unwrap();
        assert_eq!(status, format!("{{\"status\":\"v1: digest: {digest} size: 528\"}}"));
        assert_eq!(
            aux,
            format!(
                "{{\"progressDetail\":{{}},\"aux\":{{\"Digest\":\"{digest}\",\"Size\":528,\"Tag\":\"v1\"}}}}\r\n"
            )
        );
    }

    #[test]
    fn sizes_have_four_digits() {
        for (bytes, text) in [
            (0, "0B"),
            (999, "999B"),
            (1000, "1kB"),
            (1234, "1.234kB"),
            (12_345, "12.35kB"),
            (123_456, "123.5kB"),
            (2_500_000_000, "2.5GB"),
        ] {
            assert_eq!(human_size(bytes), text);
        }
    }

    async fn text(answer: Answer) -> String {
        String::from_utf8(answer.unwrap().into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn silent_failure_is_a_status_and_late_failure_a_line() {
        let refusal = || engine::Error::new(ErrorKind::NotFound, "no such thing");
        let error = stream(|_| async move { Err(refusal()) }).await.unwrap_err();
        assert_eq!((error.kind, error.message.as_str()), (ErrorKind::NotFound, "no such thing"));
        let late = stream(|lines| async move {
            lines.send(status("one"));
            tokio::task::yield_now().await;
            lines.send(status("two"));
            Err(refusal())
        });
        assert_eq!(
            text(late.await).await,
            "{\"status\":\"one\"}\r\n{\"status\":\"two\"}\r\n{\"errorDetail\":{\"message\":\"no such thing\"},\"error\":\"no such thing\"}\r\n"
        );
        let silent_success = stream(|_| async { Ok(()) }).await;
        assert_eq!(text(silent_success).await, "");
    }

    #[tokio::test]
    async fn a_slow_client_misses_bars_but_no_step() {
        let answer = stream(|lines| async move {
            for current in 1..10_000 {
                lines.send(JsonMessage {
                    progress_detail: Some(ProgressDetail { current, ..Default::default() }),
                    ..status("bar")
                });
            }
            lines.send(status("done"));
            Ok(())
        });
        let text = text(answer.await).await;
        assert!(text.lines().count() < 1000);
        assert!(text.ends_with("{\"status\":\"done\"}\r\n"));
    }

    #[tokio::test]
    async fn a_client_that_leaves_cancels_the_work() {
        struct Flag(Arc<AtomicUsize>);
        impl Drop for Flag {
            fn drop(&mut self) {
                self.0.store(1, Ordering::SeqCst);
            }
        }
        let dropped = Arc::new(AtomicUsize::new(0));
        let flag = Flag(Arc::clone(&dropped));
        let answer = stream(|lines| async move {
            let _flag = flag;
            lines.send(status("started"));
            std::future::pending().await
        });
        drop(answer.await.unwrap());
        assert_eq!(dropped.load(Ordering::SeqCst), 1);
    }
}
