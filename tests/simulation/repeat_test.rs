//! The same seed gives the same history: every request at the same time, with the same answer.

use crate::generate::world;
use crate::run::run;
use crate::schedule::Schedule;

/// Runs a seed on a separate thread, and returns a hash of every request.
fn trace(seed: u64) -> u64 {
    let traced =
        std::thread::spawn(move || run(&world(seed), Schedule::Storms(seed), None).map(|outcome| outcome.trace));
    traced.join().expect("no simulation panics").unwrap_or_else(|failure| panic!("seed {seed}: {failure}"))
}

#[test]
fn the_same_seed_makes_the_same_requests_and_another_one_others() {
    let seeds = if std::env::var("SEEDS").is_ok() { 20..40 } else { 20..21 };
    let mut before = None;
    for seed in seeds {
        let once = trace(seed);
        assert_eq!(once, trace(seed), "seed {seed}");
        assert_ne!(before.replace(once), Some(once), "seed {seed}");
    }
}
