//! Connections kept between requests. A command makes a handful of requests: the pool is a short list.

use std::sync::Mutex;

use hyper::client::conn::http1::SendRequest;

use crate::Client;
use crate::body::Body;

/// Idle connections.
#[derive(Default)]
pub(crate) struct Pool {
    senders: Mutex<Vec<SendRequest<Body>>>,
}

impl Pool {
    /// A connection that waits for a request.
    pub fn take(&self) -> Option<SendRequest<Body>> {
        let mut senders = self.lock();
        senders.retain(SendRequest::is_ready);
        senders.pop()
    }

    fn put(&self, sender: SendRequest<Body>) {
        self.lock().push(sender);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<SendRequest<Body>>> {
        self.senders.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// A connection whose answer is being read.
pub(crate) struct Busy {
    client: Client,
    sender: SendRequest<Body>,
}

impl Busy {
    pub fn new(client: Client, sender: SendRequest<Body>) -> Self {
        Self { client, sender }
    }

    /// The answer has been read: keeps the connection, unless the engine closes it. Its task sees the end of the answer a
    /// moment after the reader; a request made in between must not need a second connection.
    pub async fn release(mut self) {
        if self.sender.ready().await.is_ok() {
            self.client.pool().put(self.sender);
        }
    }
}
