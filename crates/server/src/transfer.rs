//! Request bodies on their way into the engine: a channel of a few pieces, so that the client is read no faster than the
//! engine takes.

use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::mpsc;

use crate::request::Body;

/// Pieces in flight between the socket and the engine.
const DEPTH: usize = 4;

/// The body as pieces. Reading stops when the receiver is dropped; what is left then is drained with the answer.
pub(crate) fn pieces(body: &Body) -> mpsc::Receiver<std::io::Result<Bytes>> {
    let (sender, receiver) = mpsc::channel(DEPTH);
    let body = body.clone();
    tokio::spawn(async move {
        let mut stream = body.stream();
        loop {
            // Waiting for room and for the engine's loss of interest at once: a body that never ends must go back too.
            let Ok(room) = sender.reserve().await else { break };
            tokio::select! {
                piece = stream.next() => match piece {
                    Some(piece) => room.send(piece),
                    None => break,
                },
                () = sender.closed() => break,
            }
        }
    });
    receiver
}
