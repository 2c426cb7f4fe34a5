//! Simulation: the real operator over the embedded API on one thread, in simulated time, with everything going wrong
//! that can, and an independent oracle that knows what is right.

mod agents_test;
mod api;
mod between;
mod calendar;
mod centre;
mod contract;
mod dice;
mod ends;
mod generate;
mod key;
mod lens;
mod lost_test;
mod on_demo_test;
mod oracle;
mod proof_test;
mod queue_test;
mod rate_test;
mod repeat_test;
mod run;
mod scenarios;
mod seeds_test;
mod sieve_test;
mod vendor;
mod weather;
mod world;
#[cfg(feature = "known-wrong")]
mod wrong_test;

/// The C library's allocator, which grows and gives back memory with each seed's thread, took a third of the time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

thread_local! {
    /// Whether this thread prints every request: set by `TALK=1`, to look into one seed.
    pub static TALK: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}
