//! What a License grants, in a sentence.

use crate::domain::days::{ended, from, to};
use crate::domain::license::entitlement::{Entitlement, KeyState, PoolLimit};
use crate::domain::license::mode::Mode;
use crate::domain::license::pool::PoolModel;
use crate::domain::text::shown;
use crate::observed::reading::Reading;

/// What is granted, to whom and to which day: `agents 50 for Stadtwerke to the end of 2026-12-31 (Europe/Berlin), then grace
/// to the end of 2027-01-14`.
pub fn summary(reading: &Reading, granted: &Entitlement) -> String {
    let whom = granted.organisation.as_deref().map(shown).unwrap_or_default();
    let (zone, seats) = (&granted.zone, seats(granted));
    let grace = granted.grace_ends_at.filter(|_| granted.grace_ends_at != granted.expires_at);
    match (granted.mode, granted.expires_at, grace) {
        (Mode::Full, None, _) => format!("{seats} for {whom}, without end"),
        (Mode::Full, Some(end), None) => format!("{seats} for {whom} {} ({zone})", to(end, zone)),
        (Mode::Full, Some(end), Some(grace)) => {
            format!("{seats} for {whom} {} ({zone}), then grace {}", to(end, zone), to(grace, zone))
        }
        (Mode::Grace, end, grace) => {
            let ended = end.map(|end| ended(end, zone)).unwrap_or_default();
            let grace = grace.map(|grace| to(grace, zone)).unwrap_or_default();
            format!("{seats} for {whom}; the licence {ended} ({zone}), and grace runs {grace}: enter a new key")
        }
        (Mode::Demo, Some(end), _) => format!(
            "the licence for {whom} {} ({zone}); only {} demo seats are left until a new key is entered",
            ended(end, zone),
            granted.demo_seats
        ),
        (Mode::Demo, None, _) => without_a_key(reading, granted),
    }
}

/// How many keys were read, and what became of them: `3 keys were read: 1 in force, 1 to follow, 1 refused`.
pub fn keys_read(granted: &Entitlement) -> String {
    let count = |is: fn(&KeyState) -> bool| granted.keys.iter().filter(|state| is(state)).count();
    let states = [
        (count(|state| *state == KeyState::InForce), "in force"),
        (count(|state| *state == KeyState::Future), "to follow"),
        (count(|state| *state == KeyState::Superseded), "superseded"),
        (count(|state| *state == KeyState::Expired), "over"),
        (count(|state| matches!(state, KeyState::Refused(_))), "refused"),
    ];
    let states = states.into_iter().filter(|(count, _)| *count > 0).map(|(count, state)| format!("{count} {state}"));
    match granted.keys.len() {
        0 => "the spec was read, and no key was found".to_owned(),
        1 => format!("1 key was read: {}", states.collect::<String>()),
        many => format!("{many} keys were read: {}", states.collect::<Vec<_>>().join(", ")),
    }
}

/// `agents 50, planners unlimited`; `demo 2` in demo mode.
fn seats(granted: &Entitlement) -> String {
    if granted.mode == Mode::Demo {
        return format!("demo {}", granted.demo_seats);
    }
    let of_pool = |pool: &PoolLimit| match (pool.model, pool.limit) {
        (PoolModel::Unlimited, _) | (_, None) => format!("{} unlimited", pool.name),
        (_, Some(limit)) => format!("{} {limit}", pool.name),
    };
    shown(&granted.pools.iter().map(of_pool).collect::<Vec<_>>().join(", "))
}

/// Why there are no seats. That no key was ever in force cannot be known: its Secret may have been deleted.
fn without_a_key(reading: &Reading, granted: &Entitlement) -> String {
    let keys = || reading.keys.iter().zip(&granted.keys);
    let later = keys().filter(|(_, state)| **state == KeyState::Future).filter_map(|(key, _)| key.claims.as_ref());
    if let Some(first) = later.min_by_key(|claims| claims.starts_at()) {
        let zone = first.zone();
        return format!("the first key is in force {} ({zone}); no seats until then", from(first.starts_at(), &zone));
    }
    let said = match (keys().next().is_some(), reading.faults.first(), reading.are_named) {
        (true, ..) => "every key that was read is refused, see KeyRefused; no seats",
        (false, _, false) => "spec.keys names no Secret with a key: enter a key; no seats",
        (false, None, true) => "the Secrets that spec.keys names hold no key: put one into an entry; no seats",
        (false, Some(fault), true) => return format!("no key could be read, so there are no seats: {fault}"),
    };
    said.to_owned()
}
