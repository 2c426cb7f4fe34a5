//! Decides whether a history is possible: no two clients believe they hold the same seat, and nobody is refused a free
//! one.
//!
//! A slot is linearizable, as a lock that expires, if and only if the times for which clients believe they hold it are
//! disjoint: each grant can then be put at its answer and each release at its request. A client believes to hold a seat
//! from the answer to its request until it asks to release the seat, and no longer than a TTL after it *sent* the last
//! request that succeeded.
//!
//! A refusal is right if at some instant between its request and its answer, as far as can be seen from outside, enough
//! seats may have been held to leave no room.
//!
//! A grant has as many seats under all its Licenses together as it has under one, however often it moves between
//! them. While it is on its way, a License may refuse for reasons that cannot be seen from outside.

use std::collections::BTreeMap;

use super::history::{Belief, End, History, Micros, Possible, Refusal, Slot};

/// How often the owner looks for seats without a heartbeat, with some time added for a busy machine.
const SWEEP: Micros = 2_500_000;
/// A release this shortly before a fault may not have been written.
const UNWRITTEN: Micros = 500_000;

/// A time of trouble: from a fault of the servers until all of them were well again.
#[derive(Clone, Copy, Debug)]
pub struct Trouble {
    pub from: Micros,
    pub to: Micros,
}

/// What the seat servers promise.
#[derive(Clone, Debug)]
pub struct Law {
    /// The number of seats of each grant, over all Licenses that have it in turn.
    pub seats: Vec<u32>,
    /// The times in which each grant was on its way from one License to another, in order.
    pub moves: BTreeMap<u8, Vec<Trouble>>,
    /// How long a seat stays taken on the server after the last heartbeat: a TTL and the drift of clocks.
    pub stays: Micros,
    /// How long a new owner takes no seat away from a holder.
    pub waits: Micros,
}

/// The checker's findings.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    pub defects: Vec<String>,
    pub beliefs: u64,
    pub refusals: u64,
    /// Refusals that were right and had no trouble within the time in which it counts.
    pub refusals_in_quiet: u64,
    /// Refusals while the grant was on its way to another License.
    pub refusals_in_moves: u64,
    /// The most seats of each grant that were believed to be held at one instant.
    pub most_believed: Vec<u32>,
    /// The most Licenses under which seats of one grant were believed to be held at one instant, for each grant.
    pub most_licenses: Vec<u32>,
}

/// The most defects of one kind that are shown.
const MOST_TOLD: usize = 10;

/// Judges a closed history. `troubles` are in order and do not overlap.
pub fn check(history: &mut History, law: &Law, troubles: &[Trouble]) -> Verdict {
    let mut verdict = Verdict { defects: history.defects.clone(), ..Verdict::default() };
    if history.more_defects > 0 {
        verdict.defects.push(format!("and {} more", history.more_defects));
    }
    verdict.beliefs = history.beliefs.len() as u64;
    disjoint(&mut history.beliefs, &mut verdict);
    for (grant, seats) in law.seats.iter().enumerate() {
        within_limit(&history.beliefs, grant as u8, *seats, &mut verdict);
    }
    let mut levels = levels(std::mem::take(&mut history.possible), law, troubles);
    for refusal in &history.refusals {
        let levels = levels.entry(refusal.license.grant).or_default();
        refused_rightly(refusal, levels, law, troubles, &mut verdict);
    }
    verdict
}

fn tell(defects: &mut Vec<String>, told: &mut usize, text: impl FnOnce() -> String) {
    *told += 1;
    if *told <= MOST_TOLD {
        defects.push(text());
    }
}

/// Checks that no two sessions believe they hold the same slot at once.
fn disjoint(beliefs: &mut [Belief], verdict: &mut Verdict) {
    beliefs.sort_unstable_by_key(|belief| (belief.slot, belief.from, belief.to));
    let mut told = 0;
    let mut last: Option<Belief> = None;
    for belief in beliefs.iter() {
        if let Some(before) = last.filter(|before| before.slot == belief.slot && belief.from < before.to)
            && before.session != belief.session
        {
            tell(&mut verdict.defects, &mut told, || format!("held twice: {before:?} and {belief:?}"));
        }
        if last.is_none_or(|before| before.slot != belief.slot || before.to < belief.to) {
            last = Some(*belief);
        }
    }
}

/// Checks that at no instant more seats of a grant are believed to be held than there are, under all its Licenses.
fn within_limit(beliefs: &[Belief], grant: u8, seats: u32, verdict: &mut Verdict) {
    let of_grant = || beliefs.iter().filter(|belief| belief.slot.license.grant == grant);
    let change = |belief: &Belief, at, change: i32| (at, change, belief.slot.license.name);
    let mut changes: Vec<(Micros, i32, u8)> = of_grant().map(|belief| change(belief, belief.to, -1)).collect();
    changes.extend(of_grant().map(|belief| change(belief, belief.from, 1)));
    changes.sort_unstable();
    let mut now: BTreeMap<u8, i32> = BTreeMap::new();
    let (mut most, mut most_licenses, mut when, mut then) = (0, 0, 0, BTreeMap::new());
    for (at, change, license) in changes {
        let of_license = now.entry(license).or_default();
        *of_license += change;
        if *of_license == 0 {
            now.remove(&license);
        }
        most_licenses = most_licenses.max(now.len());
        let all: i32 = now.values().sum();
        if all > most {
            (most, when) = (all, at);
            then.clone_from(&now);
        }
    }
    if i64::from(most) > i64::from(seats) {
        let text = format!("{most} of {seats} seats of grant {grant} were believed to be held at {when}");
        verdict.defects.push(format!("{text}, by License: {then:?}"));
        let then = of_grant().filter(|belief| (belief.from..=belief.to).contains(&when));
        let mut then: Vec<&Belief> = then.collect();
        then.sort_unstable_by_key(|belief| belief.from);
        verdict.defects.extend(then.iter().map(|belief| format!("  {belief:?}")));
    }
    verdict.most_believed.push(u32::try_from(most).unwrap_or(u32::MAX));
    verdict.most_licenses.push(u32::try_from(most_licenses).unwrap_or(u32::MAX));
}

/// The number of seats of a grant that may be held, from each instant on.
#[derive(Debug, Default)]
struct Levels(Vec<(Micros, i32)>);

impl Levels {
    fn of(mut changes: Vec<(Micros, i32)>) -> Self {
        // A seat counts both at the instant at which it begins and at the one at which it ends.
        changes.sort_unstable_by_key(|(at, change)| (*at, -change));
        let mut now = 0;
        for (_, change) in &mut changes {
            now += *change;
            *change = now;
        }
        Levels(changes)
    }

    /// Returns the most seats that may be held at an instant between `from` and `to`; stops looking at `enough`.
    fn most(&self, from: Micros, to: Micros, enough: i32) -> i32 {
        let next = self.0.partition_point(|(at, _)| *at < from);
        let mut most = next.checked_sub(1).map_or(0, |before| self.0[before].1);
        for (at, level) in &self.0[next..] {
            if *at > to || most >= enough {
                break;
            }
            most = most.max(*level);
        }
        most
    }
}

fn levels(mut possible: Vec<Possible>, law: &Law, troubles: &[Trouble]) -> BTreeMap<u8, Levels> {
    for seat in &mut possible {
        seat.to = until(seat, law, troubles);
    }
    let mut changes: BTreeMap<u8, Vec<(Micros, i32)>> = BTreeMap::new();
    for seat in possible.iter().filter(|seat| seat.slot.is_none()) {
        let of_grant = changes.entry(seat.license.grant).or_default();
        of_grant.extend([(seat.from, i32::from(seat.count)), (seat.to, -i32::from(seat.count))]);
    }
    possible.retain(|seat| seat.slot.is_some());
    // Sort by the order in which they held the slot: a holder proves that the ones before no longer hold it.
    possible.sort_unstable_by_key(|seat| (seat.slot, seat.known));
    for n in 1..possible.len() {
        if possible[n - 1].slot == possible[n].slot {
            possible[n - 1].to = possible[n - 1].to.min(possible[n].known);
        }
    }
    possible.sort_unstable_by_key(|seat| (seat.slot, seat.from));
    let mut one: Option<(Slot, Micros, Micros)> = None;
    for seat in &possible {
        let Some(slot) = seat.slot else { continue };
        match &mut one {
            Some((of, _, to)) if *of == slot && seat.from <= *to => *to = seat.to.max(*to),
            _ => {
                if let Some((of, from, to)) = one.replace((slot, seat.from, seat.to)) {
                    changes.entry(of.license.grant).or_default().extend([(from, 1), (to, -1)]);
                }
            }
        }
    }
    if let Some((of, from, to)) = one {
        changes.entry(of.license.grant).or_default().extend([(from, 1), (to, -1)]);
    }
    changes.into_iter().map(|(grant, changes)| (grant, Levels::of(changes))).collect()
}

/// Returns the instant until which a seat may be taken on the server.
fn until(seat: &Possible, law: &Law, troubles: &[Trouble]) -> Micros {
    let mut to = match seat.end {
        End::Released => seat.to,
        End::Silence | End::Late => seat.to + law.stays + SWEEP,
    };
    let first = troubles.partition_point(|trouble| trouble.to < seat.from);
    for trouble in &troubles[first..] {
        if to + UNWRITTEN < trouble.from {
            break;
        }
        // It was given back long after the trouble, to an owner that was well, so it is free from then on.
        if seat.end == End::Released && seat.to > trouble.to + UNWRITTEN {
            continue;
        }
        // A new owner may have found it in the ledger, or an old one may have served a request that had waited.
        to = to.max(trouble.to + law.waits + SWEEP);
    }
    to
}

fn refused_rightly(refusal: &Refusal, levels: &Levels, law: &Law, troubles: &[Trouble], verdict: &mut Verdict) {
    let Refusal { license, count, sent, heard } = *refusal;
    let moves = law.moves.get(&license.grant).map_or(&[][..], Vec::as_slice);
    let next = moves.partition_point(|under_way| under_way.to + SWEEP < sent);
    if moves.get(next).is_some_and(|under_way| under_way.from <= heard) {
        verdict.refusals_in_moves += 1;
        return;
    }
    let seats = law.seats.get(usize::from(license.grant)).copied().unwrap_or(0);
    let enough = i32::try_from(seats).unwrap_or(i32::MAX) - i32::from(count) + 1;
    let most = levels.most(sent, heard, enough);
    verdict.refusals += 1;
    let past = sent.saturating_sub(law.waits + SWEEP);
    let near = troubles.iter().any(|trouble| trouble.from <= heard && trouble.to >= past);
    verdict.refusals_in_quiet += u64::from(!near);
    if most < enough && verdict.defects.len() < 3 * MOST_TOLD {
        let told = format!("refused wrongly: {refusal:?}: at most {most} of {seats} seats can have been held");
        verdict.defects.push(told);
    }
}
