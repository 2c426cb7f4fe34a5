//! Who may say whom to trust, in an installation with the chart's defaults: nobody whom a licence restrains.

use std::time::Duration;

use seatkeeper::api::License;
use seatkeeper::domain::license::mode::Mode;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::harness::control_plane::ControlPlane;
use crate::harness::eventually::eventually;
use crate::harness::kubectl::Kubectl;
use crate::rights::installed;
use crate::suite::case::{Case, KEYS, PLAN, Seen, Shown, TRUST, order};
use crate::suite::installation::{Installation, SEATKEEPER};
use crate::suite::keys::{Signer, claims};

/// A control plane of its own, for an operator that takes no trust from Licenses.
async fn strict() -> &'static ControlPlane {
    static STRICT: OnceCell<(ControlPlane, Installation)> = OnceCell::const_new();
    let start = async || {
        let cp = ControlPlane::start().unwrap_or_else(|why| panic!("{why}"));
        let operator = Installation::run(&cp, installed(&cp).await).await;
        (cp, operator)
    };
    &STRICT.get_or_init(start).await.0
}

/// Somebody with a role in the namespace of a case, and with no other right.
struct Tenant<'c>(&'c Case, String);

impl<'c> Tenant<'c> {
    async fn with(case: &'c Case, role: &str, may: &[&str]) -> Self {
        let user = format!("--as={}", case.namespace);
        let (role, named) = (format!("--clusterrole={role}"), format!("--user={}", case.namespace));
        case.kubectl.expect(&["create", "rolebinding", "tenant", &role, &named]).await;
        // A controller aggregates the roles.
        eventually(Duration::from_secs(20), "the tenant may act", async || {
            let said = case.kubectl.run(&[&["auth", "can-i"], may, &[&user]].concat()).await;
            said.ok.then_some(()).ok_or(said.stdout)
        })
        .await;
        Tenant(case, user)
    }

    async fn applies(&self, object: Value) {
        self.0.kubectl.apply_with(&[&self.1], &object.to_string()).await;
    }

    /// Applies a Secret that says that the operator made it for `owner`.
    async fn secret(&self, name: &str, type_: &str, entry: (&str, &str), owner: &str) {
        let metadata = json!({"name": name, "annotations": {"seatkeeper.dev/owner": owner}});
        let (entry, text) = entry;
        let data = json!({entry: text});
        self.applies(
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": type_, "stringData": data}),
        )
        .await;
    }
}

fn license(spec: Value) -> Value {
    json!({"apiVersion": "seatkeeper.dev/v1alpha1", "kind": "License", "metadata": {"name": "innoacd"}, "spec": spec})
}

/// A key for ten million seats, which `signer` signed for that namespace.
fn ten_million(signer: &Signer, namespace: &str) -> String {
    let mut key = claims("innoacd", &format!("{namespace}/own"), 365);
    key.pools[0].seats = 10_000_000;
    signer.sign(&key)
}

/// Waits until the key in the Secret is refused because nobody trusts its signer.
async fn is_not_trusted(license: &Seen<License>, secret: &str) {
    let seen = license
        .shows("its own key is judged", |license| {
            license.status.iter().flat_map(|status| &status.keys).any(|key| key.secret == secret)
        })
        .await;
    let status = seen.status.expect("it was judged");
    let key = status.keys.iter().find(|key| key.secret == secret).expect("it is shown");
    assert_eq!(key.reason.as_deref(), Some("UnknownKey"), "{:?}: {:?}", status.mode, status.seats);
}

/// The attack: sign a key for ten million seats oneself, and name oneself as the vendor to trust. It used to be granted.
#[tokio::test]
async fn k4_the_writer_of_a_license_does_not_grant_himself_seats() {
    let case = Case::on(strict().await, "intruder").await;
    let intruder = Tenant::with(&case, "admin", &["create", "licenses.seatkeeper.dev"]).await;
    let own = Signer::of("intruder");
    intruder.secret("own-trust", TRUST, ("jwks.json", &own.jwks()), &format!("Issuer {}/own", case.namespace)).await;
    let key = ten_million(&own, &case.namespace);
    intruder.secret("own-keys", KEYS, ("key.jwt", &key), &format!("Subscription {}/own", case.namespace)).await;
    let keys = json!([{"name": "own", "secretRef": {"name": "own-keys"}}]);
    let trust = json!({"secretRef": {"name": "own-trust"}});
    let back = json!({"name": "own"});
    intruder
        .applies(license(json!({"product": "innoacd", "keys": keys, "trust": trust, "subscriptionRef": back})))
        .await;
    let seen = case.license("innoacd");
    is_not_trusted(&seen, "own-keys").await;
    seen.becomes(Mode::Demo).await;
    let said = seen.is("TrustRefused", "TrustNotAllowed").await;
    for part in ["lets no License say whom to trust", "trust.innoacd.jwks", "trust.fromLicenses: Allow"] {
        assert!(said.contains(part), "{said}");
    }
    assert_eq!(seen.told("TrustNotAllowed").await, said);
    seen.is_not("Ready", "TrustNotAllowed").await;
    // Nor does he get anywhere with a status that names him, or with a contract.
    for resource in [&["licenses.seatkeeper.dev", "--subresource=status"][..], &["subscriptions.seatkeeper.dev"]] {
        let may = [&["auth", "can-i", "patch"], resource, &[&intruder.1]].concat();
        assert_eq!(case.kubectl.run(&may).await.stdout.trim(), "no", "{resource:?}");
    }

    // Without a word about trust.
    intruder.applies(license(json!({"product": "innoacd", "keys": keys}))).await;
    let said = seen.is_not("Ready", "TrustMissing").await;
    assert!(said.contains("nobody says whose keys to trust for product innoacd"), "{said}");
}

/// The trust of a contract comes from the namespace of the contract, where the tenant may write nothing.
#[tokio::test]
async fn k4_a_contract_from_another_namespace_brings_its_trust_and_no_other() {
    let cp = strict().await;
    let (vendor, customer) = (Case::on(cp, "vendor").await, Case::on(cp, "customer").await);
    let tenant = Tenant::with(&customer, "edit", &["create", "secrets"]).await;
    vendor.signing_key().await;
    vendor.kubectl.apply(PLAN).await;
    let to = format!("license: {{name: innoacd, namespace: {}}}", customer.namespace);
    vendor.kubectl.apply(&order("stadtwerke", "").replace("license: {name: innoacd}", &to)).await;
    let keys = json!([
        {"name": "vendor", "secretRef": {"name": "innoacd-license"}}, {"name": "own", "secretRef": {"name": "own-keys"}},
    ]);
    let spec = |namespace: &str| json!({"product": "innoacd", "keys": keys, "subscriptionRef": {"name": "stadtwerke", "namespace": namespace}});
    customer.kubectl.apply(&license(spec(&vendor.namespace)).to_string()).await;
    let seen = customer.license("innoacd");
    assert_eq!(seen.becomes(Mode::Full).await.seats(), Some("agents 0/50"));

    // The attack: publish a key of one's own as if the operator had done so for the vendor.
    let own = Signer::of("intruder");
    for (name, issuer) in [("issuer-trust", &vendor.namespace), ("own-trust", &customer.namespace)] {
        tenant.secret(name, TRUST, ("jwks.json", &own.jwks()), &format!("Issuer {issuer}/issuer")).await;
    }
    let key = ten_million(&own, &customer.namespace);
    tenant.secret("own-keys", KEYS, ("key.jwt", &key), "Subscription").await;
    is_not_trusted(&seen, "own-keys").await;
    assert_eq!(seen.becomes(Mode::Full).await.seats(), Some("agents 0/50"));
    assert_eq!(issuers(&seen.get().await), [format!("{}/issuer", vendor.namespace)]);
}

fn issuers(license: &License) -> Vec<&str> {
    license.status.iter().flat_map(|status| &status.issuers).map(|named| named.issuer.as_str()).collect()
}

/// The customer keeps the licence when the vendor's order is deleted, without a word about trust in the License. A pin of
/// the installation counts alone.
#[tokio::test]
async fn k4_the_trust_of_a_contract_outlives_it_and_yields_to_a_pin() {
    let cp = strict().await;
    let case = Case::on(cp, "outlives").await;
    case.signing_key().await;
    case.kubectl.apply(&PLAN.replace("product: innoacd", "product: pinned-later")).await;
    case.kubectl.apply(&order("stadtwerke", "")).await;
    let seen = case.license("innoacd");
    let made = seen.becomes(Mode::Full).await;
    assert_eq!(made.spec.trust, None);
    assert_eq!(issuers(&made), [format!("{}/issuer", case.namespace)]);

    case.kubectl.expect(&["delete", "lsub/stadtwerke", "lplan/innoacd", "secret/issuer", "--wait"]).await;
    for looked in ["once", "twice"] {
        case.kubectl.expect(&["annotate", "--overwrite", "lic/innoacd", &format!("looked={looked}")]).await;
        let users = format!("{{\"spec\": {{\"administrators\": [{{\"user\": \"{looked}\"}}]}}}}");
        case.kubectl.expect(&["patch", "lic/innoacd", "--type=merge", "-p", &users]).await;
        let generation = seen.get().await.metadata.generation;
        let looked_at = seen
            .shows("it was looked at", |license| {
                license.status.as_ref().is_some_and(|status| status.observed_generation == generation)
            })
            .await;
        assert_eq!(looked_at.mode(), Some(Mode::Full));
        assert_eq!(issuers(&looked_at), issuers(&made));
    }

    let pin = json!({
        "apiVersion": "v1", "kind": "Secret", "type": TRUST, "stringData": {"jwks.json": Signer::of("pinned").jwks()},
        "metadata": {"name": "pin", "namespace": SEATKEEPER, "labels": {"seatkeeper.dev/product": "pinned-later"}},
    });
    let kubectl = Kubectl::new(cp, SEATKEEPER);
    kubectl.apply(&pin.to_string()).await;
    seen.is("KeyRefused", "UnknownKey").await;
    kubectl.expect(&["delete", "secret", "pin"]).await;
    seen.lacks("KeyRefused").await;
}
