//! Installations with less: for customers who only use keys, and for some namespaces alone.

use std::time::Duration;

use seatkeeper::domain::license::mode::Mode;
use serde_json::json;

use super::seats_test::LEADS;
use crate::harness::control_plane::ControlPlane;
use crate::harness::kubectl::Kubectl;
use crate::rights;
use crate::suite::case::{Case, KEYS, PLAN, TRUST, order};
use crate::suite::faults_ground::SOON;
use crate::suite::faults_operators::Replica;
use crate::suite::installation::SEATKEEPER;
use crate::suite::keys::{Signer, claims};

/// What an operator takes from the chart.
const TEMPLATES: [&str; 4] = ["serviceaccount", "rbac", "admission-policies", "seats-ca"];
const OWN: [&str; 3] = ["--seats-tls-own", "--seats-tls-name", "seatkeeper.seatkeeper.svc"];

/// A License with a key for 50 seats.
async fn applies_a_license(case: &Case) {
    case.trust().await;
    case.secret("key", KEYS, &[("a", &Signer::of("vendor").sign(&claims("innoacd", "stadtwerke", 365)))]).await;
    case.apply_license("innoacd", "innoacd", &["key"]).await;
}

async fn may(who: &Kubectl, what: &[&str]) -> bool {
    who.run(&[&["auth", "can-i"], what].concat()).await.stdout.trim() == "yes"
}

/// K1: a customer who only uses keys grants the right to write the operator's own Secrets, and no other.
#[tokio::test]
async fn k1_an_operator_that_only_uses_keys_writes_secrets_in_its_own_namespace_alone() {
    let cp = ControlPlane::start().unwrap_or_else(|why| panic!("{why}"));
    let admin = Kubectl::new(&cp, SEATKEEPER);
    admin.expect(&["create", "namespace", SEATKEEPER]).await;
    rights::crds(&cp).await;
    rights::apply_with(&cp, &TEMPLATES, "vendor.enabled=false").await;
    let kubeconfig = cp.service_account_kubeconfig(SEATKEEPER, SEATKEEPER).await;
    let arguments = [&OWN[..], &["--keys-only", "--await-policies"]].concat();
    let operator = Replica::start_with(&kubeconfig, "keys-only", &arguments);
    operator.says(SOON, LEADS).await;

    let case = Case::on(&cp, "customer").await;
    applies_a_license(&case).await;
    case.license("innoacd").becomes(Mode::Full).await;
    for name in ["seatkeeper-seat-ids", "seatkeeper-seats-authority"] {
        let filled = admin.expect(&["get", "secret", name, "-o", "jsonpath={.data}"]).await;
        assert!(!filled.is_empty(), "{name}");
    }
    for namespace in [SEATKEEPER, &case.namespace] {
        let it = Kubectl::with(&cp, &kubeconfig, namespace);
        for verb in ["create", "update", "patch", "delete"] {
            let is_own = namespace == SEATKEEPER && ["create", "update"].contains(&verb);
            assert_eq!(may(&it, &[verb, "secrets"]).await, is_own, "{verb} Secrets in {namespace}");
        }
        for (verb, what) in [("create", "licenses.seatkeeper.dev"), ("list", "plans.seatkeeper.dev")] {
            assert!(!may(&it, &[verb, what]).await, "it may {verb} {what} in {namespace}");
        }
    }
    for object in [PLAN, &order("stadtwerke", "")] {
        let said = case.kubectl.refused(object).await;
        assert!(said.contains("this installation only uses keys, and nothing would be done about it"), "{said}");
    }
    operator.kill().await;
}

/// K1: what is elsewhere is neither read nor judged, and there are no rights to it.
#[tokio::test]
async fn k1_an_operator_of_some_namespaces_looks_at_no_other() {
    let cp = ControlPlane::start().unwrap_or_else(|why| panic!("{why}"));
    let admin = Kubectl::new(&cp, SEATKEEPER);
    admin.expect(&["create", "namespace", SEATKEEPER]).await;
    rights::crds(&cp).await;
    let [one, two, other] = [Case::on(&cp, "one").await, Case::on(&cp, "two").await, Case::on(&cp, "other").await];
    let named = format!("{},{}", one.namespace, two.namespace);
    rights::apply_with(&cp, &TEMPLATES, &format!("scope.namespaces={{{named}}}")).await;
    let kubeconfig = cp.service_account_kubeconfig(SEATKEEPER, SEATKEEPER).await;
    let arguments = [&OWN[..], &["--watch-namespaces", &named, "--await-policies"]].concat();
    applies_a_license(&other).await;
    applies_a_license(&one).await;
    let operator = Replica::start_with(&kubeconfig, "bounded", &arguments);
    operator.says(SOON, LEADS).await;
    one.license("innoacd").becomes(Mode::Full).await;
    // A contract, whose key and License the operator makes.
    two.signing_key().await;
    two.kubectl.apply(PLAN).await;
    two.kubectl.apply(&order("stadtwerke", "")).await;
    two.license("innoacd").becomes(Mode::Full).await;

    // What the installation pins is in the operator's own namespace.
    let pin = json!({
        "apiVersion": "v1", "kind": "Secret", "type": TRUST,
        "metadata": {"name": "pin", "labels": {"seatkeeper.dev/product": "innoacd"}},
        "stringData": {"jwks.json": Signer::of("somebody else").jwks()},
    });
    admin.apply(&pin.to_string()).await;
    one.license("innoacd").becomes(Mode::Demo).await;
    // Long enough for every look; the License that came first was not looked at either.
    tokio::time::sleep(Duration::from_secs(2)).await;
    // As the API server makes it.
    let seen = other.license("innoacd").get().await.status.unwrap_or_default();
    assert_eq!((seen.observed_generation, seen.mode), (Some(-1), None));
    let there = Kubectl::with(&cp, &kubeconfig, &other.namespace);
    for what in ["secrets", "licenses.seatkeeper.dev", "rosters.seatkeeper.dev", "subscriptions.seatkeeper.dev"] {
        for verb in ["list", "watch", "create", "update"] {
            assert!(!may(&there, &[verb, what]).await, "it may {verb} {what}");
        }
    }
    let home = Kubectl::with(&cp, &kubeconfig, SEATKEEPER);
    assert!(!may(&home, &["list", "namespaces"]).await);
    operator.kill().await;
}
