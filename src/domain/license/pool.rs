//! A pool: a number of seats of one kind.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the seats of a pool are granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum PoolModel {
    /// First come, first served. Floating licences are of this model too.
    Concurrent,
    /// Assigned users, each on one machine at a time.
    Fixed,
    /// Assigned users, each on any number of machines.
    Named,
    /// One licence per current employee.
    PerEmployee,
    /// One licence per current user, for the login mode of the user.
    PerUser,
    /// Any number of seats.
    Unlimited,
}

/// What occupies one seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum CountBy {
    /// All sessions of one user share a seat.
    User,
    /// Every start takes a seat.
    Start,
}

/// The kind of user that a pool is for: Active users change data, Passive users only read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum LoginMode {
    Active,
    Passive,
}

impl PoolModel {
    /// What is counted if the Plan does not say. PerEmployee and PerUser allow nothing else.
    pub fn default_count_by(self) -> CountBy {
        match self {
            PoolModel::PerEmployee | PoolModel::PerUser => CountBy::Start,
            _ => CountBy::User,
        }
    }
}

/// The seats of one pool as a key grants them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PoolGrant {
    pub name: String,
    pub model: PoolModel,
    pub count_by: CountBy,
    /// Ignored if the model is Unlimited.
    #[serde(default)]
    pub seats: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login_mode: Option<LoginMode>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overflows_to: Option<String>,
    /// The users that a Fixed or Named pool belongs to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<String>,
    /// The newest major version that the pool licenses. `None` if it licenses any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub major: Option<u32>,
}

impl PoolGrant {
    /// Whether seats of both pools can be added up: pools of the same name must have the same kind of seat.
    pub fn adds_up_with(&self, other: &PoolGrant) -> bool {
        (self.model, self.count_by, self.login_mode, &self.overflows_to)
            == (other.model, other.count_by, other.login_mode, &other.overflows_to)
    }
}
