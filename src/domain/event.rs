//! What Events tell of, each with its meaning. `docs/conditions.md` is written from this list.
//!
//! An Event of a fault has the fault's reason, and an Event of a refused seat the reason of the refusal
//! (`domain/seats/refusal.rs`).

use super::words::words;

words! {
    /// What has happened to an object: a CamelCase word for programs to match on.
    Happening

    /// License: the first key is in force.
    Activated,
    /// License: a key is in force again after the grace period or demo mode.
    FullAgain,
    /// License: the licence has ended and is in its grace period. Enter a new key.
    GraceStarted,
    /// License: the grace period has ended; only the demo seats are left. Enter a new key.
    DemoStarted,
    /// License: keys now last longer. Subscription: a new term has begun.
    Renewed,
    /// License: the keys now grant another number of seats.
    SeatsChanged,
    /// License: a key that was read grants nothing. The message says why.
    KeyRefused,
    /// License: another License presents a key of the same grant, and is refused it. The message names it.
    GrantContested,
    /// License: the licence ends within four weeks, and no key follows. Order the renewal, or enter its key.
    ExpiringSoon,
    /// License: there are more members on the Rosters than seats. Order more, or set an exitDate for members who have
    /// left.
    RosterExceedsSeats,
    /// License: the installation pins whom to trust, so spec.trust is not used. Remove spec.trust.
    TrustPinned,
    /// License: the installation does not let Licenses say whom to trust, so spec.trust is not used. Have it pin the keys.
    TrustNotAllowed,
    /// License: the list of revoked keys of a signer that it trusts is missing, older than before or expired, or cannot be
    /// kept. The message names the signer.
    RevocationsOutdated,
    /// License: a Secret that it names is missing or wrong, while other keys keep it licensed.
    SourceMissing,
    /// License: it waits for a Secret. The message names it.
    Waiting,
    /// License: the operator does not know for certain what time it is. Check NTP.
    ClockNotTrusted,
    /// License: spec.holders says otherwise how the people who hold seats are shown. The message says who may see what now.
    HoldersShown,
    /// Subscription: a key was issued.
    KeyIssued,
    /// Subscription: a key was revoked, because the contract no longer grants it.
    KeyRevoked,
    /// Subscription: the contract waits for approval. Set spec.order.approvedOn.
    Ordered,
    /// Subscription: the contract is approved and has not started yet.
    Approved,
    /// Subscription: the contract runs.
    Started,
    /// Subscription: the contract was cancelled and runs until its end.
    Cancelled,
    /// Subscription: the cancellation was removed; the contract continues.
    GoesOn,
    /// Subscription: the contract has ended.
    Ended,
    /// Roster: entries of the same user overlap in time. Remove or end all but one of them.
    DuplicateMember,
    /// The API server refuses a request that the operator needs for the object. The message has its words.
    RequestRefused,
    /// Roster: names of users are easily taken for others. The message names them.
    DoubtfulNames,
    /// The object cannot be read and is skipped. Correct what the message names.
    Malformed,
}
