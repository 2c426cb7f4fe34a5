//! What a cluster may refuse to the operator: by a policy, by a quota, by rights that were taken away, and in a namespace that ends.

use k8s_openapi::api::core::v1::ResourceQuota;
use kube::Api;
use kube::api::{Patch, PatchParams};
use seatkeeper::domain::license::mode::Mode;
use serde_json::json;

use crate::suite::case::{Case, PLAN, condition_of, order};

async fn ordered(name: &str) -> Case {
    let case = Case::new(name).await;
    case.signing_key().await;
    case.kubectl.apply(PLAN).await;
    case
}

/// A policy lets nobody make Secrets with keys.
#[tokio::test]
async fn i4_a_policy_that_refuses_the_keys_is_told_and_nothing_says_that_they_were_issued() {
    let case = ordered("policy").await;
    let policy = format!(
        r#"
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {{name: {0}}}
spec:
  matchConstraints:
    namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {0}}}}}
    resourceRules: [{{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [secrets]}}]
  validations: [{{expression: "object.metadata.name != 'innoacd-license'", message: "no licences on Fridays"}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {{name: {0}}}
spec: {{policyName: {0}, validationActions: [Deny]}}
"#,
        case.namespace
    );
    case.kubectl.apply(&policy).await;
    // A policy is in force a moment after it was made.
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    case.kubectl.apply(&order("stadtwerke", "")).await;
    let subscription = case.subscription("stadtwerke");
    let said = subscription.is_not("Delivered", "WriteRefused").await;
    assert!(said.contains("no licences on Fridays"), "{said}");
    let seen = subscription.get().await;
    assert_eq!(condition_of(&seen, "Issued").message, said);
    assert_eq!(subscription.told("WriteRefused").await, said);

    case.kubectl
        .expect(&["delete", "validatingadmissionpolicybinding,validatingadmissionpolicy", &case.namespace])
        .await;
    subscription.is("Delivered", "Delivered").await;
    case.license("innoacd").becomes(Mode::Full).await;
}

/// A quota of the namespace has no room for another Secret.
#[tokio::test]
async fn i4_a_quota_that_is_used_up_is_told() {
    let case = ordered("quota").await;
    case.kubectl.expect(&["create", "quota", "few", "--hard=count/secrets=1"]).await;
    // The controller that keeps the numbers does not run here.
    let quotas: Api<ResourceQuota> = Api::namespaced(case.client.clone(), &case.namespace);
    let hard = json!({"count/secrets": "1"});
    let status = json!({"status": {"hard": hard, "used": hard}});
    quotas.patch_status("few", &PatchParams::default(), &Patch::Merge(&status)).await.expect("it has a status");
    case.kubectl.apply(&order("stadtwerke", "")).await;
    let subscription = case.subscription("stadtwerke");
    let said = subscription.is_not("Issued", "WriteRefused").await;
    assert!(said.contains("issuer-trust") && said.contains("exceeded quota: few"), "{said}");
    subscription.told("WriteRefused").await;
    case.kubectl.expect(&["delete", "quota", "few"]).await;
    subscription.is("Delivered", "Delivered").await;
}

/// The namespace is being deleted when the order is approved.
#[tokio::test]
async fn i4_a_namespace_that_ends_is_told() {
    let case = ordered("ends").await;
    case.kubectl
        .apply(
            &PLAN
                .replace("product: innoacd", "product: innoacd\n  orders: {approval: Manual}")
                .replace("name: innoacd}", "name: manual}"),
        )
        .await;
    case.kubectl.apply(&order("stadtwerke", "").replace("plans: [{name: innoacd", "plans: [{name: manual")).await;
    let subscription = case.subscription("stadtwerke");
    subscription.is("Ready", "Ordered").await;
    case.kubectl.expect(&["delete", "namespace", &case.namespace, "--wait=false"]).await;
    let approved = r#"{"spec": {"order": {"approvedOn": "2020-01-01"}}}"#;
    case.kubectl.expect(&["patch", "lsub/stadtwerke", "--type=merge", "-p", approved]).await;
    let said = subscription.is_not("Ready", "WriteRefused").await;
    assert!(said.contains("because it is being terminated"), "{said}");
}
