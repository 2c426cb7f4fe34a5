//! Years pass, and everything happens at its instant without anybody acting (K3, I5, I6, I8–I10).

use std::collections::BTreeSet;

use super::hands::{Hands, clock_with_hands};
use chrono::Duration;
use seatkeeper::api::common::LocalDay;
use seatkeeper::api::contract::resolve;
use seatkeeper::api::{License, Subscription};
use seatkeeper::domain::Instant;
use seatkeeper::domain::contract::timeline::timeline;
use seatkeeper::domain::license::key::Claims;
use serde_json::json;

use super::faults_ground::{Ground, Order, SOON, Vendor, at, condition, conditions_of};
use super::faults_operators::InProcess;
use super::faults_proxy::Proxy;
use crate::harness::eventually::eventually;

/// What a person sees of a contract and its licence.
#[derive(Clone, Debug, PartialEq)]
struct View {
    state: String,
    term: u32,
    /// The keys in the Secret: their terms and when they were issued.
    keys: Vec<(u32, Instant)>,
    mode: String,
    seats: String,
    until: Option<Instant>,
    keys_read: u32,
    /// The status of Licensed, InGrace, InDemo and ExpiringSoon, each with the time of its last change.
    licensed: (String, Option<Instant>),
    in_grace: (String, Option<Instant>),
    in_demo: (String, Option<Instant>),
    expiring_soon: (String, Option<Instant>),
    /// The last day, and the last day on which one can cancel, of the License.
    license_days: (Option<String>, Option<String>),
    /// The same of the contract: of its term, and of itself.
    contract_days: (Option<String>, Option<String>, Option<String>),
}

fn days(last: &str, cancel_by: Option<&str>) -> (Option<String>, Option<String>) {
    (Some(last.to_owned()), cancel_by.map(str::to_owned))
}

fn contract_days(
    term: &str,
    cancel_by: Option<&str>,
    last: Option<&str>,
) -> (Option<String>, Option<String>, Option<String>) {
    (Some(term.to_owned()), cancel_by.map(str::to_owned), last.map(str::to_owned))
}

async fn view(vendor: &Vendor, subscription: &str, secret: &str) -> View {
    let s = vendor.subscription(subscription).await.status.unwrap_or_default();
    let license = vendor.license().await;
    let since = |type_: &str| {
        let (status, _, since) = condition(license.as_ref().map_or(&[], conditions_of), type_);
        (status, since.map(|at| at.0))
    };
    let l = license.as_ref().and_then(|license| license.status.clone()).unwrap_or_default();
    let keys = vendor.keys(secret).await;
    let day = |day: Option<LocalDay>| day.map(|day| day.0.to_string());
    let term_ends = s.term.as_ref().and_then(|term| term.last_day);
    View {
        license_days: (day(l.last_day), day(l.cancel_by)),
        contract_days: (day(term_ends), day(s.cancel_by), day(s.last_day)),
        state: s.state.map(|state| format!("{state:?}")).unwrap_or_default(),
        term: s.term.map_or(0, |term| term.number),
        keys: keys.iter().map(|key| (term_of(key), key.issued_at())).collect(),
        mode: l.mode.map(|mode| mode.as_str().to_owned()).unwrap_or_default(),
        seats: l.seats.unwrap_or_default(),
        until: l.expires_at.map(|at| at.0),
        keys_read: l.keys_read.unwrap_or(0),
        licensed: since("Licensed"),
        in_grace: since("InGrace"),
        in_demo: since("InDemo"),
        expiring_soon: since("ExpiringSoon"),
    }
}

fn term_of(key: &Claims) -> u32 {
    key.subscription.as_ref().map_or(0, |s| s.term)
}

/// Sets the clock of an operator, and waits until the operator has noticed.
struct Time {
    hands: Hands,
    /// A License and a Subscription beside those under test: when the operator reacts to a change to them, it has seen
    /// the new time.
    witness: Vendor,
    told: u32,
}

impl Time {
    async fn new(ground: &Ground, hands: Hands) -> Self {
        let witness = ground.vendor("witness").await;
        witness.kubectl.apply(WITNESSES).await;
        Time { hands, witness, told: 0 }
    }

    async fn becomes(&mut self, now: Instant) {
        self.hands.set(now);
        self.told += 1;
        let told = self.told.to_string();
        self.witness.patch::<Subscription>("witness", json!({"spec": {"order": {"reference": told}}})).await;
        self.witness.patch::<License>("innoacd", json!({"spec": {"administrators": [{"user": told}]}})).await;
        eventually(SOON, "the operator looks at the witnesses", async || {
            let (s, l) = (self.witness.subscription("witness").await, self.witness.license().await.expect("applied"));
            let seen = [(s.metadata.generation, s.status.and_then(|s| s.observed_generation))];
            let seen = [seen[0], (l.metadata.generation, l.status.and_then(|s| s.observed_generation))];
            if seen.iter().all(|(is, observed)| is == observed) { Ok(()) } else { Err(format!("{seen:?}")) }
        })
        .await;
    }
}

const WITNESSES: &str = r#"
apiVersion: seatkeeper.dev/v1alpha1
kind: Subscription
metadata: {name: witness}
spec:
  customer: {organisation: Witness}
  startsOn: "2099-01-01"
  plans: [{name: innoacd, pools: [{name: agents, seats: 1}]}]
---
apiVersion: seatkeeper.dev/v1alpha1
kind: License
metadata: {name: innoacd}
spec: {product: witness, keys: []}
"#;

fn innoacd(starts_on: &'static str) -> Order<'static> {
    Order { name: "stadtwerke", starts_on, seats: 50, secret: "innoacd-license" }
}

const START: &str = "2030-12-31T23:00:00Z";
const END_1: &str = "2031-12-31T23:00:00Z";
const END_2: &str = "2032-12-31T23:00:00Z";
const END_3: &str = "2033-12-31T23:00:00Z";
const GRACE_ENDS: &str = "2034-01-14T23:00:00Z";

/// A contract over the years: what a person should see and what they do see.
struct Story {
    vendor: Vendor,
    time: Time,
    expected: View,
    /// The instants at which something changed by itself.
    instants: BTreeSet<Instant>,
}

impl Story {
    /// Checks that nothing changes until `instant`, and that then exactly this changes, by itself.
    async fn at(&mut self, instant: &str, what: &str, change: impl FnOnce(&mut View, Instant)) {
        let now = at(instant);
        self.instants.insert(now);
        self.time.becomes(now - Duration::seconds(1)).await;
        assert_eq!(self.seen().await, self.expected, "one second before {what}");
        self.time.becomes(now).await;
        self.follows(|view| change(view, now)).await;
    }

    /// Checks that the last step of a person has this effect.
    async fn follows(&mut self, change: impl FnOnce(&mut View)) {
        change(&mut self.expected);
        eventually(SOON, "contract and licence are as they should be", async || {
            let seen = self.seen().await;
            if seen == self.expected { Ok(()) } else { Err(format!("{seen:#?}\nexpected: {:#?}", self.expected)) }
        })
        .await;
    }

    async fn seen(&self) -> View {
        view(&self.vendor, "stadtwerke", "innoacd-license").await
    }
}

/// A condition that is not set.
fn none() -> (String, Option<Instant>) {
    ("absent".to_owned(), None)
}

fn since(status: &str, at: Instant) -> (String, Option<Instant>) {
    (status.to_owned(), Some(at))
}

#[tokio::test]
async fn k3_i5_i6_i8_to_i10_three_years_pass_and_everything_happens_at_its_instant_and_only_then() {
    let ground = Ground::take().await;
    let vendor = ground.vendor("years").await;
    let proxy = Proxy::start(&ground).await;
    let first = at(START) - Duration::seconds(1);
    let (clock, hands) = clock_with_hands(first);
    let operator = InProcess::start(proxy.kubeconfig(), clock).await;
    let time = Time::new(&ground, hands).await;
    let expected = View {
        state: "Pending".into(),
        term: 1,
        keys: Vec::new(),
        mode: "Demo".into(),
        seats: "demo 0/0".into(),
        until: None,
        keys_read: 0,
        licensed: since("False", first),
        in_grace: none(),
        in_demo: since("True", first),
        expiring_soon: none(),
        license_days: (None, None),
        contract_days: contract_days("2031-12-31", Some("2031-09-30"), None),
    };
    vendor.order(innoacd("2031-01-01")).await;
    let mut story = Story { vendor, time, expected, instants: BTreeSet::new() };
    story.follows(|_| {}).await;

    story
        .at(START, "the first term (I5)", |v, now| {
            (v.state, v.mode, v.seats) = ("Active".into(), "Full".into(), "agents 0/50".into());
            (v.keys, v.keys_read, v.until) = (vec![(1, now)], 1, Some(at(END_1)));
            v.license_days = days("2031-12-31", Some("2031-09-30"));
            (v.licensed, v.in_demo) = (since("True", now), none());
        })
        .await;
    let writes_at_first = proxy.writes_in(&story.vendor.namespace).len();
    story
        .at("2031-09-30T22:00:00Z", "the key of term 2 (I6)", |v, now| {
            v.keys.push((2, now));
            (v.keys_read, v.until) = (2, Some(at(END_2)));
            // For the end of term 1 it is too late now.
            v.license_days = days("2032-12-31", Some("2032-09-30"));
            v.contract_days = contract_days("2031-12-31", None, None);
        })
        .await;
    story
        .at(END_1, "term 2", |v, _| {
            v.term = 2;
            v.contract_days = contract_days("2032-12-31", Some("2032-09-30"), None);
        })
        .await;
    story
        .at("2032-09-30T22:00:00Z", "the key of term 3", |v, now| {
            v.keys.push((3, now));
            (v.keys_read, v.until) = (3, Some(at(END_3)));
            v.license_days = days("2033-12-31", Some("2033-09-30"));
            v.contract_days = contract_days("2032-12-31", None, None);
        })
        .await;
    story
        .at(END_2, "term 3", |v, _| {
            v.term = 3;
            v.contract_days = contract_days("2033-12-31", Some("2033-09-30"), None);
        })
        .await;
    let writes = proxy.writes_in(&story.vendor.namespace).split_off(writes_at_first);
    // Each of the two years brings a key and a new term; each of these is one status of each object and at most one
    // Event.
    let of = |what: &str| writes.iter().filter(|write| write.ends_with(what)).count();
    let statuses = (of("/subscriptions/stadtwerke/status"), of("/licenses/innoacd/status"));
    assert_eq!((of("/secrets/innoacd-license"), statuses), (2, (4, 4)), "{writes:#?}");

    // Cancelled on the last possible day (S9).
    story.at("2033-09-30T09:00:00Z", "anybody does anything", |_, _| {}).await;
    story.instants.remove(&at("2033-09-30T09:00:00Z"));
    story.vendor.cancel("stadtwerke", "2033-09-30").await;
    story
        .follows(|v| {
            v.state = "Cancelled".into();
            v.contract_days = contract_days("2033-12-31", None, Some("2033-12-31"));
        })
        .await;
    story.at("2033-09-30T22:00:00Z", "the notice deadline, with no key to follow", |_, _| {}).await;
    // The customer's key does not say that the contract was cancelled, only until when that was possible.
    story
        .at("2033-09-30T22:01:00Z", "a minute later, in which a key might have come", |v, _| {
            v.license_days = days("2033-12-31", None);
        })
        .await;
    story.instants.remove(&at("2033-09-30T22:01:00Z"));
    story.at("2033-12-03T23:00:00Z", "the last four weeks", |v, now| v.expiring_soon = since("True", now)).await;
    story.instants.remove(&at("2033-12-03T23:00:00Z"));
    story
        .at(END_3, "the end, and grace (I8)", |v, now| {
            (v.state, v.mode) = ("Ended".into(), "Grace".into());
            (v.in_grace, v.expiring_soon) = (since("True", now), none());
        })
        .await;
    story
        .at(GRACE_ENDS, "the end of grace: demo (I9)", |v, now| {
            (v.mode, v.seats) = ("Demo".into(), "demo 0/2".into());
            (v.licensed, v.in_grace, v.in_demo) = (since("False", now), none(), since("True", now));
        })
        .await;
    assert_eq!(story.instants, instants_of(&story.vendor).await, "`seatkeeper timeline` tells the same instants");

    // It is too late to continue the old contract; a new one restores everything (I10).
    story.vendor.edit("subscriptions", "stadtwerke", r#"{"spec":{"cancellation":null}}"#).await;
    story.at("2034-02-28T22:59:59Z", "the second contract is ordered", |_, _| {}).await;
    let again = Order { name: "again", starts_on: "2034-03-01", seats: 40, secret: "innoacd-again" };
    story.vendor.order(again).await;
    let both = r#"{"spec":{"keys":[{"name":"old","secretRef":{"name":"innoacd-license"}},{"name":"new","secretRef":{"name":"innoacd-again"}}]}}"#;
    story.vendor.edit("licenses", "innoacd", both).await;
    story
        .at("2034-02-28T23:00:00Z", "the second contract starts", |v, now| {
            (v.mode, v.seats) = ("Full".into(), "agents 0/40".into());
            (v.keys_read, v.until) = (4, Some(at("2035-02-28T23:00:00Z")));
            v.license_days = days("2035-02-28", Some("2034-11-30"));
            (v.licensed, v.in_demo) = (since("True", now), none());
        })
        .await;
    assert_eq!(story.vendor.keys("innoacd-again").await.iter().map(term_of).collect::<Vec<_>>(), [1]);
    operator.stop().await;
}

/// Returns the instants at which, according to the domain, something happens to the contract.
async fn instants_of(vendor: &Vendor) -> BTreeSet<Instant> {
    let (subscription, plan) = (vendor.subscription("stadtwerke").await, vendor.plan().await);
    let resolved =
        resolve(&vendor.namespace, "stadtwerke", &subscription.spec, &[&plan.spec]).expect("it was acted on");
    timeline(&resolved.contract, 1, 9, at(GRACE_ENDS)).into_iter().map(|moment| moment.at).collect()
}

#[tokio::test]
async fn k3_after_fourteen_months_without_an_operator_everything_is_caught_up_and_each_key_is_there_once() {
    let ground = Ground::take().await;
    let vendor = ground.vendor("downtime").await;
    let (clock, _hands) = clock_with_hands(at("2031-06-01T00:00:00Z"));
    let operator = InProcess::start(&ground.operator, clock).await;
    vendor.order(innoacd("2031-01-01")).await;
    vendor.license_comes("50 agents", |license| seats(license) == "agents 0/50").await;
    operator.stop().await;

    let back = at("2032-08-01T00:00:00Z");
    let (clock, _hands) = clock_with_hands(back);
    let operator = InProcess::start(&ground.operator, clock).await;
    let license = vendor.license_comes("the key of term 2", |license| until(license) == Some(at(END_2))).await;
    assert_eq!(seats(&license), "agents 0/50");
    let keys = vendor.keys("innoacd-license").await;
    let issued: Vec<_> = keys.iter().map(|key| (term_of(key), key.issued_at())).collect();
    assert_eq!(issued, [(1, at("2031-06-01T00:00:00Z")), (2, back)]);
    operator.stop().await;

    // Cancelled and ended while no operator ran: straight to demo mode, and no key for the past.
    vendor.cancel("stadtwerke", "2032-09-01").await;
    let (clock, _hands) = clock_with_hands(at("2033-05-01T00:00:00Z"));
    let operator = InProcess::start(&ground.operator, clock).await;
    vendor.license_comes("demo", |license| seats(license) == "demo 0/2").await;
    assert_eq!(vendor.keys("innoacd-license").await, keys);
    operator.stop().await;
}

#[tokio::test]
async fn two_orders_side_by_side_add_up_and_end_at_their_own_instants() {
    let ground = Ground::take().await;
    let vendor = ground.vendor("two-orders").await;
    let (clock, hands) = clock_with_hands(at("2026-05-31T21:59:59Z"));
    let operator = InProcess::start(&ground.operator, clock).await;
    vendor.order(Order { name: "l1", starts_on: "2026-01-01", seats: 50, secret: "l1" }).await;
    vendor.order(Order { name: "l2", starts_on: "2026-06-01", seats: 10, secret: "l2" }).await;
    vendor.cancel("l1", "2026-05-30").await;
    vendor.license_comes("the License is made", |_| true).await;
    let both = r#"{"spec":{"keys":[{"name":"l1","secretRef":{"name":"l1"}},{"name":"l2","secretRef":{"name":"l2"}}]}}"#;
    vendor.edit("licenses", "innoacd", both).await;

    let shows = |license: &License| {
        let of = |type_: &str| condition(conditions_of(license), type_);
        let (grace, licensed) = (of("InGrace"), of("Licensed"));
        (seats(license), licensed.1, grace.0, grace.2.map(|at| at.0))
    };
    let mut time = Time::new(&ground, hands).await;
    let start = at("2026-05-31T21:59:59Z");
    let (end, grace_ends) = (at("2026-12-31T23:00:00Z"), at("2027-01-14T23:00:00Z"));
    let steps = [
        (start, "agents 0/50", "Full", "absent", None),
        (at("2026-05-31T22:00:00Z"), "agents 0/60", "Full", "absent", None),
        (end, "agents 0/60", "Full", "True", Some(end)),
        (grace_ends, "agents 0/10", "Full", "absent", None),
    ];
    let mut before = None;
    for (now, seats, mode, in_grace, since) in steps {
        time.becomes(now - Duration::seconds(i64::from(before.is_some()))).await;
        if let Some(before) = before {
            assert_eq!(vendor.license().await.as_ref().map(shows), Some(before), "one second before {now}");
            time.becomes(now).await;
        }
        let expected = (seats.to_owned(), mode.to_owned(), in_grace.to_owned(), since);
        vendor.license_comes(&format!("{expected:?} at {now}"), |license| shows(license) == expected).await;
        before = Some(expected);
    }
    operator.stop().await;
}

fn seats(license: &License) -> String {
    license.status.as_ref().and_then(|status| status.seats.clone()).unwrap_or_default()
}

fn until(license: &License) -> Option<Instant> {
    license.status.as_ref()?.expires_at.map(|at| at.0)
}
