//! The custom resources, group `seatkeeper.dev`, version `v1alpha1`, as users write them. One file per kind.

pub mod allowed_namespaces;
pub mod common;
pub mod conditions;
pub mod contract;
pub mod crds;
pub mod delivery;
pub mod license;
pub mod plan;
pub mod roster;
pub mod seat_ledger;
pub mod subscription;

pub use license::License;
pub use plan::Plan;
pub use roster::Roster;
pub use seat_ledger::SeatLedger;
pub use subscription::Subscription;

/// The types of the Secrets that Seatkeeper reads and writes. It never touches a Secret of any other type.
pub mod secret_type {
    /// Licence keys, one in each entry.
    pub const LICENSE: &str = "seatkeeper.dev/license";
    /// The vendor's public keys (`jwks.json`) and, if the vendor has one, the revocation list (`revoked.jwt`).
    pub const TRUST: &str = "seatkeeper.dev/trust";
    /// The signing key (`signing-key.pem`) and, optionally, `issuer`: the name for the claim `iss`.
    pub const ISSUER: &str = "seatkeeper.dev/issuer";
    /// The keys of a Subscription that went to another namespace, one in each entry.
    pub const ISSUED: &str = "seatkeeper.dev/issued";
    /// What is kept of the lists of revoked keys, in the operator's own namespace.
    pub const REVOCATIONS: &str = "seatkeeper.dev/revocations";
    /// The key with which the ids of seats are made, in the operator's own namespace.
    pub const SEAT_IDS: &str = "seatkeeper.dev/seat-ids";
    /// The certificate authority of the seat server, and its certificate, in the operator's own namespace.
    pub const SEATS_AUTHORITY: &str = "seatkeeper.dev/seats-authority";
}

/// Labels and annotations of the objects that the operator creates.
pub mod mark {
    /// Label on every object that the operator created.
    pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
    pub const SEATKEEPER: &str = "seatkeeper";
    /// Annotation on a Secret: the kind and `namespace/name` of the object that owns it. The Secret is
    /// written for no other object.
    pub const OWNER: &str = "seatkeeper.dev/owner";
    /// Label on a trust Secret in the operator's namespace: the product whose trust the Secret pins.
    pub const PRODUCT: &str = "seatkeeper.dev/product";
    /// Label: the Subscription that the object was created for, shortened if its name is too long for a label.
    pub const SUBSCRIPTION: &str = "seatkeeper.dev/subscription";
}
