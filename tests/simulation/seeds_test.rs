//! Random worlds with random faults: `make simulate`.

use seatkeeper::machine::monotonic;
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::end_state::difference;
use crate::faults::Counts;
use crate::generate::world;
use crate::run::{Failure, Outcome, run};
use crate::schedule::Schedule;

/// The result of a seed: years simulated and what happened in them.
#[derive(Default)]
pub struct Report {
    pub contract_years: f64,
    /// How many seats were granted, and how many heartbeats kept one.
    pub seats: (u64, u64),
    pub counts: Counts,
}

impl Report {
    fn add(&mut self, outcome: &Outcome) {
        self.contract_years += outcome.contract_years;
        self.seats = (self.seats.0 + outcome.seats.0, self.seats.1 + outcome.seats.1);
        self.counts = self.counts.plus(&outcome.counts);
    }
}

/// Runs the world of a seed without faults, then with them: both must be right all the time, and end the same.
pub fn simulate(seed: u64) -> Result<Report, Failure> {
    let world = world(seed);
    let mut report = Report::default();
    let calm = run(&world, Schedule::Calm, None).map_err(|failure| format!("without faults: {failure}"))?;
    report.add(&calm);
    let stormy = run(&world, Schedule::Storms(seed), Some(&calm.end))?;
    report.add(&stormy);
    match difference(&calm.end, &stormy.end) {
        Some(difference) => Err(difference),
        None => Ok(report),
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().filter(|text| !text.is_empty()).map(|text| text.parse().expect("a number"))
}

#[test]
fn worlds_with_faults_are_right_all_along_and_end_as_those_without() {
    crate::TALK.set(std::env::var("TALK").is_ok());
    if let Some(seed) = number("SEED") {
        simulate(seed).unwrap_or_else(|failure| panic!("seed {seed}: {failure}"));
        return;
    }
    let seeds = number("SEEDS").unwrap_or(2);
    let first = number("FIRST").unwrap_or(1);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(8);
    let next = AtomicU64::new(first);
    let total = Mutex::new((Report::default(), 0u64, Vec::<String>::new()));
    let began = monotonic();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + seeds {
                        return;
                    }
                    // Each world has its own thread, so that what is seeded per thread is seeded for this world only.
                    let outcome = std::thread::spawn(move || simulate(seed)).join();
                    let mut total = total.lock().expect("no thread panics while it counts");
                    total.1 += 1;
                    match outcome {
                        Ok(Ok(report)) => {
                            total.0.contract_years += report.contract_years;
                            total.0.seats = (total.0.seats.0 + report.seats.0, total.0.seats.1 + report.seats.1);
                            total.0.counts = total.0.counts.plus(&report.counts);
                        }
                        Ok(Err(failure)) => {
                            eprintln!("\nmake simulate SEED={seed}   # {failure}");
                            total.2.push(format!("make simulate SEED={seed}"));
                        }
                        Err(_) => total.2.push(format!("make simulate SEED={seed}   # it panicked")),
                    }
                    if total.1 % 10 == 0 || total.1 == seeds {
                        progress(&total.0, total.1, seeds, total.2.len(), (monotonic() - began).as_secs_f64(), threads);
                    }
                }
            });
        }
    });
    let total = total.into_inner().expect("no thread panics while it counts");
    eprintln!();
    assert!(total.2.is_empty(), "{} of {seeds} seeds failed:\n{}", total.2.len(), total.2.join("\n"));
}

fn progress(report: &Report, done: u64, seeds: u64, failed: usize, seconds: f64, threads: usize) {
    let Report { contract_years, counts, seats: (granted, kept) } = report;
    let rate = contract_years / seconds / threads as f64;
    let Counts { requests, writes, faults, crashes, .. } = counts;
    eprint!(
        "\r{done}/{seeds} seeds, {failed} failed, {contract_years:.0} contract-years, {rate:.0} a second on one core, \
         {granted} seats granted, {kept} kept, {requests} requests, {writes} writes, {faults} faults, {crashes} crashes, {seconds:.0} s "
    );
    let _ = std::io::stderr().flush();
}
