//! Requests to the seat server, and what is made of its answers.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::load::{Heard, Line, Talk};
use crate::harness::http;

pub const NAMESPACE: &str = "bench";
pub const LICENSE: &str = "floating";

/// The address of a seat server, and the token for it.
#[derive(Clone)]
pub struct Door {
    pub address: SocketAddr,
    pub headers: Arc<str>,
}

impl Door {
    pub fn new(address: SocketAddr, token: &str) -> Self {
        Door { address, headers: format!("Authorization: Bearer {token}\r\n").into() }
    }

    pub async fn lines(&self, connections: usize, talk: impl Fn(usize) -> Box<dyn Talk>) -> Vec<Line> {
        let mut lines = Vec::new();
        for n in 0..connections {
            lines.push(Line { stream: Box::new(http::connect(self.address).await), talk: talk(n) });
        }
        lines
    }

    /// Opens connections that take a seat and give it back in a loop.
    pub async fn cycles(&self, connections: usize, pool: &'static str) -> Vec<Line> {
        let cycle = |n| Cycle { headers: self.headers.clone(), pool, n, times: 0, id: None, body: String::new() };
        self.lines(connections, |n| Box::new(cycle(n))).await
    }
}

/// Returns the start of a JSON body that asks for seats of a pool.
fn wanted(pool: &str) -> String {
    format!(r#"{{"license":{{"namespace":"{NAMESPACE}","name":"{LICENSE}"}},"pool":"{pool}","#)
}

/// Returns the ids of the seats in an answer.
fn ids(body: &[u8]) -> impl Iterator<Item = &str> {
    let text = std::str::from_utf8(body).unwrap_or_default();
    text.split(r#""id":""#).skip(1).filter_map(|rest| rest.split('"').next())
}

fn said(answer: &http::Answer) -> String {
    format!("{}: {}", answer.status, String::from_utf8_lossy(answer.body))
}

/// Takes a seat and gives it back.
struct Cycle {
    headers: Arc<str>,
    pool: &'static str,
    n: usize,
    times: u64,
    /// The id of the held seat.
    id: Option<String>,
    body: String,
}

impl Talk for Cycle {
    fn ask(&mut self, out: &mut Vec<u8>) {
        use std::fmt::Write;
        if let Some(id) = &self.id {
            return http::request(out, format_args!("DELETE /v1/seats/{id}"), &self.headers, "");
        }
        self.times += 1;
        self.body.clear();
        self.body.push_str(&wanted(self.pool));
        let _ = write!(self.body, r#""user":"agent-{:05}","session":"s{}-{}"}}"#, self.n, self.n, self.times);
        http::request(out, format_args!("POST /v1/seats"), &self.headers, &self.body);
    }

    fn hear(&mut self, input: &[u8]) -> Result<Option<Heard>, String> {
        let Some(answer) = http::answer(input)? else { return Ok(None) };
        let (mut done, mut timed, mut refused) = (0, false, false);
        match (answer.status, self.id.take()) {
            (201, None) => (self.id, timed) = (ids(answer.body).next().map(str::to_owned), true),
            (204, Some(_)) => done = 1,
            (429 | 503, held) => (self.id, refused) = (held, true),
            _ => return Err(said(&answer)),
        }
        Ok(Some(Heard { bytes: answer.bytes, done, timed, refused }))
    }

    fn may_end(&self) -> bool {
        self.id.is_none()
    }
}

/// The ids of held seats, shared between connections.
pub type Held = Arc<Mutex<Vec<String>>>;

/// Takes many seats with each request.
pub struct Fill {
    pub headers: Arc<str>,
    pub pool: &'static str,
    pub n: usize,
    pub count: usize,
    pub requests: usize,
    pub held: Held,
}

impl Talk for Fill {
    fn ask(&mut self, out: &mut Vec<u8>) {
        self.requests -= 1;
        let (session, count) = (format!("s{}-{}", self.n, self.requests), self.count);
        let body = format!(r#"{}"session":"{session}","count":{count}}}"#, wanted(self.pool));
        http::request(out, format_args!("POST /v1/seats"), &self.headers, &body);
    }

    fn hear(&mut self, input: &[u8]) -> Result<Option<Heard>, String> {
        let Some(answer) = http::answer(input)? else { return Ok(None) };
        let refused = matches!(answer.status, 429 | 503);
        if refused {
            self.requests += 1;
        } else if answer.status != 201 {
            return Err(said(&answer));
        }
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let before = held.len();
        held.extend(ids(answer.body).map(str::to_owned));
        let done = (held.len() - before) as u64;
        Ok(Some(Heard { bytes: answer.bytes, done, timed: !refused, refused }))
    }

    fn is_done(&self) -> bool {
        self.requests == 0
    }
}

/// Gives held seats back until none is left.
pub struct Free {
    pub headers: Arc<str>,
    pub held: Held,
    /// The seat that the last request gives back.
    pub last: Option<String>,
}

impl Talk for Free {
    fn ask(&mut self, out: &mut Vec<u8>) {
        // Another connection may have taken the last id; then this frees a seat that is not held, which does no harm.
        let id = self.held.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let id = id.unwrap_or_else(|| format!("{NAMESPACE}~{LICENSE}~none~0~~none~0"));
        http::request(out, format_args!("DELETE /v1/seats/{id}"), &self.headers, "");
        self.last = Some(id);
    }

    fn hear(&mut self, input: &[u8]) -> Result<Option<Heard>, String> {
        let Some(answer) = http::answer(input)? else { return Ok(None) };
        match answer.status {
            204 => Ok(Some(Heard { bytes: answer.bytes, done: 1, timed: true, refused: false })),
            // More changes wait to be written than fit into one entry of the journal.
            429 => {
                self.held.lock().unwrap_or_else(PoisonError::into_inner).extend(self.last.take());
                Ok(Some(Heard { bytes: answer.bytes, done: 0, timed: false, refused: true }))
            }
            _ => Err(said(&answer)),
        }
    }

    fn is_done(&self) -> bool {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

/// Sends heartbeats, for one seat after another or for all at once.
pub struct Beat {
    headers: Arc<str>,
    ids: Vec<String>,
    /// The body of the request for all seats at once.
    body: Option<String>,
    next: usize,
}

impl Beat {
    pub fn new(door: &Door, ids: Vec<String>, together: bool) -> Self {
        let body = together.then(|| format!(r#"{{"ids":["{}"]}}"#, ids.join(r#"",""#)));
        Beat { headers: door.headers.clone(), ids, body, next: 0 }
    }
}

impl Talk for Beat {
    fn ask(&mut self, out: &mut Vec<u8>) {
        if let Some(body) = &self.body {
            return http::request(out, format_args!("PUT /v1/seats"), &self.headers, body);
        }
        self.next = (self.next + 1) % self.ids.len();
        http::request(out, format_args!("PUT /v1/seats/{}", self.ids[self.next]), &self.headers, "");
    }

    fn hear(&mut self, input: &[u8]) -> Result<Option<Heard>, String> {
        let Some(answer) = http::answer(input)? else { return Ok(None) };
        let lost = std::str::from_utf8(answer.body).unwrap_or_default().contains("lost");
        if answer.status != 200 || lost {
            return Err(said(&answer));
        }
        let done = if self.body.is_some() { self.ids.len() as u64 } else { 1 };
        Ok(Some(Heard { bytes: answer.bytes, done, timed: true, refused: false }))
    }
}
