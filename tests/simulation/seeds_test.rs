//! Random worlds with random faults.

use crate::run::{Weather, run};

#[test]
fn first() {
    crate::TALK.set(std::env::var("TALK").is_ok());
    let seed = std::env::var("SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    let world = crate::generate::world(seed);
    let began = std::time::Instant::now();
    let outcome = run(&world, Weather::Calm).unwrap();
    eprintln!("{:?} {} {} {:?}", outcome.counts, outcome.contract_years, outcome.trace, began.elapsed());
}
