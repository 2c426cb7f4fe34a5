//! Random worlds.

use chrono::{Datelike, Days, NaiveDate, TimeDelta};
use seatkeeper::domain::Instant;

use crate::contract::{Contract, Line, Plan, Span, Terms, zone};
use crate::dice::Dice;
use crate::world::{Edit, Step, User, World};

const ZONES: [&str; 7] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "Pacific/Auckland",
];
const NAMESPACES: [&str; 6] = ["default", "acme", "bolt", "cyan", "dune", "echo"];

fn months(months: u32) -> Span {
    Span { months, days: 0 }
}

fn days(days: u32) -> Span {
    Span { months: 0, days }
}

/// Returns the world of a seed.
pub fn world(seed: u64) -> World {
    let mut dice = Dice::new(seed, 1);
    let year = i32::try_from(dice.between(2026, 2040)).unwrap_or(2026);
    let day = NaiveDate::from_ymd_opt(year, 1, 1).expect("a date") + Days::new(dice.below(365));
    let start = day.and_hms_opt(9, 0, 0).expect("a time").and_utc();
    // Worlds are small and many: every defect that can happen at all can happen in a small world.
    let end = start + TimeDelta::days(dice.between(300, 2 * 365));
    let mut making = Making {
        dice,
        shared: false,
        world: World {
            start,
            end,
            namespaces: Vec::new(),
            plans: Vec::new(),
            contracts: Vec::new(),
            users: Vec::new(),
            steps: Vec::new(),
        },
        with_users: Dice::new(seed, 4),
        in_haste: Dice::new(seed, 5),
    };
    let customers = if making.dice.percent(25) { 2 } else { 1 };
    for namespace in &NAMESPACES[..customers] {
        making.customer(namespace);
    }
    making.users();
    making.world.steps.sort_by_key(|step| step.at);
    making.world
}

struct Making {
    dice: Dice,
    /// Whether two contracts share the customer's License: the one that makes it again decides what it reads.
    shared: bool,
    world: World,
    /// Decides about users, so that a world is the same with and without them.
    with_users: Dice,
    /// Decides about orders that are changed at once.
    in_haste: Dice,
}

impl Making {
    fn at(&mut self, at: Instant, edits: Vec<Edit>) {
        self.world.steps.push(Step { at, edits });
    }

    /// Returns a random instant between two others, at a whole second.
    fn between(&mut self, from: Instant, to: Instant) -> Instant {
        from + TimeDelta::seconds(self.dice.between(0, (to - from).num_seconds().max(1)))
    }

    fn plan(&mut self, namespace: &str, name: &str, product: &str) -> usize {
        let dice = &mut self.dice;
        let (interval, notices): (Span, &[Span]) = match dice.below(40) {
            0 => (months(1), &[Span { months: 0, days: 7 }, Span { months: 0, days: 14 }]),
            1 => (days(90), &[Span { months: 0, days: 30 }]),
            2 => (months(6), &[Span { months: 1, days: 0 }, Span { months: 2, days: 0 }]),
            3 => (months(6), &[Span { months: 15, days: 0 }]),
            4..8 => (months(24), &[Span { months: 3, days: 0 }, Span { months: 6, days: 0 }]),
            8..16 => (months(36), &[Span { months: 3, days: 0 }, Span { months: 12, days: 0 }]),
            16..20 => (months(60), &[Span { months: 6, days: 0 }]),
            _ => (months(12), &[Span { months: 3, days: 0 }, Span { months: 1, days: 0 }, Span { months: 2, days: 3 }]),
        };
        let notice = *dice.pick(notices);
        let length = dice.percent(15).then(|| *dice.pick(&[months(36), months(30), days(400)]));
        let terms = (!dice.percent(10)).then_some(Terms { interval, notice, length });
        let plan = Plan {
            namespace: namespace.into(),
            name: name.into(),
            product: product.into(),
            issue_before: terms.as_ref().filter(|_| dice.percent(30)).map(|_| days(5)),
            terms,
            grace_days: *dice.pick(&[0, 14, 14, 30, 100]),
            demo_seats: *dice.pick(&[0, 2, 5]),
            on_demo_minutes: None,
            manual: dice.percent(15),
            pools: match dice.percent(70) {
                true => vec!["agents".into()],
                false => vec!["agents".into(), "desks".into()],
            },
            per_user: false,
            there: true,
        };
        self.world.plans.push(plan);
        self.world.plans.len() - 1
    }

    fn customer(&mut self, namespace: &str) {
        self.world.namespaces.push(namespace.into());
        let start = self.world.start;
        let plan = self.plan(namespace, "standard", &format!("product-{namespace}"));
        let second = self.dice.percent(15).then(|| {
            let first = self.world.plans[plan].clone();
            let product = format!("other-{namespace}");
            let other = Plan { name: "extra".into(), product, pools: vec!["robots".into()], ..first };
            self.world.plans.push(other);
            self.world.plans.len() - 1
        });
        // The signing key may come late.
        let issuer_at = match self.dice.percent(20) {
            true => self.between(start, start + TimeDelta::days(200)),
            false => start,
        };
        self.at(issuer_at, vec![Edit::Issuer { namespace: namespace.into(), key: 1 }]);
        let other_namespace = self.dice.percent(15).then(|| format!("{namespace}-branch"));
        let together = other_namespace.is_none() && second.is_none() && self.dice.percent(30);
        let at_home = other_namespace.clone().unwrap_or(namespace.to_owned());
        let orders = if together { 2 } else { 1 };
        self.shared = together;
        for n in 0..orders {
            let lines: Vec<usize> = [Some(plan), second].into_iter().flatten().collect();
            let ordered = self.order(namespace, &format!("contract-{n}"), &lines, &at_home, n);
            self.life(ordered, &at_home);
        }
        if other_namespace.is_some() || together {
            let contract = self.world.contracts.last().expect("one was ordered").clone();
            let secrets = (0..orders).map(|n| format!("keys-{n}")).collect();
            let license = Edit::License {
                namespace: at_home.clone(),
                name: "license".into(),
                product: self.world.plans[plan].product.clone(),
                secrets,
                subscription: Some((namespace.to_owned(), contract.name.clone())),
            };
            let at = self.between(start, start + TimeDelta::days(60));
            if let Some(other) = other_namespace {
                self.world.namespaces.push(other.clone());
                self.at(start, vec![Edit::Trust { namespace: other }]);
            }
            self.at(at, vec![license]);
        }
        if self.dice.percent(25) {
            let at = self.between(start + TimeDelta::days(300), self.world.end - TimeDelta::days(100));
            self.at(at.max(issuer_at), vec![Edit::Issuer { namespace: namespace.into(), key: 2 }]);
        }
        for number in 0..2 {
            let at = self.between(start, self.world.end - TimeDelta::days(30));
            self.at(at, vec![Edit::Noise { namespace: namespace.into(), number }]);
        }
    }

    fn order(&mut self, namespace: &str, name: &str, plans: &[usize], home: &str, n: usize) -> usize {
        let start = self.world.start.date_naive();
        let starts_on = start + Days::new(self.dice.below(500)) - Days::new(120);
        let starts_on = match self.dice.below(10) {
            // Days on which calendars are irregular.
            0 => NaiveDate::from_ymd_opt(starts_on.year(), 1, 31).expect("a date"),
            1..7 => starts_on.with_day(1).expect("every month has one"),
            _ => starts_on,
        };
        let lines = plans
            .iter()
            .map(|plan| {
                let pools = self.world.plans[*plan].pools.len();
                let seats = (0..pools).map(|_| u32::try_from(self.dice.between(1, 80)).unwrap_or(1)).collect();
                Line { plan: *plan, seats, changes: vec![Vec::new(); pools] }
            })
            .collect();
        let contract = Contract {
            namespace: namespace.into(),
            name: name.into(),
            starts_on,
            zone: zone(self.dice.pick::<&str>(&ZONES)),
            lines,
            cancelled_on: None,
            approved_on: None,
            license: (!self.dice.percent(8) || home != namespace || n > 0)
                .then(|| (home.to_owned(), "license".to_owned())),
            secret: format!("keys-{n}"),
            keep: self.dice.percent(10),
            there: false,
        };
        self.world.contracts.push(contract);
        self.world.contracts.len() - 1
    }

    /// Generates what happens to a contract over the years.
    fn life(&mut self, contract: usize, home: &str) {
        let (start, end) = (self.world.start, self.world.end);
        let ordered_at = self.between(start, start + TimeDelta::days(100));
        self.at(ordered_at, vec![Edit::Order(contract)]);
        let of = self.world.contracts[contract].clone();
        if self.in_haste.percent(20) {
            self.change_at_once(contract, ordered_at);
        }
        if self.world.plans[of.lines[0].plan].manual {
            let at = self.between(ordered_at, ordered_at + TimeDelta::days(90));
            let on = at.date_naive() + Days::new(self.dice.below(20));
            self.at(at, vec![Edit::Approve { contract, on }]);
        }
        for _ in 0..self.dice.below(4) {
            let at = self.between(ordered_at, end - TimeDelta::days(60));
            let line = usize::try_from(self.dice.below(of.lines.len() as u64)).unwrap_or(0);
            let pools = of.lines[line].seats.len() as u64;
            let pool = usize::try_from(self.dice.below(pools)).unwrap_or(0);
            let today = at.date_naive();
            let on = match (self.dice.below(3), &self.world.plans[of.lines[line].plan].terms) {
                (0, Some(terms)) => {
                    let next = (1..).map(|k| terms.interval.after(of.starts_on, k)).find(|day| *day > today);
                    next.expect("there are more terms")
                }
                (1, _) => today - Days::new(self.dice.below(60)),
                _ => today + Days::new(self.dice.below(200)),
            };
            let received_on = self.dice.percent(70).then(|| today - Days::new(self.dice.below(40)));
            let seats = u32::try_from(self.dice.between(1, 120)).unwrap_or(1);
            self.at(at, vec![Edit::Seats { contract, line, pool, on, seats, received_on }]);
        }
        if self.dice.percent(45) {
            self.cancellation(contract, ordered_at);
        }
        let mishaps = self.dice.below(3);
        for _ in 0..mishaps {
            let at = self.between(ordered_at, end - TimeDelta::days(90));
            self.mishap(contract, &of, at, home);
        }
    }

    /// Somebody forgot something in the order, and applies it again while it is still being worked on.
    fn change_at_once(&mut self, contract: usize, ordered_at: Instant) {
        let at = ordered_at + TimeDelta::milliseconds(self.in_haste.between(1, 100));
        let on = at.date_naive() + Days::new(self.in_haste.between(1, 200).unsigned_abs());
        let seats = u32::try_from(self.in_haste.between(1, 120)).unwrap_or(1);
        self.at(at, vec![Edit::Seats { contract, line: 0, pool: 0, on, seats, received_on: None }]);
    }

    /// Generates a cancellation, perhaps entered late, perhaps withdrawn before the contract has finally ended.
    fn cancellation(&mut self, contract: usize, ordered_at: Instant) {
        let end = self.world.end;
        let at = self.between(ordered_at, end - TimeDelta::days(200));
        let received_on = at.date_naive() - Days::new(self.dice.below(80)) + Days::new(self.dice.below(20));
        // A cancellation entered after the contract has ended by itself counts only if no operator has seen it end.
        if self.world.contracts[contract].over_at(&self.world.plans, at).is_some_and(|over| over <= at) {
            return;
        }
        self.at(at, vec![Edit::Cancel { contract, received_on }]);
        let mut cancelled = self.world.contracts[contract].clone();
        cancelled.cancelled_on = Some(received_on);
        let over = cancelled.over_at(&self.world.plans, at + TimeDelta::days(90));
        if let Some(over) = over
            && over > at + TimeDelta::days(4)
            && self.dice.percent(50)
        {
            let until = (over - TimeDelta::days(2)).min(end - TimeDelta::days(20));
            if until > at {
                let back = self.between(at + TimeDelta::minutes(1), until);
                self.at(back, vec![Edit::Withdraw(contract)]);
            }
        }
    }

    fn mishap(&mut self, contract: usize, of: &Contract, at: Instant, home: &str) {
        let later = at + TimeDelta::minutes(self.dice.between(1, 60 * 24 * 30));
        let made_by_us = of.license.is_some() && home == of.namespace && of.secret == "keys-0";
        match self.dice.below(6) {
            0 => self.at(at, vec![Edit::DeleteKeys { namespace: home.into(), secret: of.secret.clone() }]),
            1 if made_by_us && !self.shared => {
                self.at(at, vec![Edit::DeleteSubscription(contract)]);
                self.at(later, vec![Edit::Order(contract)]);
            }
            3 => {
                self.at(at, vec![Edit::DeletePlan(of.lines[0].plan)]);
                self.at(later, vec![Edit::MakePlan(of.lines[0].plan)]);
            }
            4 => self.at(at, vec![Edit::Rubbish { namespace: home.into(), secret: of.secret.clone() }]),
            _ => self.at(at, vec![Edit::RevokeByHand(contract)]),
        }
    }

    /// Generates those who use the seats of some worlds' first License.
    fn users(&mut self) {
        if !self.with_users.percent(6) {
            return;
        }
        let of =
            self.world.contracts.iter().find_map(|contract| Some((contract.license.clone()?, contract.lines[0].plan)));
        let Some((license, plan)) = of else { return };
        let plan = &mut self.world.plans[plan];
        if plan.pools.len() == 1 && self.with_users.percent(40) {
            plan.per_user = true;
        }
        let (pools, per_user) = (plan.pools.clone(), plan.per_user);
        for n in 0..self.with_users.between(2, 6) {
            let pool = self.with_users.pick(&pools).clone();
            self.world.users.push(User { name: format!("user-{n}"), license: license.clone(), pool, per_user });
        }
        if !per_user {
            return;
        }
        for _ in 0..self.with_users.between(1, 4) {
            let seconds = (self.world.end - self.world.start).num_seconds();
            let at = self.world.start + TimeDelta::seconds(self.with_users.between(0, seconds / 2));
            let names = self.world.users.iter().map(|user| user.name.clone());
            let members: Vec<String> = names.filter(|_| self.with_users.percent(70)).collect();
            self.at(at, vec![Edit::Roster { license: license.clone(), members }]);
        }
    }
}
