//! How long no seat is granted after the owner ends: from the signal to the first new grant by the remaining replica,
//! as seen by a client that keeps asking. `make bench-failover TRIALS=100`; the control plane's writes wait for the
//! disk.

#[allow(dead_code)]
#[path = "../../tests/harness/mod.rs"]
mod harness;

use std::time::Duration;

use harness::control_plane::ControlPlane as Cluster;
use harness::eventually::eventually;
use harness::safety::ground::{Ground, LICENSES, SOON};
use harness::safety::line::{Heard, Line};
use harness::safety::replica::{Replica, Way};
use nix::sys::signal::Signal;
use seatkeeper::domain::tick::Moment;
use seatkeeper::machine::monotonic;

/// How long a client that got no seat waits before it asks again.
const ASKS_AGAIN: Duration = Duration::from_millis(10);
const GOALS: [(Signal, &str); 2] = [(Signal::SIGTERM, "at most 0.5 s"), (Signal::SIGKILL, "p99 at most 1 s")];

fn main() {
    // `cargo test --benches` and `cargo bench -- --list` ask every bench binary for tests; this one has none.
    if std::env::args().any(|argument| argument == "--list" || argument == "--test") {
        return;
    }
    let trials = std::env::var("TRIALS").ok().filter(|text| !text.is_empty());
    let trials: usize = trials.map_or(100, |text| text.parse().expect("TRIALS is a number"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        tokio::select! {
            () = measure(trials) => {}
            // Dropping the processes that were started ends them.
            _ = tokio::signal::ctrl_c() => eprintln!("interrupted"),
        }
    });
}

async fn measure(trials: usize) {
    let ground = Ground::make(true).await;
    let mut replicas = Vec::new();
    for number in 1..=2 {
        let mut replica = Replica::new(&ground, Way::Plain, number, &["--seat-ttl", "5"]).await;
        replica.start().await;
        replicas.push(replica);
    }
    well(&mut replicas).await;
    ground.order().await;
    let mut asked = Asked::default();
    // The ledger is new, so the first owner waits before it grants.
    let mut line = Line::new([replicas[0].address()].into(), &ground.token);
    while asks(&mut line, &ground, &mut asked).await.is_none() {
        tokio::time::sleep(ASKS_AGAIN).await;
    }
    println!("seconds from the signal to the first new grant, of {trials} trials");
    for (signal, goal) in GOALS {
        let mut took = Vec::new();
        for trial in 1..=trials {
            let owner = well(&mut replicas).await;
            let mut line = Line::new([replicas[1 - owner].address()].into(), &ground.token);
            // Ask through the replica that will remain, so that it has already authenticated the caller.
            asks(&mut line, &ground, &mut asked).await;
            let sent = monotonic();
            replicas[owner].signal(signal);
            // The owner may still grant; only a grant after it has refused or ended counts.
            let mut refuses = false;
            let granted = loop {
                let ended = replicas[owner].ended().is_some();
                match asks(&mut line, &ground, &mut asked).await {
                    Some(granted) if refuses || ended => break granted,
                    Some(_) => {}
                    None => refuses = true,
                }
                tokio::time::sleep(ASKS_AGAIN).await;
            };
            took.push(granted - sent);
            // The previous owner may not have written these releases; the next one would keep the seats for its
            // waiting time.
            for id in asked.given_back.drain(..) {
                line.ask(0, &format!("DELETE /v1/seats/{id}"), "").await;
            }
            replicas[owner].end().await;
            replicas[owner].start().await;
            if trial % 10 == 0 {
                eprintln!("{signal}: {trial} of {trials}");
            }
        }
        show(signal, goal, took);
    }
}

/// Waits until one replica leads and the other stands by, and returns the index of the leader.
async fn well(replicas: &mut [Replica]) -> usize {
    eventually(SOON, "one replica leads and the other stands by", async || {
        match [replicas[0].leads().await, replicas[1].leads().await] {
            [Some(true), Some(false)] => Ok(0),
            [Some(false), Some(true)] => Ok(1),
            seen => Err(format!("{seen:?}")),
        }
    })
    .await
}

/// What the client has asked for so far.
#[derive(Default)]
struct Asked {
    sessions: u64,
    /// Ids of the seats given back since the last signal.
    given_back: Vec<String>,
}

/// Asks for a seat in a new session, and gives a granted seat back. Returns the moment of the grant; `None` if there
/// was no answer, or no replica could grant seats.
async fn asks(line: &mut Line, ground: &Ground, asked: &mut Asked) -> Option<Moment> {
    asked.sessions += 1;
    let session = asked.sessions;
    let (namespace, license) = (ground.namespace, LICENSES[1].0);
    let body = format!(r#"{{"license":{{"namespace":"{namespace}","name":"{license}"}},"session":"s{session}"}}"#);
    match line.ask(0, "POST /v1/seats", &body).await {
        Heard::Answer { status: 201, body } => {
            let granted = monotonic();
            let id = body.split(r#""id":""#).nth(1).and_then(|rest| rest.split('"').next()).expect("an id");
            line.ask(0, &format!("DELETE /v1/seats/{id}"), "").await;
            asked.given_back.push(id.to_owned());
            Some(granted)
        }
        Heard::Answer { status: 503, .. } | Heard::Late | Heard::Broken => None,
        Heard::Answer { status, body } => panic!("{status}: {body}"),
    }
}

fn show(signal: Signal, goal: &str, mut took: Vec<Duration>) {
    took.sort_unstable();
    let of_hundred = |percent: usize| took[(took.len() * percent).div_ceil(100).max(1) - 1].as_secs_f64();
    println!(
        "{:<8} median {:.3}, p90 {:.3}, p99 {:.3}, most {:.3}; the goal is {goal}",
        signal.as_str(),
        of_hundred(50),
        of_hundred(90),
        of_hundred(99),
        of_hundred(100)
    );
}
