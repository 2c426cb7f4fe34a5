//! The body of an answer. A caller may ask for large answers on many connections and read none of them, so they have room only
//! together.

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::group::Group;
use super::share::{Held, Share};

/// The most bytes that a connection is given before it has taken the ones before.
const CHUNK: usize = 16 * 1024;

/// A text that is given out in chunks.
#[derive(Default)]
pub struct Outgoing {
    text: Bytes,
    /// The room that the text takes until all of it was given out.
    held: Option<Held>,
}

impl Outgoing {
    pub fn of(text: impl Into<Bytes>) -> Self {
        Outgoing { text: text.into(), held: None }
    }

    /// Takes room for a text that is longer than a chunk; false if `group` has none left.
    pub fn take_room(&mut self, share: &Share, group: &Group) -> bool {
        if self.text.len() <= CHUNK {
            return true;
        }
        let held = self.held.insert(share.of(group));
        held.take(self.text.len())
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = self.text.len().min(CHUNK);
        let chunk = self.text.split_to(next);
        Poll::Ready((!chunk.is_empty()).then_some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.text.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.text.len() as u64)
    }
}
