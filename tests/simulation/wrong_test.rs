//! An operator that is wrong in a known way is found out.

use seatkeeper::wrong::{Variant, be};

use crate::seeds_test::simulate;
use crate::sieve_test::sieve;

/// A wrong operator may pass so many seeds before every plan is tried, and if it passes those, so many seeds in all: some
/// only show where several things go wrong at once.
const SEEDS: u64 = 40;
const MORE_SEEDS: u64 = 4_000;

#[test]
fn every_known_wrong_variant_is_caught() {
    let only = std::env::var("WRONG").unwrap_or_default();
    let mut missed = Vec::new();
    for variant in Variant::ALL {
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
    let seeds = |mut range: std::ops::RangeInclusive<u64>| range.find_map(|seed| Some((seed, simulate(seed).err()?)));
    if let Some((seed, failure)) = seeds(1..=SEEDS) {
        return Some(format!("caught after {seed} seeds: {}", cut(failure)));
    }
    if let Err((plans, failure)) = sieve(1, |_| true) {
        return Some(format!("caught after {SEEDS} seeds and {plans} plans: {}", cut(failure)));
    }
    let (seed, failure) = seeds(SEEDS + 1..=MORE_SEEDS)?;
    Some(format!("caught after all plans and {seed} seeds: {}", cut(failure)))
}
