//! What a License grants now, as far as seats are concerned (docs/design/domain.md: Seats, Mode, Versions and
//! upgrades).

use chrono::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::domain::Instant;
use crate::domain::license::entitlement::Entitlement;
use crate::domain::license::key::OnDemo;
use crate::domain::license::mode::Mode;
use crate::domain::license::pool::{CountBy, LoginMode, PoolGrant, PoolModel};
use crate::domain::names::normal;

/// The users to whom a License assigns the seats of a pool (`License.spec.assignments`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    pub pool: String,
    pub users: Vec<String>,
}

/// A number of seats of a pool that is kept free for members of a team.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    pub pool: String,
    pub team: String,
    pub seats: u32,
}

/// What a License grants now, for decisions about seats.
#[derive(Clone, Debug, PartialEq)]
pub struct SeatTerms {
    pub mode: Mode,
    pub ever_licensed: bool,
    pub demo_seats: u32,
    /// When sessions from before demo mode end; `None` if they may go on until they finish.
    pub ending: Option<Ending>,
    /// In the order of their names.
    pub pools: Vec<PoolTerms>,
}

/// Sessions that began before demo mode end some minutes after it began (`onDemo: EndAfterMinutes`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// The instant at which demo mode began.
    pub began_before: Instant,
    pub at: Instant,
}

/// What a License grants of one pool.
#[derive(Clone, Debug, PartialEq)]
pub struct PoolTerms {
    pub name: Arc<str>,
    pub model: PoolModel,
    pub count_by: CountBy,
    /// `None` if unlimited. 0 in demo mode; then the demo seats limit all pools together.
    pub limit: Option<u64>,
    pub login_mode: Option<LoginMode>,
    pub overflows_to: Option<Arc<str>>,
    /// For Fixed and Named: each assigned user and their position in the list.
    assigned: BTreeMap<String, u64>,
    /// Seats by the newest major version that they entitle to (`None` for any version).
    parts: Vec<(Option<u32>, u64)>,
    /// Each team and its reserved seats, limited to the seats that the pool has.
    pub(super) reservations: Vec<(String, u64)>,
}

impl SeatTerms {
    /// What is granted, with what the License says of who gets it.
    pub fn new(entitlement: &Entitlement, assignments: &[Assignment], reservations: &[Reservation]) -> SeatTerms {
        let mut by_name: BTreeMap<&str, Vec<&PoolGrant>> = BTreeMap::new();
        for pool in &entitlement.granted {
            by_name.entry(&pool.name).or_default().push(pool);
        }
        let pool = |limit: &crate::domain::license::entitlement::PoolLimit| {
            let grants = by_name.get(limit.name.as_str()).map_or(&[][..], Vec::as_slice);
            let first = grants.first();
            PoolTerms {
                name: limit.name.as_str().into(),
                model: limit.model,
                count_by: match limit.model {
                    PoolModel::PerEmployee | PoolModel::PerUser => CountBy::Start,
                    model => first.map_or(model.default_count_by(), |pool| pool.count_by),
                },
                limit: limit.limit,
                login_mode: first.and_then(|pool| pool.login_mode),
                overflows_to: first.and_then(|pool| pool.overflows_to.as_deref()).map(Arc::from),
                assigned: assigned(&limit.name, grants, assignments),
                parts: grants.iter().map(|pool| (pool.major, u64::from(pool.seats))).collect(),
                reservations: reserved(&limit.name, limit.limit, reservations),
            }
        };
        let mut pools: Vec<PoolTerms> = entitlement.pools.iter().map(pool).collect();
        let is_for = |pool: &PoolTerms, mode| pool.model == PoolModel::PerUser && pool.login_mode == Some(mode);
        let active = pools.iter().filter(|pool| is_for(pool, LoginMode::Active)).map(|pool| pool.name.clone());
        let active: BTreeSet<Arc<str>> = active.collect();
        for pool in &mut pools {
            // Passive members may take active seats, never the other way round (T7).
            let may = is_for(pool, LoginMode::Passive);
            pool.overflows_to = pool.overflows_to.take().filter(|to| may && active.contains(to));
        }
        SeatTerms {
            mode: entitlement.mode,
            ever_licensed: entitlement.ever_licensed,
            demo_seats: entitlement.demo_seats,
            ending: ending(entitlement),
            pools,
        }
    }

    /// What a License grants of which nothing is known.
    pub fn none() -> SeatTerms {
        SeatTerms { mode: Mode::Demo, ever_licensed: false, demo_seats: 0, ending: None, pools: Vec::new() }
    }

    /// The same pools, without a seat to grant.
    pub fn without_seats(&self) -> SeatTerms {
        let pool = |pool: &PoolTerms| PoolTerms { limit: Some(0), ..pool.clone() };
        SeatTerms { pools: self.pools.iter().map(pool).collect(), ..SeatTerms::none() }
    }

    pub fn pool(&self, name: &str) -> Option<&PoolTerms> {
        self.place(name).map(|place| &self.pools[place])
    }

    pub(super) fn place(&self, name: &str) -> Option<usize> {
        self.pools.binary_search_by(|pool| (*pool.name).cmp(name)).ok()
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.pools.iter().map(|pool| pool.name.to_string()).collect()
    }

    /// How many more demo seats are free when `held` seats are in use.
    pub(super) fn demo_room(&self, held: u64) -> u64 {
        u64::from(self.demo_seats).saturating_sub(held)
    }
}

fn ending(entitlement: &Entitlement) -> Option<Ending> {
    let OnDemo::EndAfterMinutes(minutes) = entitlement.on_demo else { return None };
    let began = entitlement.grace_ends_at.or(entitlement.expires_at).filter(|_| entitlement.mode == Mode::Demo)?;
    Some(Ending { began_before: began, at: began.checked_add_signed(Duration::minutes(minutes.into()))? })
}

impl PoolTerms {
    /// Whether it depends on the Rosters who may take a seat.
    pub(super) fn counts_people(&self) -> bool {
        matches!(self.model, PoolModel::PerEmployee | PoolModel::PerUser) || !self.reservations.is_empty()
    }

    /// The newest major version that any of the seats entitles to; `None` for any version.
    pub fn newest(&self) -> Option<u32> {
        self.parts.iter().map(|(major, _)| *major).max_by_key(|major| major.map_or(u64::MAX, u64::from)).flatten()
    }

    /// Whether some seat entitles to `version`. An unknown version is no reason to refuse.
    pub fn entitles(&self, version: Option<u32>) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|(major, _)| covers(*major, version))
    }

    /// The limit for a workload of that version. Grants of one pool may entitle to different versions; then seats held
    /// by other versions also count against the seats that entitle to this one, so that these are never oversold.
    pub fn limit_for(&self, version: Option<u32>) -> Option<u64> {
        if self.parts.iter().all(|(major, _)| covers(*major, version)) {
            return self.limit;
        }
        let sufficing = self.parts.iter().filter(|(major, _)| covers(*major, version)).map(|(_, seats)| seats).sum();
        self.limit.map(|limit| limit.min(sufficing))
    }

    /// Whether one of the seats belongs to `user`. If there are more users than seats, only the first ones have a seat.
    /// In demo mode no seat belongs to anybody, and every named user may take one.
    pub(super) fn is_assigned(&self, user: &str, mode: Mode) -> bool {
        self.assigned.get(user).is_some_and(|nth| mode == Mode::Demo || self.limit.is_none_or(|limit| *nth < limit))
    }
}

fn covers(major: Option<u32>, version: Option<u32>) -> bool {
    major.zip(version).is_none_or(|(major, version)| version <= major)
}

/// The users named in the keys; if there are none, those that the License assigns.
fn assigned(pool: &str, grants: &[&PoolGrant], assignments: &[Assignment]) -> BTreeMap<String, u64> {
    let in_keys = || grants.iter().flat_map(|pool| &pool.users);
    let in_license = || assignments.iter().filter(|a| a.pool == pool).flat_map(|a| &a.users);
    let mut assigned = BTreeMap::new();
    let mut assign = |user: &String| {
        let nth = assigned.len() as u64;
        assigned.entry(normal(user).into_owned()).or_insert(nth);
    };
    match in_keys().next() {
        Some(_) => in_keys().for_each(&mut assign),
        None => in_license().for_each(&mut assign),
    }
    assigned
}

/// Reservations in their order, as far as there are seats for them; several for one team add up.
fn reserved(pool: &str, limit: Option<u64>, reservations: &[Reservation]) -> Vec<(String, u64)> {
    let mut left = limit.unwrap_or(0);
    let mut reserved: Vec<(String, u64)> = Vec::new();
    for reservation in reservations.iter().filter(|r| r.pool == pool) {
        let seats = left.min(reservation.seats.into());
        left -= seats;
        let team = normal(&reservation.team);
        match reserved.iter_mut().find(|(other, _)| *other == team) {
            Some((_, sum)) => *sum += seats,
            None => reserved.push((team.into_owned(), seats)),
        }
    }
    reserved
}
