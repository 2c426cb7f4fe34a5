//! What a tenant with a License of its own may try against the seats of another: as many as possible at once, and as many
//! bytes as possible. How often the victim gets its turn is judged; how long it waits is printed, because the attack, the
//! operator without optimisation and all other tests share one machine.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use seatkeeper::machine::monotonic;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::hostile_flood_test::{ATTACKER, Line};
use super::hostile_load_test::ask;
use super::seats_test::{Agent, licensed_by, logged_in};
use crate::harness::eventually::eventually;
use crate::suite::faults_ground::{Ground, Order, SOON, Vendor};
use crate::suite::faults_operators::Replica;

/// How long is measured, before the attack and during it.
const TIME: Duration = Duration::from_secs(10);
const CONNECTIONS: usize = 6;
const SEATS_A_REQUEST: usize = 1_000;

/// Takes a seat and gives it back, over and over for a while. Returns how often, and the time that 99 of 100 took at most.
pub async fn cycles(line: &mut Line, agent: &Agent, time: Duration) -> (usize, Duration) {
    let (began, mut took) = (monotonic(), Vec::new());
    let license = json!({"namespace": agent.namespace, "name": "innoacd"});
    while monotonic() - began < time {
        let asked = monotonic();
        let session = format!("of-the-victim-{}", took.len());
        let body = json!({"license": license, "session": session}).to_string();
        let (status, granted) = ask(line, "POST /v1/seats", &agent.token, &body).await;
        assert_eq!(status, 201, "{granted} after {:?}", monotonic() - asked);
        let id = granted["seats"][0]["id"].as_str().expect("a seat has an id");
        let (status, problem) = ask(line, &format!("DELETE /v1/seats/{id}"), &agent.token, "").await;
        assert_eq!(status, 204, "{problem}");
        took.push(monotonic() - asked);
    }
    took.sort_unstable();
    (took.len(), took[took.len() * 99 / 100])
}

/// How a tenant asks for as many seats as one request may.
#[derive(Clone, Copy)]
enum Kind {
    /// One request for 1,000 seats.
    Count,
    /// 1,000 requests in one body.
    Several,
    /// 1,000 requests in one body, which are refused.
    Refused,
}

fn body(namespace: &str, kind: Kind, nth: u64, pad: usize) -> String {
    let license = json!({"namespace": namespace, "name": "innoacd"});
    let pad = if matches!(kind, Kind::Count) { "x".repeat(pad) } else { "%".repeat(pad) };
    let session = |n: usize| format!("{nth}-{n}-{pad}");
    let one = |n: usize| json!({"license": license, "session": session(n)});
    match kind {
        Kind::Count => json!({"license": license, "session": session(0), "count": SEATS_A_REQUEST}).to_string(),
        Kind::Several => json!({"requests": (0..SEATS_A_REQUEST).map(one).collect::<Vec<_>>()}).to_string(),
        Kind::Refused => {
            let no_pool = |n| json!({"license": license, "session": session(n), "pool": "no"});
            json!({"requests": (0..SEATS_A_REQUEST).map(no_pool).collect::<Vec<_>>()}).to_string()
        }
    }
}

/// Asks for a thousand seats at a time over six connections, on a thread of its own.
struct Attack {
    over: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
    granted: Arc<AtomicU64>,
    thread: std::thread::JoinHandle<()>,
}

impl Attack {
    fn begins(agent: &Agent, at: &Replica, kind: Kind, pad: usize) -> Attack {
        let (over, asked, granted) =
            (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let (namespace, token, to) = (agent.namespace.clone(), agent.token.clone(), at.seats);
        let (ends, counts, grants) = (over.clone(), asked.clone(), granted.clone());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("there is memory");
            runtime.block_on(async {
                let mut all = JoinSet::new();
                for _ in 0..CONNECTIONS {
                    let (ends, counts, grants) = (ends.clone(), counts.clone(), grants.clone());
                    let (namespace, token) = (namespace.clone(), token.clone());
                    all.spawn(async move {
                        let mut line = Line::from(ATTACKER, to).await.expect("it listens");
                        while !ends.load(Relaxed) {
                            let nth = counts.fetch_add(1, Relaxed);
                            let (status, answer) =
                                ask(&mut line, "POST /v1/seats", &token, &body(&namespace, kind, nth, pad)).await;
                            let seats = |granted: &Value| granted["seats"].as_array().map_or(0, Vec::len) as u64;
                            let several = answer["answers"].as_array().map_or(0, |all| all.iter().map(seats).sum());
                            grants.fetch_add(seats(&answer) + several, Relaxed);
                            assert!([200, 201, 409, 429, 503].contains(&status), "{status} {answer}");
                        }
                    });
                }
                while let Some(ended) = all.join_next().await {
                    ended.expect("no connection of the attack breaks");
                }
            });
        });
        Attack { over, asked, granted, thread }
    }

    fn ends(self) -> (u64, u64) {
        self.over.store(true, Relaxed);
        self.thread.join().expect("the attack went on to the end");
        (self.asked.load(Relaxed), self.granted.load(Relaxed))
    }
}

/// A tenant with 100,000 seats of its own.
pub async fn intruder(ground: &Ground, name: &str, at: &Replica) -> (Vendor, Agent) {
    let vendor = ground.vendor(name).await;
    let today = seatkeeper::machine::machine_time().date_naive();
    let starts_on = (today - chrono::Months::new(1)).to_string();
    vendor.order(Order { name: "stadtwerke", starts_on: &starts_on, seats: 100_000, secret: "keys" }).await;
    let agent = Agent::employed(&vendor, "intruder").await;
    let evict = ["create", "role", "evicts", "--verb=evict", "--resource=licenses.seatkeeper.dev/seats"];
    vendor.kubectl.expect(&evict).await;
    let account = format!("--serviceaccount={}:intruder", vendor.namespace);
    vendor.kubectl.expect(&["create", "rolebinding", "evicts", "--role=evicts", &account]).await;
    logged_in(&agent, at, "warm.up").await;
    (vendor, agent)
}

/// Frees all seats of the intruder's License, so that neither the next attack nor the next test finds them in the ledger.
async fn evict_all(intruder: &Agent, at: &Replica) {
    let all = format!("/v1/seats?namespace={}&license=innoacd", intruder.namespace);
    eventually(6 * SOON, "the intruder holds no seat", async || {
        let answer = intruder.ask(at, "DELETE", &all, "").await;
        match answer.as_ref().map(|answer| (answer.status, answer.body["released"].as_u64())) {
            Some((200, Some(0))) => Ok(()),
            _ => Err(format!("{answer:?}")),
        }
    })
    .await;
}

/// The attack: six connections that ask for 1,000 seats a request, under a License of their own. It left the victim one
/// cycle a second.
#[tokio::test]
async fn i2_a_tenant_that_takes_a_thousand_seats_at_a_time_costs_the_others_little() {
    let ground = Ground::take().await;
    let (vendor, replica) = licensed_by(&ground, "shares", 9, &[]).await;
    let victim = Agent::employed(&vendor, "victim").await;
    logged_in(&victim, &replica, "m.huber").await;
    let (_other, hostile) = intruder(&ground, "shares-intruder", &replica).await;
    let mut line = Line::from(Ipv4Addr::LOCALHOST.into(), replica.seats).await.expect("it listens");
    cycles(&mut line, &victim, Duration::from_secs(2)).await;
    let mut failed = Vec::new();
    for (what, kind, pad) in
        [("refused", Kind::Refused, 100), ("several", Kind::Several, 100), ("count", Kind::Count, 60)]
    {
        let (quiet, usual) = cycles(&mut line, &victim, TIME).await;
        let attack = Attack::begins(&hostile, &replica, kind, pad);
        tokio::time::sleep(Duration::from_secs(2)).await;
        let (flooded, slow) = cycles(&mut line, &victim, TIME).await;
        let (asked, granted) = attack.ends();
        evict_all(&hostile, &replica).await;
        println!(
            "{what}: quiet {quiet} cycles, p99 {usual:?}; attacked {flooded} cycles, p99 {slow:?}; the attacker asked \
             {asked} times and got {granted} seats"
        );
        assert!(asked > 10, "{what}: {asked} requests are no flood");
        assert_eq!(granted > 0, !matches!(kind, Kind::Refused), "{what}: {granted}");
        // It was about ten.
        if flooded < (quiet / 20).max(30) {
            failed.push((what, quiet, flooded));
        }
    }
    assert!(failed.is_empty(), "cycles quiet and attacked: {failed:?}");
    replica.kill().await;
}
