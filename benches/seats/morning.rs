//! A morning: more agents than there are seats log in within a minute, and those who got a seat keep it alive. The
//! operator runs with its defaults, so under its byte budget.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use seatkeeper::domain::tick::Moment;
use seatkeeper::machine::monotonic;

use super::POOL;
use super::licence::LARGE;
use super::load::run;
use super::plane::{Plane, until_written};
use super::process::cpu_seconds;
use super::report::Results;
use super::seats::{Door, Free, LICENSE, NAMESPACE};
use crate::harness::http;

/// The number of agents for whom there is no seat; they come last.
const TOO_MANY: usize = 500;
const AGENTS: usize = POOL + TOO_MANY;
/// The time within which the agents log in.
const MINUTE: Duration = Duration::from_secs(60);
/// The number of connections over which they come.
const DOORS: usize = 64;
/// The time between two heartbeats: a third of the TTL.
const BEAT: Duration = Duration::from_secs(20);

/// What one connection saw.
#[derive(Default)]
struct Seen {
    held: Vec<String>,
    refused: usize,
    /// How many were refused although there were seats, or for another reason. Agents who come at the same moment may
    /// be served in any order.
    wrong: usize,
    beats: usize,
    /// How long each agent who got a seat waited for it, in ms.
    waited: Vec<f64>,
}

/// Lets the agents log in, and measures what that costs.
pub async fn measure(plane: &Plane, results: &mut Results) {
    let pids = [("API server", plane.api_server_pid()), ("etcd", plane.etcd_pid()), ("operator", plane.operator.pid())];
    let used = || pids.map(|(_, pid)| cpu_seconds(pid));
    let (cpu, writes, log) = (used(), plane.writes().await, plane.etcd().await.0);
    let began = monotonic();
    let come = Arc::new(AtomicUsize::new(0));
    let mut doors = JoinSet::new();
    for door in 0..DOORS {
        doors.spawn(stand(plane.door.clone(), door, began, come.clone()));
    }
    let seen = doors.join_all().await;
    let seconds = (monotonic() - began).as_secs_f64();
    let mut add = |what: &str, value: f64| results.add(format!("K morning: {what}"), value);
    for ((name, _), (to, from)) in pids.iter().zip(used().into_iter().zip(cpu)) {
        add(&format!("cores of {name}, in hundredths"), (to - from) / seconds * 100.0);
    }
    add("writes/s", (plane.writes().await - writes) / seconds);
    add("bytes/s of etcd's log", (plane.etcd().await.0 - log) / seconds);
    let count = |of: fn(&Seen) -> usize| seen.iter().map(of).sum::<usize>() as f64;
    add("granted", count(|seen| seen.held.len()));
    add("refused", count(|seen| seen.refused));
    add("refused while there were seats", count(|seen| seen.wrong));
    add("heartbeats", count(|seen| seen.beats));
    let mut waited: Vec<f64> = seen.iter().flat_map(|seen| seen.waited.iter().copied()).collect();
    waited.sort_by(f64::total_cmp);
    add("p50 of the wait, ms", waited[waited.len() / 2]);
    add("p99 of the wait, ms", waited[waited.len() * 99 / 100]);

    let held = Arc::new(Mutex::new(seen.into_iter().flat_map(|seen| seen.held).collect()));
    let free = |_| Box::new(Free { headers: plane.door.headers.clone(), held: held.clone(), last: None }) as _;
    run(plane.door.lines(DOORS, free).await, Duration::ZERO, None).await;
    until_written(plane).await;
}

/// Lets agents log in through this door one after another, and keeps the seats of earlier ones alive meanwhile.
async fn stand(door: Door, number: usize, began: Moment, come: Arc<AtomicUsize>) -> Seen {
    let mut stream = http::connect(door.address).await;
    let mut seen = Seen::default();
    // When the last heartbeat for each held seat was sent, and the seat's index in `seen.held`.
    let mut beats: VecDeque<(Moment, usize)> = VecDeque::new();
    let mut agents = (number..AGENTS).step_by(DOORS).peekable();
    loop {
        let comes = agents.peek().map(|agent| began + MINUTE * u32::try_from(*agent).unwrap_or(0) / AGENTS as u32);
        let beat = beats.front().map(|(last, _)| *last + BEAT);
        let next = comes.into_iter().chain(beat).min().filter(|next| *next < began + MINUTE);
        let Some(next) = next else { return seen };
        tokio::time::sleep(next - monotonic()).await;
        if comes == Some(next) {
            let agent = agents.next().expect("one comes");
            let before = come.fetch_add(1, Ordering::Relaxed);
            let license = format!(r#"{{"namespace":"{NAMESPACE}","name":"{LICENSE}"}}"#);
            let body = format!(r#"{{"license":{license},"pool":"{LARGE}","user":"a{agent}","session":"s{agent}"}}"#);
            let asked = monotonic();
            let (status, said) = say(&mut stream, "POST /v1/seats", &door.headers, &body).await;
            match status {
                201 => {
                    let id = said.split(r#""id":""#).nth(1).and_then(|rest| rest.split('"').next());
                    seen.held.push(id.expect("a seat has an id").to_owned());
                    seen.waited.push((monotonic() - asked).as_secs_f64() * 1e3);
                    beats.push_back((asked, seen.held.len() - 1));
                }
                _ => {
                    seen.refused += 1;
                    seen.wrong += usize::from(before + DOORS < POOL || !said.contains("SeatsExhausted"));
                }
            }
        } else if let Some((_, which)) = beats.pop_front() {
            let sent = monotonic();
            let line = format!("PUT /v1/seats/{}", seen.held[which]);
            let (status, said) = say(&mut stream, &line, &door.headers, "").await;
            assert_eq!(status, 200, "a heartbeat: {said}");
            seen.beats += 1;
            beats.push_back((sent, which));
        }
    }
}

async fn say(stream: &mut TcpStream, line: &str, headers: &str, body: &str) -> (u16, String) {
    let (mut out, mut input) = (Vec::new(), Vec::with_capacity(1024));
    http::request(&mut out, format_args!("{line}"), headers, body);
    stream.write_all(&out).await.expect("the server listens");
    loop {
        assert!(stream.read_buf(&mut input).await.expect("an answer") > 0, "the server closed a connection");
        if let Some(answer) = http::answer(&input).expect("an answer") {
            return (answer.status, String::from_utf8_lossy(answer.body).into_owned());
        }
    }
}
