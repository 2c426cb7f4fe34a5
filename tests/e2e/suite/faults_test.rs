//! Whatever happens to the operator or its writes, it reaches the same state, and then makes no more requests.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::NaiveDate;
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use seatkeeper::api::Subscription;
use seatkeeper::domain::license::key::Claims;
use seatkeeper::machine::{machine_time, monotonic};
use serde_json::{Value, json};

use super::faults_ground::{Ground, Order, SOON, Vendor};
use super::faults_operators::Replica;
use super::faults_proxy::{Proxy, When};
use crate::harness::eventually::eventually;

/// The vendor's steps, one after another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Orders a contract that began ten months ago: two keys are due.
    Order,
    /// Adds ten seats from yesterday on: both keys are issued again, and the future one is revoked.
    MoreSeats,
    /// Enters late a cancellation that was received in time: the future key is revoked.
    LateCancellation,
}

const STEPS: [Step; 3] = [Step::Order, Step::MoreSeats, Step::LateCancellation];

impl Step {
    async fn carry_out(self, vendor: &Vendor, today: NaiveDate) {
        let starts_on = (today - chrono::Months::new(10)).to_string();
        match self {
            Step::Order => {
                let order = Order { name: "stadtwerke", starts_on: &starts_on, seats: 50, secret: "innoacd-license" };
                vendor.create(&serde_saphyr::from_str::<Subscription>(&order.yaml()).expect("an order")).await;
            }
            Step::MoreSeats => {
                let on = today - chrono::Days::new(1);
                let pools = json!([{"name": "agents", "seats": 50, "changes": [{"on": on, "seats": 60}]}]);
                let patch = json!({"spec": {"plans": [{"name": "innoacd", "pools": pools}]}});
                vendor.patch::<Subscription>("stadtwerke", patch).await;
            }
            Step::LateCancellation => {
                let patch = json!({"spec": {"cancellation": {"receivedOn": starts_on, "evidence": "a letter"}}});
                vendor.patch::<Subscription>("stadtwerke", patch).await;
            }
        }
    }

    /// Waits until the step is done and shown, if nothing goes wrong.
    async fn has_its_effect(self, vendor: &Vendor) {
        let wanted = match self {
            Step::Order => ("agents 0/50", 2, 0),
            Step::MoreSeats => ("agents 0/60", 3, 1),
            Step::LateCancellation => ("agents 0/60", 2, 2),
        };
        eventually(SOON, &format!("{self:?} has its effect"), async || {
            let (keys, revoked) = (vendor.keys("innoacd-license").await, vendor.revocations().await.serials);
            let subscription = vendor.subscription("stadtwerke").await;
            let license = vendor.license().await.and_then(|license| license.status).unwrap_or_default();
            let seen = (license.seats.as_deref().unwrap_or_default(), keys.len(), revoked.len());
            let is_shown = subscription.status.and_then(|s| s.observed_generation) == subscription.metadata.generation
                && license.keys_read == u32::try_from(keys.len()).ok();
            if seen == wanted && is_shown { Ok(()) } else { Err(format!("{seen:?}, shown: {is_shown}")) }
        })
        .await;
    }
}

/// A vendor whose operator is interrupted, and the vendor's objects once everything has settled.
struct Trial {
    vendor: Vendor,
    /// The serials of the keys seen so far, and what each is for.
    known: BTreeMap<String, String>,
    writes_when_settled: usize,
}

impl Trial {
    async fn new(ground: &Ground, name: &str) -> Self {
        Trial { vendor: ground.vendor(name).await, known: BTreeMap::new(), writes_when_settled: 0 }
    }

    /// Returns keys, revocations, contract and licence without times and UIDs, and with each serial replaced by what it is
    /// for. Namespace and signer have one name in every trial.
    async fn state(&mut self) -> Value {
        let keys = self.vendor.keys_with_entries("innoacd-license").await;
        for (_, key) in &keys {
            self.known.insert(key.jti.clone(), named(key));
        }
        let entries: BTreeMap<_, _> = keys.iter().map(|(entry, key)| (entry, named(key))).collect();
        let revoked = self.vendor.revocations().await;
        let serials = revoked.serials.iter().map(|serial| self.known.get(serial).unwrap_or(serial));
        let serials: BTreeSet<&String> = serials.collect();
        let license = self.vendor.license().await;
        let state = json!({
            "keys": entries,
            "revoked": [revoked.version, serials],
            "subscription": self.vendor.subscription("stadtwerke").await.status,
            "license": license.as_ref().map(|license| &license.spec),
            "license status": license.as_ref().map(|license| &license.status),
            "plan": self.vendor.plan().await.status,
        });
        let mut text = without_times_and_uids(state).to_string().replace(&self.vendor.namespace, "NAMESPACE");
        text = text.replace(&self.vendor.signer.thumbprint(), "SIGNER");
        for (serial, name) in &self.known {
            text = text.replace(serial, name);
        }
        serde_json::from_str(&text).expect("it was JSON before")
    }

    /// Waits until the state equals `wanted`.
    async fn settles(&mut self, proxy: &Proxy, wanted: &Value, what: &str) {
        let trial = &mut *self;
        eventually(SOON, what, async || {
            let state = trial.state().await;
            if state == *wanted { Ok(()) } else { Err(format!("{state:#}\nwanted: {wanted:#}")) }
        })
        .await;
        // A write that was done and answered with an error is done once more, if the watch does not show it in time.
        loop {
            self.writes_when_settled = self.writes(proxy).len();
            tokio::time::sleep(Duration::from_millis(500)).await;
            if self.writes(proxy).len() == self.writes_when_settled {
                break;
            }
        }
    }

    /// Returns the writes, except those of Events, which are sent in the background.
    fn writes(&self, proxy: &Proxy) -> Vec<String> {
        let writes = proxy.writes_in(&self.vendor.namespace);
        writes.into_iter().filter(|write| !write.ends_with("/events")).collect()
    }

    fn is_quiet_since(&self, proxy: &Proxy) {
        let more = self.writes(proxy).split_off(self.writes_when_settled);
        assert!(more.is_empty(), "{}: written after everything had settled: {more:#?}", self.vendor.namespace);
    }
}

fn named(key: &Claims) -> String {
    let term = key.subscription.as_ref().map_or(0, |s| s.term);
    format!("term {term} from {} with {} seats", key.starts_at(), key.pools[0].seats)
}

fn without_times_and_uids(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let varies = |name: &str| matches!(name, "lastTransitionTime" | "issuedAt" | "publishedIn");
            let kept = fields.into_iter().filter(|(name, _)| !varies(name));
            kept.map(|(name, value)| (name, without_times_and_uids(value))).collect()
        }
        Value::Array(items) => items.into_iter().map(without_times_and_uids).collect(),
        other => other,
    }
}

#[tokio::test]
async fn k3_killed_at_any_write_or_told_wrongly_that_it_failed_the_operator_reaches_the_same_state() {
    let ground = Ground::take().await;
    let proxy = Proxy::start(&ground).await;
    let today = machine_time().date_naive();
    let mut replica = Replica::start(proxy.kubeconfig(), "life-0");
    replica.says(SOON, "ok: leads").await;
    let mut lives = 0;
    let mut model = Trial::new(&ground, "model").await;
    let mut trials: Vec<Trial> = Vec::new();

    for (number, step) in STEPS.into_iter().enumerate() {
        let began = monotonic();
        let before = proxy.writes_in(&model.vendor.namespace).len();
        step.carry_out(&model.vendor, today).await;
        step.has_its_effect(&model.vendor).await;
        comes_to_rest(&proxy, Duration::from_secs(1)).await;
        let wanted = model.state().await;
        let writes = proxy.writes_in(&model.vendor.namespace).split_off(before);

        let (mut rounds, mut reached) = (0, true);
        for nth in 1.. {
            if !reached {
                break;
            }
            for when in [When::Before, When::After, When::Unanswered] {
                if trials.len() == rounds {
                    let trial = Trial::new(&ground, "trial").await;
                    for earlier in &STEPS[..number] {
                        earlier.carry_out(&trial.vendor, today).await;
                        earlier.has_its_effect(&trial.vendor).await;
                    }
                    trials.push(trial);
                }
                let trial = &mut trials[rounds];
                rounds += 1;
                let what = format!("{step:?}, write {nth}, {when:?}");
                proxy.set_trap(&trial.vendor.namespace, nth, when);
                step.carry_out(&trial.vendor, today).await;
                tokio::select! {
                    () = proxy.sprung() => {}
                    () = async {
                        trial.settles(&proxy, &wanted, &what).await;
                        comes_to_rest(&proxy, Duration::from_millis(300)).await;
                    } => {}
                }
                // A write at this very moment is still in the trap, and then its writer has to be killed.
                reached = proxy.take_away_unless_sprung().await;
                if reached && when != When::Unanswered {
                    replica.kill().await;
                    lives += 1;
                    ground.nobody_leads().await;
                    proxy.clear_trap();
                    replica = Replica::start(proxy.kubeconfig(), &format!("life-{lives}"));
                } else {
                    proxy.clear_trap();
                }
                if when == When::Unanswered {
                    // The write whose answer was lost is soon tried again; that is not an unnecessary write.
                    comes_to_rest(&proxy, Duration::from_millis(300)).await;
                }
                trial.settles(&proxy, &wanted, &what).await;
            }
        }
        println!("{step:?}: {} writes, {rounds} rounds in {:?}: {writes:#?}", writes.len(), monotonic() - began);
    }

    // There is not one more write, neither by itself nor because an operator has restarted.
    tokio::time::sleep(Duration::from_secs(1)).await;
    for trial in &trials {
        trial.is_quiet_since(&proxy);
        each_key_was_told_at_most_once(&ground, trial).await;
    }
}

/// Waits until only the Lease has been requested for the time `rest`.
async fn comes_to_rest(proxy: &Proxy, rest: Duration) {
    let mut seen = (0, monotonic());
    eventually(SOON, "the operator comes to rest", async || {
        let (requests, now) = (asked(proxy).len(), monotonic());
        if requests != seen.0 {
            seen = (requests, now);
        }
        if now - seen.1 >= rest { Ok(()) } else { Err(format!("{requests} requests")) }
    })
    .await;
}

async fn each_key_was_told_at_most_once(ground: &Ground, trial: &Trial) {
    let events: Api<Event> = Api::namespaced(ground.admin.clone(), &trial.vendor.namespace);
    let events = events.list(&Default::default()).await.expect("the API server answers").items;
    for serial in trial.known.keys() {
        for reason in ["KeyIssued", "KeyRevoked"] {
            let told = events.iter().filter(|event| {
                event.reason.as_deref() == Some(reason) && event.note.as_ref().is_some_and(|n| n.contains(serial))
            });
            assert!(told.count() <= 1, "{reason} of {serial} was told more than once in {}", trial.vendor.namespace);
        }
    }
}

#[tokio::test]
async fn an_object_whose_status_is_always_refused_stops_no_other_and_is_tried_less_and_less_often() {
    let ground = Ground::take().await;
    let vendor = ground.vendor("stubborn").await;
    let license = "{apiVersion: seatkeeper.dev/v1alpha1, kind: License, metadata: {name: stubborn}, spec: {product: x, keys: []}}";
    vendor.kubectl.apply(license).await;
    let proxy = Proxy::start(&ground).await;
    proxy.refuse(Some("/licenses/stubborn/status"));
    let replica = Replica::start(proxy.kubeconfig(), "stubborn");
    replica.says(SOON, "ok: leads").await;
    let tries = || proxy.writes().iter().filter(|write| write.ends_with("/licenses/stubborn/status")).count();
    let several = async || match tries() {
        5.. => Ok(()),
        few => Err(format!("{few} tries")),
    };
    eventually(SOON, "it is tried again", several).await;
    let starts_on = machine_time().date_naive().to_string();
    let asked = monotonic();
    vendor.order(Order { name: "stadtwerke", starts_on: &starts_on, seats: 50, secret: "innoacd-license" }).await;
    let full = |l: &seatkeeper::api::License| l.status.as_ref().and_then(|s| s.seats.as_deref()) == Some("agents 0/50");
    vendor.license_comes("another order is served", full).await;
    assert!(monotonic() - asked < Duration::from_secs(5));
    // The pause starts at 50 ms and doubles each time, shortened by up to a half: at most 9 tries in five seconds.
    tokio::time::sleep(Duration::from_secs(5).saturating_sub(monotonic() - asked)).await;
    let tried = tries();
    println!("tried {tried} times");
    assert!(tried <= 12, "{tried}");

    proxy.refuse(None);
    eventually(Duration::from_secs(40), "it comes right by itself", async || {
        let shown = ["get", "licenses.seatkeeper.dev", "stubborn", "-o", "jsonpath={.status.mode}"];
        match vendor.kubectl.expect(&shown).await {
            mode if mode == "Demo" => Ok(()),
            mode => Err(mode),
        }
    })
    .await;
}

#[tokio::test]
async fn with_fifty_licences_at_rest_nothing_is_asked_of_the_api_server_but_the_lease() {
    let ground = Ground::take().await;
    let vendor = ground.vendor("idle").await;
    let proxy = Proxy::start(&ground).await;
    let _replica = Replica::start(proxy.kubeconfig(), "idle");
    let starts_on = machine_time().date_naive().to_string();
    let orders: Vec<_> = (0..50)
        .map(|n| {
            let (name, secret) = (format!("customer-{n}"), format!("keys-{n}"));
            let yaml = Order { name: &name, starts_on: &starts_on, seats: 50, secret: &secret }.yaml();
            yaml.replace("license: {name: innoacd", &format!("license: {{name: {name}"))
        })
        .collect();
    vendor.kubectl.apply(&orders.join("---")).await;
    eventually(SOON, "every licence is Full", async || {
        let shown = ["get", "licenses.seatkeeper.dev", "-o", "jsonpath={.items[*].status.mode}"];
        let modes = vendor.kubectl.expect(&shown).await;
        if modes.split(' ').filter(|mode| *mode == "Full").count() == 50 { Ok(()) } else { Err(modes) }
    })
    .await;
    // The pause between two Events is five times as long as one took, so wait longer than one takes on a slow disk.
    comes_to_rest(&proxy, Duration::from_secs(8)).await;
    let before = asked(&proxy).len();
    println!("{before} requests for 50 orders");
    tokio::time::sleep(Duration::from_secs(10)).await;
    let more = asked(&proxy).split_off(before);
    assert!(more.is_empty(), "{more:#?}");
}

/// Returns every request, except those for the Lease.
fn asked(proxy: &Proxy) -> Vec<String> {
    proxy.requests().into_iter().filter(|request| !request.contains("/leases")).collect()
}
