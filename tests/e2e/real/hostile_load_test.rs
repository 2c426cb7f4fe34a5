//! What floods cost those who work, measured beside a quiet time: how long heartbeats and new seats take, whether
//! the Lease is renewed, how much memory the operator has, and how much of a processor the API server uses. The
//! times are printed, not judged: the flood, the operator without optimisation and all other tests share one
//! machine.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::LeaseSpec;
use kube::Api;
use seatkeeper::cluster::leader::LEASE_NAME;
use seatkeeper::machine::monotonic;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::hostile_flood_test::{ATTACKER, Line, lease, made_up, memory_of};
use super::seats_test::{Agent, LEADS, licensed_by, logged_in};
use crate::harness::http::answer;
use crate::suite::faults_ground::{Ground, HOME, SOON};
use crate::suite::faults_operators::Replica;

/// How long is measured without a flood, and with it.
const QUIET: Duration = Duration::from_secs(10);
const FLOOD: Duration = Duration::from_secs(20);
/// The connections with made-up tokens.
const TOKENS: usize = 3_500;
/// How often each sends one, and how long one waits that was not let in.
const PACE: Duration = Duration::from_secs(10);
/// The silent connections of one token.
const SILENT: usize = 4_096;
/// The chart's limit is twice as much.
const MOST_MEMORY: u64 = 256;
/// The kernel's unit of processor time.
const TICKS_A_SECOND: f64 = 100.0;

/// What was measured for a while.
struct Measured {
    heartbeats: Duration,
    seats: Duration,
    renewals: usize,
    memory: u64,
    /// Of the API server, in seconds of a processor for each second.
    api_server: f64,
}

impl std::fmt::Display for Measured {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Measured { heartbeats, seats, renewals, memory, api_server } = self;
        write!(f, "p99 of heartbeats {heartbeats:?}, of new seats {seats:?}; the Lease renewed {renewals} times; ")?;
        write!(f, "at most {memory} MiB; the API server used {api_server:.2} of a processor")
    }
}

/// Somebody who works: one keeps a seat, another takes and gives back one.
struct Victim<'g> {
    ground: &'g Ground,
    replica: &'g Replica,
    agent: Agent,
    id: String,
    keeps: Line,
    takes: Line,
}

impl Victim<'_> {
    async fn works(&mut self, time: Duration) -> Measured {
        let Victim { ground, replica, agent, id, keeps, takes } = self;
        let began = monotonic();
        let (before, token) = (processor_time(ground), agent.token.clone());
        let keep = format!("PUT /v1/seats/{id}");
        let keeping = async {
            let mut took = Vec::new();
            while monotonic() - began < time {
                let asked = monotonic();
                assert_eq!(keeps.ask(&keep, &token).await, Some(200), "after {:?}", monotonic() - began);
                took.push(monotonic() - asked);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            p99(took)
        };
        let wish = agent.wish("a.kern");
        let taking = async {
            let mut took = Vec::new();
            while monotonic() - began < time {
                let asked = monotonic();
                let (status, body) = ask(takes, "POST /v1/seats", &token, &wish).await;
                took.push(monotonic() - asked);
                assert_eq!(status, 201, "after {:?}: {body}", monotonic() - began);
                let id = body["seats"][0]["id"].as_str().expect("a seat has an id").to_owned();
                let freed = takes.ask(&format!("DELETE /v1/seats/{id}"), &token).await;
                assert_eq!(freed, Some(204), "after {:?}", monotonic() - began);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            p99(took)
        };
        let looking = look(ground, replica, time);
        let (heartbeats, seats, (renewals, memory)) = tokio::join!(keeping, taking, looking);
        let api_server = (processor_time(ground) - before) / (monotonic() - began).as_secs_f64();
        Measured { heartbeats, seats, renewals, memory, api_server }
    }
}

/// The processor time that the API server has used, in seconds.
fn processor_time(ground: &Ground) -> f64 {
    let pid = ground.cluster.pid("kube-apiserver");
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the API server runs");
    let (_, fields) = stat.rsplit_once(')').expect("its name is in parentheses");
    // See proc_pid_stat(5): of user and system, counted from the state after the name.
    let used = fields.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok());
    used.sum::<f64>() / TICKS_A_SECOND
}

/// Counts the renewals of the Lease and looks at the operator's memory.
async fn look(ground: &Ground, replica: &Replica, time: Duration) -> (usize, u64) {
    let leases: Api<k8s_openapi::api::coordination::v1::Lease> = Api::namespaced(ground.admin.clone(), HOME);
    let (began, mut last, mut renewals, mut memory) = (monotonic(), None, 0, 0);
    while monotonic() - began < time {
        if let Ok(lease) = leases.get(LEASE_NAME).await {
            let renewed = lease.spec.and_then(|spec| spec.renew_time);
            renewals += usize::from(last.is_some() && renewed != last);
            last = renewed;
        }
        memory = memory.max(memory_of(replica));
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    (renewals, memory)
}

fn p99(mut took: Vec<Duration>) -> Duration {
    took.sort_unstable();
    took[took.len() * 99 / 100]
}

/// Sends a request with a body over a connection that is kept.
pub async fn ask(line: &mut Line, what: &str, token: &str, body: &str) -> (u16, serde_json::Value) {
    let length = body.len();
    let head = format!("{what} HTTP/1.1\r\nHost: seats\r\nAuthorization: Bearer {token}\r\nContent-Length: {length}");
    line.stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await.expect("the connection is kept");
    loop {
        let heard = answer(&line.input).expect("it is HTTP");
        if let Some((status, body, bytes)) =
            heard.map(|heard| (heard.status, serde_json::from_slice(heard.body).unwrap_or_default(), heard.bytes))
        {
            line.input.drain(..bytes);
            return (status, body);
        }
        assert_ne!(line.stream.read_buf(&mut line.input).await.expect("it is kept"), 0, "the connection is kept");
    }
}

/// Keeps connections open, each of which sends what `token` says, one each time and then again after `pace`; with
/// no pace it is silent after the first. On a thread of its own. Returns how many requests were answered once it is
/// told to end.
fn crowd(
    size: usize,
    pace: Option<Duration>,
    to: u16,
    token: impl Fn(usize) -> String + Send + Sync + 'static,
) -> (oneshot::Sender<()>, std::thread::JoinHandle<u64>) {
    let (end, until) = oneshot::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("there is memory");
    let attack = std::thread::spawn(move || {
        let (token, answered) = (std::sync::Arc::new(token), std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0)));
        runtime.block_on(async {
            let mut lines = JoinSet::new();
            for nth in 0..size {
                let (token, answered) = (token.clone(), answered.clone());
                lines.spawn(async move {
                    loop {
                        if let Some(mut line) = Line::from(ATTACKER, to).await {
                            while line.ask("GET /v1/openapi.json", &token(nth)).await.is_some() {
                                answered.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                                match pace {
                                    Some(pace) => tokio::time::sleep(pace).await,
                                    // Silent until the other side ends it.
                                    None => _ = line.stream.readable().await,
                                }
                            }
                        }
                        tokio::time::sleep(PACE).await;
                    }
                });
            }
            let _ = until.await;
        });
        answered.load(std::sync::atomic::Ordering::Relaxed)
    });
    (end, attack)
}

/// The attacks: 3,500 connections with random tokens, which took the lead from the leader in half a minute, and
/// 4,096 silent connections of one token without any right, which kept everybody out.
#[tokio::test]
async fn i2_under_floods_the_lease_is_renewed_and_seats_are_kept_and_taken_in_little_memory() {
    let ground = Ground::take().await;
    let (vendor, replica) = licensed_by(&ground, "load", 9, &[]).await;
    let agent = Agent::employed(&vendor, "agent").await;
    let elsewhere = ground.vendor("load-intruder").await;
    elsewhere.kubectl.expect(&["create", "serviceaccount", "visitor"]).await;
    let visitor = elsewhere.kubectl.expect(&["create", "token", "visitor", "--audience", "seatkeeper"]).await;
    let held = logged_in(&agent, &replica, "m.huber").await;
    let id = held.body["seats"][0]["id"].as_str().expect("a seat has an id").to_owned();
    let genuine = agent.token.clone();
    let near: IpAddr = Ipv4Addr::LOCALHOST.into();
    let keeps = Line::from(near, replica.seats).await.expect("it listens");
    let takes = Line::from(near, replica.seats).await.expect("it listens");
    let mut victim = Victim { ground: &ground, replica: &replica, agent, id, keeps, takes };
    let leading = lease(&ground).await.spec.expect("it is held");

    let quiet = victim.works(QUIET).await;
    println!("quiet: {quiet}");
    let tokens = crowd(TOKENS, Some(PACE), replica.seats, move |nth| made_up(&genuine, nth));
    let flooded = victim.works(FLOOD).await;
    let _ = tokens.0.send(());
    let answered = tokens.1.join().expect("it does not panic");
    println!("{TOKENS} connections with made-up tokens, {answered} answered: {flooded}");
    let visitor = visitor.trim().to_owned();
    let silent = crowd(SILENT, None, replica.seats, move |_| visitor.clone());
    let crowded = victim.works(FLOOD).await;
    let _ = silent.0.send(());
    let known = silent.1.join().expect("it does not panic");
    println!("{SILENT} silent connections of one token, {known} answered: {crowded}");

    assert!(answered > 1_000 && known > 1_000, "{answered} and {known} are no floods");
    let led: LeaseSpec = lease(&ground).await.spec.expect("it is held");
    let of = |lease: &LeaseSpec| (lease.holder_identity.clone(), lease.lease_transitions);
    assert_eq!(of(&led), of(&leading));
    for (what, measured) in [("tokens", &flooded), ("silence", &crowded)] {
        assert!(measured.memory <= MOST_MEMORY, "{what}: {measured}");
        assert!(measured.renewals >= 5, "{what}: {measured}");
    }
    replica.says(SOON, LEADS).await;
    drop(victim);
    replica.kill().await;
}
