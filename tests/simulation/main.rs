//! Simulation: the real operator over the embedded API on one thread, in simulated time, with everything going wrong
//! that can, and an independent oracle that knows what is right.
//!
//! | question | file |
//! |---|---|
//! | What is the subject: which contracts, and what do people do over the years? | `world.rs`, `contract.rs`, `key.rs` |
//! | Which world belongs to a seed? | `generate.rs`, by random numbers from `dice.rs` |
//! | Which short histories run with every fault at every moment? | `scenarios.rs` |
//! | How is what people do sent to the API? | `vendor.rs`, by requests in `api.rs` |
//! | How does one run go, from the first instant to the last? | `run.rs` |
//! | What time is it, for the API server and for the operator? | `calendar.rs` |
//! | Which faults are injected between the operator and the API? | `faults.rs`; into watches: `watch_faults.rs` |
//! | When does each fault happen? | `schedule.rs` |
//! | What is right? Judged at each write and at rest: | `oracle.rs` |
//! | How does a world end, compared with its run without faults? | `end_state.rs` |
//! | Where do tests of seats get a licence in force and a desk? | `contact_centre.rs` |
//! | How do two replicas run, each on its own machine? | `replicas.rs` |
//! | What do holders of seats believe, and is it right? | `claims.rs` |
//! | What do users of random worlds do with seats? | `users.rs` |
//! | What does an administrator of another namespace do? | `intruder.rs` |
//! | How many seats may a desk grant at most, whatever its caches show? | `entitled.rs` |
//!
//! | test | what it runs |
//! |---|---|
//! | `seeds_test.rs` | random worlds with random faults |
//! | `sieve_test.rs` | each scenario with each fault at each moment (Sieve: Sun et al., OSDI 22) |
//! | `wrong_test.rs` | operators that issue keys wrongly in a known way: each is caught by seeds or scenarios |
//! | `owners_test.rs` | two owners of the ledger; desks that are wrong in a known way: each is caught |
//! | `repeat_test.rs` | one seed twice: the same requests |
//! | `rate_test.rs` | a decade, to measure how fast years pass |
//! | `agents_test.rs` | thousands of agents at one desk, each answer judged |
//! | `queue_test.rs` | waiters for a seat |
//! | `proof_test.rs`, `lost_test.rs` | what an owner of the ledger may answer when another may own it |
//! | `moved_grants_test.rs` | keys that move between Licenses while seats are held |
//! | `contested_test.rs` | Licenses that present keys of the same grant |
//! | `revocations_test.rs` | a list of revoked keys that is deleted or put back to an older one |
//! | `neighbours_test.rs` | the same years with an intruder in the next namespace and without |
//! | `shown_test.rs` | what a License shows of its seats |
//! | `takers_test.rs` | a seat that others name, under two owners; desks that let them: each is caught |
//! | `unwritable_test.rs` | what a tenant makes the ledger write that the API server refuses |
//! | `on_demo_test.rs` | sessions when demo mode begins |

mod agents_test;
mod api;
mod calendar;
mod claims;
mod contact_centre;
mod contested_test;
mod contract;
mod dice;
mod end_state;
mod entitled;
mod faults;
mod generate;
mod intruder;
mod key;
mod lost_test;
mod moved_grants_test;
mod neighbours_test;
mod on_demo_test;
mod oracle;
mod owners_test;
mod proof_test;
mod queue_test;
mod rate_test;
mod repeat_test;
mod replicas;
mod revocations_test;
mod run;
mod scenarios;
mod schedule;
mod seeds_test;
mod shown_test;
mod sieve_test;
mod takers_test;
mod unnoted_test;
mod unwritable_test;
mod users;
mod vendor;
mod watch_faults;
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
