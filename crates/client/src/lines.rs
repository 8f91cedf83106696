//! JSON values that arrive one after the other: progress, events, statistics. Values need not end with a line break.

use std::marker::PhantomData;

use bytes::{Buf, BytesMut};
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::response::Response;

/// Reads values off an answer.
pub struct Lines<T> {
    response: Response,
    buffer: BytesMut,
    value: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Lines<T> {
    /// From the beginning of an answer's body.
    pub fn new(response: Response) -> Self {
        Self { response, buffer: BytesMut::new(), value: PhantomData }
    }

    /// The next value; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<T>> {
        loop {
            if let Some(value) = self.parse()? {
                return Ok(Some(value));
            }
            match self.response.chunk().await? {
                Some(chunk) => self.buffer.extend_from_slice(&chunk),
                None if self.buffer.iter().all(u8::is_ascii_whitespace) => return Ok(None),
                None => return Err(Error::protocol("read a stream of JSON", "it ends within a value")),
            }
        }
    }

    fn parse(&mut self) -> Result<Option<T>> {
        let mut values = serde_json::Deserializer::from_slice(&self.buffer).into_iter::<T>();
        match values.next() {
            Some(Ok(value)) => {
                let read = values.byte_offset();
                self.buffer.advance(read);
                Ok(Some(value))
            }
            Some(Err(error)) if error.is_eof() => Ok(None),
            Some(Err(error)) => Err(Error::protocol("read a stream of JSON", error)),
            None => Ok(None),
        }
    }
}
