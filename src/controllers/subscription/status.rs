//! The status of a Subscription, and the Events of its changes.

use super::delivery::Done;
use crate::api::Subscription;
use crate::api::common::LocalDay;
use crate::api::conditions::{Condition, ConditionType, Conditions, find, is_true};
use crate::api::contract::Resolved;
use crate::api::subscription::{DeliverByEmail, IssuedKeyStatus, NextEvent, SubscriptionStatus, TermStatus};
use crate::cluster::events::Note;
use crate::controllers::fresh::Youth;
use crate::domain::Instant;
use crate::domain::contract::Contract;
use crate::domain::contract::issuing::changed_law;
use crate::domain::contract::renewal::{Standing, State};
use crate::domain::contract::timeline::Moment;
use crate::domain::days::{day, ended, from, last_day, to};
use crate::domain::event::Happening;
use crate::domain::fault::Fault;
use crate::domain::license::key::Claims;
use crate::domain::reason::Reason;

/// How many keys are shown: the newest.
const SHOWN_KEYS: usize = 8;
/// Reasons of a contract that goes its ordinary way: no Event warns of them.
const ORDINARY: [Reason; 4] = [Reason::NoIssuer, Reason::NoKeys, Reason::Ordered, Reason::Pending];

/// The status of a Subscription that cannot be acted on. What was known before stays.
pub fn of_faults(
    subscription: &Subscription,
    faults: &[Fault],
    before: &SubscriptionStatus,
    now: Instant,
) -> SubscriptionStatus {
    let mut list = Conditions::new(&before.conditions, subscription.metadata.generation, now);
    let reason = faults.first().map_or(Reason::Invalid, |fault| fault.reason);
    let message = faults.iter().map(Fault::to_string).collect::<Vec<_>>().join("; ");
    list.set(ConditionType::Ready, false, reason, message.clone());
    if faults.iter().any(|fault| fault.reason.waits()) {
        list.set(ConditionType::Reconciling, true, reason, message);
    } else if before.keys.is_empty() {
        list.set(ConditionType::Stalled, true, reason, message);
    }
    SubscriptionStatus {
        observed_generation: subscription.metadata.generation,
        conditions: list.into_list(),
        ..before.clone()
    }
}

/// The status of a Subscription whose contract is in the state `standing`, after delivery has done `done`.
pub fn of(
    subscription: &Subscription,
    resolved: &Resolved,
    standing: &Standing,
    next: Option<Moment>,
    done: &Done,
    before: &SubscriptionStatus,
    now: Instant,
) -> SubscriptionStatus {
    let mut keys: Vec<IssuedKeyStatus> = done.keys.iter().rev().map(key).collect();
    keys.truncate(SHOWN_KEYS);
    if keys.is_empty() && (done.not_issued.is_some() || done.not_delivered.is_some()) {
        keys = before.keys.iter().filter(|key| !done.revoked.contains(&key.serial)).cloned().collect();
    }
    let zone = &resolved.contract.zone;
    let ends_with = |end: Instant| LocalDay(last_day(end, zone));
    let can_be_cancelled = standing.ends_at.is_none() && !standing.renews;
    SubscriptionStatus {
        observed_generation: subscription.metadata.generation,
        state: Some(standing.state),
        term: standing.term.map(|term| TermStatus {
            number: term.number,
            starts_at: term.starts_at.into(),
            ends_at: term.ends_at.into(),
            last_day: Some(ends_with(term.ends_at)),
        }),
        notice_deadline: standing.notice_deadline.map(Into::into),
        cancel_by: standing.notice_deadline.filter(|_| can_be_cancelled).map(ends_with),
        ends_at: standing.ends_at.map(Into::into),
        runs_to: standing.ends_at.or(standing.term.map(|term| term.ends_at)).map(ends_with),
        last_day: standing.ends_at.map(ends_with),
        time_zone: Some(zone.name().to_owned()),
        closed_as_of: before.closed_as_of.or(standing.ends_at.filter(|_| standing.closed).map(Into::into)),
        next_transition: next.map(|m| NextEvent {
            at: m.at.into(),
            day: Some(LocalDay(day(m.at, zone))),
            event: m.event.as_str().to_owned(),
        }),
        keys,
        conditions: conditions(subscription, resolved, standing, done, before, now),
    }
}

fn key(claims: &Claims) -> IssuedKeyStatus {
    IssuedKeyStatus {
        serial: claims.jti.clone(),
        plan: claims.plan.clone(),
        term: claims.subscription.as_ref().map_or(1, |s| s.term),
        issued_at: claims.issued_at().into(),
        expires_at: claims.ends_at().map(Into::into),
    }
}

fn conditions(
    subscription: &Subscription,
    resolved: &Resolved,
    standing: &Standing,
    done: &Done,
    before: &SubscriptionStatus,
    now: Instant,
) -> Vec<Condition> {
    let mut list = Conditions::new(&before.conditions, subscription.metadata.generation, now);
    let (reason, message) = words(&resolved.contract, standing);
    let waits = done.not_issued.iter().chain(&done.not_delivered).find(|fault| fault.reason.waits());
    match (waits, done.not_issued.iter().chain(&done.not_delivered).find(|fault| fault.reason != Reason::NoIssuer)) {
        (Some(fault), _) => {
            list.set(ConditionType::Ready, false, fault.reason, fault.to_string());
            list.set(ConditionType::Reconciling, true, fault.reason, fault.to_string());
        }
        (None, Some(fault)) => list.set(ConditionType::Ready, false, fault.reason, fault.to_string()),
        (None, None) => list.set(ConditionType::Ready, true, reason, message),
    }
    match &done.not_issued {
        Some(fault) => list.set(ConditionType::Issued, false, fault.reason, fault.to_string()),
        None if matches!(standing.state, State::Ordered | State::Pending) => {
            list.set(ConditionType::Issued, false, reason, "no key is due yet")
        }
        None => {
            let law = changed_law(&resolved.contract, &done.keys, now).map_or(String::new(), |law| format!("; {law}"));
            list.set(
                ConditionType::Issued,
                true,
                Reason::Issued,
                format!("every key that is due has been issued{law}"),
            );
        }
    }
    // That there are keys is known from before: what keeps the next from being issued keeps it from being delivered.
    let not_issued = done.not_issued.as_ref().filter(|_| done.keys.is_empty() && !before.keys.is_empty());
    match done.not_delivered.as_ref().or(not_issued) {
        Some(fault) => list.set(ConditionType::Delivered, false, fault.reason, fault.to_string()),
        None if done.keys.is_empty() => {
            list.set(ConditionType::Delivered, false, Reason::NoKeys, "there is no key to deliver")
        }
        None => list.set(ConditionType::Delivered, true, Reason::Delivered, "every key is where it should be"),
    }
    let refused: Vec<String> = resolved.refused.iter().chain(&done.refused).map(Fault::to_string).collect();
    if let Some(first) = resolved.refused.iter().chain(&done.refused).next() {
        list.set(ConditionType::PartRefused, true, first.reason, refused.join("; "));
    }
    let waiting = not_acted_on(subscription);
    if !waiting.is_empty() {
        let message = format!("stored and shown, but not acted on by this version: {}", waiting.join(", "));
        list.set(ConditionType::FullyActedOn, false, Reason::PartsNotActedOn, message);
    }
    list.into_list()
}

/// The state of the contract, in a word and in a sentence.
fn words(contract: &Contract, standing: &Standing) -> (Reason, String) {
    let zone = &contract.zone;
    let runs = |end: Instant| format!("runs {} ({zone})", to(end, zone));
    match (standing.state, standing.term, standing.ends_at) {
        (State::Ordered, ..) => match contract.approved_on {
            Some(day) => (Reason::Ordered, format!("waits for its approval on {day} ({zone})")),
            None => (Reason::Ordered, "waits for approval: set spec.order.approvedOn".to_owned()),
        },
        (State::Pending, ..) => {
            (Reason::Pending, format!("the contract runs {} ({zone})", from(contract.starts_at(), zone)))
        }
        (State::Active, _, Some(end)) => (Reason::Active, format!("the contract {}, and ends by itself", runs(end))),
        (State::Active, Some(term), None) => {
            let then = match standing.notice_deadline.filter(|_| !standing.renews) {
                Some(too_late) => format!("it renews itself unless cancelled by {}", last_day(too_late, zone)),
                None => format!("it is certain that term {} follows", term.number + 1),
            };
            (Reason::Active, format!("term {} {}; {then}", term.number, runs(term.ends_at)))
        }
        (State::Active, None, None) => (Reason::Active, "perpetual".to_owned()),
        (State::Cancelled, _, end) => {
            let runs = end.map(runs).unwrap_or_default();
            (Reason::Cancelled, format!("the contract is cancelled and {runs}"))
        }
        (State::Ended, _, end) => {
            let ended = end.map(|end| ended(end, zone)).unwrap_or_default();
            let then = if standing.closed { " for good" } else { "; to continue it, remove the cancellation" };
            (Reason::Ended, format!("the contract {ended} ({zone}){then}"))
        }
    }
}

/// Parts of the spec whose behaviour comes with later versions.
fn not_acted_on(subscription: &Subscription) -> Vec<&'static str> {
    let spec = &subscription.spec;
    let email = spec.deliver_to.as_ref().and_then(|to| to.email);
    let parts = [
        ("spec.deliverTo.email", email == Some(DeliverByEmail::Contact)),
        ("spec.plans[].upgrades", spec.plans.iter().any(|plan| !plan.upgrades.is_empty())),
        ("spec.plans[].supportExtensions", spec.plans.iter().any(|plan| !plan.support_extensions.is_empty())),
        ("spec.plans[].acceptedOffer", spec.plans.iter().any(|plan| plan.accepted_offer.is_some())),
    ];
    parts.into_iter().filter(|(_, present)| *present).map(|(part, _)| part).collect()
}

/// Events of keys that were issued or revoked since status was written last. Status is written after both, so after a
/// crash in between they are reported again rather than never.
pub fn notes_of_keys(done: &Done, before: &SubscriptionStatus) -> Vec<Note> {
    let told = |claims: &&Claims| before.keys.iter().any(|key| key.serial == claims.jti);
    let newest = before.keys.iter().map(|key| key.issued_at.0).max();
    let untold =
        done.keys.iter().filter(|claims| !told(claims) && newest.is_none_or(|newest| claims.issued_at() >= newest));
    let issued = untold.map(|claims| {
        let zone = claims.zone();
        let to = claims.ends_at().map(|end| format!(" {}", to(end, &zone))).unwrap_or_default();
        let term = claims.subscription.as_ref().map_or(1, |s| s.term);
        let from = from(claims.starts_at(), &zone);
        let text =
            format!("issued key {} for term {term} of Plan {}, valid {from}{to} ({zone})", claims.jti, claims.plan);
        Note::normal(Happening::KeyIssued, text)
    });
    let revoked = before.keys.iter().filter(|key| done.revoked.contains(&key.serial)).map(|key| {
        let IssuedKeyStatus { serial, plan, term, .. } = key;
        Note::warning(
            Happening::KeyRevoked,
            format!("revoked key {serial} for term {term} of Plan {plan}: the contract no longer grants it"),
        )
    });
    issued.chain(revoked).collect()
}

/// Events of changes in the contract's state since `before`.
pub fn notes_of_standing(before: &SubscriptionStatus, contract: &Contract, standing: &Standing) -> Vec<Note> {
    let (_, ready) = words(contract, standing);
    let renewed = standing.term.map(|t| t.number) > before.term.as_ref().map(|t| t.number);
    let mut notes = Vec::new();
    if before.state != Some(standing.state) {
        notes.push(match standing.state {
            State::Ordered => Note::normal(Happening::Ordered, ready),
            State::Pending => Note::normal(Happening::Approved, ready),
            State::Active if matches!(before.state, Some(State::Cancelled | State::Ended)) => {
                Note::normal(Happening::GoesOn, ready)
            }
            State::Active => Note::normal(Happening::Started, ready),
            State::Cancelled => Note::normal(Happening::Cancelled, ready),
            State::Ended => Note::warning(Happening::Ended, ready),
        });
    } else if before.term.is_some() && renewed {
        notes.push(Note::normal(Happening::Renewed, ready));
    }
    notes
}

/// Events of what is newly wrong in `after`.
pub fn notes_of_faults(before: &SubscriptionStatus, after: &SubscriptionStatus, youth: &Youth) -> Vec<Note> {
    let mut notes: Vec<Note> = Vec::new();
    for (type_, bad) in [
        (ConditionType::Ready, false),
        (ConditionType::Delivered, false),
        (ConditionType::Issued, false),
        (ConditionType::PartRefused, true),
    ] {
        let Some(now) = find(&after.conditions, type_) else { continue };
        let holds = is_true(&after.conditions, type_);
        let ordinary = ORDINARY.iter().any(|reason| reason.as_str() == now.reason);
        let told = notes.iter().any(|note| note.text == now.message);
        if holds == bad && !ordinary && !told && youth.is_news(find(&before.conditions, type_), now) {
            notes.push(Note::warning(now.reason.clone(), now.message.clone()));
        }
    }
    notes
}
