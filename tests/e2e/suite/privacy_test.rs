//! A user's own Secret is never read, changed or deleted, whatever field names it.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use super::case::{Case, PLAN, order};
use super::faults_ground::{Ground, SOON};
use super::faults_operators::Replica;
use super::faults_proxy::{Exchange, Proxy};

/// Nothing is taken on trust: every request of the operator and its answer pass through a proxy that records them, and
/// no answer contains a word of the Secret.
#[tokio::test]
async fn a_users_own_secret_named_in_any_field_is_never_read_changed_or_deleted() {
    let ground = Ground::take().await;
    let case = Case::on(&ground.cluster, "privacy").await;
    let proxy = Proxy::start(&ground).await;
    let replica = Replica::start(proxy.kubeconfig(), "privacy");
    replica.says(SOON, "ok: leads").await;
    let secret = format!("hunter2 of {}", case.namespace);
    for (name, entries) in [("mine", &["signing-key.pem", "jwks.json", "key.jwt"][..]), ("mine-trust", &["jwks.json"])]
    {
        // Applied with kubectl, so that an annotation holds a copy of it in plain text.
        let entries: Vec<_> = entries.iter().map(|entry| (*entry, secret.as_str())).collect();
        case.secret(name, "Opaque", &entries).await;
    }
    let secrets: Api<Secret> = Api::namespaced(case.client.clone(), &case.namespace);
    let stored = async |name: &str| {
        let secret = secrets.get(name).await.expect("the user's Secret stays");
        (secret.uid(), secret.resource_version(), secret.data)
    };
    let before = (stored("mine").await, stored("mine-trust").await);

    // Keys and trust of a License.
    let license = json!({
        "apiVersion": "seatkeeper.dev/v1alpha1", "kind": "License", "metadata": {"name": "customer"},
        "spec": {
            "product": "innoacd",
            "keys": [{"name": "all", "secretRef": {"name": "mine"}}, {"name": "one", "secretRef": {"name": "mine"}, "key": "key.jwt"}],
            "trust": {"secretRef": {"name": "mine"}},
            "server": {"secretRef": {"name": "mine"}, "profile": "mine"},
        },
    });
    case.kubectl.apply(&license.to_string()).await;
    case.license("customer").is("Reconciling", "SecretTypeMismatch").await;
    // The issuer of a Subscription, the target of its keys, and the name under which an issuer's trust is published.
    case.kubectl.apply(PLAN).await;
    case.signing_key().await;
    let issuer = order("issuer", "").replace("secretRef: {name: issuer}", "secretRef: {name: mine}");
    case.kubectl.apply(&issuer).await;
    case.subscription("issuer").is_not("Issued", "SecretTypeMismatch").await;
    let target = order("target", "").replace("{name: innoacd}}", "{name: target, secretName: mine}}");
    case.kubectl.apply(&target).await;
    case.subscription("target").is_not("Delivered", "SecretNotOurs").await;
    let pem = &super::keys::Signer::of("vendor").pem;
    case.kubectl.expect(&["delete", "lsub/issuer"]).await;
    case.secret("theirs", super::case::ISSUER, &[("signing-key.pem", pem)]).await;
    let trust = order("publishes", "").replace("secretRef: {name: issuer}", "secretRef: {name: theirs}");
    case.secret("theirs-trust", "Opaque", &[("jwks.json", &secret)]).await;
    case.kubectl.apply(&trust).await;
    case.subscription("publishes").is_not("Issued", "SecretNotOurs").await;

    assert_eq!((stored("mine").await, stored("mine-trust").await), before);

    let encoded = BASE64_STANDARD.encode(&secret);
    let seen = proxy.secrets();
    // The recording works: it contains the signing key, which the operator has to read.
    let signing_key = BASE64_STANDARD.encode(pem);
    assert!(seen.iter().any(|exchange| exchange.answer().contains(&signing_key)), "the signing key was read");
    for Exchange { method, uri, .. } in seen.iter().filter(|exchange| exchange.method == "GET") {
        let of_type = uri.contains("fieldSelector=type%3Dseatkeeper.dev%2F");
        // A list by name, as a table without the objects.
        let of_name = uri.contains("fieldSelector=metadata.name%3D") && !uri.contains("watch=");
        assert!(of_type || of_name, "Secrets are read by type: {method} {uri}");
    }
    for exchange in &seen {
        let answer = exchange.answer();
        let asked = format!("{} {}: {answer}", exchange.method, exchange.uri);
        assert!(!answer.contains(&encoded) && !answer.contains(&secret), "the operator was shown it: {asked}");
        let of_name = exchange.uri.contains("fieldSelector=metadata.name%3D");
        assert!(!of_name || exchange.uri.contains("includeObject=None") && !answer.contains("annotations"), "{asked}");
    }
    // The operator tried to create a Secret of that name, and the API server answered that it exists.
    let tried: Vec<_> = seen
        .iter()
        .filter(|exchange| exchange.method != "GET")
        .map(|exchange| (serde_json::from_slice::<Value>(&exchange.request).unwrap_or_default(), exchange))
        .filter(|(request, exchange)| request["metadata"]["name"] == "mine" || exchange.uri.contains("/secrets/mine"))
        .map(|(_, exchange)| (exchange.method.as_str(), exchange.status))
        .collect();
    assert!(!tried.is_empty(), "delivery to a taken name was tried");
    assert!(tried.iter().all(|tried| *tried == ("POST", 409)), "{tried:?}");
}
