//! Many seats at once, heartbeats, memory, and the byte budget.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use seatkeeper::machine::monotonic;

use super::Plan;
use super::licence::{LARGE, VAST};
use super::load::{Loaded, run};
use super::peers::{Peer, Peers, WARM};
use super::plane::{Start, until_written};
use super::process::resident_mib;
use super::report::Results;
use super::seats::{Beat, Door, Fill, Free, Held};

const AT_ONCE: usize = 100;
const FILLING: usize = 16;
const FREEING: usize = 64;
/// Connections that send heartbeats for one seat, and for many seats at once.
const BEATING: usize = 64;
const BEATING_TOGETHER: usize = 4;
const TOGETHER: usize = 1_000;
/// By then the burst of the byte budget is spent.
const BURST: Duration = Duration::from_secs(20);

/// Measures one round of each, on every seat server.
pub async fn measure(plan: &Plan, peers: &mut Peers, results: &mut Results) {
    for peer in [Peer::Cluster, Peer::Embedded] {
        let Some(door) = peers.door(peer) else { continue };
        let letter = peer.letter();
        let (held, filled) = fill(door, plan.held).await;
        results.add(format!("{letter} seats/s, {AT_ONCE} in one request"), filled.rate());

        if peer == Peer::Cluster {
            until_written(peers.plane()).await;
            let writes = peers.plane().api_writes("seatledgers").await;
            beat(plan, door, &held, results, letter).await;
            let meanwhile = peers.plane().api_writes("seatledgers").await - writes;
            results.add("K writes of SeatLedgers during heartbeats".into(), meanwhile);
        } else {
            beat(plan, door, &held, results, letter).await;
        }

        let free = |_| Box::new(Free { headers: door.headers.clone(), held: held.clone(), last: None }) as _;
        let freed = run(door.lines(FREEING, free).await, Duration::ZERO, None).await;
        results.add(format!("{letter} seats/s given back one by one"), freed.rate());
    }
    if peers.plane.is_some() {
        let grown = resident_mib(peers.plane().api_server_pid()) - peers.plane().api_server_mib;
        results.add("API server, MiB more in memory than before the first seat".into(), grown);
    }
}

/// Takes `seats` seats, a hundred with each request.
async fn fill(door: &Door, seats: usize) -> (Held, Loaded) {
    let held: Held = Arc::new(Mutex::new(Vec::new()));
    let requests = seats / AT_ONCE;
    let of = |n: usize| requests / FILLING + usize::from(n < requests % FILLING);
    let lines = door.lines(FILLING, |n| {
        let (headers, held) = (door.headers.clone(), held.clone());
        Box::new(Fill { headers, pool: VAST, n, count: AT_ONCE, requests: of(n), held })
    });
    let filled = run(lines.await, Duration::ZERO, None).await;
    (held, filled)
}

async fn beat(plan: &Plan, door: &Door, held: &Held, results: &mut Results, letter: char) {
    let ids: Vec<String> = held.lock().unwrap_or_else(PoisonError::into_inner).iter().take(POOLED).cloned().collect();
    for (name, connections, each) in
        [("one by one", BEATING, ids.len() / BEATING), ("1,000 in one request", BEATING_TOGETHER, TOGETHER)]
    {
        let share = |n: usize| ids.iter().cycle().skip(n * each).take(each).cloned().collect();
        let lines = door.lines(connections, |n| Box::new(Beat::new(door, share(n), each == TOGETHER))).await;
        let beaten = run(lines, WARM, Some(plan.time)).await;
        results.add(format!("{letter} heartbeats/s, {name}"), beaten.rate());
    }
}

/// The number of held seats for which heartbeats are sent and measured; all others have a whole TTL.
const POOLED: usize = 10_000;

/// Measures what is written to etcd under the default budget once the burst is spent. The load has no gap, because the
/// budget would fill again in it.
pub async fn under_the_budget(plan: &Plan, peers: &mut Peers, results: &mut Results) {
    peers.plane.as_mut().expect("a control plane").restart(Start::Budget).await;
    let plane = peers.plane();
    let whole = plan.time * u32::try_from(plan.rounds).expect("a few");
    let rounds = async {
        tokio::time::sleep(BURST).await;
        let mut before = (plane.etcd().await.0, monotonic());
        let mut rates = Vec::new();
        for _ in 0..plan.rounds {
            tokio::time::sleep(plan.time).await;
            let after = (plane.etcd().await.0, monotonic());
            rates.push((after.0 - before.0) / (after.1 - before.1).as_secs_f64());
            before = after;
        }
        rates
    };
    // The load runs for one second more, so that the last round is under full load.
    let load = run(plane.door.cycles(256, LARGE).await, BURST, Some(whole + Duration::from_secs(1)));
    let (loaded, rates) = tokio::join!(load, rounds);
    for rate in rates {
        results.add("K bytes/s of etcd's log under the budget, 256 connections".into(), rate);
    }
    results.add("K cycles/s under the budget, 256 connections".into(), loaded.rate());
    results.add("K p99 under the budget, ms".into(), loaded.percentile(99.0));
}

/// Measures the memory that a held seat takes in a freshly started operator: what the second half of the seats adds.
/// The first half fits into memory that the allocator has left over from the start.
pub async fn memory(plan: &Plan, peers: &mut Peers, results: &mut Results) {
    peers.plane.as_mut().expect("a control plane").restart(Start::Frugal).await;
    let plane = peers.plane();
    let pid = plane.operator.pid();
    let half = plan.held / 2;
    fill(&plane.door, half).await;
    until_written(plane).await;
    let before = resident_mib(pid);
    // The first half is already held, by the same sessions.
    fill(&plane.door, plan.held).await;
    until_written(plane).await;
    let grown = (resident_mib(pid) - before) * 1048576.0;
    results.add("K bytes of memory for each held seat".into(), grown / (plan.held - half) as f64);
}
