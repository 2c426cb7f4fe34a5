//! A user's own Secret is never read, changed or deleted, whatever field names it.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use crate::case::{Case, PLAN, order};
use crate::control_plane::ControlPlane;
use crate::eventually::eventually;

const OPERATOR: &str = "system:serviceaccount:seatkeeper:seatkeeper";

/// What the API server recorded of requests for Secrets.
struct AuditLog(std::path::PathBuf);

impl AuditLog {
    fn of(cp: &ControlPlane) -> Self {
        Self(cp.state().join("log/audit.log"))
    }

    fn requests_of(&self, user: &str) -> Vec<Value> {
        let log = std::fs::read_to_string(&self.0).unwrap_or_else(|e| panic!("{}: {e}", self.0.display()));
        // The last line may be half written.
        let requests = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        requests.filter(|request| request["user"]["username"] == user).collect()
    }
}

/// The API server records what it answers, so this is no belief: no answer to the operator holds a word of the Secret.
#[tokio::test]
async fn a_users_own_secret_named_in_any_field_is_never_read_changed_or_deleted() {
    let case = Case::new("privacy").await;
    let secret = format!("hunter2 of {}", case.namespace);
    case.secret("mine", "Opaque", &[("signing-key.pem", &secret), ("jwks.json", &secret), ("key.jwt", &secret)]).await;
    case.secret("mine-trust", "Opaque", &[("jwks.json", &secret)]).await;
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
    // The issuer of a Subscription; where its keys go; and the name that an issuer's trust is published under.
    case.kubectl.apply(PLAN).await;
    case.signing_key().await;
    let issuer = order("issuer", "").replace("secretRef: {name: issuer}", "secretRef: {name: mine}");
    case.kubectl.apply(&issuer).await;
    case.subscription("issuer").is_not("Issued", "SecretTypeMismatch").await;
    let target = order("target", "").replace("{name: innoacd}}", "{name: target, secretName: mine}}");
    case.kubectl.apply(&target).await;
    case.subscription("target").is_not("Delivered", "SecretNotOurs").await;
    let pem = &crate::keys::Signer::of("vendor").pem;
    case.kubectl.expect(&["delete", "lsub/issuer"]).await;
    case.secret("theirs", crate::case::ISSUER, &[("signing-key.pem", pem)]).await;
    let trust = order("publishes", "").replace("secretRef: {name: issuer}", "secretRef: {name: theirs}");
    case.secret("theirs-trust", "Opaque", &[("jwks.json", &secret)]).await;
    case.kubectl.apply(&trust).await;
    case.subscription("publishes").is_not("Issued", "SecretNotOurs").await;

    assert_eq!((stored("mine").await, stored("mine-trust").await), before);

    let log = AuditLog::of(ControlPlane::shared());
    let encoded = BASE64_STANDARD.encode(&secret);
    // The record is not blind: what this test itself has read is in it.
    eventually(Duration::from_secs(10), "the record shows that the administrator read it", async || {
        let read = log
            .requests_of("admin")
            .iter()
            .any(|r| r["verb"] == "get" && r["responseObject"]["data"].to_string().contains(&encoded));
        read.then_some(()).ok_or("nobody read it".into())
    })
    .await;
    let mut requests = log.requests_of(OPERATOR);
    // Another test borrows the operator's rights with kubectl.
    requests.retain(|request| request["userAgent"].as_str().is_none_or(|agent| !agent.starts_with("kubectl/")));
    let wrote = |request: &&Value| {
        ["create", "update", "patch", "delete", "deletecollection"]
            .contains(&request["verb"].as_str().unwrap_or_default())
    };
    for request in &requests {
        assert!(!request.to_string().contains(&encoded), "the operator was shown it: {request}");
        let uri = request["requestURI"].as_str().unwrap_or_default();
        match request["verb"].as_str().unwrap_or_default() {
            // A watch of one type.
            "watch" => assert!(uri.contains("fieldSelector=type%3Dseatkeeper.dev%2F"), "{request}"),
            // A list of one type, or of one name and nothing but metadata.
            "list" => {
                let of_type = uri.contains("fieldSelector=type%3Dseatkeeper.dev%2F");
                let of_name = uri.contains("fieldSelector=metadata.name%3D");
                let metadata = request["responseObject"]["kind"] == "PartialObjectMetadataList";
                assert!(of_type || of_name && metadata, "{request}");
            }
            "get" => panic!("Secrets are read by type: {request}"),
            _ => {}
        }
    }
    // Creating one of that name was tried, and the API server said that it is there.
    let tried: Vec<_> = requests
        .iter()
        .filter(wrote)
        .filter(|r| {
            r["requestObject"]["metadata"]["name"] == "mine" && r["objectRef"]["namespace"] == case.namespace.as_str()
        })
        .collect();
    assert!(!tried.is_empty(), "delivery to a name that is taken was tried");
    assert!(tried.iter().all(|r| r["verb"] == "create" && r["responseStatus"]["code"] == 409), "{tried:?}");
}
