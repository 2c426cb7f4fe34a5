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
    /// A key that is no longer granted is removed but not revoked.
    NotRevoked,
    /// Only the newest public key of an issuer is published.
    OldKeysUnpublished,
    /// Nothing is retried after an error.
    NoRetry,
    /// A change of an object that is being worked on is missed.
    ChangeWhileBusyLost,
}

impl Variant {
    pub const ALL: [Variant; 16] = [
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
