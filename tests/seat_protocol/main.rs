//! A model of the protocol by which seats are granted, searched exhaustively: every state that two owners, two clients
//! and their clocks can reach, in whatever order things happen.
//!
//! **The store** is the API server: a Lease, a base and a ring of journal objects. Each is written only if its version
//! is the one that the writer names. A write may arrive late, even after its sender has crashed, or never; so may its
//! reply.
//!
//! **An owner** reads the ring, takes the Lease, and seals: it folds the oldest entry into the base, and writes an
//! entry without records into that object, the one after the newest. Since entry n + 1 is sent only once n is known to
//! be durable, the next write of the old owner goes to that very object, and fails. The owner grants free slots at
//! once, and keeps taken slots for `(PROOF + TTL) * DRIFT` of its own clock. It answers a grant once the entry is
//! durable. It answers a session that asks again from memory, but only while its last renewal of the Lease was sent at
//! most `PROOF` ago. It frees a slot that got no heartbeat for `TTL * DRIFT`. It never withdraws an entry that was
//! sent. It tells a session that its seat is lost once that is durable and the Lease was renewed after the request.
//!
//! **A client** believes to hold its slot until `TTL` after it sent the request, by its own clock. It stops believing
//! before it releases, and then no longer uses that session.
//!
//! **Time.** While a client's clock advances by 1, an owner's advances by 1 to `DRIFT`: here one clock may be twice as
//! fast as another, which keeps the numbers small; the rules are the same for 1 %. A crash forgets everything except
//! the store. A pause needs no step: a process that does nothing while time passes is paused.
//!
//! **Bounds**: two owners (a restarted one is a new one), two clients, and one write whose sender is gone. Nothing else
//! is bounded: there is no limit on crashes, take-overs, sessions, entries and time, since states are compared relative
//! to now and up to the names of owners, clients and slots. One reading of the ring and the base is one step.
//!
//! | world (see `World`) | states, `ReadLeaseSeal` | states, `SealThenConfirm` |
//! |---|---|---|
//! | `TWO_SLOTS` | 573,172 | 517,035, not run each time |
//! | `TRAVEL`, one slot | 256,276 | 237,649 |
//! | `LOG`, one slot | 151,463 | 138,509 |
//! | one slot, travel and log together (15 s, optimized; not run each time) | 2,727,157 | 2,516,380 |
//! | two slots with log (3 minutes, optimized; not run each time) | 34,800,291 | |
//!
//! `grants.rs` is a second model: on whose grants seats count, while keys move between Licenses.
//!
//! Each known-wrong rule is found with its shortest trace: `cargo test --test seat_protocol known_wrong -- --nocapture`.

mod grants;
mod protocol;
mod search;
mod state;
mod step;
mod tidy;

use protocol::{Order, Protocol, World, Wrong};
use search::{Search, Trace};
use state::{ENDED, FREE, IDLE, OWNER, State};
use step::{Step, readable};

/// The number of journal objects.
const RING: usize = 3;
/// How long a client believes to hold its slot, by its own clock.
const TTL: u8 = 2;
/// How long a renewal proves ownership, by the owner's own clock.
const PROOF: u8 = 1;
/// How many times as fast as another clock a clock may be.
const DRIFT: u8 = 2;
/// How far a client's wall clock is behind an owner's, for the variant that compares them.
const SKEW: u8 = 1;

const TWO_SLOTS: World = World { slots: 2, travel: false, log: false };
const TRAVEL: World = World { slots: 1, travel: true, log: false };
const LOG: World = World { slots: 1, travel: false, log: true };

// Each order of taking over is a separate test, so that they run in parallel.
#[test]
fn s_i2_no_slot_is_believed_held_twice_with_two_slots() {
    is_safe(Order::ReadLeaseSeal, TWO_SLOTS);
}

#[test]
fn s_i2_no_slot_is_believed_held_twice_when_messages_travel_and_clocks_differ() {
    is_safe(Order::ReadLeaseSeal, TRAVEL);
}

#[test]
fn s_i2_no_slot_is_believed_held_twice_when_messages_travel_and_clocks_differ_and_a_confirmed_seal() {
    is_safe(Order::SealThenConfirm, TRAVEL);
}

#[test]
fn s_i2_no_slot_is_believed_held_twice_when_the_ring_wraps_and_writes_outlive_their_owner() {
    is_safe(Order::ReadLeaseSeal, LOG);
}

#[test]
fn s_i2_no_slot_is_believed_held_twice_when_the_ring_wraps_and_writes_outlive_their_owner_and_a_confirmed_seal() {
    is_safe(Order::SealThenConfirm, LOG);
}

/// The model is not safe merely because nothing happens in it: these steps do happen.
#[test]
fn s_i2_a_seat_is_granted_kept_by_heartbeats_lost_in_a_crash_and_reclaimed_for_the_other() {
    for order in [Order::ReadLeaseSeal, Order::SealThenConfirm] {
        let protocol = Protocol { order, wrong: Wrong::Nothing, world: TWO_SLOTS };
        let reach = |from: State, sought: &dyn Fn(Step, &State) -> bool| {
            let trace = Search::find(protocol, from, sought).expect("it can be reached");
            println!("{order:?}, continued:\n{}", readable(&trace));
            trace[trace.len() - 1].1
        };
        let granted = reach(State::first(), &|_, s| s.clients.iter().any(|client| client.slot != 0));
        let c = usize::from(granted.clients[0].slot == 0);
        let held = granted.clients[c].slot;
        let late = reach(granted, &|_, s| s.clients[c].slot == held && s.clients[c].left == 1);
        let kept = reach(late, &|step, s| matches!(step, Step::Heartbeat(..)) && s.clients[c].left == TTL);
        assert_eq!(kept.clients[c].slot, held, "a heartbeat is for the seat that is held");
        let crashed = reach(kept, &|_, s| s.owners.iter().all(|owner| owner.phase == IDLE));
        let taken_over = reach(crashed, &|_, s| s.owners.iter().any(|owner| owner.phase == OWNER));
        let slot = usize::from(held - 1);
        assert!(
            taken_over.owners.iter().any(|o| o.phase == OWNER && ![FREE, ENDED].contains(&o.table[slot])),
            "the new owner knows from the log that the slot is taken"
        );
        let reclaimed = reach(taken_over, &|_, s| s.clients[1 - c].slot == held && s.clients[c].slot == 0);
        reach(reclaimed, &|step, _| matches!(step, Step::Loses(_, lost) if lost == c));
    }
}

macro_rules! finds {
    ($($name:ident: $order:ident, $wrong:ident;)*) => {
        $(
            #[test]
            fn $name() {
                is_found(Order::$order, Wrong::$wrong);
            }
        )*
    };
}

finds! {
    s_known_wrong_no_seal_is_found: ReadLeaseSeal, NoSeal;
    s_known_wrong_seal_over_an_entry_that_the_base_does_not_hold_is_found: ReadLeaseSeal, SealOverUnfolded;
    s_known_wrong_lease_before_reading_is_found: LeaseThenSeal, Nothing;
    s_known_wrong_lease_taken_back_without_a_seal_is_found: ReadLeaseSeal, LeaseTakenBackWithoutSeal;
    s_known_wrong_reclaim_without_waiting_is_found: ReadLeaseSeal, ReclaimWithoutWaiting;
    s_known_wrong_reclaim_after_the_ttl_without_the_time_of_the_proof_is_found: ReadLeaseSeal, WaitsForTtlOnly;
    s_known_wrong_no_margin_for_drift_is_found: ReadLeaseSeal, NoDriftMargin;
    s_known_wrong_heartbeat_that_shortens_the_wait_is_found: ReadLeaseSeal, HeartbeatShortensWait;
    s_known_wrong_ttl_from_the_reply_is_found: ReadLeaseSeal, TtlFromReply;
    s_known_wrong_wall_clocks_are_found: ReadLeaseSeal, WallClocks;
    s_known_wrong_heartbeats_without_proof_are_found: ReadLeaseSeal, HeartbeatsWithoutProof;
    s_known_wrong_proof_from_the_reply_to_a_renewal_is_found: ReadLeaseSeal, ProofFromReply;
    s_known_wrong_reply_before_durable_is_found: ReadLeaseSeal, ReplyBeforeDurable;
    s_known_wrong_unknown_outcome_taken_as_failed_is_found: ReadLeaseSeal, UnknownTakenAsFailed;
    s_known_wrong_entry_not_there_yet_taken_as_failed_is_found: ReadLeaseSeal, NotThereTakenAsFailed;
    s_known_wrong_skipping_to_the_next_object_is_found: ReadLeaseSeal, SkipsToNextObject;
    s_known_wrong_session_used_again_after_its_release_is_found: ReadLeaseSeal, SessionUsedAgain;
    s_known_wrong_loss_told_before_it_is_durable_is_found: ReadLeaseSeal, LostBeforeDurable;
    s_known_wrong_loss_told_without_proof_from_after_the_question_is_found: ReadLeaseSeal, LostWithoutProof;
}

fn search(order: Order, wrong: Wrong, world: World) -> Result<Trace, usize> {
    let of_losses = matches!(wrong, Wrong::LostBeforeDurable | Wrong::LostWithoutProof);
    let both = wrong == Wrong::Nothing;
    Search::find(Protocol { order, wrong, world }, State::first(), |step, state| {
        (both || !of_losses) && state.held_twice() || (both || of_losses) && step.is_lost_wrongly(state)
    })
}

fn is_safe(order: Order, world: World) {
    match search(order, Wrong::Nothing, world) {
        Ok(trace) => panic!("{order:?} in {world:?} is not safe:\n{}", readable(&trace)),
        Err(states) => println!("{order:?} in {world:?}: all {states} states"),
    }
}

fn is_found(order: Order, wrong: Wrong) {
    match search(order, wrong, LOG) {
        Ok(trace) => println!("{order:?} with {wrong:?}, {} steps:\n{}", trace.len(), readable(&trace)),
        Err(states) => panic!("{order:?} with {wrong:?}: no defect in any of {states} states"),
    }
}
