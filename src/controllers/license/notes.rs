//! The Events of a License: one for each change of what its status says.

use crate::api::conditions::{ConditionType, find, is_true};
use crate::api::license::LicenseStatus;
use crate::cluster::events::Note;
use crate::domain::event::Happening;
use crate::domain::license::mode::Mode;

/// The Events of a change from `before` to `after`.
pub fn of(before: &LicenseStatus, after: &LicenseStatus) -> Vec<Note> {
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
        (Some(_), Some(_)) if before.seats != after.seats => {
            notes.push(Note::normal(Happening::SeatsChanged, licensed))
        }
        _ => {}
    }
    let mut alarm = |type_: ConditionType, bad: bool, happening: Happening| {
        let now = find(&after.conditions, type_).map(|c| (is_true(&after.conditions, type_), &c.reason));
        let was = find(&before.conditions, type_).map(|c| (is_true(&before.conditions, type_), &c.reason));
        if now != was && now.is_some_and(|(status, _)| status == bad) {
            notes.push(Note::warning(happening, message(type_)));
        }
    };
    alarm(ConditionType::KeyRefused, true, Happening::KeyRefused);
    alarm(ConditionType::ExpiringSoon, true, Happening::ExpiringSoon);
    alarm(ConditionType::RosterExceedsSeats, true, Happening::RosterExceedsSeats);
    alarm(ConditionType::TrustRefused, true, Happening::TrustPinned);
    alarm(ConditionType::SourceMissing, true, Happening::SourceMissing);
    alarm(ConditionType::Reconciling, true, Happening::Waiting);
    alarm(ConditionType::ClockTrusted, false, Happening::ClockNotTrusted);
    notes
}
