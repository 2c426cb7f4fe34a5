//! A cluster for operators that watch all of it: with their own clocks, behind a proxy, killed at any write.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::ByteString;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, Patch};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use seatkeeper::api::common::Timestamp;
use seatkeeper::api::conditions::Condition;
use seatkeeper::api::{License, Plan, Subscription, crds, secret_type};
use seatkeeper::cluster::leader::LEASE_NAME;
use seatkeeper::domain::Instant;
use seatkeeper::domain::license::key::{Claims, verify_key};
use seatkeeper::domain::license::trust::{Revocations, read_revocations};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::keys::Signer;
use crate::harness::eventually::eventually;
use crate::harness::kubectl::Kubectl;
use crate::{Cluster, rights};

/// The operator's own namespace.
pub const HOME: &str = super::installation::SEATKEEPER;
/// The longest that anything may take that a quiet machine does at once.
pub const SOON: Duration = Duration::from_secs(20);

/// The cluster, locked for one test at a time: two operators at once would do each other's work.
pub struct Ground {
    pub cluster: Arc<Cluster>,
    pub admin: Client,
    /// The operator's kubeconfig.
    pub operator: PathBuf,
    _turn: rights::Turn,
}

impl Ground {
    /// Waits for its turn, and deletes what the previous test has left.
    pub async fn take() -> Self {
        let (cluster, operator, turn) = rights::ground().await;
        let ground = Ground { admin: cluster.admin().await, cluster, operator, _turn: turn };
        let all = crds::all();
        let kinds: Vec<_> = all.iter().map(crds::name).chain(["secrets"]).collect();
        for namespace in ground.namespaces_in_use().await {
            ground.kubectl(&namespace).expect(&["delete", &kinds.join(","), "--all"]).await;
        }
        ground.nobody_leads().await;
        ground
    }

    /// Returns the namespaces with Plans, which earlier tests created.
    async fn namespaces_in_use(&self) -> BTreeSet<String> {
        let plans = Api::<Plan>::all(self.admin.clone()).list(&Default::default()).await.expect("the CRDs are there");
        plans.items.into_iter().filter_map(|plan| plan.metadata.namespace).collect()
    }

    /// Returns kubectl as the administrator uses it.
    pub fn kubectl(&self, namespace: &str) -> Kubectl {
        Kubectl::new(&self.cluster, namespace)
    }

    /// Deletes the Lease of an operator that was killed, so that nobody has to wait until it expires.
    pub async fn nobody_leads(&self) {
        let leases: Api<Lease> = Api::namespaced(self.admin.clone(), HOME);
        match leases.delete(LEASE_NAME, &DeleteParams::default()).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => panic!("the Lease could not be deleted: {error}"),
        }
    }

    /// Creates a namespace with the vendor's signing key and the Plan of the lead case.
    pub async fn vendor(&self, name: &str) -> Vendor {
        let namespace = self.cluster.namespace(name).await;
        let kubectl = self.kubectl(&namespace);
        // A key of its own: what others publish with the same key would show in this vendor's Licenses too.
        let signer = Signer::of(&namespace);
        let vendor = Vendor { namespace, kubectl, signer, admin: self.admin.clone() };
        let issuer = Secret {
            metadata: ObjectMeta { name: Some("issuer".into()), ..ObjectMeta::default() },
            type_: Some(secret_type::ISSUER.into()),
            string_data: Some([("signing-key.pem".to_owned(), vendor.signer.pem.clone())].into()),
            ..Secret::default()
        };
        vendor.create(&issuer).await;
        vendor.create(&serde_saphyr::from_str::<Plan>(PLAN).expect("the Plan above")).await;
        vendor
    }
}

/// The lead case, innoACD.
const PLAN: &str = r"
apiVersion: seatkeeper.dev/v1alpha1
kind: Plan
metadata: {name: innoacd}
spec:
  title: innoACD
  product: innoacd
  terms: {interval: {months: 12}, notice: {months: 3}, noticeForm: Written}
  license:
    lifetime: Term
    issueBefore: {weeks: 4}
    graceDays: 14
    demoSeats: 2
    pools: [{name: agents, model: Concurrent, countBy: User}]
";

pub fn at(text: &str) -> Instant {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

/// A vendor and a customer who share a namespace.
pub struct Vendor {
    pub namespace: String,
    pub kubectl: Kubectl,
    pub signer: Signer,
    admin: Client,
}

/// An order for seats of innoACD.
pub struct Order<'a> {
    pub name: &'a str,
    pub starts_on: &'a str,
    pub seats: u32,
    /// The Secret to which its keys are delivered.
    pub secret: &'a str,
}

impl Order<'_> {
    pub fn yaml(&self) -> String {
        let Order { name, starts_on, seats, secret } = self;
        format!(
            r#"
apiVersion: seatkeeper.dev/v1alpha1
kind: Subscription
metadata: {{name: {name}}}
spec:
  customer: {{organisation: Stadtwerke Musterstadt}}
  startsOn: "{starts_on}"
  timeZone: Europe/Berlin
  plans: [{{name: innoacd, pools: [{{name: agents, seats: {seats}}}]}}]
  issuer: {{secretRef: {{name: issuer}}}}
  deliverTo: {{license: {{name: innoacd, secretName: {secret}}}}}
"#
        )
    }
}

impl Vendor {
    pub async fn order(&self, order: Order<'_>) {
        self.kubectl.apply(&order.yaml()).await;
    }

    /// Changes fields of an object, as `kubectl edit` does.
    pub async fn edit(&self, kind: &str, name: &str, patch: &str) {
        let kind = format!("{kind}.seatkeeper.dev");
        self.kubectl.expect(&["patch", &kind, name, "--type=merge", "-p", patch]).await;
    }

    /// Creates an object without kubectl, because it happens often.
    pub async fn create<K>(&self, object: &K)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
        K: Clone + Serialize + DeserializeOwned + std::fmt::Debug,
    {
        let api: Api<K> = Api::namespaced(self.admin.clone(), &self.namespace);
        api.create(&Default::default(), object).await.expect("the object is in order");
    }

    /// Changes an object without kubectl, because it happens often.
    pub async fn patch<K>(&self, name: &str, patch: serde_json::Value)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + std::fmt::Debug,
    {
        let api: Api<K> = Api::namespaced(self.admin.clone(), &self.namespace);
        api.patch(name, &Default::default(), &Patch::Merge(patch)).await.expect("the patch is in order");
    }

    pub async fn cancel(&self, subscription: &str, received_on: &str) {
        let patch = format!(r#"{{"spec":{{"cancellation":{{"receivedOn":"{received_on}","evidence":"a letter"}}}}}}"#);
        self.edit("subscriptions", subscription, &patch).await;
    }

    pub async fn subscription(&self, name: &str) -> Subscription {
        Api::namespaced(self.admin.clone(), &self.namespace).get(name).await.expect("the Subscription is there")
    }

    pub async fn plan(&self) -> Plan {
        Api::namespaced(self.admin.clone(), &self.namespace).get("innoacd").await.expect("the Plan is there")
    }

    /// Returns the License innoacd, if it exists.
    pub async fn license(&self) -> Option<License> {
        Api::namespaced(self.admin.clone(), &self.namespace).get_opt("innoacd").await.expect("the API server answers")
    }

    async fn entries(&self, secret: &str) -> Vec<(String, ByteString)> {
        let secrets: Api<Secret> = Api::namespaced(self.admin.clone(), &self.namespace);
        let secret = secrets.get_opt(secret).await.expect("the API server answers");
        secret.and_then(|secret| secret.data).into_iter().flatten().collect()
    }

    /// Returns the keys in a Secret, oldest first, with the names of their entries; checks that each is genuine.
    pub async fn keys_with_entries(&self, secret: &str) -> Vec<(String, Claims)> {
        let read = |(entry, text): (String, ByteString)| {
            let key = verify_key(&text.0, &self.signer.trust()).unwrap_or_else(|e| panic!("{secret}/{entry}: {e}"));
            (entry, Claims::clone(&key.claims))
        };
        let mut keys: Vec<_> = self.entries(secret).await.into_iter().map(read).collect();
        keys.sort_by_key(|(_, key)| (key.nbf, key.iat));
        keys
    }

    pub async fn keys(&self, secret: &str) -> Vec<Claims> {
        self.keys_with_entries(secret).await.into_iter().map(|(_, key)| key).collect()
    }

    /// Returns the list of revoked keys that is published beside the signing key.
    pub async fn revocations(&self) -> Revocations {
        let entries = self.entries("issuer-trust").await;
        let list = entries.iter().find(|(entry, _)| entry == "revoked.jwt");
        list.map(|(_, list)| read_revocations(&list.0, &self.signer.trust()).expect("our own list")).unwrap_or_default()
    }

    /// Waits until `wanted` accepts the License.
    pub async fn license_comes(&self, what: &str, wanted: impl Fn(&License) -> bool) -> License {
        eventually(SOON, what, async || match self.license().await {
            Some(license) if wanted(&license) => Ok(license),
            seen => Err(format!("{:#?}", seen.and_then(|license| license.status))),
        })
        .await
    }
}

/// Returns `True`, `False` or `absent`, the reason, and the time of the last transition.
pub fn condition(conditions: &[Condition], type_: &str) -> (String, String, Option<Timestamp>) {
    let found = super::case::find(conditions, type_);
    found.map_or(("absent".into(), String::new(), None), |c| {
        (format!("{:?}", c.status), c.reason.clone(), Some(c.last_transition_time))
    })
}

/// Returns the conditions of a License; none if it has no status yet.
pub fn conditions_of(license: &License) -> &[Condition] {
    license.status.as_ref().map_or(&[], |status| &status.conditions)
}
