//! The same seed is the same history: every request at the same time, with the same answer.

use crate::seeds_test::simulate;

#[test]
fn the_same_seed_makes_the_same_requests() {
    let seeds = if std::env::var("SEEDS").is_ok() { 1..=20 } else { 3..=3 };
    for seed in seeds {
        let traced = || std::thread::spawn(move || simulate(seed).map(|report| report.trace)).join();
        let (once, again) = (traced().expect("no panic"), traced().expect("no panic"));
        assert_eq!(once, again, "seed {seed}");
    }
}

#[test]
fn another_seed_makes_other_requests() {
    let traced =
        |seed: u64| std::thread::spawn(move || simulate(seed).map(|report| report.trace)).join().expect("no panic");
    assert_ne!(traced(4), traced(5));
}
