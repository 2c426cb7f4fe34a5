//! The keys that a contract owes its customer, and what to do about the keys that were issued already.

use chrono::NaiveDate;
use ed25519_dalek::SigningKey;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

use super::renewal::{Standing, State};
use super::seats::{SeatStep, seat_steps};
use super::{Contract, Line};
use crate::domain::Instant;
use crate::domain::fault::Fault;
use crate::domain::license::key::{Claims, Lifetime, MAX_KEY_BYTES, SubscriptionClaim, grant_of, sign_key};
use crate::domain::license::pool::PoolGrant;
use crate::domain::reason::Reason;

/// How many keys whose grace is over are kept, newest first, so that a License in demo mode can still show them. Terms
/// that were missed are issued too, for the same reason: the Secret shows the history of the contract.
pub const PAST_KEYS: u32 = 12;

/// A key as found in the Secret that keys are delivered to.
#[derive(Clone, Debug, PartialEq)]
pub struct IssuedKey {
    pub entry: String,
    pub claims: Claims,
}

/// What to do, in this order: issue, then revoke, then remove. So a crash in between never leaves the customer without
/// a key.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Work {
    /// The entry names and claims of the keys to sign.
    pub issue: Vec<IssuedKey>,
    /// The serials to revoke.
    pub revoke: BTreeSet<String>,
    /// The entries to remove.
    pub remove: BTreeSet<String>,
}

impl Work {
    pub fn is_empty(&self) -> bool {
        self.issue.is_empty() && self.revoke.is_empty() && self.remove.is_empty()
    }
}

/// Returns the keys that are due by `now`, oldest first, without serial and time of issue, and the changes of seats
/// that are refused. There is one key for each Plan, term and number of seats: a change of seats issues the current key
/// and every future key again (docs/design/domain.md, Renewal).
pub fn wanted(contract: &Contract, standing: &Standing, issuer: &str, now: Instant) -> (Vec<Claims>, Vec<Fault>) {
    let mut keys = Vec::new();
    let mut faults = Vec::new();
    for (n, line) in contract.lines.iter().enumerate() {
        let (steps, refused) = seat_steps(contract, n, line, now);
        faults.extend(refused);
        if !matches!(standing.state, State::Ordered | State::Pending) {
            for (number, starts_on, ends_on) in due_terms(contract, standing, now) {
                keys.extend(segments(contract, line, &steps, issuer, number, starts_on, ends_on));
            }
        }
    }
    drop_last_notice(&mut keys, standing.ends_at);
    (keys, faults)
}

/// The last term of a contract that ends needs no notice.
fn drop_last_notice(keys: &mut [Claims], ends_at: Option<Instant>) {
    let Some(end) = ends_at.map(|end| end.timestamp()) else { return };
    keys.iter_mut().filter(|key| key.exp == Some(end)).for_each(|key| key.notice_deadline = None);
}

/// Returns the changes of seats received by `now` that are refused.
pub fn refused_seat_changes(contract: &Contract, now: Instant) -> Vec<Fault> {
    contract.lines.iter().enumerate().flat_map(|(n, line)| seat_steps(contract, n, line, now).1).collect()
}

/// The keys of one term of one Plan.
#[derive(Clone, Debug, PartialEq)]
pub struct TermKeys {
    /// The newest key that is in force now, or the key from the start of a term that has not begun.
    pub now: Claims,
    /// The keys that follow it within the term, one for each later change of seats.
    pub later: Vec<Claims>,
}

/// Returns the keys of a term as `work` would issue them if none had been issued before, for issuing without a cluster,
/// and the changes of seats that are refused. Without `number` it is the term that runs at `now`, or the first term if
/// the contract has not begun. Fails if the contract does not reach that far, is not approved or has ended.
pub fn keys_of_term(
    contract: &Contract,
    plan: &str,
    issuer: &str,
    number: Option<u32>,
    now: Instant,
) -> Result<(TermKeys, Vec<Fault>), Fault> {
    let (n, line) = contract
        .lines
        .iter()
        .enumerate()
        .find(|(_, line)| line.plan == plan)
        .ok_or_else(|| Fault::new(Reason::PlanMissing, "spec.plans", format!("the contract has no Plan {plan}")))?;
    if !contract.is_approved(now) {
        let message = "the order is not approved: set approvedOn to the day of its approval";
        return Err(Fault::new(Reason::NotApproved, "spec.order.approvedOn", message));
    }
    let (number, starts_on, ends_on) = term_to_issue(contract, number, now)?;
    let (steps, refused) = seat_steps(contract, n, line, now);
    let mut keys = segments(contract, line, &steps, issuer, number, starts_on, ends_on);
    drop_last_notice(&mut keys, contract.standing(None, now).ends_at);
    let mut keys: Vec<Claims> = keys.iter().map(|claims| stamp(claims, &[], |_| false, now)).collect();
    if keys.is_empty() {
        let message = format!("term {number} is empty: its only day does not exist in time zone {}", contract.zone);
        return Err(Fault::new(Reason::TermEmpty, "term", message));
    }
    let later = keys.split_off(keys.iter().rposition(|key| key.starts_at() <= now).unwrap_or(0) + 1);
    let Some(key) = keys.pop() else { return Err(Fault::new(Reason::TermEmpty, "term", "the term has no key")) };
    Ok((TermKeys { now: key, later }, refused))
}

fn term_to_issue(
    contract: &Contract,
    number: Option<u32>,
    now: Instant,
) -> Result<(u32, NaiveDate, Option<NaiveDate>), Fault> {
    let Some(terms) = &contract.terms else {
        return match number {
            None | Some(1) => Ok((1, contract.starts_on, None)),
            Some(number) => {
                let message = format!("a perpetual licence has only term 1; there is no term {number}");
                Err(Fault::new(Reason::TermAfterEnd, "term", message))
            }
        };
    };
    let standing = contract.standing(None, now);
    let last = contract.last_term(terms, now);
    let number = match (number, standing.term) {
        (Some(number), _) => number,
        (None, Some(term)) if standing.state == State::Ended => {
            let message =
                format!("the contract ended with {}; name a term to get its key again", last_day_before(term.ends_on));
            return Err(Fault::new(Reason::ContractEnded, "term", message));
        }
        (None, term) => term.map_or(1, |term| term.number),
    };
    let term = contract.term(terms, number);
    if let Some(last) = last.filter(|last| number > *last) {
        let message = format!(
            "the contract ends with term {last}, with {}: there is no term {number}",
            last_day_before(contract.term(terms, last).ends_on)
        );
        return Err(Fault::new(Reason::TermAfterEnd, "term", message));
    }
    if term.starts_on >= term.ends_on {
        return Err(Fault::new(
            Reason::TermAfterEnd,
            "term",
            format!("term {number} is beyond the end of the calendar"),
        ));
    }
    Ok((number, term.starts_on, Some(term.ends_on)))
}

fn last_day_before(day: NaiveDate) -> NaiveDate {
    day.pred_opt().unwrap_or(day)
}

/// The keys of a term: one from its start, and one from every later day on which a pool changes. A day that does not
/// exist in the contract's zone begins when the next day does: then the later of the two counts, and a term that
/// consists only of such days has no key.
fn segments(
    contract: &Contract,
    line: &Line,
    steps: &[Vec<SeatStep>],
    issuer: &str,
    number: u32,
    starts_on: NaiveDate,
    ends_on: Option<NaiveDate>,
) -> Vec<Claims> {
    let changes = steps.iter().flatten().map(|step| step.from).filter(|day| *day > starts_on);
    let days: BTreeSet<NaiveDate> = changes.chain([starts_on]).collect();
    let of_instant: BTreeMap<Instant, NaiveDate> = days.into_iter().map(|day| (contract.begin(day), day)).collect();
    let ends_at = ends_on.map(|day| contract.begin(day));
    let within = of_instant.into_iter().filter(|(at, _)| ends_at.is_none_or(|end| *at < end));
    within.map(|(_, from)| claims(contract, line, steps, issuer, number, from, ends_on)).collect()
}

/// The number, first day and end of each term whose key is due. The end is `None` if the contract is perpetual.
fn due_terms(contract: &Contract, standing: &Standing, now: Instant) -> Vec<(u32, NaiveDate, Option<NaiveDate>)> {
    let (Some(terms), Some(current)) = (&contract.terms, &standing.term) else {
        return vec![(1, contract.starts_on, None)];
    };
    let goes_on = |number: u32| match standing.ends_at {
        Some(end) => contract.term(terms, number).starts_at < end,
        None => true,
    };
    (current.number.saturating_sub(PAST_KEYS).max(1)..)
        .map(|number| contract.term(terms, number))
        .take_while(|term| {
            contract.key_due_at(terms, term) <= now && goes_on(term.number) && term.starts_on < term.ends_on
        })
        .map(|term| (term.number, term.starts_on, Some(term.ends_on)))
        .collect()
}

fn claims(
    contract: &Contract,
    line: &Line,
    steps: &[Vec<SeatStep>],
    issuer: &str,
    number: u32,
    from: NaiveDate,
    ends_on: Option<NaiveDate>,
) -> Claims {
    let seats_on = |steps: &[SeatStep]| steps.iter().rev().find(|step| step.from <= from).map_or(0, |step| step.seats);
    let pools = line.pools.iter().zip(steps).map(|(pool, steps)| PoolGrant {
        name: pool.name.clone(),
        model: pool.model,
        count_by: pool.count_by,
        seats: seats_on(steps),
        login_mode: pool.login_mode,
        overflows_to: pool.overflows_to.clone(),
        users: pool.users.clone(),
        major: pool.major,
    });
    let perpetual = line.lifetime == Lifetime::Perpetual;
    let support_until = line.support_included.filter(|_| perpetual).and_then(|p| p.after(contract.starts_on, 1));
    Claims {
        iss: issuer.to_owned(),
        jti: String::new(),
        sub: contract.organisation.clone(),
        aud: line.product.clone(),
        iat: 0,
        nbf: contract.begin(from).timestamp(),
        exp: ends_on.map(|day| contract.begin(day).timestamp()),
        grace_until: ends_on.map(|day| contract.grace_ends_at(day, line.grace_days).timestamp()),
        zone: Some(contract.zone.name().to_owned()),
        notice_deadline: contract
            .terms
            .as_ref()
            .zip(ends_on)
            .and_then(|(terms, day)| contract.notice_deadline(terms, day))
            .map(|at| at.timestamp())
            .filter(|at| *at >= 0),
        grant: Some(grant_of(issuer, &contract.namespace, &contract.name, contract.starts_on, &line.plan)),
        plan: line.plan.clone(),
        lifetime: line.lifetime,
        demo_seats: line.demo_seats,
        on_demo: line.on_demo,
        features: line.features.clone(),
        holder: contract.holder.clone(),
        pools: pools.collect(),
        purchased_on: perpetual.then_some(contract.starts_on),
        support_until,
        cluster: None,
        subscription: Some(SubscriptionClaim {
            namespace: contract.namespace.clone(),
            name: contract.name.clone(),
            starts_on: contract.starts_on,
            term: number,
        }),
        other: Default::default(),
    }
}

/// Returns what has to be done so that exactly the `wanted` keys are there. Issued keys of another origin are left
/// alone. A key that the contract no longer wants is revoked, unless it and its grace have ended anyway.
pub fn work(wanted: &[Claims], issued: &[IssuedKey], is_revoked: impl Fn(&str) -> bool, now: Instant) -> Work {
    let mut work = Work::default();
    let mut met = vec![false; wanted.len()];
    let ours: BTreeSet<Origin> = wanted.iter().filter_map(origin).collect();
    let oldest = wanted.iter().filter_map(term_of).min().unwrap_or(0);
    let contents: Vec<Claims> = wanted.iter().map(content).collect();
    for key in issued {
        if is_revoked(&key.claims.jti) {
            work.remove.insert(key.entry.clone());
            continue;
        }
        let is_past = key.claims.grace_ends_at().is_some_and(|end| end <= now);
        let said = content(&key.claims);
        let exactly = contents.iter().position(|wanted| *wanted == said || (is_past && same_slot(wanted, &said)));
        match exactly.or_else(|| contents.iter().position(|wanted| says_by_other_law(wanted, &said))) {
            Some(n) => met[n] = true,
            None if origin(&key.claims).is_none_or(|origin| !ours.contains(&origin)) => {}
            None if is_past => {
                work.remove.insert(key.entry.clone());
            }
            None if term_of(&key.claims) < Some(oldest) => {}
            None => {
                work.revoke.insert(key.claims.jti.clone());
                work.remove.insert(key.entry.clone());
            }
        }
    }
    for (claims, _) in wanted.iter().zip(met).filter(|(_, met)| !met) {
        let entry = free_entry(claims, wanted, issued, &work.issue);
        let stay = issued.iter().filter(|key| !work.remove.contains(&key.entry)).map(|key| &key.claims);
        let claims = stamp(&beside_issued(claims, &stay.collect::<Vec<_>>()), issued, &is_revoked, now);
        work.issue.push(IssuedKey { entry, claims });
    }
    work
}

fn term_of(claims: &Claims) -> Option<u32> {
    claims.subscription.as_ref().map(|s| s.term)
}

/// What a key says, apart from its serial, its time of issue and what only shows its days to people: a key of an earlier
/// version has no `zone`, and stays as it is.
fn content(claims: &Claims) -> Claims {
    let other = Default::default();
    Claims { jti: String::new(), iat: 0, zone: None, notice_deadline: None, other, ..claims.clone() }
}

/// The contract (namespace, name, start) and the Plan that a key was issued under. This is not the key's grant: a grant
/// contains the issuer's name, and a contract whose issuer changes its name must not have its seats twice.
type Origin<'c> = (&'c str, &'c str, NaiveDate, &'c str);

fn origin(claims: &Claims) -> Option<Origin<'_>> {
    let of = claims.subscription.as_ref()?;
    Some((&of.namespace, &of.name, of.starts_on, &claims.plan))
}

fn same_slot(a: &Claims, b: &Claims) -> bool {
    origin(a) == origin(b) && is_near(Some(a.nbf), Some(b.nbf)) && is_near(a.exp, b.exp)
}

/// No government has ever moved a day of a zone further than this by a change of its law, in seconds, apart from days that it
/// left out. Different days of a contract are further apart.
const MOVED_BY_LAW: i64 = 4 * 3_600;

/// Whether two instants are the same, but for a change of the law of the time zone.
fn is_near(a: Option<i64>, b: Option<i64>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() <= MOVED_BY_LAW,
        _ => a == b,
    }
}

/// Whether two keys end on the same days.
fn ends_alike(a: &Claims, b: &Claims) -> bool {
    is_near(a.exp, b.exp) && is_near(a.grace_until, b.grace_until)
}

/// Whether an issued key says what is wanted, but for instants of the same days by another law of the time zone. It stays as it
/// is: what the customer has is neither revoked nor issued again because a government changes its law.
fn says_by_other_law(wanted: &Claims, issued: &Claims) -> bool {
    let without = |claims: &Claims| Claims { nbf: 0, exp: None, grace_until: None, ..claims.clone() };
    is_near(Some(wanted.nbf), Some(issued.nbf)) && ends_alike(wanted, issued) && without(wanted) == without(issued)
}

/// What to tell about the first of these keys of the contract that was issued by an earlier law of the time zone, and therefore
/// ends at another time than its term does by today's; `None` if there is none whose term still runs or comes.
pub fn changed_law(contract: &Contract, keys: &[Claims], now: Instant) -> Option<String> {
    let terms = contract.terms.as_ref()?;
    keys.iter().find_map(|key| {
        let of = key.subscription.as_ref()?;
        let is_of_contract =
            (&of.namespace, &of.name, of.starts_on) == (&contract.namespace, &contract.name, contract.starts_on);
        let term = contract.term(terms, of.term);
        let later = (key.ends_at()? - term.ends_at).num_seconds();
        let is_moved = later != 0 && later.abs() <= MOVED_BY_LAW;
        (is_of_contract && is_moved && term.ends_at > now).then(|| {
            let (minutes, when) = (later.abs() / 60, if later > 0 { "after" } else { "before" });
            format!(
                "the law of {} has changed since: the key of term {} ends {minutes} minutes {when} the end of its last day, and \
                 stays as it is",
                contract.zone, of.term
            )
        })
    })
}

/// Gives a key the instants of the issued keys that stay, if they were issued by another law of the time zone: it begins when an
/// earlier term ends, and ends when the others of its term do. So there is no gap, and a term has one end.
fn beside_issued(claims: &Claims, stay: &[&Claims]) -> Claims {
    let others = stay.iter().filter(|key| origin(key) == origin(claims));
    let before = others.clone().filter(|key| term_of(key) < term_of(claims)).filter_map(|key| key.exp);
    let begins = before.filter(|end| is_near(Some(*end), Some(claims.nbf))).max();
    let mut same_term = others.filter(|key| term_of(key) == term_of(claims));
    let ends = same_term.find(|key| ends_alike(key, claims));
    Claims {
        nbf: begins.unwrap_or(claims.nbf),
        exp: ends.map_or(claims.exp, |key| key.exp),
        grace_until: ends.map_or(claims.grace_until, |key| key.grace_until),
        ..claims.clone()
    }
}

/// Whether the customer could be without a key that is owed if `issued` were revoked before `wanted` has been delivered:
/// both are of one contract and Plan, and there is a time that both are for.
pub fn stands_in_for(wanted: &Claims, issued: &Claims) -> bool {
    let begins_before_end = |a: &Claims, b: &Claims| b.exp.is_none_or(|end| a.nbf < end);
    origin(wanted) == origin(issued) && begins_before_end(wanted, issued) && begins_before_end(issued, wanted)
}

/// Signs a key that is due. Fails if it would be longer than a License reads: a Subscription may name more users than
/// one key can.
pub fn sign_due(claims: &Claims, signing_key: &SigningKey) -> Result<String, Fault> {
    let text = sign_key(claims, signing_key);
    if text.len() <= MAX_KEY_BYTES {
        return Ok(text);
    }
    let message = format!(
        "a key of Plan {} would be {} bytes long, and a License reads at most {MAX_KEY_BYTES}: name fewer users in the \
         pools, and let the License assign seats to the others (spec.assignments)",
        claims.plan,
        text.len()
    );
    Err(Fault::new(Reason::KeyTooLong, "spec.plans", message))
}

/// Gives a wanted key its serial and time of issue. The serial is derived from the content, so the same key is never
/// issued under two serials, whatever was interrupted. Content whose serial was revoked gets another serial.
fn stamp(claims: &Claims, issued: &[IssuedKey], is_revoked: impl Fn(&str) -> bool, now: Instant) -> Claims {
    let json = serde_json::to_string(&content(claims)).unwrap_or_default();
    let serial = |revision: u32| {
        let digest = Sha256::digest(format!("{json}#{revision}"));
        digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let jti = (0..).map(serial).find(|serial| !is_revoked(serial)).unwrap_or_default();
    // Issued later than every key it supersedes, even within the same second.
    let superseded = issued.iter().filter(|key| same_slot(&key.claims, claims)).map(|key| key.claims.iat + 1);
    Claims { jti, iat: superseded.fold(now.timestamp(), i64::max), ..claims.clone() }
}

/// A free entry name such as `term-3.jwt`. The Plan's name is put in front for every Plan but the first, and a number
/// is added if the term has several keys.
fn free_entry(claims: &Claims, wanted: &[Claims], issued: &[IssuedKey], new: &[IssuedKey]) -> String {
    let term = term_of(claims).unwrap_or(1);
    let of_first_plan = wanted.first().is_none_or(|first| first.plan == claims.plan);
    // The name of a Secret's entry may have up to 253 characters, and so may the name of a Plan.
    let plan: String = claims.plan.chars().take(200).collect();
    let stem = if of_first_plan { format!("term-{term}") } else { format!("{plan}.term-{term}") };
    let taken = |name: &str| issued.iter().chain(new).any(|key| key.entry == name);
    let numbered = (2..).map(|n| format!("{stem}.{n}.jwt"));
    [format!("{stem}.jwt")].into_iter().chain(numbered).find(|name| !taken(name)).unwrap_or_default()
}
