//! The reasons that conditions and faults give, each with its meaning. `docs/conditions.md` is written from this list.

use super::words::words;

words! {
    /// Why something is as it is: a CamelCase word for programs to match on.
    Reason

    /// The spec and its keys have been read, and the status shows what they grant.
    Judged,
    /// A key is in force, and everything that it states is granted.
    Full,
    /// The licence has ended, and everything keeps working until the grace period ends. Enter a new key.
    Grace,
    /// The licence and its grace period have ended; only the demo seats are left. Enter a new key.
    Demo,
    /// The licence and its grace period have ended. Enter a new key.
    Expired,
    /// No key that is here is in force, or was. The message says why. If no key is here, enter one.
    NoLicense,
    /// In demo mode the demo seats are granted first come, first served, whatever the Rosters say. Enter a new key.
    InDemo,
    /// The licence ends within four weeks, and no key follows. Order the renewal, or enter its key.
    NoKeyToFollow,
    /// The entry is not a licence key. Copy the key again, whole, as the vendor sent it.
    Malformed,
    /// No key that is trusted here has signed it: this cluster's trust lacks the vendor's key, or somebody else signed it.
    /// Have the installation pin the vendor's newest jwks.json; if it does already, ask the vendor for another key.
    UnknownKey,
    /// The key was changed or cut short in transit. Copy the key again, whole, as the vendor sent it.
    BadSignature,
    /// The key is for another product. Point a License of that product at it.
    WrongProduct,
    /// The key is for another cluster. Ask the vendor for a key for this cluster.
    WrongCluster,
    /// The vendor has revoked the key. Ask the vendor; the contract may have been cancelled.
    Revoked,
    /// A pool of this name counts in another way in an older grant. Ask the vendor for keys whose pools agree.
    PoolConflict,
    /// The License would have more than 1,024 pools. Use another License for this grant.
    TooManyPools,
    /// Another License in the cluster uses the same grant. Use that License from here, through its allowedNamespaces.
    InUseElsewhere,
    /// Another License in the cluster presents a key of the same grant, and is refused it. Find out how it got the key. If it
    /// should have the grant, delete this License.
    PresentedElsewhere,
    /// No Roster that counts names the License, so it has no members. Create a Roster that refers to the License.
    RosterMissing,
    /// There is a seat for every member on the Rosters.
    Fits,
    /// There are more members on the Rosters than seats. Order more seats, or set an exitDate for members who have
    /// left.
    MoreMembersThanSeats,
    /// The installation pins whom to trust for this product, so spec.trust is not used. Remove spec.trust.
    TrustPinned,
    /// The installation does not let Licenses say whom to trust, so spec.trust is not used. Have the installation pin the
    /// keys, or allow it with trust.fromLicenses; remove spec.trust if the License is licensed without it.
    TrustNotAllowed,
    /// Nobody says whose keys to trust for the License: the installation pins none, and no issuer of a Subscription in
    /// this cluster delivers to it. Have the installation pin them.
    TrustMissing,
    /// A file of a trust Secret cannot be used. Put the vendor's jwks.json or revoked.jwt in again.
    TrustInvalid,
    /// An entry of a jwks.json or revoked.jwt cannot be used, and the others count. Ask the vendor to correct the entry that
    /// the message names.
    TrustPartUnusable,
    /// The list of revoked keys of a trusted signer is gone. What it revoked stays revoked. Put revoked.jwt back.
    RevocationsMissing,
    /// The list of revoked keys of a trusted signer is older than one that was read before. What that one revoked stays
    /// revoked. Put the newer revoked.jwt back.
    RevocationsOlder,
    /// The list of revoked keys of a trusted signer has expired. It still counts. Ask the vendor for the newest
    /// revoked.jwt.
    RevocationsExpired,
    /// There is no room to keep all revoked serials of a trusted signer. They count only as long as the list is there. Have
    /// the installation pin the signer, which then has room of its own.
    RevocationsNotKept,
    /// The Secret has no entry of that name. Add the entry, or name one that exists.
    EntryMissing,
    /// The License names more keys than are read, and those beyond do not count. Remove keys that have ended.
    TooManyKeys,
    /// The operator's clock agrees with the API server's.
    ClocksAgree,
    /// The operator's clock and the API server's differ by more than 5 minutes; the API server's is used. Check NTP on
    /// both.
    ClocksDisagree,
    /// The clock is behind a time that was already confirmed. Check NTP.
    ClockBehind,
    /// A time seen earlier is ahead of every clock, so it was dropped. Check NTP; a clock was wrong then.
    ClockWasAhead,
    /// Subscriptions can order the Plan.
    Valid,
    /// The members of the Roster count for its License.
    Counted,
    /// Entries of the same user overlap in time. Remove or end all but one of them.
    EntriesOverlap,
    /// Names of users differ only in upper and lower case, and count as different users. Spell each as the applications do,
    /// and remove those that nobody has.
    NamesDifferInCase,
    /// Names have characters that RFC 8265 does not allow in the names of users, such as those that nobody sees. They count
    /// nevertheless. Check that each is spelt as the applications spell it.
    UnusualCharacters,
    /// Every part of the object is acted on.
    EveryPart,
    /// Parts of the object are stored and shown, but not acted on by this version. Do not rely on these parts yet.
    PartsNotActedOn,
    /// The contract waits for approval. Set spec.order.approvedOn.
    Ordered,
    /// The contract has not started yet.
    Pending,
    /// The contract runs.
    Active,
    /// The contract was cancelled and runs until its end.
    Cancelled,
    /// The contract has ended. Order again, or remove the cancellation while that is possible.
    Ended,
    /// Every key that is due has been issued.
    Issued,
    /// Every key is where it should be.
    Delivered,
    /// A key would be longer than a License reads. Name fewer users in the order; the License can assign seats to users.
    KeyTooLong,
    /// There is no key to deliver.
    NoKeys,
    /// The object cannot be acted on. Correct what the message names.
    Invalid,
    /// No issuer is named, so no key is signed here. Set spec.issuer if keys are to be issued in this cluster.
    NoIssuer,
    /// The signing key is gone, and keys were issued before. Put the same signing-key.pem back from a backup; a new one is
    /// never made by itself.
    SigningKeyLost,
    /// The issuer's Secret has no signing key. Add the entry signing-key.pem.
    SigningKeyMissing,
    /// The signing key cannot be used. Create one with `seatkeeper keygen`, or restore the one that issued the keys.
    SigningKeyInvalid,
    /// A Secret does not exist yet; the object waits for it. Create the Secret with the stated type.
    SecretMissing,
    /// A Secret of that name has another type and was not read. Delete it and create it again with the stated type.
    SecretTypeMismatch,
    /// The Secrets of this type in the namespace are too large together, and this one is among the largest, so it was not
    /// read. Delete those that nothing needs.
    SecretsTooLarge,
    /// The specs of this kind in the namespace are too large together, and this object is among the largest, so it was not
    /// read and counts for nothing. Shorten it, delete those that nothing needs, or use another namespace.
    SpecsTooLarge,
    /// A Secret of that name exists for something else and is left unchanged. Delete it, or name another Secret.
    SecretNotOurs,
    /// The License does not read the Secret that the keys go to. Name that Secret in the spec.keys of the License.
    SecretNotRead,
    /// The API server does not let the operator write a Secret or a License that the contract needs. The message has its words:
    /// change the rights, the quota, the policy, or the immutable Secret that it names. It is tried again after 15 seconds, then less often, at the latest after 5 minutes.
    WriteRefused,
    /// The License does not exist yet; the object waits for it. Create the License, or correct the reference.
    LicenseMissing,
    /// The License does not admit this object. For a Roster, add its namespace to the spec.allowedNamespaces of the License;
    /// for a Subscription, name it in the spec.subscriptionRef of the License.
    NotAccepted,
    /// The Plan does not exist yet; the object waits for it. Create the Plan, or correct its name.
    PlanMissing,
    /// The Plan cannot be read. Correct the Plan.
    PlanMalformed,
    /// Several Plans fit. Name one of them.
    PlanAmbiguous,
    /// The Plan has no contract terms. Set spec.terms, or make the lifetime Perpetual.
    TermsMissing,
    /// A perpetual licence has no terms. Remove spec.terms.
    TermsNotUsed,
    /// A period does not fit the others. Correct the period that the message names.
    PeriodInvalid,
    /// Keys would be issued before the renewal is certain. Make issueBefore no longer than the notice period.
    IssueBeforeTooLong,
    /// A pool contradicts itself. Correct the pool that the message names.
    PoolInvalid,
    /// What happens in demo mode is not stated clearly. Correct onDemo.
    OnDemoInvalid,
    /// The time zone has no such IANA name. Use an IANA name such as Europe/Berlin.
    UnknownTimeZone,
    /// A date is outside the supported range. Use a date from 1970 to 2099.
    DateOutOfRange,
    /// The Plan requires a written cancellation, and none is recorded. Set evidence.
    EvidenceMissing,
    /// The customer may not order this Plan. Correct what the message names.
    NotEligible,
    /// A change of seats cannot take effect as written. Correct the change that the message names.
    SeatChangeRefused,
    /// A reduction of seats takes effect only at the start of a term, and only if it was received in time. Correct the
    /// change that the message names.
    SeatDecreaseRefused,
    /// More seats are ordered than a pool may have. Order fewer.
    TooManySeats,
    /// More users are ordered than the Plan allows in one Subscription. Order fewer, or use several Subscriptions.
    TooManyUsers,
    /// Plans ordered together must have the same contract terms. Order them in separate Subscriptions, or make the
    /// terms equal.
    UnequalTerms,
    /// The Plan has no such feature. Name a feature of the Plan.
    UnknownFeature,
    /// There is no such pool. Name a pool of the Plan or, in a License, of its keys.
    UnknownPool,
    /// The name of a user is longer than any that a program may ask with. Use a shorter one, in the applications too.
    NameTooLong,
    /// The seats of a pool are assigned, and are not assigned like that: the pool is for everybody, or the keys name its
    /// users. Remove the assignment.
    AssignmentNotUsed,
    /// More users are assigned than the pool has seats, and the last of them have none. Order more seats, or remove users.
    MoreUsersThanSeats,
    /// The name of a user cannot be that of anybody. Write it as the applications do.
    UserInvalid,
    /// Seats of a pool without a limit are reserved. Remove the reservation.
    ReservationNotUsed,
    /// More seats are reserved than the pool has, and the last reservations are cut. Order more seats, or reserve fewer.
    MoreReservedThanSeats,
    /// The contract has ended, so it issues nothing.
    ContractEnded,
    /// The contract waits for approval, so it issues nothing. Set spec.order.approvedOn.
    NotApproved,
    /// The contract ends before that term. Name an earlier term.
    TermAfterEnd,
    /// The term has no length. Correct the dates.
    TermEmpty,
    /// A required field is missing. Add it.
    FieldMissing,
    /// A value does not fit the schema. Correct it as the message says.
    SchemaViolation,
    /// There is no such field. Remove it, or correct its name.
    UnknownField,
    /// Two entries of a list have the same key. Keep one of them.
    Duplicate,
}

impl Reason {
    /// Whether the object waits for something that may still come, without a change to its spec.
    pub const fn waits(self) -> bool {
        matches!(
            self,
            Reason::PlanMissing
                | Reason::SecretMissing
                | Reason::SecretTypeMismatch
                | Reason::SecretsTooLarge
                | Reason::SpecsTooLarge
                | Reason::SigningKeyLost
        )
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
