//! Contracts: their terms, how they renew and end, and the keys they owe the customer.

pub mod issuing;
pub mod renewal;
pub mod term;
pub mod timeline;

use chrono::NaiveDate;
use chrono_tz::Tz;

use super::license::key::{Holder, Lifetime, OnDemo};
use super::license::pool::{CountBy, LoginMode, PoolModel};
use term::Period;

/// One customer's contract, ready to be judged: a Subscription together with its Plans, every reference resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct Contract {
    pub namespace: String,
    pub name: String,
    pub organisation: String,
    pub holder: Option<Holder>,
    pub starts_on: NaiveDate,
    pub zone: Tz,
    /// Orders that wait for somebody's approval (`Plan.spec.orders.approval: Manual`).
    pub approval_required: bool,
    pub approved_on: Option<NaiveDate>,
    /// None: perpetual, nothing renews and nothing ends.
    pub terms: Option<Terms>,
    pub cancellation_received_on: Option<NaiveDate>,
    pub lines: Vec<Line>,
}

/// How long a contract runs and how it goes on (`requirements.md` P1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The length of one term; the contract renews by it (I6).
    pub interval: Period,
    /// How long before the end of a term a cancellation must have been received.
    pub notice: Period,
    /// A fixed contract ends by itself at `start + length`.
    pub length: Option<Period>,
}

/// What one Plan of the contract grants. Every line has keys of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    pub plan: String,
    pub product: String,
    pub lifetime: Lifetime,
    pub grace_days: u32,
    pub demo_seats: u32,
    pub on_demo: OnDemo,
    pub features: Vec<String>,
    pub support_included: Option<Period>,
    pub pools: Vec<PoolOrder>,
}

/// The seats of one pool that the contract orders, now and later.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolOrder {
    pub name: String,
    pub model: PoolModel,
    pub count_by: CountBy,
    pub login_mode: Option<LoginMode>,
    pub overflows_to: Option<String>,
    pub major: Option<u32>,
    pub users: Vec<String>,
    pub seats: u32,
    /// In order of `on`, each already checked by `renewal::seat_changes`.
    pub changes: Vec<SeatChange>,
}

/// From civil day `on` the pool has `seats` seats. It counts from the day it was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeatChange {
    pub on: NaiveDate,
    pub seats: u32,
    pub received_on: Option<NaiveDate>,
}

/// The `iss` of keys whose issuer does not name itself: the namespace of the contract, so that a key made offline from
/// the same contract belongs to the same grant, and a new signing key does not make a second one.
pub fn default_issuer(namespace: &str) -> &str {
    namespace
}
