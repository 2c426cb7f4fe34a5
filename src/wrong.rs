//! Known-wrong variants of the operator. The simulation has to catch each of them, or it proves nothing. Without the
//! feature `known-wrong` there are none, and the checks for them are compiled away.

/// One way to be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// What was missed while no operator ran stays missed.
    NoCatchUp,
    /// Lists after the first one change nothing.
    RelistIgnored,
    /// Status shows keys before they are in the Secret.
    StatusBeforeSecret,
    /// The operator's own clock counts, whatever the API server says.
    WallClock,
    /// A sleeper does not look at the clock again.
    SleepsThrough,
    /// Nothing wakes an object at its next transition.
    NoWake,
    /// Secrets are written whatever their version.
    NoPrecondition,
    /// After a conflict the old content is written on the new version.
    StaleCacheTrusted,
    /// A call that timed out counts as done.
    TimeoutIsDone,
    /// A serial is random instead of a hash of what the key says.
    RandomSerial,
    /// An old key is removed before the new one is there.
    RemovedFirst,
    /// An old key is revoked before the new one is there.
    RevokedFirst,
    /// What a list of revoked keys said counts only as long as the list is there.
    ListsNotKept,
    /// A key that is no longer granted is removed but not revoked.
    NotRevoked,
    /// Only the newest public key of an issuer is published.
    OldKeysUnpublished,
    /// Nothing is retried after an error.
    NoRetry,
    /// A change of an object that is being worked on is missed.
    ChangeWhileBusyLost,
    /// A grant is answered before it is in the ledger.
    AnsweredBeforeDurable,
    /// A new owner does not seal the ledger, so the previous one can still write.
    NoSeal,
    /// A heartbeat is answered without proof of owning the ledger.
    HeartbeatWithoutProof,
    /// Proof lasts from the reply to a renewal of the Lease, not from when the renewal was sent.
    ProofFromReply,
    /// A new owner frees the seats of silent holders at once.
    ReclaimWithoutWaiting,
    /// A new owner waits for a TTL, but not for the proof of the previous owner to end.
    WaitsForTtlOnly,
    /// Clocks are taken to run equally fast.
    NoDriftMargin,
    /// A missing ledger is taken to be new, not deleted.
    MissingLedgerIsNew,
    /// A seat is reported lost before the ledger shows it free.
    LostBeforeDurable,
    /// A seat is reported lost without proof that nobody else had owned the ledger until then.
    LostWithoutProof,
    /// A holder counts the TTL from the reply, not from when it sent its request. This is a rule for clients, and
    /// those of the simulation break it.
    TtlFromReply,
    /// Seats are counted against the License by its name, whichever other License has had its keys.
    CountedByName,
    /// A new owner does not read on which grants the seats of a License draw.
    GrantsNotNoted,
    /// The seats of a deleted License are not looked at again, so it goes on granting.
    DeletedStillGrants,
    /// What a new owner has looked up while it took over counts, whatever has changed before it owned the ledger.
    LookedUpBeforeOwning,
    /// A seat may be kept and given back by anybody who names it, not only by who took it.
    TakerIgnored,
    /// A new owner does not read from the ledger who took the seats.
    TakersNotNoted,
    /// A claim on a grant counts for Licenses that do not trust its signer.
    ForeignClaimsCount,
}

impl Variant {
    /// Those of contracts and keys.
    pub const OF_CONTRACTS: [Variant; 16] = [
        Variant::NoCatchUp,
        Variant::RelistIgnored,
        Variant::StatusBeforeSecret,
        Variant::WallClock,
        Variant::SleepsThrough,
        Variant::NoWake,
        Variant::NoPrecondition,
        Variant::StaleCacheTrusted,
        Variant::TimeoutIsDone,
        Variant::RandomSerial,
        Variant::RemovedFirst,
        Variant::RevokedFirst,
        Variant::NotRevoked,
        Variant::OldKeysUnpublished,
        Variant::NoRetry,
        Variant::ChangeWhileBusyLost,
    ];

    /// Those of seats.
    pub const OF_SEATS: [Variant; 12] = [
        Variant::AnsweredBeforeDurable,
        Variant::NoSeal,
        Variant::HeartbeatWithoutProof,
        Variant::ProofFromReply,
        Variant::ReclaimWithoutWaiting,
        Variant::WaitsForTtlOnly,
        Variant::NoDriftMargin,
        Variant::MissingLedgerIsNew,
        Variant::LostBeforeDurable,
        Variant::LostWithoutProof,
        Variant::TtlFromReply,
        Variant::LookedUpBeforeOwning,
    ];

    /// Those of grants that move between Licenses.
    pub const OF_GRANTS: [Variant; 3] = [Variant::CountedByName, Variant::GrantsNotNoted, Variant::DeletedStillGrants];

    /// Those of who took a seat.
    pub const OF_TAKERS: [Variant; 2] = [Variant::TakerIgnored, Variant::TakersNotNoted];

    /// Those of lists of revoked keys.
    pub const OF_LISTS: [Variant; 1] = [Variant::ListsNotKept];

    /// Those of what one namespace does to another.
    pub const OF_NEIGHBOURS: [Variant; 2] = [Variant::ForeignClaimsCount, Variant::TakerIgnored];
}

#[cfg(feature = "known-wrong")]
thread_local! {
    static ON: std::cell::Cell<Option<Variant>> = const { std::cell::Cell::new(None) };
}

/// Makes this thread wrong in this way from now on, or in none.
#[cfg(feature = "known-wrong")]
pub fn be(variant: Option<Variant>) {
    ON.set(variant);
}

/// Whether this thread is wrong in this way.
#[cfg(feature = "known-wrong")]
pub fn is(variant: Variant) -> bool {
    ON.get() == Some(variant)
}

/// Never.
#[cfg(not(feature = "known-wrong"))]
#[inline(always)]
pub const fn is(_: Variant) -> bool {
    false
}
