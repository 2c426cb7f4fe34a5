//! The long siege of tests/harness/safety, with each replica in its own network namespace:
//! `make seat-safety OPS=10000000`. SEED repeats the choice of faults. The siege needs a network namespace for itself;
//! the make target provides it.

#[allow(dead_code)]
#[path = "../../tests/harness/mod.rs"]
mod harness;

use std::str::FromStr;

use harness::control_plane::ControlPlane as Cluster;
use harness::safety::network::Hub;
use harness::safety::siege::{Size, lay};
use seatkeeper::machine::random_bytes;

fn setting<T: FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}: {text:?} cannot be used")))
}

fn main() {
    // `cargo test --benches` and `cargo bench -- --list` ask every bench binary for tests; this one has none.
    if std::env::args().any(|argument| argument == "--list" || argument == "--test") {
        return;
    }
    let hub = Hub::raise();
    assert!(hub.is_some(), "this needs root and a network namespace for itself: run it with `make seat-safety`");
    let size = Size {
        seed: setting("SEED").unwrap_or_else(|| u64::from_le_bytes(random_bytes().expect("randomness"))),
        replicas: 3,
        brief: setting("CLIENTS").unwrap_or(160),
        lasting: 12,
        patient: 12,
        ttl: 5,
        operations: setting("OPS").unwrap_or(10_000_000),
        quiet: 10_000,
        lingers: true,
        fsync: true,
        more: vec!["--ledger-bytes-a-second", "0"],
    };
    eprintln!("seed {}", size.seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let ended = runtime.block_on(async {
        tokio::select! {
            report = lay(size, hub) => Some(report),
            // Dropping the processes that were started ends them.
            _ = tokio::signal::ctrl_c() => None,
        }
    });
    let Some(report) = ended else { return eprintln!("interrupted") };
    println!("{report}");
    assert!(report.verdict.defects.is_empty(), "the history is impossible: see the defects above");
}
