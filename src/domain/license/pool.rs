//! A pool: a number of seats of one kind.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How seats of a pool are given out (`design.md` §4 "Seats").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum PoolModel {
    /// First come, first served; floating licences too (I2, M4).
    Concurrent,
    /// Assigned users, each on one client at a time (M3).
    Fixed,
    /// Assigned users, on any number of clients.
    Named,
    /// One licence per current employee (T1–T5).
    PerEmployee,
    /// One licence per current user, of the user's kind (T6–T9).
    PerUser,
    /// Any number (S5).
    Unlimited,
}

/// What takes one seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum CountBy {
    /// All sessions of one user share a seat.
    User,
    /// Every start takes one.
    Start,
}

/// The kind of user a pool is for (T2, T6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum LoginMode {
    Active,
    Passive,
}

impl PoolModel {
    /// What is counted where the Plan does not say. PerEmployee and PerUser know no other.
    pub fn default_count_by(self) -> CountBy {
        match self {
            PoolModel::PerEmployee | PoolModel::PerUser => CountBy::Start,
            _ => CountBy::User,
        }
    }
}

/// Seats of one pool as a key grants them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PoolGrant {
    pub name: String,
    pub model: PoolModel,
    pub count_by: CountBy,
    /// Ignored where the model is Unlimited.
    #[serde(default)]
    pub seats: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login_mode: Option<LoginMode>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overflows_to: Option<String>,
    /// The users a Fixed or Named pool belongs to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<String>,
    /// The newest major version the pool entitles to; none: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub major: Option<u32>,
}

impl PoolGrant {
    /// Whether seats of both can be added up: the same name means the same kind of seat.
    pub fn adds_up_with(&self, other: &PoolGrant) -> bool {
        (self.model, self.count_by, self.login_mode, &self.overflows_to)
            == (other.model, other.count_by, other.login_mode, &other.overflows_to)
    }
}
