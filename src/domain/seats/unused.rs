//! Which assignments and reservations of a License have no effect, because its keys grant something else. They are not
//! refused when they are written: a License may be there before its key.

use std::collections::{BTreeMap, BTreeSet};

use super::request::MAX_NAME_BYTES;
use super::terms::{Assignment, Reservation};
use crate::domain::fault::Fault;
use crate::domain::license::entitlement::{Entitlement, PoolLimit};
use crate::domain::license::mode::Mode;
use crate::domain::license::pool::PoolModel;
use crate::domain::names::normal;
use crate::domain::reason::Reason;

/// The most users that are named in a fault.
const NAMED: usize = 3;

/// A fault for each assignment and reservation of which some part has no effect. Without a licence there are none: which
/// pools its next key has is not known.
pub fn unused(entitlement: &Entitlement, assignments: &[Assignment], reservations: &[Reservation]) -> Vec<Fault> {
    if entitlement.mode == Mode::Demo {
        return Vec::new();
    }
    let assigned = assignments.iter().filter_map(|assignment| {
        let fault = |(reason, message)| Fault::new(reason, format!("spec.assignments[{}]", assignment.pool), message);
        unused_assignment(entitlement, assignment).map(fault)
    });
    let mut left = BTreeMap::new();
    let reserved = reservations.iter().filter_map(|reservation| {
        let field = format!("spec.reservations[{}, {}]", reservation.pool, reservation.team);
        unused_reservation(entitlement, reservation, &mut left)
            .map(|(reason, message)| Fault::new(reason, field, message))
    });
    assigned.chain(reserved).collect()
}

fn unused_assignment(entitlement: &Entitlement, assignment: &Assignment) -> Option<(Reason, String)> {
    let Assignment { pool: name, users } = assignment;
    let Some(pool) = find(entitlement, name) else { return Some(unknown(entitlement)) };
    if !matches!(pool.model, PoolModel::Fixed | PoolModel::Named) {
        let message =
            format!("pool {name} is of model {:?}, so its seats are assigned to nobody: remove this", pool.model);
        return Some((Reason::AssignmentNotUsed, message));
    }
    if entitlement.granted.iter().any(|granted| granted.name == *name && !granted.users.is_empty()) {
        let message = format!("the keys name the users of pool {name}: remove this");
        return Some((Reason::AssignmentNotUsed, message));
    }
    unusable(name, users, pool.limit.unwrap_or(u64::MAX))
}

/// Which of the users to whom the seats of a pool belong can have none, and why.
pub fn unusable(pool: &str, users: &[String], seats: u64) -> Option<(Reason, String)> {
    let cannot_ask = |user: &&String| user.trim() != user.as_str() || normal(user).len() > MAX_NAME_BYTES;
    if let Some(user) = users.iter().find(cannot_ask) {
        let message = format!(
            "{user:?} has blanks around it, or more than {MAX_NAME_BYTES} bytes: write the name as the applications do"
        );
        return Some((Reason::UserInvalid, message));
    }
    let mut seen = BTreeSet::new();
    let each: Vec<&str> = users.iter().map(String::as_str).filter(|user| seen.insert(normal(user))).collect();
    let beyond = each.get(usize::try_from(seats).unwrap_or(usize::MAX)..).filter(|beyond| !beyond.is_empty())?;
    let more = beyond.len().checked_sub(NAMED + 1).map(|more| format!(" and {} more", more + 1));
    let named = beyond.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ") + &more.unwrap_or_default();
    let message = format!(
        "{} users are named, and pool {pool} has {seats} seats; without a seat: {named}. Order more seats, or remove users",
        each.len()
    );
    Some((Reason::MoreUsersThanSeats, message))
}

/// `left` has the seats of each pool that no reservation before this one has taken.
fn unused_reservation<'e>(
    entitlement: &'e Entitlement,
    reservation: &Reservation,
    left: &mut BTreeMap<&'e str, u64>,
) -> Option<(Reason, String)> {
    let Reservation { pool: name, team, seats } = reservation;
    let Some(pool) = find(entitlement, name) else { return Some(unknown(entitlement)) };
    let Some(limit) = pool.limit else {
        let message = format!("pool {name} is unlimited, so there is always a seat for team {team}: remove this");
        return Some((Reason::ReservationNotUsed, message));
    };
    let left = left.entry(&pool.name).or_insert(limit);
    let kept = (*left).min(u64::from(*seats));
    *left -= kept;
    let message = || {
        format!(
            "{seats} seats are reserved for team {team}, and only {kept} are kept: pool {name} has {limit} seats, and the \
             reservations before this one come first. Order more seats, or reserve fewer"
        )
    };
    (kept < u64::from(*seats)).then(|| (Reason::MoreReservedThanSeats, message()))
}

fn find<'e>(entitlement: &'e Entitlement, name: &str) -> Option<&'e PoolLimit> {
    entitlement.pools.iter().find(|pool| pool.name == name)
}

fn unknown(entitlement: &Entitlement) -> (Reason, String) {
    let names: Vec<&str> = entitlement.pools.iter().map(|pool| pool.name.as_str()).collect();
    (Reason::UnknownPool, format!("the keys grant no such pool; they grant {}", names.join(", ")))
}
