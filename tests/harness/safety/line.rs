//! A client's requests to the replicas: HTTP/1.1 over persistent connections, with a deadline.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use seatkeeper::machine::monotonic;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::history::Micros;
use crate::harness::http;

/// How long a client waits for an answer before it asks again. A client in the queue waits longer.
pub const PATIENCE: Duration = Duration::from_secs(1);
/// How long most clients avoid a replica that did not answer.
const LEFT_ALONE: Duration = Duration::from_secs(3);

pub fn now() -> Micros {
    monotonic().since_start().as_micros() as Micros
}

/// The outcome of a request.
pub enum Heard {
    Answer {
        status: u16,
        body: String,
    },
    /// There was no answer in time; the request may still be on its way.
    Late,
    /// The connection broke, or could not be opened.
    Broken,
}

/// A client's connections to all replicas.
pub struct Line {
    doors: Arc<[SocketAddr]>,
    headers: Arc<str>,
    streams: Vec<Option<TcpStream>>,
    /// The instant until which each replica is avoided.
    shunned: Vec<Micros>,
    out: Vec<u8>,
    input: Vec<u8>,
}

impl Line {
    pub fn new(doors: Arc<[SocketAddr]>, token: &str) -> Self {
        let headers = format!("Authorization: Bearer {token}\r\n").into();
        let streams = doors.iter().map(|_| None).collect();
        let shunned = vec![0; doors.len()];
        Line { doors, headers, streams, shunned, out: Vec::new(), input: Vec::new() }
    }

    pub fn replicas(&self) -> usize {
        self.doors.len()
    }

    pub fn is_shunned(&self, replica: usize) -> bool {
        now() < self.shunned[replica]
    }

    /// Sends a request; `line` is method and path.
    pub async fn ask(&mut self, replica: usize, line: &str, body: &str) -> Heard {
        self.ask_for(PATIENCE, replica, line, body).await
    }

    /// Sends a request that waits for `patience` for the answer.
    pub async fn ask_for(&mut self, patience: Duration, replica: usize, line: &str, body: &str) -> Heard {
        self.out.clear();
        http::request(&mut self.out, format_args!("{line}"), &self.headers, body);
        let heard = match tokio::time::timeout(patience, self.talk(replica)).await {
            Ok(Some((status, body))) => return Heard::Answer { status, body },
            Ok(None) => Heard::Broken,
            Err(_) => {
                self.shunned[replica] = now() + LEFT_ALONE.as_micros() as Micros;
                Heard::Late
            }
        };
        self.streams[replica] = None;
        heard
    }

    async fn talk(&mut self, replica: usize) -> Option<(u16, String)> {
        let stream = match &mut self.streams[replica] {
            Some(stream) => stream,
            none => {
                let stream = TcpStream::connect(self.doors[replica]).await.ok()?;
                stream.set_nodelay(true).ok()?;
                none.insert(stream)
            }
        };
        stream.write_all(&self.out).await.ok()?;
        self.input.clear();
        loop {
            if stream.read_buf(&mut self.input).await.ok()? == 0 {
                return None;
            }
            if let Some(answer) = http::answer(&self.input).ok()? {
                return Some((answer.status, String::from_utf8_lossy(answer.body).into_owned()));
            }
        }
    }
}
