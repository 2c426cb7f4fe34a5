//! Licences: signed keys, which of them count, and what they grant at an instant.

pub mod allowance;
mod claim_names;
pub mod entitlement;
pub mod grant;
mod json;
pub mod jwk;
pub mod kept_lists;
pub mod key;
pub mod members;
pub mod mode;
pub mod name;
pub mod pool;
pub mod refusal;
pub mod token;
pub mod trust;
pub mod whom_to_trust;
