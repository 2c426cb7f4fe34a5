//! What somebody without a right in the cluster may try against the seat server: made-up tokens, heads and bodies that
//! do not end, connections that are kept.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use seatkeeper::cluster::leader::LEASE_NAME;
use seatkeeper::machine::{machine_time, monotonic, random_bytes};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::seats_test::{Agent, LEADS, licensed_by, logged_in};
use crate::harness::http::{answer, metric};
use crate::suite::faults_ground::{Ground, HOME, SOON};
use crate::suite::faults_operators::Replica;

/// Where the attack comes from. The victim comes from 127.0.0.1.
pub const ATTACKER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 66));
/// How long a flood lasts.
const FLOOD: Duration = Duration::from_secs(10);
/// How many connections send made-up tokens, each one every `PACE`.
const LINES: usize = 400;
const PACE: Duration = Duration::from_secs(1);

/// A connection that is kept.
pub struct Line {
    pub stream: TcpStream,
    pub input: Vec<u8>,
}

impl Line {
    pub async fn from(address: IpAddr, to: u16) -> Option<Line> {
        let socket = TcpSocket::new_v4().expect("there are sockets");
        socket.bind((address, 0).into()).expect("every address of 127.0.0.0/8 is ours");
        let stream = socket.connect(SocketAddr::from(([127, 0, 0, 1], to))).await.ok()?;
        Some(Line { stream, input: Vec::new() })
    }

    /// Sends a request and returns the status of its answer; `None` if the connection is closed.
    pub async fn ask(&mut self, line: &str, token: &str) -> Option<u16> {
        let head = format!("{line} HTTP/1.1\r\nHost: seats\r\nAuthorization: Bearer {token}\r\n\r\n");
        self.stream.write_all(head.as_bytes()).await.ok()?;
        loop {
            if let Some((status, bytes)) = answer(&self.input).ok()?.map(|answer| (answer.status, answer.bytes)) {
                self.input.drain(..bytes);
                return Some(status);
            }
            if self.stream.read_buf(&mut self.input).await.ok()? == 0 {
                return None;
            }
        }
    }
}

fn random<const N: usize>() -> [u8; N] {
    random_bytes().expect("the system has random bytes")
}

/// A token that nobody issued: of no form, of this cluster by its own word with a key that there is or is not, or of
/// another issuer.
pub fn made_up(genuine: &str, kind: usize) -> String {
    let part = |value: serde_json::Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = |issuer: &str| {
        let subject = format!("system:serviceaccount:a:{}", u64::from_le_bytes(random()));
        part(json!({"iss": issuer, "sub": subject, "aud": ["seatkeeper"], "exp": 4_000_000_000_u64}))
    };
    let signature = BASE64_URL_SAFE_NO_PAD.encode(random::<64>());
    let header = genuine.split('.').next().expect("a token has three parts");
    match kind % 4 {
        0 => BASE64_URL_SAFE_NO_PAD.encode(random::<32>()),
        1 => format!("{header}.{}.{signature}", claims("https://kubernetes.default.svc")),
        2 => {
            let header = part(json!({"alg": "RS256", "kid": BASE64_URL_SAFE_NO_PAD.encode(random::<32>())}));
            format!("{header}.{}.{signature}", claims("https://kubernetes.default.svc"))
        }
        _ => format!("{header}.{}.{signature}", claims("https://login.example.com")),
    }
}

/// Sends made-up tokens over many connections until it is told to end, on a thread of its own: what is measured beside it
/// does not wait for it. Returns how many were answered.
fn flood(genuine: &str, to: u16, until: oneshot::Receiver<()>) -> std::thread::JoinHandle<u64> {
    let genuine = genuine.to_owned();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("there is memory");
    std::thread::spawn(move || {
        runtime.block_on(async {
            let answered = Arc::default();
            let _lines = lines(&genuine, to, &answered);
            let _ = until.await;
            answered.load(Relaxed)
        })
    })
}

fn lines(genuine: &str, to: u16, answered: &Arc<AtomicU64>) -> JoinSet<()> {
    let mut lines = JoinSet::new();
    for nth in 0..LINES {
        let (genuine, answered) = (genuine.to_owned(), answered.clone());
        lines.spawn(async move {
            tokio::time::sleep(PACE / u32::try_from(LINES).expect("few") * u32::try_from(nth).expect("few")).await;
            loop {
                if let Some(mut line) = Line::from(ATTACKER, to).await {
                    while line.ask("GET /v1/openapi.json", &made_up(&genuine, nth)).await.is_some() {
                        answered.fetch_add(1, Relaxed);
                        tokio::time::sleep(PACE).await;
                    }
                }
                tokio::time::sleep(PACE).await;
            }
        });
    }
    lines
}

/// How often the API server was asked whose a token is.
async fn reviews(ground: &Ground) -> f64 {
    let text = ground.kubectl("default").expect(&["get", "--raw", "/metrics"]).await;
    metric(&text, "apiserver_request_total", "resource=\"tokenreviews\"")
}

pub async fn lease(ground: &Ground) -> Lease {
    Api::namespaced(ground.admin.clone(), HOME).get(LEASE_NAME).await.expect("somebody leads")
}

/// Sends heartbeats over one connection for a while, and returns the time that 99 of 100 took at most.
async fn p99_of_heartbeats(line: &mut Line, agent: &Agent, id: &str, time: Duration) -> Duration {
    let (began, mut took) = (monotonic(), Vec::new());
    while monotonic() - began < time {
        let asked = monotonic();
        let status = line.ask(&format!("PUT /v1/seats/{id}"), &agent.token).await;
        took.push(monotonic() - asked);
        assert_eq!(status, Some(200), "after {:?}", monotonic() - began);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    took.sort_unstable();
    took[took.len() * 99 / 100]
}

/// The attack: made-up tokens over many connections. Each used to be a review by the API server, and callers that it had
/// not heard of lately waited behind them.
#[tokio::test]
async fn i2_made_up_tokens_cost_the_api_server_little_and_those_with_a_seat_nothing() {
    let ground = Ground::take().await;
    let (vendor, replica) = licensed_by(&ground, "flood", 9, &[]).await;
    let agent = Agent::employed(&vendor, "agent").await;
    let mut newcomers = Vec::new();
    for name in ["first", "second", "third", "fourth"] {
        newcomers.push(Agent::employed(&vendor, name).await);
    }
    let held = logged_in(&agent, &replica, "m.huber").await;
    let id = held.body["seats"][0]["id"].as_str().expect("a seat has an id").to_owned();
    let mut line = Line::from(Ipv4Addr::LOCALHOST.into(), replica.seats).await.expect("it listens");
    let quiet = p99_of_heartbeats(&mut line, &agent, &id, Duration::from_secs(3)).await;

    let (before, leading) = (reviews(&ground).await, lease(&ground).await);
    let (end, until) = oneshot::channel();
    let attack = flood(&agent.token, replica.seats, until);
    let logging_in = async {
        let mut slowest = Duration::ZERO;
        for newcomer in &newcomers {
            tokio::time::sleep(FLOOD / 5).await;
            let asked = monotonic();
            let answer = newcomer.logs_in(&replica, "a.kern").await.expect("it answers");
            assert!([201, 409].contains(&answer.status), "{answer:?}");
            slowest = slowest.max(monotonic() - asked);
        }
        slowest
    };
    let (flooded, slowest) = tokio::join!(p99_of_heartbeats(&mut line, &agent, &id, FLOOD), logging_in);
    let renewed = lease(&ground).await;
    let _ = end.send(());
    let answered = attack.join().expect("it does not panic");
    let reviewed = reviews(&ground).await - before;
    println!(
        "{answered} made-up tokens answered, {reviewed} reviews; p99 of heartbeats {quiet:?}, then {flooded:?}; slowest of 4 log-ins {slowest:?}"
    );
    assert!(answered > 500, "a flood of {answered} is none");
    assert!(reviewed < 200.0, "{reviewed} reviews");
    assert!(flooded < (5 * quiet).max(Duration::from_millis(100)), "{quiet:?}, then {flooded:?}");
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    let of = |lease: &Lease| lease.spec.clone().expect("it is held");
    assert_eq!(of(&renewed).holder_identity, of(&leading).holder_identity);
    assert_eq!(of(&renewed).lease_transitions, of(&leading).lease_transitions);
    let since = of(&renewed).renew_time.expect("it is renewed").0.as_second();
    assert!(machine_time().timestamp() - since < 5, "the Lease was renewed in time");
    replica.says(SOON, LEADS).await;
    replica.kill().await;
}

/// Resident memory, in MiB.
pub fn memory_of(replica: &Replica) -> u64 {
    counted(replica, "VmRSS:")
}

/// The most resident memory that the process has had since it started, in MiB.
pub fn peak_of(replica: &Replica) -> u64 {
    counted(replica, "VmHWM:")
}

fn counted(replica: &Replica, what: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", replica.pid())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix(what)).expect("the kernel counts it");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") / 1024
}

/// The attack: heads that never end, and bodies of a caller without any right that stop before their last byte.
#[tokio::test]
async fn i2_heads_and_bodies_that_do_not_end_take_little_memory() {
    let ground = Ground::take().await;
    let (vendor, replica) = licensed_by(&ground, "endless", 2, &[]).await;
    vendor.kubectl.expect(&["create", "serviceaccount", "visitor"]).await;
    let token = vendor.kubectl.expect(&["create", "token", "visitor", "--audience", "seatkeeper"]).await;
    let quiet = memory_of(&replica);

    let head = format!("GET /v1/openapi.json HTTP/1.1\r\nHost: {}", "x".repeat(400 * 1024));
    let whole = 1024 * 1024;
    let body = format!(
        "POST /v1/seats HTTP/1.1\r\nHost: seats\r\nAuthorization: Bearer {}\r\nContent-Length: {whole}\r\n\r\n{}",
        token.trim(),
        " ".repeat(whole - 1)
    );
    let mut most = [quiet; 2];
    for (attack, most) in [head, body].into_iter().zip(&mut most) {
        let mut lines = Vec::new();
        for _ in 0..200 {
            let mut line = Line::from(ATTACKER, replica.seats).await.expect("it listens");
            // It may be refused before it is sent.
            let _ = tokio::time::timeout(Duration::from_millis(200), line.stream.write_all(attack.as_bytes())).await;
            lines.push(line);
            *most = (*most).max(memory_of(&replica));
        }
    }
    println!("{quiet} MiB, with heads {} MiB, with bodies {} MiB", most[0], most[1]);
    assert!(most.iter().all(|most| most - quiet < 24), "{quiet} MiB, then {most:?}");
    replica.kill().await;
}

/// The attack: the token of a ServiceAccount without any right over more connections than there is room for, each kept.
#[tokio::test]
async fn i2_connections_of_one_caller_keep_out_nobody() {
    let ground = Ground::take().await;
    let (vendor, replica) = licensed_by(&ground, "crowd", 2, &[]).await;
    let elsewhere = ground.vendor("crowd-intruder").await;
    elsewhere.kubectl.expect(&["create", "serviceaccount", "visitor"]).await;
    let token = elsewhere.kubectl.expect(&["create", "token", "visitor", "--audience", "seatkeeper"]).await;
    let agent = Agent::employed(&vendor, "agent").await;
    let held = logged_in(&agent, &replica, "m.huber").await;
    let id = held.body["seats"][0]["id"].as_str().expect("a seat has an id").to_owned();
    let mut line = Line::from(Ipv4Addr::LOCALHOST.into(), replica.seats).await.expect("it listens");
    assert_eq!(line.ask(&format!("PUT /v1/seats/{id}"), &agent.token).await, Some(200));

    let mut kept = Vec::new();
    for _ in 0..seatkeeper::server::seat_port::MOST_CONNECTIONS + 50 {
        let Some(mut line) = Line::from(ATTACKER, replica.seats).await else { continue };
        let status = line.ask("GET /v1/openapi.json", token.trim()).await;
        kept.push((line, status));
    }
    let known = kept.iter().filter(|(_, status)| *status == Some(200)).count();
    assert!(known > 4_000, "a crowd of {known} is none");
    assert_eq!(line.ask(&format!("PUT /v1/seats/{id}"), &agent.token).await, Some(200), "the connection is kept");
    for user in ["a.kern", "m.huber"] {
        let answer = agent.logs_in(&replica, user).await.expect("there is room");
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    replica.kill().await;
}
