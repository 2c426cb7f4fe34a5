//! Turns a Subscription and its Plans into a `domain::contract::Contract`, and reports everything that is wrong with
//! them.

use super::plan::{Approval, Eligibility, NoticeForm, OnDemoAction, PlanPool, PlanSpec};
use super::subscription::{LegalForm, OrderedPlan, OrderedPool, SubscriptionSpec};
use crate::domain::contract::term::{FIRST_DATE, LAST_DATE, Period};
use crate::domain::contract::{Contract, Line, PoolOrder, SeatChange, Terms};
use crate::domain::fault::Fault;
use crate::domain::license::key::{Holder, Lifetime, OnDemo};
use crate::domain::license::pool::{CountBy, LoginMode, PoolModel};
use crate::domain::reason::Reason;
use crate::domain::seats::unused::unusable;
use crate::domain::zone::Zone;

/// The most terms whose keys may be due at the same time.
const MAX_TERMS_AHEAD: i64 = 120;

/// A contract that can be acted on, and a fault for each part of it that cannot.
#[derive(Debug)]
pub struct Resolved {
    pub contract: Contract,
    /// Each says what to write instead.
    pub refused: Vec<Fault>,
}

/// Resolves a Subscription over `plans`, which are in the order of `spec.plans`. Returns every fault that prevents any
/// part from being acted on.
pub fn resolve(
    namespace: &str,
    name: &str,
    spec: &SubscriptionSpec,
    plans: &[&PlanSpec],
) -> Result<Resolved, Vec<Fault>> {
    let mut faults = Vec::new();
    let mut refused = Vec::new();
    let zone = spec.time_zone.as_deref().unwrap_or("UTC");
    let zone = Zone::named(zone);
    if zone.is_none() {
        let named = spec.time_zone.as_deref().unwrap_or_default();
        let message =
            format!("{named:?} is not a time zone; write an IANA name such as Europe/Berlin, or leave it out for UTC");
        faults.push(Fault::new(Reason::UnknownTimeZone, "spec.timeZone", message));
    }
    faults.extend(dates_out_of_range(spec));
    let mut lines = Vec::new();
    for (n, (ordered, plan)) in spec.plans.iter().zip(plans).enumerate() {
        faults.extend(
            plan_faults(plan).into_iter().map(|f| Fault { field: format!("Plan {}: {}", ordered.name, f.field), ..f }),
        );
        faults.extend(eligibility_faults(spec, ordered, plan));
        lines.push(line(&format!("spec.plans[{n}]"), ordered, plan, &mut faults, &mut refused));
    }
    faults.extend(unequal_terms(spec, plans));
    let first = plans.first();
    let written = plans.iter().any(|p| p.terms.as_ref().is_some_and(|t| t.notice_form == NoticeForm::Written));
    let cancellation = spec.cancellation.as_ref().filter(|c| {
        let evidenced = c.evidence.as_deref().is_some_and(|text| !text.trim().is_empty());
        if written && !evidenced {
            let message = "the Plan accepts only written cancellations (terms.noticeForm: Written): write in evidence where the letter is";
            refused.push(Fault::new(Reason::EvidenceMissing, "spec.cancellation.evidence", message));
        }
        !written || evidenced
    });
    let Some(zone) = zone.filter(|_| faults.is_empty()) else { return Err(faults) };
    let contact = spec.customer.contact.as_ref();
    let contract = Contract {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        organisation: spec.customer.organisation.clone(),
        holder: contact.map(|c| Holder { user: c.name.clone(), email: c.email.clone() }),
        starts_on: spec.starts_on.0,
        zone,
        approval_required: plans.iter().any(|p| p.orders.is_some_and(|o| o.approval == Approval::Manual)),
        approved_on: spec.order.as_ref().and_then(|o| o.approved_on).map(|d| d.0),
        terms: first.and_then(|plan| plan.terms.as_ref()).map(|t| Terms {
            interval: t.interval,
            notice: t.notice,
            length: t.length,
        }),
        cancellation_received_on: cancellation.map(|c| c.received_on.0),
        lines,
    };
    Ok(Resolved { contract, refused })
}

/// A fault for each date that the contract depends on and that lies where calendars are not reliable. Such a date is
/// never turned into an instant.
fn dates_out_of_range(spec: &SubscriptionSpec) -> Vec<Fault> {
    let order = spec.order.as_ref();
    let mut dates = vec![
        ("spec.startsOn".to_owned(), Some(spec.starts_on)),
        ("spec.order.approvedOn".to_owned(), order.and_then(|order| order.approved_on)),
        ("spec.cancellation.receivedOn".to_owned(), spec.cancellation.as_ref().map(|c| c.received_on)),
    ];
    for (n, plan) in spec.plans.iter().enumerate() {
        for pool in &plan.pools {
            for (m, change) in pool.changes.iter().enumerate() {
                let field = format!("spec.plans[{n}].pools[{}].changes[{m}]", pool.name);
                dates.push((format!("{field}.receivedOn"), change.received_on));
                dates.push((field, change.on.or(change.on_unquoted)));
            }
        }
    }
    let outside = dates.into_iter().filter_map(|(field, date)| Some((field, date?.0)));
    let outside = outside.filter(|(_, date)| !(FIRST_DATE..=LAST_DATE).contains(date));
    let fault = |(field, date)| {
        let message = format!("{date} must be a civil date from {FIRST_DATE} to {LAST_DATE}");
        Fault::new(Reason::DateOutOfRange, field, message)
    };
    outside.map(fault).collect()
}

/// Returns what is wrong with a Plan on its own. The API server refuses most of it already, but it never sees files and
/// did not check older objects.
pub fn plan_faults(plan: &PlanSpec) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut period = |field: &str, period: Option<Period>| {
        let limits = [("days", 36500), ("weeks", 5200), ("months", 1200), ("years", 100)];
        let Some(period) = period else { return };
        let parts = [period.days, period.weeks, period.months, period.years];
        if !period.is_positive() {
            let message =
                "a period needs at least one positive part of days, weeks, months, years, for example {months: 3}";
            faults.push(Fault::new(Reason::PeriodInvalid, field, message));
        }
        for ((unit, most), _) in limits.iter().zip(parts).filter(|((_, most), part)| part.is_some_and(|p| p > *most)) {
            faults.push(Fault::new(
                Reason::PeriodInvalid,
                format!("{field}.{unit}"),
                format!("must be at most {most}"),
            ));
        }
    };
    let terms = plan.terms.as_ref();
    period("spec.terms.interval", terms.map(|t| t.interval));
    period("spec.terms.notice", terms.map(|t| t.notice));
    period("spec.terms.length", terms.and_then(|t| t.length));
    period("spec.terms.billingPeriod", terms.and_then(|t| t.billing_period));
    period("spec.license.issueBefore", plan.license.issue_before);
    period("spec.license.supportIncluded", plan.license.support_included);
    match (plan.license.lifetime, terms) {
        (Lifetime::Term, None) => {
            let message =
                "a licence with lifetime Term needs terms, for example {interval: {months: 12}, notice: {months: 3}}";
            faults.push(Fault::new(Reason::TermsMissing, "spec.terms", message));
        }
        (Lifetime::Perpetual, Some(_)) => {
            faults.push(Fault::new(
                Reason::TermsNotUsed,
                "spec.terms",
                "a Perpetual licence takes no terms: remove them",
            ));
        }
        _ => {}
    }
    if let Some(terms) = terms.filter(|terms| terms.interval.is_positive()) {
        let ahead = terms.notice.most_days() / terms.interval.least_days().max(1);
        if ahead > MAX_TERMS_AHEAD {
            let message = format!(
                "a notice of {} is more than {MAX_TERMS_AHEAD} times the interval of {}: that many keys would be issued at once",
                terms.notice, terms.interval
            );
            faults.push(Fault::new(Reason::PeriodInvalid, "spec.terms.notice", message));
        }
    }
    if (plan.license.on_demo == Some(OnDemoAction::EndAfterMinutes)) != plan.license.on_demo_minutes.is_some() {
        let message = "onDemo: EndAfterMinutes needs onDemoMinutes; with Finish, leave onDemoMinutes out";
        faults.push(Fault::new(Reason::OnDemoInvalid, "spec.license.onDemoMinutes", message));
    }
    faults.extend(plan.license.pools.iter().flat_map(|pool| pool_faults(plan, pool)));
    if let (Some(before), Some(terms)) = (plan.license.issue_before, terms)
        && !before.never_longer_than(terms.notice)
    {
        let message = format!(
            "{before} is longer than the notice of {}: the next key is issued at the notice deadline, once renewal is certain",
            terms.notice
        );
        faults.push(Fault::new(Reason::IssueBeforeTooLong, "spec.license.issueBefore", message));
    }
    faults
}

/// Returns what is wrong with a pool of a Plan: the rules between its fields, which the API server checks too.
fn pool_faults(plan: &PlanSpec, pool: &PlanPool) -> Vec<Fault> {
    let field = |name: &str| format!("spec.license.pools[{}].{name}", pool.name);
    let mut faults = Vec::new();
    if pool.model.default_count_by() == CountBy::Start && pool.count_by == Some(CountBy::User) {
        let message = "pools of model PerEmployee and PerUser count starts: leave countBy out or write Start";
        faults.push(Fault::new(Reason::PoolInvalid, field("countBy"), message));
    }
    if (pool.model == PoolModel::PerUser) != pool.login_mode.is_some() {
        let message =
            "a pool of model PerUser needs loginMode Active or Passive; a pool of another model takes no loginMode";
        faults.push(Fault::new(Reason::PoolInvalid, field("loginMode"), message));
    }
    if let Some(target) = &pool.overflows_to {
        let others = plan.license.pools.iter().filter(|other| other.name != pool.name);
        if pool.login_mode != Some(LoginMode::Passive) {
            let message = "only a pool with loginMode Passive can overflow, never the reverse: remove overflowsTo";
            faults.push(Fault::new(Reason::PoolInvalid, field("overflowsTo"), message));
        } else if others.clone().all(|other| other.name != *target) {
            let names: Vec<&str> = others.map(|other| other.name.as_str()).collect();
            let message = format!("must name another pool of this Plan; the others are {}", names.join(", "));
            faults.push(Fault::new(Reason::PoolInvalid, field("overflowsTo"), message));
        }
    }
    faults
}

/// Returns a fault if the Plans of one Subscription do not have equal terms (P7).
fn unequal_terms(spec: &SubscriptionSpec, plans: &[&PlanSpec]) -> Option<Fault> {
    let (first, rest) = plans.split_first()?;
    let same = |a: Option<Period>, b: Option<Period>| match (a, b) {
        (Some(a), Some(b)) => a.same_as(b),
        (a, b) => a.is_none() && b.is_none(),
    };
    let differs = |plan: &PlanSpec| match (&first.terms, &plan.terms) {
        (None, None) => None,
        (Some(a), Some(b)) => [
            ("interval", same(Some(a.interval), Some(b.interval))),
            ("notice", same(Some(a.notice), Some(b.notice))),
            ("length", same(a.length, b.length)),
            ("billingPeriod", same(a.billing_period.or(Some(a.interval)), b.billing_period.or(Some(b.interval)))),
            ("noticeForm", a.notice_form == b.notice_form),
        ]
        .into_iter()
        .find_map(|(part, equal)| (!equal).then_some(part)),
        _ => Some("lifetime"),
    };
    let (n, part) = rest.iter().enumerate().find_map(|(n, plan)| differs(plan).map(|part| (n + 1, part)))?;
    let message = format!(
        "Plans {} and {} differ in {part}; all Plans of one Subscription need equal terms, so order them in separate Subscriptions",
        spec.plans[0].name, spec.plans[n].name
    );
    Some(Fault::new(Reason::UnequalTerms, "spec.plans", message))
}

fn eligibility_faults(spec: &SubscriptionSpec, ordered: &OrderedPlan, plan: &PlanSpec) -> Vec<Fault> {
    let mut faults = Vec::new();
    if plan.license.eligibility == Some(Eligibility::LegalEntities)
        && spec.customer.legal_form != Some(LegalForm::LegalEntity)
    {
        let message =
            format!("Plan {} is for legal entities only: customer.legalForm must be LegalEntity", ordered.name);
        faults.push(Fault::new(Reason::NotEligible, "spec.customer.legalForm", message));
    }
    let kinds = &plan.eligible_kinds;
    if !kinds.is_empty() && spec.customer.kind.as_ref().is_some_and(|kind| !kinds.contains(kind)) {
        let message = format!("Plan {} is only for organisations of kind {}", ordered.name, kinds.join(", "));
        faults.push(Fault::new(Reason::NotEligible, "spec.customer.kind", message));
    }
    faults
}

fn line(
    field: &str,
    ordered: &OrderedPlan,
    plan: &PlanSpec,
    faults: &mut Vec<Fault>,
    refused: &mut Vec<Fault>,
) -> Line {
    let license = &plan.license;
    for pool in ordered.pools.iter().filter(|o| license.pools.iter().all(|p| p.name != o.name)) {
        let names: Vec<&str> = license.pools.iter().map(|p| p.name.as_str()).collect();
        let message = format!("Plan {} has no such pool; it has {}", ordered.name, names.join(", "));
        faults.push(Fault::new(Reason::UnknownPool, format!("{field}.pools[{}]", pool.name), message));
    }
    let unknown = ordered.features.iter().flatten().find(|feature| !license.features.contains(feature));
    if let Some(feature) = unknown {
        let message = format!("Plan {} has no feature {feature}; it has {}", ordered.name, license.features.join(", "));
        faults.push(Fault::new(Reason::UnknownFeature, format!("{field}.features"), message));
    }
    let pools: Vec<PoolOrder> = license
        .pools
        .iter()
        .map(|pool| {
            let order = ordered.pools.iter().find(|o| o.name == pool.name);
            pool_order(&format!("{field}.pools[{}]", pool.name), ordered, pool, order, faults, refused)
        })
        .collect();
    if let Some(most) = license.max_users {
        let users: u64 = pools.iter().map(|pool| u64::from(pool.seats)).sum();
        if users > u64::from(most) {
            let message =
                format!("{users} users are ordered; Plan {} allows at most {most} in one Subscription", ordered.name);
            faults.push(Fault::new(Reason::TooManyUsers, format!("{field}.pools"), message));
        }
    }
    Line {
        plan: ordered.name.clone(),
        product: plan.product.clone(),
        lifetime: license.lifetime,
        grace_days: license.grace_days.unwrap_or(0),
        demo_seats: license.demo_seats.unwrap_or(0),
        on_demo: match (license.on_demo, license.on_demo_minutes) {
            (Some(OnDemoAction::EndAfterMinutes), Some(minutes)) => OnDemo::EndAfterMinutes(minutes),
            _ => OnDemo::Finish,
        },
        features: ordered.features.clone().unwrap_or_else(|| license.features.clone()),
        support_included: license.support_included,
        max_users: license.max_users,
        pools,
    }
}

fn pool_order(
    field: &str,
    plan: &OrderedPlan,
    pool: &PlanPool,
    order: Option<&OrderedPool>,
    faults: &mut Vec<Fault>,
    refused: &mut Vec<Fault>,
) -> PoolOrder {
    let seats = order.and_then(|o| o.seats).unwrap_or(0);
    let most = pool.max_seats.unwrap_or(u32::MAX);
    let too_many =
        |seats: u32| format!("{seats} seats are ordered; Plan {} allows at most {most} in this pool", plan.name);
    if seats > most {
        faults.push(Fault::new(Reason::TooManySeats, format!("{field}.seats"), too_many(seats)));
    }
    let mut changes: Vec<SeatChange> = Vec::new();
    for (n, change) in order.iter().flat_map(|o| &o.changes).enumerate() {
        let Some(on) = change.on.or(change.on_unquoted).map(|day| day.0) else {
            let message = "on is missing: write the first day with this number of seats";
            refused.push(Fault::new(Reason::SeatChangeRefused, format!("{field}.changes[{n}]"), message));
            continue;
        };
        if changes.iter().any(|other| other.on == on) {
            let message = "another change has the same day; keep one of them";
            refused.push(Fault::new(Reason::SeatChangeRefused, format!("{field}.changes[{on}]"), message));
        } else if change.seats > most {
            refused.push(Fault::new(
                Reason::TooManySeats,
                format!("{field}.changes[{on}].seats"),
                too_many(change.seats),
            ));
        } else {
            changes.push(SeatChange { on, seats: change.seats, received_on: change.received_on.map(|d| d.0) });
        }
    }
    let users = order.map(|order| order.users.as_slice()).unwrap_or_default();
    let most_seats = changes.iter().map(|change| change.seats).max().max(Some(seats)).unwrap_or_default();
    let unused = match pool.model {
        PoolModel::Fixed | PoolModel::Named => unusable(&pool.name, users, most_seats.into()),
        model if !users.is_empty() => {
            let message =
                format!("pool {} is of model {model:?}, so its seats belong to nobody: remove users", pool.name);
            Some((Reason::AssignmentNotUsed, message))
        }
        _ => None,
    };
    refused.extend(unused.map(|(reason, message)| Fault::new(reason, format!("{field}.users"), message)));
    PoolOrder {
        name: pool.name.clone(),
        model: pool.model,
        count_by: pool.count_by.unwrap_or(pool.model.default_count_by()),
        login_mode: pool.login_mode,
        overflows_to: pool.overflows_to.clone(),
        major: plan.major,
        users: users.to_vec(),
        seats,
        changes,
    }
}
