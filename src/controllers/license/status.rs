//! The status of a License.

use std::collections::BTreeMap;

use super::sufficiency::OnRosters;
use super::summary::{keys_read, summary};
use crate::api::License;
use crate::api::common::LocalDay;
use crate::api::conditions::{ConditionType, Conditions};
use crate::api::license::{GrantStatus, HoldersShown, KeyStateName, KeyStatus, LicenseStatus, NextMode, PoolStatus};
use crate::cluster::clock::Now;
use crate::domain::Instant;
use crate::domain::days::{day, last_day};
use crate::domain::fault::Fault;
use crate::domain::license::entitlement::{
    EXPIRING_SOON, Entitlement, KeyState, PoolLimit, Presented, Transition, replaced,
};
use crate::domain::license::mode::Mode;
use crate::domain::license::name::LicenseName;
use crate::domain::reason::Reason;
use crate::domain::text::{shown as text, spelt_out};
use crate::domain::trusted_time::TOLERANCE;
use crate::observed::Judged;
use crate::observed::reading::{Reading, own_trust_unused};
use crate::seats::Use;

/// The most keys, grants, pools, features and faults that are shown; there may be more.
const SHOWN_KEYS: usize = 32;
const SHOWN_GRANTS: usize = 32;
const SHOWN_POOLS: usize = 1024;
const SHOWN_FEATURES: usize = 64;
const SHOWN_UNDER: usize = 16;
/// The most Licenses that are shown to contest a grant.
pub const SHOWN_CONTESTING: usize = 16;
const SHOWN_FAULTS: usize = 3;

/// What the status of a License is made of, besides its spec.
pub struct Shown<'s> {
    pub judged: &'s Judged,
    pub next: Option<Transition>,
    pub on_rosters: Option<&'s OnRosters>,
    /// The use of each pool; `None` while no replica owns the ledger.
    pub uses: Option<BTreeMap<String, Use>>,
    /// The Licenses under which seats are held on the grants of this one.
    pub held_under: Vec<LicenseName>,
    /// Other Licenses that present keys of the grants of this one.
    pub contested_by: Vec<String>,
}

/// The status of `license`. Equal to `before` if nothing has changed.
pub fn of(license: &License, shown: &Shown, before: &LicenseStatus, now: Now) -> LicenseStatus {
    let Shown { judged, next, uses, held_under, contested_by, .. } = shown;
    let Judged { reading, entitlement: granted, .. } = judged;
    let pools: Vec<PoolStatus> =
        granted.pools.iter().take(SHOWN_POOLS).map(|limit| pool(limit, before, uses.as_ref())).collect();
    LicenseStatus {
        observed_generation: license.metadata.generation,
        mode: Some(granted.mode),
        holders: Some(judged.holders).filter(|shown| *shown != HoldersShown::Named),
        organisation: granted.organisation.as_deref().map(text),
        product: Some(license.spec.product.clone()),
        plan: granted.plan.as_deref().map(text),
        valid_from: granted.valid_from.map(Into::into),
        expires_at: granted.expires_at.map(Into::into),
        grace_ends_at: granted.grace_ends_at.map(Into::into),
        time_zone: granted.expires_at.map(|_| granted.zone.name().to_owned()),
        last_day: granted.expires_at.map(|end| LocalDay(last_day(end, &granted.zone))),
        grace_last_day: granted
            .grace_ends_at
            .filter(|_| granted.grace_ends_at != granted.expires_at)
            .map(|end| LocalDay(last_day(end, &granted.zone))),
        cancel_by: granted.notice_deadline.map(|too_late| LocalDay(last_day(too_late, &granted.zone))),
        next_transition: next.map(|next| NextMode {
            at: next.at.into(),
            day: Some(LocalDay(day(next.at, &granted.zone))),
            to: next.to,
        }),
        demo_seats: Some(granted.demo_seats),
        seats: Some(seats_in_use(granted, &pools)),
        held_under: held_under.iter().take(SHOWN_UNDER).map(|name| text(&name.to_string())).collect(),
        contested_by: contested_by.iter().map(|name| text(name)).collect(),
        pools,
        features: granted.features.iter().take(SHOWN_FEATURES).map(|feature| text(feature)).collect(),
        grants: granted
            .grants
            .iter()
            .take(SHOWN_GRANTS)
            .map(|grant| GrantStatus {
                grant: text(&grant.grant),
                mode: grant.mode,
                expires_at: grant.expires_at.map(Into::into),
                grace_ends_at: grant.grace_ends_at.map(Into::into),
            })
            .collect(),
        keys_read: Some(u32::try_from(reading.keys.len()).unwrap_or(u32::MAX)),
        keys: keys(reading, granted),
        issuers: reading.issuers.clone(),
        conditions: conditions(license, shown, before, now),
    }
}

/// The status of a License that is not read. It grants nothing; whom it trusts is remembered nowhere else, and without the
/// day since which it has granted something it would be taken for a new one later.
pub fn of_fault(license: &License, fault: &Fault, before: &LicenseStatus, now: Now) -> LicenseStatus {
    let mut list = Conditions::new(&before.conditions, license.metadata.generation, now.at);
    for type_ in [ConditionType::Ready, ConditionType::Licensed] {
        list.set(type_, false, fault.reason, fault.to_string());
    }
    list.set(ConditionType::of_trouble(fault.reason), true, fault.reason, fault.to_string());
    LicenseStatus {
        observed_generation: license.metadata.generation,
        holders: before.holders,
        valid_from: before.valid_from,
        issuers: before.issuers.clone(),
        conditions: list.into_list(),
        ..LicenseStatus::default()
    }
}

/// The status of a pool. While no replica owns the ledger, the numbers shown last stay.
fn pool(pool: &PoolLimit, before: &LicenseStatus, uses: Option<&BTreeMap<String, Use>>) -> PoolStatus {
    let name = text(&pool.name);
    let shown = before.pools.iter().find(|shown| shown.name == name);
    let in_use = match uses {
        Some(uses) => uses.get(&pool.name).map_or(0, |u| u.in_use),
        None => shown.and_then(|shown| shown.in_use).unwrap_or(0),
    };
    let peak = shown.and_then(|shown| shown.peak).unwrap_or(0);
    let peak = uses.and_then(|uses| uses.get(&pool.name)).map_or(0, |u| u.peak).max(peak).max(in_use);
    let held_elsewhere = match uses {
        Some(uses) => uses.get(&pool.name).map(|u| u.elsewhere).filter(|seats| *seats > 0),
        None => shown.and_then(|shown| shown.held_elsewhere),
    };
    PoolStatus { name, model: pool.model, limit: pool.limit, in_use: Some(in_use), peak: Some(peak), held_elsewhere }
}

/// `agents 37/50, planners 0/unlimited`; `demo 1/2` in demo mode.
fn seats_in_use(granted: &Entitlement, pools: &[PoolStatus]) -> String {
    if granted.mode == Mode::Demo {
        let held: u64 = pools.iter().filter_map(|pool| pool.in_use).sum();
        return format!("demo {held}/{}", granted.demo_seats);
    }
    let of_pool = |pool: &PoolStatus| {
        let limit = pool.limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string());
        format!("{} {}/{limit}", pool.name, pool.in_use.unwrap_or(0))
    };
    text(&pools.iter().map(of_pool).collect::<Vec<_>>().join(", "))
}

/// The keys, the most important first: those that count, those that will, those that need attention, and the rest.
fn keys(reading: &Reading, granted: &Entitlement) -> Vec<KeyStatus> {
    let mut keys: Vec<KeyStatus> =
        reading.keys.iter().zip(&granted.keys).map(|(key, state)| key_status(key, state)).collect();
    keys.sort_by(|a, b| (a.state, &a.secret, &a.key).cmp(&(b.state, &b.secret, &b.key)));
    keys.truncate(SHOWN_KEYS);
    keys
}

fn key_status(key: &Presented, state: &KeyState) -> KeyStatus {
    let refusal = match state {
        KeyState::Refused(refusal) => Some(refusal),
        _ => None,
    };
    KeyStatus {
        secret: key.secret.clone(),
        key: key.entry.clone(),
        serial: key.claims.as_ref().map(|claims| claims.jti.clone()),
        grant: key.claims.as_ref().map(|claims| text(&claims.grant())),
        signer: key.grant.as_ref().map(|grant| grant.signer.to_string()),
        state: match state {
            KeyState::InForce => KeyStateName::InForce,
            KeyState::Future => KeyStateName::Future,
            KeyState::Refused(_) => KeyStateName::Refused,
            KeyState::Superseded => KeyStateName::Superseded,
            KeyState::Expired => KeyStateName::Expired,
        },
        reason: refusal.map(|refusal| refusal.reason().as_str().to_owned()),
        message: refusal.map(|refusal| text(&spelt_out(&refusal.to_string()))),
    }
}

/// `Ready` means that the spec was read and that status says what it grants: a License in demo mode is `Ready` too, and
/// only its `Licensed` is False. What only says that nothing is the matter is left out.
fn conditions(
    license: &License,
    shown: &Shown,
    before: &LicenseStatus,
    now: Now,
) -> Vec<crate::api::conditions::Condition> {
    let Judged { reading, entitlement: granted, .. } = shown.judged;
    let mut list = Conditions::new(&before.conditions, license.metadata.generation, now.at);
    let summary = summary(reading, granted);
    let read = keys_read(granted);
    match whole_then_parts(&reading.faults)[..] {
        [fault, ..] if !granted.ever_licensed && fault.reason != Reason::TrustPartUnusable => {
            list.set(ConditionType::Ready, false, fault.reason, sentences(&reading.faults));
            list.set(ConditionType::Reconciling, true, fault.reason, sentences(&reading.faults));
        }
        [fault, ..] => {
            list.set(ConditionType::Ready, true, Reason::Judged, read);
            list.set(ConditionType::SourceMissing, true, fault.reason, sentences(&reading.faults));
        }
        [] => list.set(ConditionType::Ready, true, Reason::Judged, read),
    }
    match granted.mode {
        Mode::Demo if granted.ever_licensed => list.set(ConditionType::Licensed, false, Reason::Expired, summary),
        Mode::Demo => list.set(ConditionType::Licensed, false, Reason::NoLicense, summary),
        mode => list.set(ConditionType::Licensed, true, reason_of(mode), summary),
    }
    if granted.in_grace {
        let grace = "a grant has ended and is in its grace period";
        list.set(ConditionType::InGrace, true, Reason::Grace, grace);
    }
    if granted.mode == Mode::Demo {
        let demo = format!("{} seats across all pools", granted.demo_seats);
        list.set(ConditionType::InDemo, true, Reason::Demo, demo);
    }
    expiring_soon(&mut list, granted, shown.judged.at);
    key_refused(&mut list, reading, granted);
    if !shown.contested_by.is_empty() {
        let message = format!(
            "a key of a grant that counts here is also presented by {}, and refused there",
            shown.contested_by.join(", ")
        );
        list.set(ConditionType::Contested, true, Reason::PresentedElsewhere, message);
    }
    if let Some((reason, message)) = reading.trust.outdated_lists(shown.judged.at) {
        list.set(ConditionType::RevocationsOutdated, true, reason, message);
    }
    if let Some(on_rosters) = shown.on_rosters {
        on_rosters.say(&mut list);
    }
    if let Some(reason) = reading.own_trust_unused {
        list.set(ConditionType::TrustRefused, true, reason, own_trust_unused(reason, &license.spec.product));
    }
    super::parts::say(&mut list, license, shown.judged);
    clock_trusted(&mut list, license, shown.judged, now);
    list.into_list()
}

/// What is wrong with the sources: first what is missing as a whole, then that of which the rest counts.
fn whole_then_parts(faults: &[Fault]) -> Vec<&Fault> {
    let (parts, whole): (Vec<&Fault>, Vec<&Fault>) =
        faults.iter().partition(|fault| fault.reason == Reason::TrustPartUnusable);
    [whole, parts].concat()
}

fn sentences(faults: &[Fault]) -> String {
    let shown = whole_then_parts(faults).into_iter().take(SHOWN_FAULTS).map(Fault::to_string);
    let more = faults.len().checked_sub(SHOWN_FAULTS + 1).map(|more| format!("; and {} more", more + 1));
    shown.collect::<Vec<_>>().join("; ") + &more.unwrap_or_default()
}

fn reason_of(mode: Mode) -> Reason {
    match mode {
        Mode::Full => Reason::Full,
        Mode::Grace => Reason::Grace,
        Mode::Demo => Reason::Demo,
    }
}

fn expiring_soon(list: &mut Conditions, granted: &Entitlement, now: Instant) {
    let soon = granted.mode == Mode::Full && granted.expires_at.is_some_and(|end| end - EXPIRING_SOON <= now);
    if soon {
        let message = "the licence ends within four weeks and no key follows it";
        list.set(ConditionType::ExpiringSoon, true, Reason::NoKeyToFollow, message);
    }
}

fn key_refused(list: &mut Conditions, reading: &Reading, granted: &Entitlement) {
    let refused: Vec<_> = reading
        .keys
        .iter()
        .zip(&granted.keys)
        .zip(replaced(&reading.keys))
        .filter_map(|((key, state), replaced)| match state {
            KeyState::Refused(refusal) if !replaced => Some((key, refusal)),
            _ => None,
        })
        .collect();
    let Some((_, first)) = refused.first() else { return };
    let shown = refused.iter().take(3).map(|(key, refusal)| format!("{}/{}: {refusal}", key.secret, key.entry));
    let mut message = shown.collect::<Vec<_>>().join("; ");
    if refused.len() > 3 {
        message.push_str(&format!("; and {} more", refused.len() - 3));
    }
    list.set(ConditionType::KeyRefused, true, first.reason(), message);
}

fn clock_trusted(list: &mut Conditions, license: &License, judged: &Judged, now: Now) {
    let created = license.metadata.creation_timestamp.as_ref();
    let created = created.and_then(|time| chrono::DateTime::from_timestamp(time.0.as_second(), 0));
    let is_judged_ahead = judged.at > now.at;
    let ahead = is_judged_ahead || created.is_some_and(|at| at > now.at + TOLERANCE);
    match now.doubt {
        Some(doubt) => list.set(ConditionType::ClockTrusted, false, doubt.reason(), doubt.message()),
        None if ahead => {
            let message = match is_judged_ahead {
                true => {
                    "a key or a list of revoked keys is dated later than the clock; the licence is judged at that time until \
                     the clock has passed it. Check NTP here and at the vendor"
                }
                false => "this License is dated later than the clock; check NTP here and at the vendor",
            };
            list.set(ConditionType::ClockTrusted, false, Reason::ClockBehind, message);
        }
        None => list.set(
            ConditionType::ClockTrusted,
            true,
            Reason::ClocksAgree,
            "the operator's clock agrees with the API server's",
        ),
    }
}
