//! How fast seats are taken and given back, compared with Leases, Redis and PostgreSQL on the same machine in the same
//! run.
//!
//! A cycle is a seat taken and given back, both acknowledged, everything on disk before a seat is granted. Rounds are
//! interleaved, and every protocol has the same load generator: one thread, each connection in a closed loop.
//! `make bench-seats` runs it; ROUNDS, SECONDS, CONNECTIONS ("1 16 64"), PEERS ("KELRP"; O and U are K and E with the
//! program of the image), HELD and MORE=false change its size.

mod embedded;
#[allow(dead_code)]
#[path = "../../tests/harness/mod.rs"]
mod harness;
mod lease;
mod licence;
mod load;
mod more;
mod morning;
mod peers;
mod plane;
mod postgres;
mod process;
mod redis;
mod report;
mod seats;

use harness::control_plane::ControlPlane as Cluster;
use seatkeeper::machine::monotonic;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;
use std::time::Duration;

use peers::{Peer, Peers};
use process::Server;
use seats::Door;

/// The number of seats in the pool, and of slots of the peers.
const POOL: usize = 10_000;
/// The longest that anything may take to start.
const PATIENCE: Duration = Duration::from_secs(120);
/// Lets ledgers be written as fast as possible.
const NO_BUDGET: [&str; 2] = ["--ledger-bytes-a-second", "0"];

/// What this run measures.
struct Plan {
    rounds: usize,
    time: Duration,
    connections: Vec<usize>,
    peers: Vec<Peer>,
    held: usize,
    /// Whether to measure more than cycles: heartbeats, requests for several seats, the budget, the morning, memory.
    more: bool,
}

impl Plan {
    fn from_environment() -> Self {
        let connections = setting("CONNECTIONS", "1 16 64 256 1024".to_owned());
        let peers = setting("PEERS", "KELRP".to_owned());
        let seconds: f64 = setting("SECONDS", 5.0);
        Plan {
            rounds: setting("ROUNDS", 5),
            time: Duration::from_secs_f64(seconds),
            connections: connections.split_whitespace().map(|n| n.parse().expect("CONNECTIONS")).collect(),
            peers: Peer::ALL.into_iter().filter(|peer| peers.contains(peer.letter())).collect(),
            held: setting("HELD", 100_000),
            more: setting("MORE", true),
        }
    }
}

fn setting<T: FromStr>(name: &str, default: T) -> T {
    let text = std::env::var(name).unwrap_or_default();
    if text.is_empty() { default } else { text.parse().unwrap_or_else(|_| panic!("{name}: {text:?} cannot be used")) }
}

fn main() {
    // `cargo test --benches` and `cargo bench -- --list` ask every bench binary for tests; this one has none.
    if std::env::args().any(|argument| argument == "--list" || argument == "--test") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        tokio::select! {
            () = measure(Plan::from_environment()) => {}
            // Dropping the processes that were started ends them.
            _ = tokio::signal::ctrl_c() => eprintln!("interrupted"),
        }
    });
}

async fn measure(plan: Plan) {
    let folder = Folder::new();
    let mut peers = Peers::start(&plan.peers, &folder.0, plan.held).await;
    report::machine(&plan, &peers, &folder.0);
    peers.show_that_they_wait_for_the_disk().await;
    let mut results = report::Results::default();
    for round in 1..=plan.rounds {
        for connections in &plan.connections {
            // The order changes each round, so that no peer always runs after the same one.
            let mut order = plan.peers.clone();
            order.rotate_left((round - 1) % plan.peers.len());
            for peer in order {
                eprintln!("round {round}: {} with {connections}", peer.letter());
                let Some(measured) = peers.measure(peer, *connections, plan.time, licence::LARGE).await else {
                    continue;
                };
                results.note(peer.letter(), *connections, measured);
                if peer == Peer::Cluster && *connections == 256 {
                    let measured = peers.measure(peer, 256, plan.time, licence::SMALL).await;
                    results.note('k', 256, measured.expect("the same peer"));
                }
            }
        }
        if plan.more {
            eprintln!("round {round}: more");
            more::measure(&plan, &mut peers, &mut results).await;
        }
    }
    if plan.more && plan.peers.contains(&Peer::Cluster) {
        more::under_the_budget(&plan, &mut peers, &mut results).await;
        morning::measure(peers.plane(), &mut results).await;
        more::memory(&plan, &mut peers, &mut results).await;
    }
    report::show(&plan, &results);
}

/// Returns the options that lift the byte budget of `seatkeeper COMMAND`; none if it has no such option.
fn unbounded(command: &str) -> Vec<&'static str> {
    let help = Command::new(env!("CARGO_BIN_EXE_seatkeeper")).args([command, "--help"]).output();
    let has = help.is_ok_and(|help| String::from_utf8_lossy(&help.stdout).contains(NO_BUDGET[0]));
    if has { NO_BUDGET.to_vec() } else { Vec::new() }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn free_port() -> u16 {
    std::net::TcpListener::bind(loopback(0)).and_then(|l| l.local_addr()).expect("a free port").port()
}

/// Waits until `so` is true.
async fn until(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let end = monotonic() + PATIENCE;
    while !so().await {
        assert!(monotonic() < end, "{what} was not ready in time");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until the seats are owned.
async fn owns(door: &Door, what: &str) {
    until(what, async || door.asked().await.0 == 404).await;
}

/// Waits until a seat is granted. In a cluster where there was no ledger, that takes longer than a seat is held.
async fn until_seats(door: &Door, what: &str, server: &mut Server, log: &Path) {
    let mut last = String::new();
    let end = monotonic() + PATIENCE;
    while !door.grants(&mut last).await {
        if server.has_ended() || monotonic() > end {
            let said = std::fs::read_to_string(log).unwrap_or_default();
            let said: Vec<&str> = said.lines().rev().take(20).collect();
            panic!("{what} grants no seat: {last}\n{}", said.into_iter().rev().collect::<Vec<_>>().join("\n"));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Holds the data of all servers except the control plane. It is not in the target folder, because PostgreSQL runs as
/// another user, who may not read there. It is on a disk, unlike the folder for temporary files on some machines.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let all = Path::new("/var/tmp");
        for entry in std::fs::read_dir(all).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let owner = name.strip_prefix("seatkeeper-seats-").filter(|pid| pid.parse::<u32>().is_ok());
            if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
        let folder = all.join(format!("seatkeeper-seats-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        Folder(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}
