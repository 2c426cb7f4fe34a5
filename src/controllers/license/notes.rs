//! The Events of a License: one for each change of what its status says.

use std::collections::{BTreeMap, BTreeSet};

use super::super::fresh::Youth;
use crate::api::common::NOT_YET_OBSERVED;
use crate::api::conditions::{ConditionType, find, is_true};
use crate::api::license::{HoldersShown, LicenseStatus};
use crate::cluster::events::Note;
use crate::domain::event::Happening;
use crate::domain::license::mode::Mode;
use crate::domain::reason::Reason;

/// The Events of a change from `before` to `after`.
pub fn of(before: &LicenseStatus, after: &LicenseStatus, youth: &Youth) -> Vec<Note> {
    let mut notes = Vec::new();
    let message = |type_| find(&after.conditions, type_).map(|c| c.message.clone()).unwrap_or_default();
    let licensed = message(ConditionType::Licensed);
    let was_licensed = is_true(&before.conditions, ConditionType::Licensed);
    match (before.mode, after.mode) {
        (was, Some(Mode::Full)) if was != Some(Mode::Full) => {
            let again = before.valid_from.is_some();
            notes.push(Note::normal(if again { Happening::FullAgain } else { Happening::Activated }, licensed));
        }
        (was, Some(Mode::Grace)) if was != Some(Mode::Grace) => {
            notes.push(Note::warning(Happening::GraceStarted, licensed))
        }
        (was, Some(Mode::Demo)) if was_licensed || (was != Some(Mode::Demo) && after.valid_from.is_some()) => {
            notes.push(Note::warning(Happening::DemoStarted, licensed));
        }
        (Some(Mode::Full), Some(Mode::Full)) if after.expires_at > before.expires_at => {
            notes.push(Note::normal(Happening::Renewed, licensed));
        }
        (Some(_), Some(_)) if limits(before).ne(limits(after)) => {
            notes.push(Note::normal(Happening::SeatsChanged, seats_changed(before, after)))
        }
        _ => {}
    }
    let mut alarm = |type_: ConditionType, bad: bool, happening: Happening| {
        let Some(now) = find(&after.conditions, type_) else { return };
        if is_true(&after.conditions, type_) == bad && youth.is_news(find(&before.conditions, type_), now) {
            notes.push(Note::warning(happening, now.message.clone()));
        }
    };
    alarm(ConditionType::KeyRefused, true, Happening::KeyRefused);
    alarm(ConditionType::Contested, true, Happening::GrantContested);
    alarm(ConditionType::ExpiringSoon, true, Happening::ExpiringSoon);
    alarm(ConditionType::RosterExceedsSeats, true, Happening::RosterExceedsSeats);
    let refused = find(&after.conditions, ConditionType::TrustRefused).map(|refused| refused.reason.as_str());
    let trust = match refused == Some(Reason::TrustNotAllowed.as_str()) {
        true => Happening::TrustNotAllowed,
        false => Happening::TrustPinned,
    };
    alarm(ConditionType::TrustRefused, true, trust);
    alarm(ConditionType::RevocationsOutdated, true, Happening::RevocationsOutdated);
    alarm(ConditionType::SourceMissing, true, Happening::SourceMissing);
    alarm(ConditionType::Reconciling, true, Happening::Waiting);
    alarm(ConditionType::ClockTrusted, false, Happening::ClockNotTrusted);
    let refused = |status: &LicenseStatus| find(&status.conditions, ConditionType::PartRefused).cloned();
    if let Some(now) = refused(after)
        && refused(before).is_none_or(|was| was.reason != now.reason)
    {
        notes.push(Note::warning(now.reason, now.message));
    }
    let (was, now) = (before.holders.unwrap_or_default(), after.holders.unwrap_or_default());
    // Before the first look, nobody was told anything.
    let was_told = before.observed_generation.is_some_and(|generation| generation != NOT_YET_OBSERVED);
    if was_told && was != now {
        let text = format!("holders of seats were {was:?} and are {now:?}: {}", who_sees(now));
        notes.push(Note::normal(Happening::HoldersShown, text));
    }
    notes
}

/// Who may see what of the people who hold seats.
fn who_sees(shown: HoldersShown) -> &'static str {
    match shown {
        HoldersShown::Named => "everybody who may list licenses/seats sees their names",
        HoldersShown::Pseudonymous => {
            "everybody who may list licenses/seats sees pseudonyms, which are others every day, and nobody sees names"
        }
        HoldersShown::Hidden => "everybody sees only how many there are",
    }
}

/// How many seats each pool has. The seats in use are left out: they change every few seconds while people work.
fn limits(status: &LicenseStatus) -> impl Iterator<Item = (&str, Option<u64>)> {
    status.pools.iter().map(|pool| (pool.name.as_str(), pool.limit))
}

/// `agents 50 → 60, planners 0 → 5`: each pool whose limit has changed, with both numbers.
fn seats_changed(before: &LicenseStatus, after: &LicenseStatus) -> String {
    let was: BTreeMap<&str, Option<u64>> = limits(before).collect();
    let is: BTreeMap<&str, Option<u64>> = limits(after).collect();
    let pools: BTreeSet<&str> = was.keys().chain(is.keys()).copied().collect();
    let of = |limits: &BTreeMap<&str, Option<u64>>, pool: &str| match limits.get(pool) {
        Some(Some(limit)) => limit.to_string(),
        Some(None) => "unlimited".to_owned(),
        None => "0".to_owned(),
    };
    let changed = pools.into_iter().filter(|pool| was.get(pool) != is.get(pool));
    changed.map(|pool| format!("{pool} {} → {}", of(&was, pool), of(&is, pool))).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::license::PoolStatus;
    use crate::domain::license::pool::PoolModel;

    /// The youth of an object that is long over.
    fn grown() -> Youth {
        let license =
            crate::api::License::new("l", serde_json::from_value(serde_json::json!({"product": "p"})).expect("a spec"));
        Youth::of(&license, &crate::cluster::clock::Clock::of_machine(), crate::domain::Instant::UNIX_EPOCH)
    }

    fn full(limit: u64, in_use: u64) -> LicenseStatus {
        let pool = PoolStatus {
            name: "agents".into(),
            model: PoolModel::Concurrent,
            limit: Some(limit),
            in_use: Some(in_use),
            peak: Some(in_use),
            held_elsewhere: None,
        };
        LicenseStatus {
            mode: Some(Mode::Full),
            seats: Some(format!("{in_use}/{limit}")),
            pools: vec![pool],
            ..LicenseStatus::default()
        }
    }

    #[test]
    fn a_change_of_the_seats_granted_is_an_event_and_a_change_of_their_use_is_none() {
        let seats_changed = |before, after| {
            let mut notes = of(&before, &after, &grown()).into_iter();
            notes.find(|note| note.reason == Happening::SeatsChanged.as_str()).map(|note| note.text)
        };
        assert_eq!(seats_changed(full(5, 2), full(8, 2)).as_deref(), Some("agents 5 → 8"));
        assert_eq!(seats_changed(full(5, 2), full(5, 3)), None);
        let more = |name: &str, limit| PoolStatus { name: name.into(), limit, ..full(1, 0).pools.remove(0) };
        let two = LicenseStatus { pools: vec![more("agents", Some(5)), more("guests", None)], ..full(5, 2) };
        assert_eq!(seats_changed(full(5, 2), two.clone()).as_deref(), Some("guests 0 → unlimited"));
        assert_eq!(seats_changed(two, full(6, 2)).as_deref(), Some("agents 5 → 6, guests unlimited → 0"));
    }

    #[test]
    fn a_change_of_how_holders_are_shown_is_an_event_that_says_who_sees_what() {
        let shown = |holders| LicenseStatus { observed_generation: Some(1), holders, ..full(5, 2) };
        let told = |before: LicenseStatus, after| {
            let notes = of(&before, &after, &grown()).into_iter();
            notes.filter(|note| note.reason == Happening::HoldersShown.as_str()).map(|note| note.text).collect()
        };
        let (named, hidden) = (shown(None), shown(Some(HoldersShown::Hidden)));
        let texts: Vec<String> = told(named.clone(), hidden.clone());
        assert_eq!(texts, ["holders of seats were Named and are Hidden: everybody sees only how many there are"]);
        let texts: Vec<String> = told(hidden.clone(), named.clone());
        assert!(texts[0].contains("were Hidden and are Named") && texts[0].contains("licenses/seats"), "{texts:?}");
        let none: Vec<String> = told(hidden.clone(), hidden.clone());
        assert!(none.is_empty(), "{none:?}");
        let new = LicenseStatus { observed_generation: Some(NOT_YET_OBSERVED), ..LicenseStatus::default() };
        let none: Vec<String> = told(new, hidden);
        assert!(none.is_empty(), "it was created like that: {none:?}");
    }
}
