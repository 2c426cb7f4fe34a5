//! Writes that the API server refuses: for good ones are told where the user looks, in the server's words, and bad names are refused
//! at apply.

use seatkeeper::domain::license::mode::Mode;

use super::case::{Case, PLAN, Shown, condition_of, order};

/// Somebody made the Secret with the keys immutable. The contract went on as Ready, Issued and Delivered, and its licence ended.
#[tokio::test]
async fn i4_a_secret_that_cannot_be_written_is_told_in_the_words_of_the_api_server() {
    let case = Case::new("immutable").await;
    case.signing_key().await;
    case.kubectl.apply(PLAN).await;
    case.kubectl.apply(&order("stadtwerke", "")).await;
    let (license, subscription) = (case.license("innoacd"), case.subscription("stadtwerke"));
    license.becomes(Mode::Full).await;
    case.kubectl.expect(&["patch", "secret/innoacd-license", "--type=merge", "-p", r#"{"immutable": true}"#]).await;
    let changes = r#"[{"op": "replace", "path": "/spec/plans/0/pools/0/seats", "value": 60}]"#;
    case.kubectl.expect(&["patch", "lsub/stadtwerke", "--type=json", "-p", changes]).await;

    let said = subscription.is_not("Delivered", "WriteRefused").await;
    let secret = format!("the API server does not let the operator write Secret {}/innoacd-license: ", case.namespace);
    assert!(said.starts_with(&secret) && said.contains("immutable"), "{said}");
    let seen = subscription.get().await;
    for type_ in ["Ready", "Issued"] {
        let condition = condition_of(&seen, type_);
        assert_eq!((&*condition.reason, &condition.message), ("WriteRefused", &said), "{type_}");
    }
    assert_eq!(subscription.told("WriteRefused").await, said, "it is told once");
    license.becomes(Mode::Full).await;

    case.kubectl.expect(&["delete", "secret", "innoacd-license"]).await;
    subscription.is("Delivered", "Delivered").await;
    subscription.is("Issued", "Issued").await;
    license.shows("the seats that were ordered", |l| l.seats() == Some("agents 0/60")).await;
}

/// The keys also go to a Secret for download. The key that the License has was revoked, because its successor was there.
#[tokio::test]
async fn i4_a_key_is_not_revoked_while_the_one_that_replaces_it_cannot_be_delivered() {
    let case = Case::new("two-places").await;
    case.signing_key().await;
    case.kubectl.apply(PLAN).await;
    let both = |seats: &str| {
        let order =
            order("stadtwerke", "").replace("{license: {name: innoacd}}", "{license: {name: innoacd}, file: Keep}");
        order.replace("seats: 50", seats)
    };
    case.kubectl.apply(&both("seats: 50")).await;
    let (license, subscription) = (case.license("innoacd"), case.subscription("stadtwerke"));
    license.becomes(Mode::Full).await;
    subscription.is("Delivered", "Delivered").await;
    case.kubectl.expect(&["patch", "secret/innoacd-license", "--type=merge", "-p", r#"{"immutable": true}"#]).await;
    case.kubectl.apply(&both("seats: 60")).await;
    subscription.is_not("Delivered", "WriteRefused").await;
    let revoked = case.entries("issuer-trust").await.iter().any(|(entry, _)| entry == "revoked.jwt");
    assert!(!revoked, "the License would be without a key");
    license.becomes(Mode::Full).await;
    case.kubectl.expect(&["delete", "secret", "innoacd-license"]).await;
    subscription.is("Delivered", "Delivered").await;
    license.shows("the seats that were ordered", |l| l.seats() == Some("agents 0/60")).await;
}

/// Names of objects that could never be written were accepted, and nothing was delivered.
#[tokio::test]
async fn names_that_no_object_can_have_are_refused_at_apply() {
    let case = Case::new("names").await;
    let deliver =
        |to: &str| order("stadtwerke", "").replace("{license: {name: innoacd}}", &format!("{{license: {to}}}"));
    let long = "l".repeat(250);
    let bad = [
        (deliver("{name: Alpha_License}"), "spec.deliverTo.license.name: "),
        (deliver("{name: innoacd, secretName: no_name}"), "spec.deliverTo.license.secretName: "),
        (deliver("{name: innoacd, namespace: Team.One}"), "spec.deliverTo.license.namespace: "),
        (deliver(&format!("{{name: {long}}}")), "give secretName"),
        (order("stadtwerke", "").replace("{name: issuer}", "{name: -issuer}"), "spec.issuer.secretRef.name: "),
        (order("stadtwerke", "").replace("{name: issuer}", &format!("{{name: {long}}}")), "followed by -trust"),
    ];
    for (order, place) in bad {
        let said = case.kubectl.refused(&order).await;
        assert!(said.contains(place), "{said}");
    }
    case.kubectl.apply(&deliver(&format!("{{name: {long}, secretName: keys}}"))).await;
    // A long name of a contract is no obstacle: what is made for it has a shorter one.
    case.signing_key().await;
    case.kubectl.apply(PLAN).await;
    let name = "s".repeat(253);
    case.kubectl.apply(&order(&name, "").replace("{license: {name: innoacd}}", "{file: Keep}")).await;
    case.subscription(&name).is("Delivered", "Delivered").await;
    let license = |spec: &str| {
        format!(
            "{{apiVersion: seatkeeper.dev/v1alpha1, kind: License, metadata: {{name: l}}, spec: {{product: p, {spec}}}}}"
        )
    };
    for (spec, place) in [
        ("keys: [{name: a, secretRef: {name: A}}]", "spec.keys[0].secretRef.name: "),
        ("trust: {secretRef: {name: a..b}}", "spec.trust.secretRef.name: "),
    ] {
        let said = case.kubectl.refused(&license(spec)).await;
        assert!(said.contains(place) && said.contains("must be a name that an object can have"), "{said}");
    }
}
