//! The Roster controller: shows how many are members now, whether the License admits the Roster, and who is in it
//! twice.
//!
//! A Roster that cannot be read or is not admitted counts for nobody, and its status says so. A guess at its time zone
//! would let people in or out a day early.

use kube::ResourceExt;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::fresh::Youth;
use super::kind::Kind;
use super::runner::{Controller, Look, Surroundings};
use crate::api::allowed_namespaces::admits;
use crate::api::common::{LocalDay, Timestamp};
use crate::api::conditions::{ConditionType, Conditions, find, is_true};
use crate::api::roster::{MemberCounts, RosterStatus};
use crate::api::{License, Roster};
use crate::cluster::client::CallError;
use crate::cluster::clock::{Clock, Now};
use crate::cluster::events::Note;
use crate::cluster::specs::left_out;
use crate::domain::Instant;
use crate::domain::days::day;
use crate::domain::event::Happening;
use crate::domain::fault::Fault;
use crate::domain::names::is_unusual;
use crate::domain::reason::Reason;
use crate::domain::seats::roster::{AlikeMembers, DuplicateMember, Members};
use crate::domain::zone::Zone;
use crate::observed::Observed;
use crate::observed::enrolment::{counts, license_of, users};

/// The most users and faults that are named in a message; there may be more.
const NAMED: usize = 10;

/// Keeps the status of Rosters.
pub struct RosterController {
    observed: Observed,
    clock: Clock,
}

/// What was found out about a Roster.
struct Findings {
    counts: MemberCounts,
    next_change: Option<Instant>,
    /// The zone of its dates.
    zone: Zone,
    duplicates: Vec<DuplicateMember>,
    /// Users whose names differ only in case.
    alike: Vec<AlikeMembers>,
    /// Users with unusual names, as the Roster writes them.
    unusual: Vec<String>,
    /// The entries that do not count.
    left_out: Vec<Fault>,
    /// Why the License does not count these people yet.
    waits: Option<Fault>,
}

impl Controller for RosterController {
    type Object = Roster;
    const KIND: &'static str = "Roster";

    fn new(_: &Arc<Kind<Roster>>, with: &Surroundings) -> Self {
        RosterController { observed: with.observed.clone(), clock: with.clock.clone() }
    }

    /// The License that the Roster is for.
    fn references(roster: &Roster) -> Vec<String> {
        vec![license_of(roster)]
    }

    async fn look(&self, roster: &Roster, before: &RosterStatus, now: Now) -> Result<Look<RosterStatus>, CallError> {
        let mut findings = self.judge(roster, now.at);
        let youth = Youth::of(roster, &self.clock, now.at);
        let softened = youth.soften(findings.iter_mut().flat_map(|findings| &mut findings.waits));
        let status = status(roster, &findings, before, now.at);
        Ok(Look {
            notes: notes(before, &status, &youth),
            wake: findings.ok().and_then(|findings| findings.next_change).into_iter().chain(softened).min(),
            status,
            only_on_this_version: false,
        })
    }

    fn leave_out(&self, roster: &Roster, why: Fault, before: &RosterStatus, now: Now) -> Look<RosterStatus> {
        let status = status(roster, &Err(why), before, now.at);
        let notes = notes(before, &status, &Youth::of(roster, &self.clock, now.at));
        Look { notes, wake: None, status, only_on_this_version: false }
    }
}

impl RosterController {
    fn judge(&self, roster: &Roster, now: Instant) -> Result<Findings, Fault> {
        let (list, left_out) = roster.people()?;
        let alone = Members::unite(std::slice::from_ref(&list));
        let (people, waits) = match self.license(roster) {
            Ok(license) => (Some(self.observed.enrolment.people(&license)), None),
            Err(fault) => (None, Some(fault)),
        };
        let people = people.as_deref().unwrap_or(&alone);
        let is_here = |to: &Option<Arc<str>>, rosters: &[String]| *to == list.guest && rosters.contains(&list.name);
        let doubled = people.duplicates.iter().filter(|doubled| is_here(&doubled.shown_to, &doubled.rosters));
        let duplicates = doubled.cloned().collect();
        let alike = people.alike.iter().filter(|alike| is_here(&alike.shown_to, &alike.rosters)).cloned().collect();
        let named: BTreeSet<&str> = roster.spec.members.iter().map(|member| member.user.as_str()).collect();
        let unusual = named.into_iter().filter(|user| is_unusual(user)).map(str::to_owned).collect();
        let counts = counts(&alone, users(roster), now);
        let (next_change, zone) = (alone.next_change(now), list.time_zone);
        Ok(Findings { counts, next_change, zone, duplicates, alike, unusual, left_out, waits })
    }

    /// The License, if it exists and admits this Roster.
    fn license(&self, roster: &Roster) -> Result<License, Fault> {
        let (namespace, name) = roster.license();
        let fault = |reason, message| Err(Fault::new(reason, "spec.licenseRef", message));
        let license = self.observed.license(&namespace, name);
        if let Some(why) = license.as_ref().and_then(|license| left_out(license)) {
            return fault(why.reason, why.message);
        }
        let Some(license) = license.as_ref().and_then(|license| license.0.as_ref().ok()) else {
            let message = format!("License {namespace}/{name} does not exist; this waits for it");
            return fault(Reason::LicenseMissing, message);
        };
        let home = roster.namespace().unwrap_or_default();
        if !admits(license, &home, self.observed.labels(&home).as_ref()) {
            let message = format!(
                "License {namespace}/{name} does not admit namespace {home}, so nobody here counts: its \
                 spec.allowedNamespaces must say from: All, or from: Selector with labels of {home}"
            );
            return fault(Reason::NotAccepted, message);
        }
        Ok(license.clone())
    }
}

fn status(roster: &Roster, findings: &Result<Findings, Fault>, before: &RosterStatus, now: Instant) -> RosterStatus {
    let mut list = Conditions::new(&before.conditions, roster.metadata.generation, now);
    let observed_generation = roster.metadata.generation;
    match findings {
        Err(fault) => {
            list.set(ConditionType::Ready, false, fault.reason, fault.to_string());
            list.set(ConditionType::of_trouble(fault.reason), true, fault.reason, fault.to_string());
            RosterStatus { observed_generation, conditions: list.into_list(), ..RosterStatus::default() }
        }
        Ok(findings) => {
            match &findings.waits {
                Some(fault) => {
                    list.set(ConditionType::Ready, false, fault.reason, fault.to_string());
                    list.set(ConditionType::Reconciling, true, fault.reason, fault.to_string());
                }
                None => list.set(ConditionType::Ready, true, Reason::Counted, summary(findings)),
            }
            if let Some(first) = findings.left_out.first() {
                let message = first_of(&findings.left_out.iter().map(Fault::to_string).collect::<Vec<_>>());
                list.set(ConditionType::PartRefused, true, first.reason, message);
            }
            if !findings.duplicates.is_empty() {
                let message = doubled(&findings.duplicates);
                list.set(ConditionType::DuplicateMember, true, Reason::EntriesOverlap, message);
            }
            if let Some((reason, message)) = doubtful(findings) {
                list.set(ConditionType::DoubtfulNames, true, reason, message);
            }
            RosterStatus {
                observed_generation,
                members: Some(findings.counts),
                next_change: findings.next_change.map(Timestamp::from),
                next_day: findings.next_change.map(|at| LocalDay(day(at, &findings.zone))),
                conditions: list.into_list(),
            }
        }
    }
}

/// The whole state in one line.
fn summary(findings: &Findings) -> String {
    let MemberCounts { active, passive, none, .. } = findings.counts;
    let next = match findings.next_change {
        Some(at) => format!("changes next on {} ({})", day(at, &findings.zone), findings.zone),
        None => "does not change by itself".to_owned(),
    };
    format!("{active} active and {passive} passive members, and {none} who need no licence; {next}")
}

fn doubled(duplicates: &[DuplicateMember]) -> String {
    let named = duplicates.iter().take(NAMED).map(|d| format!("{} in {}", d.user, d.rosters.join(" and ")));
    let mut message = format!(
        "entries of the same user overlap; Active counts before Passive, and Passive before None: {}",
        named.collect::<Vec<_>>().join("; ")
    );
    if duplicates.len() > NAMED {
        message.push_str(&format!("; and {} more users", duplicates.len() - NAMED));
    }
    message
}

/// Which names are easily taken for others, and why.
fn doubtful(findings: &Findings) -> Option<(Reason, String)> {
    let alike =
        findings.alike.iter().map(|alike| format!("{} in {}", alike.users.join(" and "), alike.rosters.join(" and ")));
    let parts = [
        (
            Reason::NamesDifferInCase,
            "names that differ only in upper and lower case are those of different users",
            alike.collect::<Vec<_>>(),
        ),
        (
            Reason::UnusualCharacters,
            "names with characters that are unusual in names of users, and may not be seen",
            findings.unusual.clone(),
        ),
    ];
    let found: Vec<_> = parts.into_iter().filter(|(_, _, named)| !named.is_empty()).collect();
    let (reason, ..) = found.first()?;
    let said = found.iter().map(|(_, what, named)| format!("{what}: {}", first_of(named)));
    Some((*reason, said.collect::<Vec<_>>().join(". ")))
}

/// The first of these, and how many more there are.
fn first_of(named: &[String]) -> String {
    let more = named.len().checked_sub(NAMED + 1).map(|more| format!("; and {} more", more + 1));
    named.iter().take(NAMED).cloned().collect::<Vec<_>>().join("; ") + &more.unwrap_or_default()
}

/// The Events of what is newly wrong.
fn notes(before: &RosterStatus, after: &RosterStatus, youth: &Youth) -> Vec<Note> {
    let newly = |type_: ConditionType, bad: bool| {
        let now = find(&after.conditions, type_).filter(|_| is_true(&after.conditions, type_) == bad)?;
        youth.is_news(find(&before.conditions, type_), now).then_some(now)
    };
    let unready = newly(ConditionType::Ready, false).map(|now| Note::warning(now.reason.clone(), now.message.clone()));
    let doubled = newly(ConditionType::DuplicateMember, true)
        .map(|now| Note::warning(Happening::DuplicateMember, now.message.clone()));
    let doubtful = newly(ConditionType::DoubtfulNames, true)
        .map(|now| Note::warning(Happening::DoubtfulNames, now.message.clone()));
    let left_out =
        newly(ConditionType::PartRefused, true).map(|now| Note::warning(now.reason.clone(), now.message.clone()));
    unready.into_iter().chain(left_out).chain(doubled).chain(doubtful).collect()
}
