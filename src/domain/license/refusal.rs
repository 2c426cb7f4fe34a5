//! Why a licence key, or a list of revocations, does not count.

use std::fmt;

use crate::domain::reason::Reason;

/// Why a key grants nothing. A key that is not yet valid, or no longer valid, is not refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    Malformed(String),
    /// Its `kid` is not kept: until the signature is verified, what is read may be any secret.
    UnknownKey,
    BadSignature,
    WrongProduct {
        product: String,
        wanted: String,
    },
    WrongCluster,
    Revoked,
    PoolConflict {
        pool: String,
        grant: String,
    },
    TooManyPools,
    InUseElsewhere {
        holder: String,
    },
}

impl Refusal {
    /// The word that status, metrics and `verify -o json` use.
    pub fn reason(&self) -> Reason {
        match self {
            Refusal::Malformed(_) => Reason::Malformed,
            Refusal::UnknownKey => Reason::UnknownKey,
            Refusal::BadSignature => Reason::BadSignature,
            Refusal::WrongProduct { .. } => Reason::WrongProduct,
            Refusal::WrongCluster => Reason::WrongCluster,
            Refusal::Revoked => Reason::Revoked,
            Refusal::PoolConflict { .. } => Reason::PoolConflict,
            Refusal::TooManyPools => Reason::TooManyPools,
            Refusal::InUseElsewhere { .. } => Reason::InUseElsewhere,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Malformed(why) => write!(f, "this is not a licence key: {why}"),
            Refusal::UnknownKey => {
                write!(
                    f,
                    "no key that is trusted here has signed it: this cluster's trust lacks the vendor's key, or somebody else \
                     signed it; trust the vendor's newest jwks.json, and look there for the kid that `seatkeeper inspect` \
                     shows"
                )
            }
            Refusal::BadSignature => {
                write!(f, "the signature does not match: the key was changed or cut short in transit")
            }
            Refusal::WrongProduct { product, wanted } => write!(f, "it is for product {product}, not {wanted}"),
            Refusal::WrongCluster => {
                write!(f, "it is bound to another cluster; ask the vendor to issue it for this one")
            }
            Refusal::Revoked => write!(f, "the vendor has revoked it"),
            Refusal::PoolConflict { pool, grant } => {
                write!(f, "its pool {pool} is not counted in the same way as in the older grant {grant}")
            }
            Refusal::TooManyPools => {
                write!(f, "with its pools the License would have more than 1,024; use another License for this grant")
            }
            Refusal::InUseElsewhere { holder } => {
                write!(
                    f,
                    "its grant is in use by License {holder}; use that License, from another namespace through its \
                     spec.allowedNamespaces, or delete it"
                )
            }
        }
    }
}
