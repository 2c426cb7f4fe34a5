//! The metrics, as Prometheus reads them.
//!
//! However many connections ask and do not read, few renderings are kept: one is shown to everybody for a second, and
//! a rendering that is still being read is withdrawn after a while.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use super::http::reply;
use crate::cluster::metrics::Metrics;
use crate::domain::tick::Moment;
use crate::machine::monotonic;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// A rendering is shown for this long.
const SHOWN: Duration = Duration::from_secs(1);
/// A reader has this long; then the connection breaks.
const READ_WITHIN: Duration = Duration::from_secs(30);
/// The most renderings in memory. Beyond, the newest is shown for longer.
const MOST_RENDERINGS: usize = 4;
/// The most bytes that a connection is given before it has taken the ones before.
const CHUNK: usize = 16 * 1024;

/// The answer to somebody who may do everything, rendered for that request.
pub fn shown(metrics: &Metrics) -> Response<Full<Bytes>> {
    reply::whole(StatusCode::OK, OPEN_METRICS, metrics.render())
}

/// A text that can be withdrawn from those who read it.
type Rendering = Arc<Mutex<Option<Bytes>>>;

/// The metrics, rendered now and then.
pub struct Shown {
    metrics: Arc<Metrics>,
    /// Those that somebody may still read, oldest first.
    renderings: Mutex<VecDeque<(Moment, Rendering)>>,
}

impl Shown {
    pub fn of(metrics: Arc<Metrics>) -> Self {
        Shown { metrics, renderings: Mutex::default() }
    }

    /// The answer to `GET /metrics`.
    pub fn answer(&self) -> Response<Chunks> {
        let mut reply = Response::new(Chunks::of(self.newest(monotonic())));
        reply.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(OPEN_METRICS));
        reply
    }

    fn newest(&self, now: Moment) -> Rendering {
        let mut renderings = lock(&self.renderings);
        while let Some((_, old)) = renderings.pop_front_if(|(made, _)| now - *made >= READ_WITHIN) {
            *lock(&old) = None;
        }
        if let Some((made, newest)) = renderings.back()
            && now - *made < SHOWN
        {
            return newest.clone();
        }
        renderings.retain(|(_, rendering)| Arc::strong_count(rendering) > 1);
        if let Some((_, newest)) = renderings.back().filter(|_| renderings.len() >= MOST_RENDERINGS) {
            return newest.clone();
        }
        let newest = Arc::new(Mutex::new(Some(Bytes::from(self.metrics.render()))));
        renderings.push_back((now, newest.clone()));
        newest
    }
}

/// A body that is given out in chunks, so that a connection holds no copy of it.
pub struct Chunks {
    text: Rendering,
    sent: usize,
    length: usize,
}

impl Chunks {
    fn of(text: Rendering) -> Self {
        let length = lock(&text).as_ref().map_or(0, Bytes::len);
        Chunks { text, sent: 0, length }
    }
}

impl Body for Chunks {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let end = self.length.min(self.sent + CHUNK);
        if self.sent == end {
            return Poll::Ready(None);
        }
        let chunk = lock(&self.text).as_ref().map(|text| text.slice(self.sent..end));
        self.sent = end;
        let chunk = chunk.ok_or_else(|| std::io::Error::other("this was not read in time"));
        Poll::Ready(Some(chunk.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.sent == self.length
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact((self.length - self.sent) as u64)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;
    use crate::cluster::client::RequestCount;

    fn shown() -> Shown {
        Shown::of(Arc::new(Metrics::new(&RequestCount::default())))
    }

    fn kept(shown: &Shown) -> usize {
        lock(&shown.renderings).iter().filter(|(_, rendering)| lock(rendering).is_some()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn unread_answers_keep_few_renderings_and_are_cut_off_after_a_while() {
        let shown = shown();
        let mut unread = Vec::new();
        for _ in 0..1_000 {
            unread.push(shown.answer().into_body());
            assert!(kept(&shown) <= MOST_RENDERINGS, "{}", kept(&shown));
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        let first = unread.remove(0).collect().await.map(|_| ()).map_err(|error| error.to_string());
        assert_eq!(first, Err("this was not read in time".to_owned()));
        let last = unread.pop().expect("many were asked for").collect().await.expect("it is read in time").to_bytes();
        assert!(last.ends_with(b"# EOF\n"));
        drop(unread);
        tokio::time::advance(SHOWN).await;
        drop(shown.answer());
        assert_eq!(kept(&shown), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_rendering_is_shared_for_a_second() {
        let shown = shown();
        let mut renderings = Vec::new();
        for _ in 0..4 {
            renderings.push(shown.newest(monotonic()));
            tokio::time::advance(Duration::from_millis(400)).await;
        }
        let same = |a: usize, b: usize| Arc::ptr_eq(&renderings[a], &renderings[b]);
        assert!(same(0, 1) && same(0, 2) && !same(2, 3));
    }

    #[tokio::test]
    async fn a_long_text_comes_in_chunks_and_whole() {
        let text = "x".repeat(3 * CHUNK + 1);
        let mut body = Chunks::of(Arc::new(Mutex::new(Some(Bytes::from(text.clone())))));
        assert_eq!(body.size_hint().exact(), Some(text.len() as u64));
        let mut read = Vec::new();
        while let Some(frame) = body.frame().await {
            let chunk = frame.expect("it was not withdrawn").into_data().expect("there is nothing else");
            assert!(chunk.len() <= CHUNK);
            read.extend(chunk);
        }
        assert_eq!(read, text.into_bytes());
        assert!(body.is_end_stream());
    }
}
