//! What a request carries: nothing, bytes, or a stream read while it is sent.

use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::{Frame, SizeHint};
use tokio::io::AsyncRead;

/// A request's body.
#[derive(Default)]
pub enum Body {
    /// None.
    #[default]
    Empty,
    /// These bytes; such a request can be sent again.
    Bytes(Bytes),
    /// Whatever a reader gives, in chunks. Never locked: the mutex lets requests be shared between threads.
    Reader(Mutex<Pin<Box<dyn AsyncRead + Send>>>),
}

/// The most that is read at once.
const CHUNK: usize = 64 << 10;

impl Body {
    /// A body that is read while it is sent.
    pub fn reader(reader: impl AsyncRead + Send + 'static) -> Self {
        Self::Reader(Mutex::new(Box::pin(reader)))
    }

    /// A copy for sending again; `None` for a stream.
    pub(crate) fn again(&self) -> Option<Self> {
        match self {
            Self::Empty => Some(Self::Empty),
            Self::Bytes(bytes) => Some(Self::Bytes(bytes.clone())),
            Self::Reader(_) => None,
        }
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        let this = self.get_mut();
        match this {
            Self::Empty => Poll::Ready(None),
            Self::Bytes(bytes) => {
                let bytes = std::mem::take(bytes);
                *this = Self::Empty;
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
            }
            Self::Reader(reader) => {
                let reader = reader.get_mut().unwrap_or_else(PoisonError::into_inner);
                let mut buffer = BytesMut::zeroed(CHUNK);
                let mut read = tokio::io::ReadBuf::new(&mut buffer);
                std::task::ready!(reader.as_mut().poll_read(cx, &mut read))?;
                let count = read.filled().len();
                buffer.truncate(count);
                if count == 0 {
                    *this = Self::Empty;
                    return Poll::Ready(None);
                }
                Poll::Ready(Some(Ok(Frame::data(buffer.freeze()))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Empty)
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Bytes(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Reader(_) => SizeHint::default(),
        }
    }
}
