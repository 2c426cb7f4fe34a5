//! Where keys go, and where they do not.

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt};
use seatkeeper::domain::license::mode::Mode;

use super::case::{Case, ISSUER, KEYS, PLAN, Shown, condition_of, order};

const TO_OWN: &str = "deliverTo: {license: {name: innoacd}}";

/// A vendor's contract reaches only a License that asks for it.
#[tokio::test]
async fn i4_another_namespace_is_served_only_once_its_license_names_the_contract() {
    let (vendor, customer) = (Case::new("vendor").await, Case::new("customer").await);
    vendor.signing_key().await;
    vendor.kubectl.apply(PLAN).await;
    let to = format!("deliverTo: {{license: {{name: innoacd, namespace: {}}}}}", customer.namespace);
    vendor.kubectl.apply(&order("stadtwerke", "").replace(TO_OWN, &to)).await;
    let subscription = vendor.subscription("stadtwerke");
    subscription.is_not("Delivered", "NotAccepted").await;
    assert!(customer.license("innoacd").api.get_opt("innoacd").await.expect("it can be asked").is_none());

    customer.trust().await;
    let license = customer.apply_license("innoacd", "innoacd", &["innoacd-license"]).await;
    license.is("Reconciling", "SecretMissing").await;
    let message = subscription.is_not("Delivered", "NotAccepted").await;
    let back = format!("it must say subscriptionRef: {{name: stadtwerke, namespace: {}}}", vendor.namespace);
    assert!(message.contains(&back), "{message}");
    assert!(subscription.told("NotAccepted").await.contains(&back));

    let back = format!(
        "{{\"spec\": {{\"subscriptionRef\": {{\"name\": \"stadtwerke\", \"namespace\": \"{}\"}}}}}}",
        vendor.namespace
    );
    customer.kubectl.expect(&["patch", "lic/innoacd", "--type=merge", "-p", &back]).await;
    subscription.is("Delivered", "Delivered").await;
    let seen = license.becomes(Mode::Full).await;
    assert_eq!(seen.seats(), Some("agents 0/50"));
}

/// A Secret that already existed is not overwritten, even if it has the right type; once it is deleted, delivery goes
/// on.
#[tokio::test]
async fn a_secret_that_already_existed_is_not_changed() {
    for type_ in ["Opaque", KEYS] {
        let case = Case::new("not-ours").await;
        case.signing_key().await;
        case.secret("innoacd-license", type_, &[("mine", "my own")]).await;
        let secrets: Api<Secret> = Api::namespaced(case.client.clone(), &case.namespace);
        let before = secrets.get("innoacd-license").await.expect("it was applied");
        case.kubectl.apply(PLAN).await;
        case.kubectl.apply(&order("stadtwerke", "")).await;
        let subscription = case.subscription("stadtwerke");
        let message = subscription.is_not("Delivered", "SecretNotOurs").await;
        assert!(message.contains("is left unchanged; delete it or name another one"), "{message}");
        assert!(!message.contains("mine"), "{message}");
        subscription.told("SecretNotOurs").await;
        let after = secrets.get("innoacd-license").await.expect("it stays");
        assert_eq!((after.resource_version(), after.uid()), (before.resource_version(), before.uid()), "{type_}");

        case.kubectl.expect(&["delete", "secret", "innoacd-license"]).await;
        subscription.is("Delivered", "Delivered").await;
        case.license("innoacd").becomes(Mode::Full).await;
    }
}

/// The customer keeps the licence even when the vendor's order is deleted.
#[tokio::test]
async fn a_deleted_subscription_leaves_the_customer_what_they_have() {
    let case = Case::new("deleted").await;
    case.signing_key().await;
    case.kubectl.apply(PLAN).await;
    case.kubectl.apply(&order("stadtwerke", "")).await;
    let license = case.license("innoacd");
    let before = license.becomes(Mode::Full).await;
    let keys = case.entries("innoacd-license").await;
    // There is no owner reference that a garbage collector would follow, now or later.
    let secrets: Api<Secret> = Api::namespaced(case.client.clone(), &case.namespace);
    let secret = secrets.get("innoacd-license").await.expect("the keys are there");
    assert_eq!((before.owner_references(), secret.owner_references()), (&[][..], &[][..]));
    assert_eq!((before.finalizers(), secret.finalizers()), (&[][..], &[][..]));

    case.kubectl.expect(&["delete", "lsub/stadtwerke", "lplan/innoacd", "secret/issuer", "--wait"]).await;
    // Change something in the License, so that there is a reconciliation to wait for.
    case.kubectl.expect(&["annotate", "lic/innoacd", "looked=at"]).await;
    case.kubectl
        .expect(&[
            "patch",
            "lic/innoacd",
            "--type=merge",
            "-p",
            r#"{"spec": {"administrators": [{"user": "m.huber"}]}}"#,
        ])
        .await;
    let after = license
        .shows("the new generation", |l| {
            l.status.as_ref().is_some_and(|s| s.observed_generation == l.metadata.generation)
        })
        .await;
    assert_eq!(after.mode(), Some(Mode::Full));
    let granted = |license: seatkeeper::api::License| license.status.map(|s| (s.seats, s.expires_at, s.keys));
    assert_eq!(granted(after), granted(before));
    assert_eq!(case.entries("innoacd-license").await, keys);
}

/// A signing key that is lost is never replaced: the Subscription says what is missing, and the customer keeps what they have.
#[tokio::test]
async fn k4_a_lost_signing_key_is_named_with_what_shows_that_there_was_one() {
    let case = Case::new("lost-key").await;
    case.signing_key().await;
    case.kubectl.apply(PLAN).await;
    case.kubectl.apply(&order("stadtwerke", "")).await;
    let (license, subscription) = (case.license("innoacd"), case.subscription("stadtwerke"));
    license.becomes(Mode::Full).await;
    case.kubectl.expect(&["delete", "secret", "issuer"]).await;
    let said = subscription.is_not("Issued", "SigningKeyLost").await;
    let trust = format!("Keys were issued before (Secret {}/issuer-trust publishes the public key)", case.namespace);
    assert!(said.contains("spec.issuer: Secret ") && said.contains(&trust), "{said}");
    assert!(said.contains("restore the same signing-key.pem from a backup"), "{said}");
    subscription.told("SigningKeyLost").await;
    assert_eq!(subscription.is_not("Delivered", "SigningKeyLost").await, said, "keys have been delivered");
    case.secret("issuer", ISSUER, &[("other", "hunter2")]).await;
    let said = subscription.is_not("Issued", "SigningKeyLost").await;
    assert!(said.contains("Keys were issued before"), "{said}");
    case.kubectl.expect(&["delete", "secret", "issuer", "issuer-trust"]).await;
    let named = "Keys were issued before (the status of this Subscription names them)";
    subscription.shows("by its status", |s| condition_of(s, "Issued").message.contains(named)).await;
    case.signing_key().await;
    subscription.is("Ready", "Active").await;
    subscription.is("Issued", "Issued").await;
    license.becomes(Mode::Full).await;
}
