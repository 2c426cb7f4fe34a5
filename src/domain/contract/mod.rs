//! Contracts: their terms, how they renew and end, and the keys they owe the customer.

pub mod issuing;
pub mod renewal;
pub mod seats;
pub mod term;
pub mod timeline;

use chrono::NaiveDate;

use crate::domain::zone::Zone;

use super::license::key::{Holder, Lifetime, OnDemo};
use super::license::pool::{CountBy, LoginMode, PoolModel};
use term::Period;

/// One customer's contract, ready to be judged: a Subscription with its Plans, every reference resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct Contract {
    pub namespace: String,
    pub name: String,
    pub organisation: String,
    pub holder: Option<Holder>,
    pub starts_on: NaiveDate,
    pub zone: Zone,
    /// The order waits for the vendor's approval (`Plan.spec.orders.approval: Manual`).
    pub approval_required: bool,
    pub approved_on: Option<NaiveDate>,
    /// `None` if the contract is perpetual: nothing renews and nothing ends.
    pub terms: Option<Terms>,
    pub cancellation_received_on: Option<NaiveDate>,
    pub lines: Vec<Line>,
}

/// How long a contract runs and how it renews (P1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The length of one term, by which the contract also renews (I6).
    pub interval: Period,
    /// How long before the end of a term a cancellation must have been received.
    pub notice: Period,
    /// The length of a fixed contract, which ends by itself at `start + length`. `None` if it renews until cancelled.
    pub length: Option<Period>,
}

/// What one Plan of the contract grants. Every line has its own keys.
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
    /// The most seats that all pools may have together; `None` for any number.
    pub max_users: Option<u32>,
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
    /// In any order: `seats::seat_steps` sorts and checks them.
    pub changes: Vec<SeatChange>,
}

/// From civil day `on` the pool has `seats` seats. The change counts from the day on which it was received; if no day
/// is given, it always counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeatChange {
    pub on: NaiveDate,
    pub seats: u32,
    pub received_on: Option<NaiveDate>,
}

/// The `iss` of keys whose issuer has no name: the namespace of the contract. So a key made offline from the same
/// contract belongs to the same grant, and a new signing key does not create a second grant.
pub fn default_issuer(namespace: &str) -> &str {
    namespace
}
