//! The status of a License.

use std::collections::BTreeMap;

use super::sufficiency::OnRosters;
use crate::api::License;
use crate::api::conditions::{ConditionType, Conditions};
use crate::api::license::{GrantStatus, HoldersShown, KeyStateName, KeyStatus, LicenseStatus, NextMode, PoolStatus};
use crate::cluster::clock::Now;
use crate::domain::Instant;
use crate::domain::fault::Fault;
use crate::domain::license::entitlement::{
    EXPIRING_SOON, Entitlement, KeyState, PoolLimit, Presented, Transition, replaced,
};
use crate::domain::license::mode::Mode;
use crate::domain::license::name::LicenseName;
use crate::domain::license::pool::PoolModel;
use crate::domain::reason::Reason;
use crate::domain::text::spelt_out;
use crate::domain::trusted_time::TOLERANCE;
use crate::observed::Judged;
use crate::observed::reading::{Reading, own_trust_unused};
use crate::seats::Use;

/// The most keys, grants, pools, features, faults and characters that are shown; there may be more.
const SHOWN_KEYS: usize = 32;
const SHOWN_GRANTS: usize = 32;
const SHOWN_POOLS: usize = 1024;
const SHOWN_FEATURES: usize = 64;
const SHOWN_UNDER: usize = 16;
/// The most Licenses that are shown to contest a grant.
pub const SHOWN_CONTESTING: usize = 16;
const SHOWN_TEXT: usize = 1000;
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
        organisation: granted.organisation.as_deref().map(cut),
        product: Some(license.spec.product.clone()),
        plan: granted.plan.as_deref().map(cut),
        valid_from: granted.valid_from.map(Into::into),
        expires_at: granted.expires_at.map(Into::into),
        grace_ends_at: granted.grace_ends_at.map(Into::into),
        next_transition: next.map(|next| NextMode { at: next.at.into(), to: next.to }),
        demo_seats: Some(granted.demo_seats),
        seats: Some(seats_in_use(granted, &pools)),
        held_under: held_under.iter().take(SHOWN_UNDER).map(|name| cut(&name.to_string())).collect(),
        contested_by: contested_by.iter().map(|name| cut(name)).collect(),
        pools,
        features: granted.features.iter().take(SHOWN_FEATURES).map(|feature| cut(feature)).collect(),
        grants: granted
            .grants
            .iter()
            .take(SHOWN_GRANTS)
            .map(|grant| GrantStatus {
                grant: cut(&grant.grant),
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

fn cut(text: &str) -> String {
    text.chars().take(SHOWN_TEXT).collect()
}

/// The status of a pool. While no replica owns the ledger, the numbers shown last stay.
fn pool(pool: &PoolLimit, before: &LicenseStatus, uses: Option<&BTreeMap<String, Use>>) -> PoolStatus {
    let name = cut(&pool.name);
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

/// `agents 37/50`; `agents 50` if no seat is held.
fn seats_in_use(granted: &Entitlement, pools: &[PoolStatus]) -> String {
    let held: u64 = pools.iter().filter_map(|pool| pool.in_use).sum();
    if held == 0 {
        return seats(granted);
    }
    if granted.mode == Mode::Demo {
        return format!("demo {held}/{}", granted.demo_seats);
    }
    let of_pool = |pool: &PoolStatus| match (pool.in_use.unwrap_or(0), pool.limit) {
        (0, Some(limit)) => format!("{} {limit}", pool.name),
        (held, Some(limit)) => format!("{} {held}/{limit}", pool.name),
        (0, None) => format!("{} unlimited", pool.name),
        (held, None) => format!("{} {held}/unlimited", pool.name),
    };
    cut(&pools.iter().map(of_pool).collect::<Vec<_>>().join(", "))
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
    let shown: Vec<String> = granted.pools.iter().map(of_pool).collect();
    cut(&shown.join(", "))
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
        grant: key.claims.as_ref().map(|claims| cut(&claims.grant())),
        signer: key.grant.as_ref().map(|grant| grant.signer.to_string()),
        state: match state {
            KeyState::InForce => KeyStateName::InForce,
            KeyState::Future => KeyStateName::Future,
            KeyState::Refused(_) => KeyStateName::Refused,
            KeyState::Superseded => KeyStateName::Superseded,
            KeyState::Expired => KeyStateName::Expired,
        },
        reason: refusal.map(|refusal| refusal.reason().as_str().to_owned()),
        message: refusal.map(|refusal| cut(&spelt_out(&refusal.to_string()))),
    }
}

/// `Ready` means that the spec was read and that status says what it grants: a License in demo mode is `Ready` too, and
/// only its `Licensed` is False.
fn conditions(
    license: &License,
    shown: &Shown,
    before: &LicenseStatus,
    now: Now,
) -> Vec<crate::api::conditions::Condition> {
    let Judged { reading, entitlement: granted, .. } = shown.judged;
    let mut list = Conditions::new(&before.conditions, license.metadata.generation, now.at);
    let summary = summary(reading, granted);
    match whole_then_parts(&reading.faults)[..] {
        [fault, ..] if !granted.ever_licensed && fault.reason != Reason::TrustPartUnusable => {
            list.set(ConditionType::Ready, false, fault.reason, sentences(&reading.faults));
            list.set(ConditionType::Reconciling, true, fault.reason, sentences(&reading.faults));
        }
        [fault, ..] => {
            list.set(ConditionType::Ready, true, reason_of(granted.mode), summary.clone());
            list.set(ConditionType::SourceMissing, true, fault.reason, sentences(&reading.faults));
        }
        [] => list.set(ConditionType::Ready, true, reason_of(granted.mode), summary.clone()),
    }
    match granted.mode {
        Mode::Demo if granted.ever_licensed => list.set(ConditionType::Licensed, false, Reason::Expired, summary),
        Mode::Demo => list.set(ConditionType::Licensed, false, Reason::NoLicense, summary),
        mode => list.set(ConditionType::Licensed, true, reason_of(mode), summary),
    }
    let grace = if granted.in_grace {
        "a grant has ended and is in its grace period"
    } else {
        "no grant is in its grace period"
    };
    list.set(
        ConditionType::InGrace,
        granted.in_grace,
        if granted.in_grace { Reason::Grace } else { Reason::NotInGrace },
        grace,
    );
    let in_demo = granted.mode == Mode::Demo;
    let demo =
        if in_demo { format!("{} seats across all pools", granted.demo_seats) } else { "not in demo mode".into() };
    list.set(ConditionType::InDemo, in_demo, if in_demo { Reason::Demo } else { Reason::NotInDemo }, demo);
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

/// The whole state in one line.
fn summary(reading: &Reading, granted: &Entitlement) -> String {
    let whom = granted.organisation.as_deref().map(cut).unwrap_or_default();
    let at = |at: Option<Instant>| at.map(|at| crate::api::common::Timestamp::from(at).to_string());
    let end = at(granted.expires_at);
    let grace = at(granted.grace_ends_at).filter(|_| granted.grace_ends_at != granted.expires_at);
    match (granted.mode, end, grace) {
        (Mode::Full, None, _) => format!("{} for {whom}, without end", seats(granted)),
        (Mode::Full, Some(end), None) => format!("{} for {whom} until {end}", seats(granted)),
        (Mode::Full, Some(end), Some(grace)) => {
            format!("{} for {whom} until {end}, then grace until {grace}", seats(granted))
        }
        (Mode::Grace, end, grace) => format!(
            "{} for {whom}; the licence ended at {}, grace ends at {}: enter a new key",
            seats(granted),
            end.unwrap_or_default(),
            grace.unwrap_or_default()
        ),
        (Mode::Demo, Some(end), _) => {
            format!(
                "the licence for {whom} ended at {end}; only {} demo seats are left until a new key is entered",
                granted.demo_seats
            )
        }
        (Mode::Demo, None, _) => without_a_key(reading, granted),
    }
}

/// Why there are no seats. That no key was ever in force cannot be known: its Secret may have been deleted.
fn without_a_key(reading: &Reading, granted: &Entitlement) -> String {
    let keys = || reading.keys.iter().zip(&granted.keys);
    let later = keys().filter(|(_, state)| **state == KeyState::Future).filter_map(|(key, _)| key.claims.as_ref());
    if let Some(from) = later.map(|claims| claims.starts_at()).min() {
        let from = crate::api::common::Timestamp::from(from);
        return format!("the first key is in force from {from}; no seats until then");
    }
    let said = match (keys().next().is_some(), reading.faults.is_empty(), reading.are_named) {
        (true, ..) => "every key that was read is refused, see KeyRefused; no seats",
        (false, _, false) => "spec.keys names no Secret with a key: enter a key; no seats",
        (false, true, true) => "the Secrets that spec.keys names hold no key: put one into an entry; no seats",
        (false, false, true) => "no key could be read; no seats",
    };
    said.to_owned()
}

fn expiring_soon(list: &mut Conditions, granted: &Entitlement, now: Instant) {
    let soon = granted.mode == Mode::Full && granted.expires_at.is_some_and(|end| end - EXPIRING_SOON <= now);
    match soon {
        true => list.set(
            ConditionType::ExpiringSoon,
            true,
            Reason::NoKeyToFollow,
            "the licence ends within four weeks and no key follows it",
        ),
        false => list.set(
            ConditionType::ExpiringSoon,
            false,
            Reason::NotExpiringSoon,
            "the licence does not end within four weeks, or has ended",
        ),
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
    let Some((_, first)) = refused.first() else {
        list.set(
            ConditionType::KeyRefused,
            false,
            Reason::NoneRefused,
            "no key that was read is refused, except revoked keys that others have replaced",
        );
        return;
    };
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
