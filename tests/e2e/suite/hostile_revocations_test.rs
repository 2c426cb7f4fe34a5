//! Revoked keys that somebody wants back: what the people of a namespace, and a clock, can do about it.

use std::time::Duration;

use chrono::Months;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::ListParams;
use seatkeeper::domain::license::mode::Mode;

use super::case::{Case, KEYS, PLAN, Shown, TRUST, find, order};
use super::keys::{Signer, claims, months_ago};
use crate::harness::eventually::eventually;

const PATIENCE: Duration = Duration::from_secs(45);
const TO_OWN: &str = "deliverTo: {license: {name: innoacd}}";

/// Waits until the operator has kept that `signer` revoked `serial`.
async fn is_kept(case: &Case, signer: &Signer, serial: &str) {
    let secrets: Api<Secret> = Api::all(case.client.clone());
    let of_type = ListParams::default().fields("type=seatkeeper.dev/revocations");
    let signer = signer.thumbprint();
    eventually(PATIENCE, "the list is kept", async || {
        let found = secrets.list(&of_type).await.map_err(|error| error.to_string())?;
        let entries = found.items.iter().flat_map(|secret| secret.data.iter().flatten());
        let kept: Vec<_> = entries.filter(|(entry, _)| **entry == signer).map(|(_, list)| &list.0).collect();
        let says = |list: &&Vec<u8>| String::from_utf8_lossy(list).contains(&format!("\"{serial}\""));
        if kept.iter().any(&says) { Ok(()) } else { Err(format!("{} are kept", kept.len())) }
    })
    .await;
}

/// The attack: somebody who may write Secrets deletes the list of revoked keys, puts an older one back, or deletes the whole
/// Secret and makes it again. The key was granted again.
#[tokio::test]
async fn k4_what_was_revoked_stays_revoked_whatever_becomes_of_the_list() {
    let case = Case::new("taken-back").await;
    let vendor = Signer::of(&case.namespace);
    let key = claims("innoacd", &case.namespace, 365);
    let trust = async |list: Option<String>| {
        let jwks = vendor.jwks();
        let entries = [Some(("jwks.json", jwks.as_str())), list.as_deref().map(|list| ("revoked.jwt", list))];
        case.kubectl.run(&["delete", "secret", "vendor-trust"]).await;
        case.secret("vendor-trust", TRUST, &entries.into_iter().flatten().collect::<Vec<_>>()).await;
    };
    trust(Some(vendor.revoke_in(2, None, &[&key.jti, "other"]))).await;
    case.secret("keys", KEYS, &[("key.jwt", &vendor.sign(&key))]).await;
    let license = case.apply_license("acd", "innoacd", &["keys"]).await;
    license.shows_key("keys", "key.jwt", "Refused", Some("Revoked")).await;
    assert!(find(&license.get().await.status.expect("a status").conditions, "RevocationsOutdated").is_none());
    is_kept(&case, &vendor, &key.jti).await;

    case.kubectl
        .expect(&[
            "patch",
            "secret/vendor-trust",
            "--type=json",
            "-p",
            r#"[{"op": "remove", "path": "/data/revoked.jwt"}]"#,
        ])
        .await;
    let said = license.is("RevocationsOutdated", "RevocationsMissing").await;
    assert!(said.contains("version 2 of it was read before; what it revoked stays revoked"), "{said}");
    license.told("RevocationsOutdated").await;
    license.shows_key("keys", "key.jwt", "Refused", Some("Revoked")).await;
    assert_eq!(license.get().await.mode(), Some(Mode::Demo));

    trust(Some(vendor.revoke_in(1, None, &["other"]))).await;
    license.is("RevocationsOutdated", "RevocationsOlder").await;
    license.shows_key("keys", "key.jwt", "Refused", Some("Revoked")).await;

    // A newer list that leaves a serial out takes nothing back, and one that has expired ends nothing.
    trust(Some(vendor.revoke_in(3, Some(-60), &["other"]))).await;
    license.is("RevocationsOutdated", "RevocationsExpired").await;
    license.shows_key("keys", "key.jwt", "Refused", Some("Revoked")).await;
    let sound = claims("innoacd", &format!("{}-sound", case.namespace), 365);
    case.secret("keys", KEYS, &[("key.jwt", &vendor.sign(&key)), ("sound.jwt", &vendor.sign(&sound))]).await;
    license.becomes(Mode::Full).await;

    trust(Some(vendor.revoke_in(4, Some(3_600), &["other"]))).await;
    license
        .shows("no complaint", |license| {
            find(&license.status.as_ref().expect("a status").conditions, "RevocationsOutdated").is_none()
        })
        .await;
    license.shows_key("keys", "key.jwt", "Refused", Some("Revoked")).await;
}

/// The attack: the customer's License takes no more keys of the contract, so that nothing is revoked when the contract
/// is cancelled; the keys it has were issued by a signer that stays trusted.
#[tokio::test]
async fn i6_a_customer_who_takes_no_more_keys_is_told_all_the_same_what_is_revoked() {
    let (vendor, customer) = (Case::new("revoking").await, Case::new("keeping").await);
    vendor.signing_key().await;
    vendor.kubectl.apply(PLAN).await;
    let to = format!("deliverTo: {{license: {{name: innoacd, namespace: {}}}}}", customer.namespace);
    let order = order("stadtwerke", "").replace(TO_OWN, &to);
    vendor.kubectl.apply(&order).await;
    customer.trust().await;
    let license = customer.apply_license("innoacd", "innoacd", &["innoacd-license"]).await;
    let takes = |whom: &str| format!(r#"{{"spec": {{"subscriptionRef": {whom}}}}}"#);
    let back = format!(r#"{{"name": "stadtwerke", "namespace": "{}"}}"#, vendor.namespace);
    customer.kubectl.expect(&["patch", "lic/innoacd", "--type=merge", "-p", &takes(&back)]).await;
    let subscription = vendor.subscription("stadtwerke");
    subscription.is("Delivered", "Delivered").await;
    license.becomes(Mode::Full).await;
    license.shows_key("innoacd-license", "term-2.jwt", "Future", None).await;

    customer.kubectl.expect(&["patch", "lic/innoacd", "--type=merge", "-p", &takes("null")]).await;
    subscription.is_not("Delivered", "NotAccepted").await;
    // Fewer seats are owed in another key, which is not delivered: the one that they have is not revoked before.
    let term_2 = months_ago(10).checked_add_months(Months::new(12)).expect("a day of our time");
    let fewer = format!("seats: 50, changes: [{{on: \"{term_2}\", seats: 40, receivedOn: \"{}\"}}]", months_ago(6));
    vendor.kubectl.apply(&order.replace("seats: 50", &fewer)).await;
    subscription
        .shows("the order for fewer seats", |subscription| {
            let seen = subscription.status.as_ref().and_then(|status| status.observed_generation);
            seen == subscription.metadata.generation && subscription.metadata.generation > Some(1)
        })
        .await;
    license.shows_key("innoacd-license", "term-2.jwt", "Future", None).await;
    let cancellation = format!("  cancellation: {{receivedOn: \"{}\", evidence: letter}}", months_ago(2));
    vendor.kubectl.apply(&format!("{order}{cancellation}\n")).await;
    license.shows_key("innoacd-license", "term-2.jwt", "Refused", Some("Revoked")).await;
    let kept = license.shows_key("innoacd-license", "term-1.jwt", "InForce", None).await;
    assert_eq!(kept.mode(), Some(Mode::Full));
}

/// The attack: the clock of the node is set back, the operator begins again, and a licence that has ended lives again. What
/// its vendor has signed since shows that it is later.
#[tokio::test]
async fn k4_a_licence_is_not_judged_before_the_latest_time_that_its_signer_signed_at() {
    let (case, other) = (Case::new("set-back").await, Case::new("unmoved").await);
    let vendor = Signer::of(&case.namespace);
    case.secret("vendor-trust", TRUST, &[("jwks.json", &vendor.jwks())]).await;
    let ended = claims("innoacd", &case.namespace, 30);
    let mut later = claims("innoacd", &format!("{}-later", case.namespace), 365);
    later.iat += 60 * 86_400;
    later.nbf = later.iat;
    case.secret("keys", KEYS, &[("ended.jwt", &vendor.sign(&ended))]).await;
    let license = case.apply_license("acd", "innoacd", &["keys"]).await;
    license.becomes(Mode::Full).await;
    case.secret("keys", KEYS, &[("ended.jwt", &vendor.sign(&ended)), ("later.jwt", &vendor.sign(&later))]).await;
    license.shows_key("keys", "ended.jwt", "Expired", None).await;
    license.shows_key("keys", "later.jwt", "InForce", None).await;
    let said = license.is_not("ClockTrusted", "ClockBehind").await;
    assert!(said.contains("is dated later than the clock; the licence is judged at that time"), "{said}");

    // The clock of others, who do not trust this vendor, does not move.
    other.trust().await;
    other
        .secret("keys", KEYS, &[("key.jwt", &Signer::of("vendor").sign(&claims("innoacd", &other.namespace, 30)))])
        .await;
    let theirs = other.apply_license("acd", "innoacd", &["keys"]).await;
    theirs.shows_key("keys", "key.jwt", "InForce", None).await;
    theirs.is("ClockTrusted", "ClocksAgree").await;

    // The vendor takes back what was dated wrongly.
    let list = vendor.revoke_in(1, None, &[&later.jti]);
    case.secret("vendor-trust", TRUST, &[("jwks.json", &vendor.jwks()), ("revoked.jwt", &list)]).await;
    license.shows_key("keys", "ended.jwt", "InForce", None).await;
    license.is("ClockTrusted", "ClocksAgree").await;
}
