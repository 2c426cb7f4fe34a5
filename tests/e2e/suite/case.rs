//! The namespace of one test, and what people do and see in it.

use std::fmt::Debug;
use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, ListParams};
use kube::{Resource, ResourceExt};
use seatkeeper::api::conditions::{Condition, ConditionStatus};
use seatkeeper::api::{License, Plan, Roster, Subscription};
use seatkeeper::domain::license::mode::Mode;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::installation::Installation;
use super::keys::{Signer, months_ago};
use crate::Cluster;
use crate::harness::eventually::eventually;
use crate::harness::kubectl::Kubectl;

/// Longer than anything takes, even on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(45);

pub const KEYS: &str = "seatkeeper.dev/license";
pub const TRUST: &str = "seatkeeper.dev/trust";
pub const ISSUER: &str = "seatkeeper.dev/issuer";

/// A namespace for one test on the cluster that all tests share, with Seatkeeper installed.
pub struct Case {
    pub namespace: String,
    pub kubectl: Kubectl,
    pub client: kube::Client,
}

impl Case {
    pub async fn new(name: &str) -> Self {
        Installation::shared().await;
        Self::on(Cluster::shared(), name).await
    }

    pub async fn on(cluster: &Cluster, name: &str) -> Self {
        let namespace = cluster.namespace(name).await;
        let kubectl = Kubectl::new(cluster, &namespace);
        Self { kubectl, client: cluster.admin().await, namespace }
    }

    pub fn license(&self, name: &str) -> Seen<License> {
        self.see(name)
    }

    pub fn subscription(&self, name: &str) -> Seen<Subscription> {
        self.see(name)
    }

    pub fn plan(&self, name: &str) -> Seen<Plan> {
        self.see(name)
    }

    pub fn roster(&self, name: &str) -> Seen<Roster> {
        self.see(name)
    }

    fn see<K: Resource<DynamicType = (), Scope = NamespaceResourceScope>>(&self, name: &str) -> Seen<K> {
        let api = Api::namespaced(self.client.clone(), &self.namespace);
        Seen { api, events: Api::namespaced(self.client.clone(), &self.namespace), name: name.to_owned() }
    }

    /// Applies a Secret with these entries.
    pub async fn secret(&self, name: &str, type_: &str, entries: &[(&str, &str)]) {
        let entries: serde_json::Map<_, _> = entries.iter().map(|(k, v)| ((*k).to_owned(), json!(v))).collect();
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": type_, "stringData": entries});
        self.kubectl.apply(&secret.to_string()).await;
    }

    /// Returns the entries of an existing Secret.
    pub async fn entries(&self, secret: &str) -> Vec<(String, String)> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let found = api.get(secret).await.unwrap_or_else(|e| panic!("Secret {secret}: {e}"));
        let text = |bytes: k8s_openapi::ByteString| String::from_utf8(bytes.0).expect("entries are text");
        found.data.unwrap_or_default().into_iter().map(|(name, bytes)| (name, text(bytes))).collect()
    }

    /// Applies the vendor's signing key as Secret `issuer`.
    pub async fn signing_key(&self) {
        self.secret("issuer", ISSUER, &[("signing-key.pem", &Signer::of("vendor").pem)]).await;
    }

    /// Applies the trust in `Signer::of("vendor")` as Secret `vendor-trust`.
    pub async fn trust(&self) {
        self.secret("vendor-trust", TRUST, &[("jwks.json", &Signer::of("vendor").jwks())]).await;
    }

    /// Applies a License that reads these Secrets and trusts `vendor-trust`.
    pub async fn apply_license(&self, name: &str, product: &str, secrets: &[&str]) -> Seen<License> {
        let keys: Vec<_> = secrets.iter().map(|s| json!({"name": s, "secretRef": {"name": s}})).collect();
        let license = json!({
            "apiVersion": "seatkeeper.dev/v1alpha1", "kind": "License", "metadata": {"name": name},
            "spec": {"product": product, "keys": keys, "trust": {"secretRef": {"name": "vendor-trust"}}},
        });
        self.kubectl.apply(&license.to_string()).await;
        self.license(name)
    }
}

/// The lead case: a one-year contract with three months' notice.
pub const PLAN: &str = r"
apiVersion: seatkeeper.dev/v1alpha1
kind: Plan
metadata: {name: innoacd}
spec:
  title: innoACD
  product: innoacd
  terms: {interval: {months: 12}, notice: {months: 3}}
  license:
    lifetime: Term
    graceDays: 14
    demoSeats: 2
    pools: [{name: agents, model: Concurrent, maxSeats: 500}]
";

/// Returns an order of 50 agents that began ten months ago: the notice deadline of its first term was a month ago.
pub fn order(name: &str, more: &str) -> String {
    format!(
        r#"
apiVersion: seatkeeper.dev/v1alpha1
kind: Subscription
metadata: {{name: {name}}}
spec:
  customer: {{organisation: Stadtwerke Musterstadt}}
  startsOn: "{}"
  timeZone: Europe/Berlin
  plans: [{{name: innoacd, pools: [{{name: agents, seats: 50}}]}}]
  issuer: {{secretRef: {{name: issuer}}}}
  deliverTo: {{license: {{name: innoacd}}}}
{more}"#,
        months_ago(10)
    )
}

/// One object, as tests see it.
pub struct Seen<K> {
    pub api: Api<K>,
    events: Api<Event>,
    pub name: String,
}

/// A kind with conditions.
pub trait Conditioned {
    fn conditions(&self) -> &[Condition];
}

impl<K> Seen<K>
where
    K: Resource<DynamicType = ()> + Conditioned + Clone + Debug + DeserializeOwned + Serialize,
{
    pub async fn get(&self) -> K {
        self.api.get(&self.name).await.unwrap_or_else(|e| panic!("{}: {e}", self.name))
    }

    /// Waits until `look` accepts the object; `what` describes the wanted state.
    pub async fn shows(&self, what: &str, look: impl Fn(&K) -> bool) -> K {
        let what = format!("{} {}: {what}", K::kind(&()), self.name);
        eventually(PATIENCE, &what, async || {
            let seen = self.api.get_opt(&self.name).await.map_err(|e| e.to_string())?.ok_or("nothing of that name")?;
            let status = serde_json::to_value(&seen).map(|o| o["status"].to_string()).unwrap_or_default();
            look(&seen).then_some(seen).ok_or(status)
        })
        .await
    }

    /// Waits until the condition has this status and reason; returns its message.
    pub async fn condition(&self, type_: &str, status: ConditionStatus, reason: &str) -> String {
        let holds = |seen: &K| find(seen.conditions(), type_).cloned().filter(|c| c.status == status);
        let what = format!("condition {type_}={status:?}, reason {reason}");
        let seen = self.shows(&what, |seen| holds(seen).is_some_and(|c| c.reason == reason)).await;
        holds(&seen).map(|condition| condition.message).unwrap_or_default()
    }

    pub async fn is(&self, type_: &str, reason: &str) -> String {
        self.condition(type_, ConditionStatus::True, reason).await
    }

    pub async fn is_not(&self, type_: &str, reason: &str) -> String {
        self.condition(type_, ConditionStatus::False, reason).await
    }

    /// Waits until the object has been judged and has no condition of this type.
    pub async fn lacks(&self, type_: &str) -> K {
        let lacks = |seen: &K| !seen.conditions().is_empty() && find(seen.conditions(), type_).is_none();
        self.shows(&format!("no condition {type_}"), lacks).await
    }

    /// Waits for an Event with this reason on the object; returns the notes of all of them.
    pub async fn told(&self, reason: &str) -> String {
        let what = format!("an Event {reason} on {} {}", K::kind(&()), self.name);
        eventually(PATIENCE, &what, async || {
            let events = self.events().await;
            let of_reason = events.iter().filter(|event| event.reason.as_deref() == Some(reason));
            let notes: Vec<_> = of_reason.filter_map(|event| event.note.clone()).collect();
            if notes.is_empty() { Err(format!("{:?}", reasons(&events))) } else { Ok(notes.join("\n")) }
        })
        .await
    }

    /// Returns the reasons of all Events on the object so far.
    pub async fn told_so_far(&self) -> Vec<String> {
        reasons(&self.events().await)
    }

    async fn events(&self) -> Vec<Event> {
        let mut events = self.events.list(&ListParams::default()).await.expect("Events can be listed").items;
        let regards = |event: &Event| {
            event.regarding.as_ref().is_some_and(|object| {
                (object.kind.as_deref(), object.name.as_deref()) == (Some(&*K::kind(&())), Some(&self.name))
            })
        };
        events.retain(regards);
        events.sort_by_key(|event| (event.event_time.clone().map(|time| time.0), event.name_any()));
        events
    }
}

fn reasons(events: &[Event]) -> Vec<String> {
    events.iter().filter_map(|event| event.reason.clone()).collect()
}

impl Seen<License> {
    pub async fn becomes(&self, mode: Mode) -> License {
        self.shows(&format!("mode {mode:?}"), |license| license.mode() == Some(mode)).await
    }

    /// Waits until the License shows an entry of a Secret in this state, with this reason if it is refused.
    pub async fn shows_key(&self, secret: &str, entry: &str, state: &str, reason: Option<&str>) -> License {
        let what = format!("key {secret}/{entry} {state} {}", reason.unwrap_or_default());
        self.shows(&what, |license| {
            license.status.iter().flat_map(|s| &s.keys).any(|key| {
                (&*key.secret, &*key.key) == (secret, entry)
                    && format!("{:?}", key.state) == state
                    && key.reason.as_deref() == reason
            })
        })
        .await
    }
}

/// Returns an existing condition.
pub fn condition_of<'k>(of: &'k impl Conditioned, type_: &str) -> &'k Condition {
    find(of.conditions(), type_).unwrap_or_else(|| panic!("there is no condition {type_} among {:?}", of.conditions()))
}

/// The parts of a License that the tests look at most.
pub trait Shown {
    fn mode(&self) -> Option<Mode>;
    fn seats(&self) -> Option<&str>;
}

impl Shown for License {
    fn mode(&self) -> Option<Mode> {
        self.status.as_ref()?.mode
    }

    fn seats(&self) -> Option<&str> {
        self.status.as_ref()?.seats.as_deref()
    }
}

impl Conditioned for License {
    fn conditions(&self) -> &[Condition] {
        self.status.as_ref().map_or(&[], |status| &status.conditions)
    }
}

impl Conditioned for Subscription {
    fn conditions(&self) -> &[Condition] {
        self.status.as_ref().map_or(&[], |status| &status.conditions)
    }
}

impl Conditioned for Plan {
    fn conditions(&self) -> &[Condition] {
        self.status.as_ref().map_or(&[], |status| &status.conditions)
    }
}

impl Conditioned for Roster {
    fn conditions(&self) -> &[Condition] {
        self.status.as_ref().map_or(&[], |status| &status.conditions)
    }
}

/// The condition of a type, by the word that people see.
pub fn find<'c>(conditions: &'c [Condition], type_: &str) -> Option<&'c Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

/// Whether the condition of a type is there and `True`.
pub fn is_true(conditions: &[Condition], type_: &str) -> bool {
    find(conditions, type_).is_some_and(|condition| condition.status == ConditionStatus::True)
}
