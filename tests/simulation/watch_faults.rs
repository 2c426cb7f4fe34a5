//! Faults of a watch: events come late, some are hidden until later, and the stream breaks.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use seatkeeper::domain::tick::Moment;
use seatkeeper::machine::monotonic;
use serde_json::Value;
use tower::BoxError;

use crate::faults::{Body, Shared};

/// How late a hidden event is delivered if no later event of its object comes first.
const HIDDEN_FOR: Duration = Duration::from_secs(20);

struct FaultyWatch {
    shared: Arc<Shared>,
    cache: String,
    body: Body,
    waiting: VecDeque<Bytes>,
    /// A hidden event, its object, and until when it is hidden.
    hidden: Option<(Bytes, String, Moment)>,
    over: bool,
}

/// Returns the body of a watch as the operator gets it.
pub fn faulty(shared: Arc<Shared>, cache: String, body: Body) -> Body {
    let watch = FaultyWatch { shared, cache, body, waiting: VecDeque::new(), hidden: None, over: false };
    let lines = stream::unfold(watch, |mut watch| async move { Some((watch.next().await?, watch)) });
    BodyExt::boxed_unsync(StreamBody::new(lines))
}

impl FaultyWatch {
    async fn next(&mut self) -> Option<Result<Frame<Bytes>, BoxError>> {
        loop {
            if self.over {
                return None;
            }
            let line = match self.waiting.pop_front() {
                Some(line) => line,
                None => {
                    self.read().await?;
                    continue;
                }
            };
            while self.shared.frozen.load(Ordering::Relaxed) {
                self.shared.thawed.notified().await;
            }
            let (lag, broken, hide) = {
                let mut state = self.shared.lock();
                let number = state.counts.events;
                state.counts.events += 1;
                let lag = state.lags.get(&self.cache).copied().unwrap_or_default();
                let broken = state.storm.is_some_and(|storm| state.dice.below(1000) < storm.watches);
                (lag, broken.then(|| state.dice.below(2)), state.plan.hidden == Some(number))
            };
            if !lag.is_zero() {
                tokio::time::sleep(lag).await;
            }
            match broken {
                Some(0) => {
                    self.over = true;
                    return Some(Err("the watch broke".into()));
                }
                Some(_) => {
                    self.over = true;
                    let gone = r#"{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"too old","reason":"Expired","code":410}}"#;
                    return Some(Ok(Frame::data(Bytes::from(format!("{gone}\n")))));
                }
                None => {}
            }
            let hidden = self.hidden.as_ref().map(|(_, of, _)| of.clone());
            if hide {
                let mut state = self.shared.lock();
                state.counts.faults += 1;
                state.hiding = true;
                drop(state);
                self.hidden = Some((line.clone(), object(&line), monotonic() + HIDDEN_FOR));
                continue;
            }
            if hidden.is_some_and(|of| of == object(&line)) {
                self.hidden = None;
                self.shared.lock().hiding = false;
            }
            return Some(Ok(Frame::data(line)));
        }
    }

    /// Reads the next lines of the API server, or the hidden event whose time has come. Returns `None` if the watch is
    /// over.
    async fn read(&mut self) -> Option<()> {
        let frame = match &self.hidden {
            None => self.body.frame().await,
            Some((line, _, until)) => {
                let left = *until - monotonic();
                match tokio::time::timeout(left, self.body.frame()).await {
                    Ok(frame) => frame,
                    Err(_) => {
                        self.waiting.push_back(line.clone());
                        self.hidden = None;
                        self.shared.lock().hiding = false;
                        return Some(());
                    }
                }
            }
        };
        let data = frame?.ok()?.into_data().ok()?;
        // The embedded API sends whole lines.
        let lines = data.split_inclusive(|byte| *byte == b'\n').map(|line| data.slice_ref(line));
        self.waiting.extend(lines);
        Some(())
    }
}

/// Returns the object of an event.
fn object(line: &Bytes) -> String {
    let event: Value = serde_json::from_slice(line).unwrap_or_default();
    event["object"]["metadata"]["uid"].as_str().unwrap_or_default().to_owned()
}
