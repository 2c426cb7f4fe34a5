//! An operator that is wrong in a known way is caught.

use seatkeeper::wrong::{Variant, be};

use crate::generate::world;
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

#[test]
fn users_of_random_worlds_catch_an_owner_that_frees_seats_too_early() {
    let caught = std::thread::spawn(|| {
        be(Some(Variant::ReclaimWithoutWaiting));
        let used = (1..=SEEDS).filter(|seed| !world(*seed).users.is_empty());
        (1..).zip(used).find_map(|(n, seed)| Some((n, cut(simulate(seed).err()?))))
    });
    let (seeds, failure) = caught.join().expect("a wrong desk panics nowhere").expect("it is caught");
    eprintln!("caught after {seeds} seeds with users: {failure}");
}

fn cut(failure: String) -> String {
    failure.chars().take(160).collect::<String>().replace('\n', " ")
}

fn caught(variant: Variant) -> Option<String> {
    be(Some(variant));
    for seed in 1..=SEEDS {
        if let Err(failure) = simulate(seed) {
            return Some(format!("caught after {seed} seeds: {}", cut(failure)));
        }
    }
    sieve(1, |_| true)
        .err()
        .map(|(plans, failure)| format!("caught after {SEEDS} seeds and {plans} plans: {}", cut(failure)))
}
