//! What a desk may grant: what Licenses have granted and who was on their Rosters, since everything was last at rest. A
//! cache may show any of that.

use std::collections::{BTreeMap, BTreeSet};

use crate::oracle::Name;

/// The seats of a License at one time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entitled {
    /// Whether the seats are demo seats, which are counted over all pools.
    pub is_demo: bool,
    /// As status shows them: `demo 2`, or `agents 50, desks 5`.
    pub shown: String,
}

impl Entitled {
    /// The most seats of a pool; in demo mode, of all pools together.
    pub fn most(&self, pool: &str) -> u64 {
        let pool = if self.is_demo { "demo" } else { pool };
        let of = |part: &str| part.strip_prefix(pool)?.strip_prefix(' ')?.parse().ok();
        self.shown.split(", ").find_map(of).unwrap_or(0)
    }
}

/// Returns the seats of a status without how many are in use: `agents 50` for `agents 3/50`.
pub fn without_use(seats: &str) -> String {
    let part = |part: &str| match (part.rsplit_once(' '), part.rsplit_once('/')) {
        (Some((pool, _)), Some((_, seats))) => format!("{pool} {seats}"),
        _ => part.to_owned(),
    };
    seats.split(", ").map(part).collect::<Vec<_>>().join(", ")
}

/// What may count for each License.
#[derive(Default)]
pub struct Seen {
    entitled: BTreeMap<Name, BTreeSet<Entitled>>,
    members: BTreeMap<Name, BTreeSet<String>>,
    /// Those who have been members since everything was last at rest.
    members_then: BTreeSet<(Name, String)>,
}

impl Seen {
    pub fn enrol(&mut self, license: Name, members: &[String]) {
        self.members_then.extend(members.iter().map(|user| (license.clone(), user.clone())));
        self.members.insert(license, members.iter().cloned().collect());
    }

    pub fn note(&mut self, license: &Name, entitled: Entitled) {
        self.entitled.entry(license.clone()).or_default().insert(entitled);
    }

    /// Call when everything is at rest: only what counts now counts from now on.
    pub fn at_rest(&mut self) {
        self.entitled.clear();
        let now = self.members.iter();
        self.members_then =
            now.flat_map(|(license, users)| users.iter().map(|user| (license.clone(), user.clone()))).collect();
    }

    /// Everything that a License may have granted since everything was last at rest.
    pub fn of(&self, license: &Name) -> impl Iterator<Item = &Entitled> {
        self.entitled.get(license).into_iter().flatten()
    }

    pub fn members(&self, license: &Name) -> &BTreeSet<String> {
        static NONE: BTreeSet<String> = BTreeSet::new();
        self.members.get(license).unwrap_or(&NONE)
    }

    /// Whether a user has been a member since everything was last at rest.
    pub fn was_member(&self, license: &Name, user: &str) -> bool {
        self.members_then.contains(&(license.clone(), user.to_owned()))
    }
}
