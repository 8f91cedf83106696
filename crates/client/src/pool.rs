//! Connections kept between requests. A command makes a handful of requests: the pool is a short list.

use std::sync::Mutex;

use hyper::client::conn::http1::SendRequest;

use crate::body::Body;

/// Idle and busy connections.
#[derive(Default)]
pub(crate) struct Pool {
    senders: Mutex<Vec<SendRequest<Body>>>,
}

impl Pool {
    /// A connection that waits for a request.
    pub fn take(&self) -> Option<SendRequest<Body>> {
        let mut senders = self.lock();
        senders.retain(|sender| !sender.is_closed());
        let idle = senders.iter().position(SendRequest::is_ready)?;
        Some(senders.swap_remove(idle))
    }

    /// Keeps a connection; it may still be busy with an answer.
    pub fn put(&self, sender: SendRequest<Body>) {
        self.lock().push(sender);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<SendRequest<Body>>> {
        self.senders.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
