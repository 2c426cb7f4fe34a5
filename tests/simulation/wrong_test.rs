//! An operator that is wrong in a known way is caught.

use seatkeeper::wrong::{Variant, be};

use crate::seeds_test::simulate;
use crate::sieve_test::sieve;

/// The number of seeds that a wrong operator may pass before every plan is tried.
const SEEDS: u64 = 300;

#[test]
fn every_known_wrong_variant_is_caught() {
    let only = std::env::var("WRONG").unwrap_or_default();
    let mut missed = Vec::new();
    for variant in Variant::OF_CONTRACTS {
        if !only.is_empty() && format!("{variant:?}") != only {
            continue;
        }
        let caught = std::thread::spawn(move || caught(variant)).join().expect("a wrong operator panics nowhere");
        match caught {
            Some(how) => eprintln!("{variant:?}: {how}"),
            None => missed.push(variant),
        }
    }
    assert!(missed.is_empty(), "not caught: {missed:?}");
}

fn caught(variant: Variant) -> Option<String> {
    be(Some(variant));
    let cut = |failure: String| failure.chars().take(160).collect::<String>().replace('\n', " ");
    for seed in 1..=SEEDS {
        if let Err(failure) = simulate(seed) {
            return Some(format!("caught after {seed} seeds: {}", cut(failure)));
        }
    }
    sieve(1, |_| true)
        .err()
        .map(|(plans, failure)| format!("caught after {SEEDS} seeds and {plans} plans: {}", cut(failure)))
}
