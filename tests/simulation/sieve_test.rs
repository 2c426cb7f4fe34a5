//! Intermediate, stale and unobserved states (Sun et al., OSDI 22), and lost replies: each at every possible moment.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::end_state::difference;
use crate::faults::{Fate, Plan};
use crate::run::{Failure, Outcome, run};
use crate::scenarios;
use crate::schedule::Schedule;
use crate::world::World;

/// The faults that may happen at a write.
const AT_A_WRITE: [Fate; 8] = [
    Fate::Crash { carried_out: false },
    Fate::Crash { carried_out: true },
    Fate::ReplyLost,
    Fate::Lost,
    Fate::Panic,
    Fate::Twice,
    Fate::Refused(409),
    Fate::Refused(500),
];

/// Returns every plan for a history; `calm` is its run without faults.
fn plans(calm: &Outcome) -> Vec<Plan> {
    let mut plans = Vec::new();
    for write in 0..calm.counts.writes {
        plans.extend(AT_A_WRITE.map(|fate| Plan { write: Some((write, Some(fate))), ..Plan::default() }));
    }
    plans.extend((0..calm.counts.events).map(|event| Plan { hidden: Some(event), ..Plan::default() }));
    for (write, changes) in (0..).zip(&calm.changes_at) {
        let crash = Some((write, Some(Fate::Crash { carried_out: true })));
        plans.extend((0..*changes).map(|older| Plan { write: crash, stale: Some(older), ..Plan::default() }));
    }
    plans
}

fn calm(world: &World) -> Result<Outcome, Failure> {
    run(world, Schedule::One(Plan { stale: Some(u64::MAX), ..Plan::default() }), None)
}

/// Runs every n-th plan of every scenario until one fails, and returns how many ran.
pub fn sieve(every: usize, mine: impl Fn(usize) -> bool) -> Result<usize, (usize, Failure)> {
    let mut done = 0;
    let mut number = 0;
    // All scenarios, or only the one that has everything.
    let scenarios = scenarios::all().into_iter().filter(|(name, _)| every == 1 || name.starts_with("a cancellation"));
    for (name, world) in scenarios {
        let calm = calm(&world).map_err(|failure| (done, format!("{name}: {failure}")))?;
        for plan in plans(&calm) {
            number += 1;
            if number % every != 0 || !mine(number / every) {
                continue;
            }
            done += 1;
            let outcome = run(&world, Schedule::One(plan), Some(&calm.end)).and_then(|outcome| {
                match difference(&calm.end, &outcome.end) {
                    Some(difference) => Err(difference),
                    None => Ok(()),
                }
            });
            outcome.map_err(|failure| (done, format!("{name}: {plan:?}: {failure}")))?;
        }
    }
    Ok(done)
}

#[test]
fn a_fault_at_any_moment_changes_nothing_in_the_end() {
    // `make simulate` runs all plans, `cargo test` some.
    let every = if std::env::var("SIEVE").is_ok() { 1 } else { 97 };
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(8);
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    let total = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let me = next.fetch_add(1, Ordering::Relaxed);
                match sieve(every, |number| number % threads == me) {
                    Ok(done) => _ = total.fetch_add(done, Ordering::Relaxed),
                    Err((_, failure)) => failures.lock().expect("no thread panics with it").push(failure),
                }
            });
        }
    });
    eprintln!("{} plans", total.into_inner());
    let failures = failures.into_inner().expect("no thread panics with it");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
