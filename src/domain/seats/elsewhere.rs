//! Seats that are held under one License on grants that another License has now: the License was deleted or renamed, or its
//! key was moved. The holder of such a seat keeps it, and it counts where the grant is now
//! (docs/design/seats.md, Seats held elsewhere).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::domain::license::grant::GrantId;
use crate::domain::license::name::LicenseName;

/// The most grants that are noted of a License, so that what is noted stays small beside an entry of the ledger.
pub const MOST_NOTED: usize = 512;

/// The grants on which the seats of a License draw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draws {
    has: BTreeSet<GrantId>,
    owes: BTreeSet<GrantId>,
}

impl Draws {
    /// What the ledger notes of a License. Which of these grants it still has is not known yet.
    pub fn noted(note: BTreeSet<GrantId>) -> Self {
        Draws { has: BTreeSet::new(), owes: note }
    }

    /// The grants that the License has.
    pub fn has(&self) -> &BTreeSet<GrantId> {
        &self.has
    }

    /// The grants that the License had when seats were granted that are still held, and that its own grants may not
    /// cover.
    pub fn owes(&self) -> &BTreeSet<GrantId> {
        &self.owes
    }

    /// Whether the License has a grant of the same name, of any signer.
    pub fn has_one_named(&self, grant: &GrantId) -> bool {
        let first = GrantId { signer: "".into(), ..grant.clone() };
        self.has.range(first..).next().is_some_and(|found| found.name == grant.name)
    }

    /// All of them, as the ledger notes them.
    pub fn note(&self) -> String {
        let all = self.has.iter().chain(&self.owes);
        all.map(GrantId::to_string).collect::<Vec<_>>().join(" ")
    }

    /// The License has exactly these grants now. It owes all others until they are forgotten. Returns false if they are
    /// too many with those: then it has none of them, as nothing that is owed may be forgotten for them.
    pub fn now_has(&mut self, has: BTreeSet<GrantId>) -> bool {
        let before = std::mem::take(&mut self.has);
        self.owes.extend(before);
        let owed = self.owes.iter().filter(|grant| !has.contains(grant)).count();
        if owed + has.len() > MOST_NOTED {
            return false;
        }
        self.owes.retain(|grant| !has.contains(grant));
        self.has = has;
        true
    }

    /// The grants of the License cover all seats that are held under it, as seats of `product`; those of another product
    /// are owed until they end.
    pub fn are_covered(&mut self, product: &str) {
        self.owes.retain(|grant| *grant.product != *product);
    }

    /// No seat is held under the License.
    pub fn owes_nothing(&mut self) {
        self.owes.clear();
    }
}

/// What is held under other Licenses on the grants of this one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Elsewhere {
    /// How many seats of each pool.
    held: BTreeMap<Arc<str>, u64>,
    /// Under which Licenses.
    pub under: BTreeSet<LicenseName>,
}

impl Elsewhere {
    /// Adds what another License holds beyond its own grants.
    pub fn add(&mut self, license: &LicenseName, uncovered: &BTreeMap<Arc<str>, u64>) {
        for (pool, seats) in uncovered {
            *self.held.entry(pool.clone()).or_default() += seats;
            self.under.insert(license.clone());
        }
    }

    pub fn of(&self, pool: &str) -> u64 {
        self.held.get(pool).copied().unwrap_or(0)
    }

    pub fn in_all(&self) -> u64 {
        self.held.values().sum()
    }
}
