//! From order to licence: what a vendor and a customer do with kubectl, and what each sees.

use std::collections::BTreeSet;
use std::time::Duration;

use seatkeeper::domain::license::mode::Mode;
use seatkeeper::machine::monotonic;
use serde_json::Value;

use super::case::{Case, Conditioned, KEYS, PLAN, Shown, find, order};
use super::keys::{Signer, claims};

/// I11: the order form is one object. I4: nothing else has to be done.
#[tokio::test]
async fn i11_i4_one_subscription_applied_is_a_full_license_in_under_5_s() {
    let case = Case::new("order").await;
    case.signing_key().await;
    case.kubectl.apply(PLAN).await;
    let license = case.license("innoacd");

    let began = monotonic();
    case.kubectl.apply(&order("stadtwerke", "")).await;
    license.is("Licensed", "Full").await;
    let took = monotonic() - began;
    println!("order to Licensed=True: {} ms, of kubectl apply too", took.as_millis());
    assert!(took < Duration::from_secs(5), "{took:?}");
    let wait = ["wait", "--for=condition=Licensed", "licenses.seatkeeper.dev/innoacd", "--timeout=0"];
    case.kubectl.expect(&wait).await;

    let seen = license.becomes(Mode::Full).await;
    assert_eq!(seen.seats(), Some("agents 0/50"));
    assert_eq!(seen.status.and_then(|s| s.organisation).as_deref(), Some("Stadtwerke Musterstadt"));
    assert!(license.told("Activated").await.contains("agents 50 for Stadtwerke Musterstadt to the end of "));
    assert!(case.subscription("stadtwerke").told("KeyIssued").await.contains("for term 1 of Plan innoacd"));
}

/// The manager of every field that the operator writes is `seatkeeper`, not `unknown`.
#[tokio::test]
async fn everything_that_the_operator_writes_has_its_name() {
    let case = Case::new("whose").await;
    case.signing_key().await;
    case.kubectl.apply(PLAN).await;
    case.kubectl.apply(&order("stadtwerke", "")).await;
    let license = case.license("innoacd");
    license.is("Licensed", "Full").await;
    license.told("Activated").await;
    for kind in ["subscriptions", "licenses.seatkeeper.dev", "secrets", "events"] {
        let shown = case.kubectl.expect(&["get", kind, "-o", "json", "--show-managed-fields"]).await;
        let shown: Value = serde_json::from_str(&shown).expect("kubectl prints JSON");
        let objects = shown["items"].as_array().into_iter().flatten();
        let entries = objects.flat_map(|object| object["metadata"]["managedFields"].as_array().into_iter().flatten());
        let managers: BTreeSet<&str> = entries.filter_map(|entry| entry["manager"].as_str()).collect();
        let others: Vec<_> =
            managers.iter().filter(|name| !name.starts_with("kubectl") && **name != "seatkeeper").collect();
        assert!(managers.contains("seatkeeper") && others.is_empty(), "{kind}: {managers:?}");
    }
}

/// I4, K4: a key entered in demo mode counts at once, without a restart.
#[tokio::test]
async fn i4_a_key_entered_in_demo_is_full_in_under_2_s() {
    let case = Case::new("enter").await;
    case.trust().await;
    let customer = &case.namespace;
    let vendor = Signer::of("vendor");
    case.secret("keys", KEYS, &[("2025.jwt", &vendor.sign(&claims("innoacd", customer, -30)))]).await;
    let license = case.apply_license("acd", "innoacd", &["keys"]).await;
    let seen = license.becomes(Mode::Demo).await;
    assert_eq!(seen.seats(), Some("demo 0/2"));
    license.is("InDemo", "Demo").await;
    license.is_not("Licensed", "Expired").await;

    let new = vendor.sign(&claims("innoacd", customer, 365));
    let began = monotonic();
    case.secret("keys", KEYS, &[("2026.jwt", &new)]).await;
    license.is("Licensed", "Full").await;
    let took = monotonic() - began;
    println!("key entered to Licensed=True: {} ms, of kubectl apply too", took.as_millis());
    assert!(took < Duration::from_secs(2), "{took:?}");

    let seen = license.becomes(Mode::Full).await;
    assert_eq!(seen.seats(), Some("agents 0/50"));
    license.told("FullAgain").await;
}

/// I11: an order waits for its approval if the Plan says so.
#[tokio::test]
async fn i11_an_order_waits_for_approval_and_then_activates() {
    let case = Case::new("approval").await;
    case.signing_key().await;
    case.kubectl.apply(&PLAN.replace("  terms:", "  orders: {approval: Manual}\n  terms:")).await;
    case.kubectl.apply(&order("stadtwerke", "  order: {reference: PO-4711}")).await;
    let subscription = case.subscription("stadtwerke");
    let waits = subscription.is("Ready", "Ordered").await;
    assert_eq!(waits, "waits for approval: set spec.order.approvedOn");
    assert_eq!(subscription.told("Ordered").await, waits);
    subscription.is_not("Issued", "Ordered").await;
    // The License exists and says that it has no key yet.
    let license = case.license("innoacd");
    assert!(license.is("Reconciling", "SecretMissing").await.contains("innoacd-license"));
    license.is_not("Licensed", "NoLicense").await;

    let yesterday = super::keys::months_ago(0);
    case.kubectl
        .apply(&order("stadtwerke", &format!("  order: {{reference: PO-4711, approvedOn: \"{yesterday}\"}}")))
        .await;
    subscription.is("Ready", "Active").await;
    license.becomes(Mode::Full).await;
    subscription.told("Started").await;
}

/// I4, I11: two orders for one product stand beside each other in one License, and their seats add up.
#[tokio::test]
async fn i4_i11_the_seats_of_two_orders_add_up() {
    let case = Case::new("two-orders").await;
    case.signing_key().await;
    case.trust().await;
    case.kubectl.apply(PLAN).await;
    let to = |secret: &str| format!("deliverTo: {{license: {{name: innoacd, secretName: {secret}}}}}");
    let first = order("l1", "").replace("deliverTo: {license: {name: innoacd}}", &to("l1"));
    let second = order("l2", "").replace("deliverTo: {license: {name: innoacd}}", &to("l2")).replace("50", "10");
    let license = case.apply_license("innoacd", "innoacd", &["l1", "l2"]).await;
    case.kubectl.apply(&first).await;
    license.shows("50 agents", |l| l.seats() == Some("agents 0/50")).await;
    case.kubectl.apply(&second).await;
    let seen = license.shows("60 agents", |l| l.seats() == Some("agents 0/60")).await;
    let status = seen.status.clone().expect("it shows seats");
    assert_eq!(status.grants.len(), 2, "{:?}", status.grants);
    assert!(find(seen.conditions(), "KeyRefused").is_none(), "{:?}", seen.status);

    // Delivery into a Secret that the License does not read is useless, and the Subscription says so.
    case.kubectl.apply(&order("l3", "").replace("deliverTo: {license: {name: innoacd}}", &to("l3"))).await;
    let message = case.subscription("l3").is_not("Delivered", "SecretNotRead").await;
    assert!(message.contains("does not read Secret l3: name it in its spec.keys"), "{message}");
}
