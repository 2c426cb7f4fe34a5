//! The load generator, the same for every protocol: each connection runs a closed loop, all of them on one thread.

use seatkeeper::domain::tick::Moment;
use seatkeeper::machine::monotonic;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::task::JoinSet;

/// How long a refused connection waits before it asks again.
const TURNED_AWAY: Duration = Duration::from_millis(10);
/// An answer that has not come this long after the end never comes.
const PATIENCE: Duration = Duration::from_secs(120);

/// The conversation over one connection.
pub trait Talk: Send {
    /// Writes the next request.
    fn ask(&mut self, out: &mut Vec<u8>);

    /// Reads the answer to it. Returns `None` if the answer is not complete yet.
    fn hear(&mut self, input: &[u8]) -> Result<Option<Heard>, String>;

    /// Whether the connection may end now, because it holds nothing.
    fn may_end(&self) -> bool {
        true
    }

    /// Whether there is nothing left to ask.
    fn is_done(&self) -> bool {
        false
    }
}

/// One answer.
pub struct Heard {
    pub bytes: usize,
    /// How many cycles, heartbeats or seats it completed.
    pub done: u64,
    /// Whether its latency is reported.
    pub timed: bool,
    pub refused: bool,
}

pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A connection and its conversation.
pub struct Line {
    pub stream: Box<dyn Stream>,
    pub talk: Box<dyn Talk>,
}

/// The result of a load.
#[derive(Default)]
pub struct Loaded {
    pub done: u64,
    pub refused: u64,
    pub took: Duration,
    /// In microseconds, sorted.
    latencies: Vec<u32>,
    /// Keeps the connections open: otherwise a server with one process per connection would end those processes while
    /// they are being measured.
    lines: Vec<Line>,
}

impl Loaded {
    pub fn rate(&self) -> f64 {
        self.done as f64 / self.took.as_secs_f64()
    }

    /// Ends the connections.
    pub fn hang_up(&mut self) {
        self.lines.clear();
    }

    /// Returns a percentile of the latency, in milliseconds.
    pub fn percentile(&self, of_hundred: f64) -> f64 {
        let at = (self.latencies.len() as f64 * of_hundred / 100.0) as usize;
        self.latencies.get(at.min(self.latencies.len().saturating_sub(1))).map_or(f64::NAN, |us| f64::from(*us) / 1e3)
    }
}

/// Runs all lines: for `warm` uncounted, then for `time` counted; without a `time`, until each is done.
pub async fn run(lines: Vec<Line>, warm: Duration, time: Option<Duration>) -> Loaded {
    let began = monotonic();
    let from = began + warm;
    let until = time.map(|time| from + time);
    let mut tasks = JoinSet::new();
    for line in lines {
        tasks.spawn(talk(line, from, until));
    }
    let mut all = Loaded::default();
    let end = tokio::time::sleep(warm + time.unwrap_or_default() + PATIENCE);
    let mut end = std::pin::pin!(end);
    while !tasks.is_empty() {
        let one = tokio::select! {
            one = tasks.join_next() => one.expect("there is one"),
            () = &mut end => panic!("{} connections got no answer", tasks.len()),
        };
        let one = one.expect("a connection's task").unwrap_or_else(|why| panic!("{why}"));
        all.done += one.done;
        all.refused += one.refused;
        all.latencies.extend(one.latencies);
        all.lines.extend(one.lines);
    }
    all.took = time.unwrap_or_else(|| monotonic() - from);
    all.latencies.sort_unstable();
    all
}

async fn talk(mut line: Line, from: Moment, until: Option<Moment>) -> Result<Loaded, String> {
    let mut loaded = Loaded::default();
    let (mut input, mut output) = (Vec::with_capacity(4096), Vec::with_capacity(4096));
    let mut now = monotonic();
    loop {
        if line.talk.is_done() || line.talk.may_end() && until.is_some_and(|until| now >= until) {
            loaded.lines.push(line);
            return Ok(loaded);
        }
        output.clear();
        line.talk.ask(&mut output);
        let sent = now;
        line.stream.write_all(&output).await.map_err(|e| format!("a request could not be sent: {e}"))?;
        let heard = loop {
            match line.stream.read_buf(&mut input).await {
                Ok(0) => return Err("the server closed a connection".to_owned()),
                Ok(_) => {}
                Err(error) => return Err(format!("an answer could not be read: {error}")),
            }
            if let Some(heard) = line.talk.hear(&input)? {
                break heard;
            }
        };
        input.drain(..heard.bytes);
        now = monotonic();
        if now >= from && until.is_none_or(|until| now < until) {
            loaded.done += heard.done;
            loaded.refused += u64::from(heard.refused);
            if heard.timed {
                loaded.latencies.push(u32::try_from((now - sent).as_micros()).unwrap_or(u32::MAX));
            }
        }
        if heard.refused {
            tokio::time::sleep(TURNED_AWAY).await;
            now = monotonic();
        }
    }
}
