//! The custom resources, group `seatkeeper.dev`, version `v1alpha1`, as users write them. One file per kind.

pub mod allowed_namespaces;
pub mod common;
pub mod conditions;
pub mod contract;
pub mod crds;
pub mod license;
pub mod plan;
pub mod roster;
pub mod schema;
pub mod seat_ledger;
pub mod subscription;

pub use license::License;
pub use plan::Plan;
pub use roster::Roster;
pub use seat_ledger::SeatLedger;
pub use subscription::Subscription;

/// The Secrets that Seatkeeper reads and writes are known by their type, and no other Secret is ever touched.
pub mod secret_type {
    /// Keys; every entry is one.
    pub const LICENSE: &str = "seatkeeper.dev/license";
    /// `jwks.json` and, where the vendor has one, `revoked.jwt`.
    pub const TRUST: &str = "seatkeeper.dev/trust";
    /// `signing-key.pem` and, optionally, `issuer`: the name in the claim `iss`.
    pub const ISSUER: &str = "seatkeeper.dev/issuer";
}

/// Labels and annotations that the operator puts on what it makes.
pub mod mark {
    /// On every object the operator made.
    pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
    pub const SEATKEEPER: &str = "seatkeeper";
    /// Annotation on a Secret: the kind and `namespace/name` of the object whose Secret it is. Nobody else writes it.
    pub const OWNER: &str = "seatkeeper.dev/owner";
    /// Label on a trust Secret in the operator's namespace: the product whose trust it pins.
    pub const PRODUCT: &str = "seatkeeper.dev/product";
    /// Label: the Subscription an object was made for, shortened where a label cannot hold its name.
    pub const SUBSCRIPTION: &str = "seatkeeper.dev/subscription";
}
