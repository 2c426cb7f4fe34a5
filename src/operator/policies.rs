//! Waits until the chart's admission policies restrain the operator.
//!
//! Helm installs kinds that it does not know last, and admission policies are such a kind: the Deployment is there before
//! them, on an upgrade before their new version too. The operator asks the API server for what they forbid, in a dry run
//! that would store nothing, and begins once that is refused.

use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fmt::Debug;
use std::time::Duration;
use tokio::sync::watch;

use crate::api::{License, mark, secret_type};
use crate::cluster::client::call;
use crate::cluster::scope::Scope;
use crate::cluster::trouble::Trouble;
use crate::controllers::wiring::Bounds;
use crate::machine::jittered;

/// The name of what the operator must not write. Nothing of that name is ever stored.
const FORBIDDEN: &str = "seatkeeper-must-not-write-this";
/// The pause before the API server is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// Returns true once every policy is in force; false if `stop` turns true first. `home` is the operator's own namespace.
pub async fn in_force(client: &Client, home: &str, bounds: &Bounds, stop: &mut watch::Receiver<bool>) -> bool {
    // Where RBAC lets the operator write. One that only uses keys writes Secrets in its own namespace, and no Licenses.
    let (namespace, license_by) = match &bounds.scope {
        _ if bounds.keys_only => (home, RefusedBy::Rights),
        Scope::Namespaces(named) => (named.first().map_or(home, String::as_str), RefusedBy::Policies),
        Scope::Everywhere => (home, RefusedBy::Policies),
    };
    // Each object breaks the newest rule of its policy and no older one.
    let pin = json!({
        "metadata": {"name": FORBIDDEN, "labels": {mark::PRODUCT: "any"}, "annotations": {mark::OWNER: "nobody"}},
        "type": secret_type::TRUST,
    });
    let unmarked = json!({"metadata": {"name": FORBIDDEN}, "spec": {"product": "any"}});
    let mut trouble = Trouble::with("waiting for the admission policies of the chart, which restrain this");
    loop {
        let secret = expect_refusal::<Secret>(client, namespace, &pin, RefusedBy::Policies).await;
        let license = expect_refusal::<License>(client, namespace, &unmarked, license_by).await;
        match secret.and(license) {
            Ok(()) => return true,
            Err(why) => trouble.lasts(why),
        }
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return false,
            () = tokio::time::sleep(jittered(ASK_AGAIN)) => {}
        }
    }
}

/// What restrains the operator.
#[derive(Clone, Copy)]
enum RefusedBy {
    Policies,
    /// It may not create such objects at all.
    Rights,
}

impl RefusedBy {
    /// What the API server says then.
    fn words(self) -> &'static str {
        match self {
            RefusedBy::Policies => "ValidatingAdmissionPolicy",
            RefusedBy::Rights => "cannot create resource",
        }
    }
}

/// Fails with the reason if creating `object` is not refused as it should be.
async fn expect_refusal<K>(client: &Client, namespace: &str, object: &Value, by: RefusedBy) -> Result<(), String>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + Serialize + DeserializeOwned,
{
    let kind = K::kind(&());
    let object = serde_json::from_value::<K>(object.clone()).map_err(|e| format!("{kind}: {e}"))?;
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    match call(Api::<K>::namespaced(client.clone(), namespace).create(&dry_run, &object)).await {
        Err(error) if error.code() == Some(403) && error.to_string().contains(by.words()) => Ok(()),
        Err(error) => Err(format!("{kind}: {error}")),
        Ok(_) => Err(format!("a {kind} that no policy should admit would be created")),
    }
}
