//! A separate control plane, with two Licenses that have fewer seats than clients want.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use kube::config::Kubeconfig;
use kube::{Client, ResourceExt};
use seatkeeper::api::{License, SeatLedger};
use seatkeeper::cluster::leader::LEASE_NAME;
use seatkeeper::domain::license::jwk::signing_key_pem;

use crate::harness::cluster::client_of;
use crate::harness::control_plane::ControlPlane;
use crate::harness::eventually::eventually;

pub const HOME: &str = "seatkeeper";
const NAMESPACE: &str = "siege";
const AGENTS: &str = "agents";
/// The longest that anything may take that does not have to outlast a fault.
pub const SOON: Duration = Duration::from_secs(60);

/// The Licenses whose grants stay where they are, and the number of their seats.
pub const LICENSES: [(&str, u32); 2] = [("small", 24), ("large", 48)];

/// How far the ledger has come: epoch and sequence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    pub epoch: i64,
    pub sequence: i64,
}

pub struct Ground {
    pub admin: Client,
    /// The token of the ServiceAccount that takes seats.
    pub token: String,
    pub namespace: &'static str,
    operator: serde_json::Value,
    pub api_server: SocketAddr,
    cluster: ControlPlane,
}

impl Ground {
    /// Makes a control plane with the chart's rights for operators, but no operator. Once one runs, `order` makes the
    /// Licenses.
    pub async fn make(fsync: bool) -> Self {
        let cluster = ControlPlane::start_with_lasting_api_server(fsync).unwrap_or_else(|why| panic!("{why}"));
        let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/seatkeeper");
        let installed = Command::new(cluster.bin("helm"))
            .args(["install", HOME, chart, "--namespace", HOME, "--create-namespace"])
            .env("KUBECONFIG", cluster.kubeconfig())
            .stdout(Stdio::null())
            .status();
        assert!(installed.is_ok_and(|status| status.success()), "helm install failed");
        let kubeconfig = cluster.service_account_kubeconfig(HOME, HOME).await;
        let operator = std::fs::read_to_string(kubeconfig).expect("the harness wrote it");
        let operator: serde_json::Value = serde_json::from_str(&operator).expect("the harness wrote JSON");
        let admin = client_of(cluster.kubeconfig()).await;
        let known = Kubeconfig::read_from(cluster.kubeconfig()).expect("up.sh wrote it");
        let server = known.clusters.into_iter().find_map(|named| named.cluster?.server);
        let api_server = server.as_deref().and_then(|url| url.strip_prefix("https://")?.parse().ok());
        let mut ground = Ground {
            admin,
            token: String::new(),
            namespace: NAMESPACE,
            operator,
            api_server: api_server.expect("an address"),
            cluster,
        };
        let (_, pem) = signing_key_pem(&[7; 32]).expect("a signing key");
        ground.apply(&surroundings(&pem)).await;
        ground.token = ground.agents_token().await;
        ground
    }

    /// Applies the contracts, and waits until their Licenses show what they grant.
    pub async fn order(&self) {
        self.apply(&contracts()).await;
        let licenses: Api<License> = Api::namespaced(self.admin.clone(), NAMESPACE);
        for (name, seats) in LICENSES {
            eventually(SOON, &format!("License {name} grants {seats} seats"), async || {
                let found = licenses.get_opt(name).await.map_err(|error| error.to_string())?;
                let shown = found.and_then(|license| license.status).and_then(|status| status.seats);
                if shown.as_deref().is_some_and(|shown| shown.contains(&seats.to_string())) {
                    Ok(())
                } else {
                    Err(format!("{shown:?}"))
                }
            })
            .await;
        }
    }

    pub async fn apply(&self, yaml: &str) {
        let file = self.folder().join("apply.yaml");
        std::fs::write(&file, yaml).expect("the state folder is ours");
        // The API server may not serve the kinds yet.
        eventually(SOON, "kubectl apply", async || {
            let applied = Command::new(self.cluster.bin("kubectl"))
                .args(["apply", "-f"])
                .arg(&file)
                .env("KUBECONFIG", self.cluster.kubeconfig())
                .output()
                .expect("kubectl was built");
            if applied.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&applied.stderr).into_owned()) }
        })
        .await;
    }

    async fn agents_token(&self) -> String {
        let spec = TokenRequestSpec {
            audiences: Some(vec!["seatkeeper".into()]),
            expiration_seconds: Some(24 * 3600),
            ..TokenRequestSpec::default()
        };
        let request = TokenRequest { spec: Some(spec), ..TokenRequest::default() };
        let accounts = Api::<ServiceAccount>::namespaced(self.admin.clone(), NAMESPACE);
        let answer: TokenRequest = accounts
            .create_subresource("token", AGENTS, &PostParams::default(), &request)
            .await
            .expect("the ServiceAccount was made");
        answer.status.and_then(|status| status.token).expect("the API server fills in the token")
    }

    /// Writes the operator's kubeconfig with `relay` as the address of the API server.
    pub fn kubeconfig_by(&self, relay: SocketAddr, name: &str) -> PathBuf {
        let mut config = self.operator.clone();
        // Some clocks are set to a time before the certificate was made, so it is not checked.
        let server = serde_json::json!({"server": format!("https://{relay}"), "insecure-skip-tls-verify": true});
        config["clusters"][0]["cluster"] = server;
        let path = self.folder().join(format!("kubeconfig-{name}"));
        std::fs::write(&path, config.to_string()).expect("the state folder is ours");
        path
    }

    /// Returns the folder for files of tests.
    pub fn folder(&self) -> &Path {
        self.cluster.state()
    }

    pub fn api_server_pid(&self) -> u32 {
        self.cluster.pid("kube-apiserver")
    }

    /// Deletes the Lease, as an administrator does to make another replica lead.
    pub async fn delete_lease(&self) {
        let leases: Api<Lease> = Api::namespaced(self.admin.clone(), HOME);
        leases.delete(LEASE_NAME, &DeleteParams::default()).await.expect("an owner leads");
    }

    /// Returns how far the ledger has come; `None` if the API server does not answer.
    pub async fn reached(&self) -> Option<Reached> {
        let ledgers: Api<SeatLedger> = Api::namespaced(self.admin.clone(), HOME);
        let asked = tokio::time::timeout(Duration::from_secs(2), ledgers.list(&ListParams::default())).await;
        let journal = asked.ok()?.ok()?.items.into_iter().filter(|ledger| ledger.name_any().starts_with("journal-"));
        let reached = journal.map(|ledger| (ledger.spec.epoch, ledger.spec.sequence)).max().unwrap_or_default();
        Some(Reached { epoch: reached.0, sequence: reached.1 })
    }

    /// Waits until a new owner has sealed the ledger.
    pub async fn taken_over_since(&self, epoch: i64) {
        eventually(SOON, &format!("a replica takes over from epoch {epoch}"), async || match self.reached().await {
            Some(reached) if reached.epoch > epoch => Ok(()),
            reached => Err(format!("{reached:?}")),
        })
        .await;
    }
}

fn surroundings(signing_key: &str) -> String {
    let indented = signing_key.trim().replace('\n', "\n    ");
    format!(
        r"apiVersion: v1
kind: Namespace
metadata: {{name: {NAMESPACE}}}
---
apiVersion: v1
kind: Secret
metadata: {{name: issuer, namespace: {NAMESPACE}}}
type: seatkeeper.dev/issuer
stringData:
  signing-key.pem: |
    {indented}
---
apiVersion: v1
kind: ServiceAccount
metadata: {{name: {AGENTS}, namespace: {NAMESPACE}}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: {AGENTS}, namespace: {NAMESPACE}}}
rules:
- {{apiGroups: [seatkeeper.dev], resources: [licenses/seats], verbs: [create, delete, list]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: {AGENTS}, namespace: {NAMESPACE}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: {AGENTS}}}
subjects:
- {{kind: ServiceAccount, name: {AGENTS}, namespace: {NAMESPACE}}}
"
    )
}

fn contracts() -> String {
    let today = seatkeeper::machine::machine_time().date_naive();
    let starts_on = today - chrono::Months::new(1);
    let contract = |(name, seats): (&str, u32)| {
        format!(
            r#"apiVersion: seatkeeper.dev/v1alpha1
kind: Plan
metadata: {{name: {name}, namespace: {NAMESPACE}}}
spec:
  title: {name}
  product: {name}
  terms: {{interval: {{months: 12}}, notice: {{months: 3}}}}
  license:
    lifetime: Term
    issueBefore: {{weeks: 4}}
    pools: [{{name: seats, model: Concurrent, countBy: Start}}]
---
apiVersion: seatkeeper.dev/v1alpha1
kind: Subscription
metadata: {{name: {name}, namespace: {NAMESPACE}}}
spec:
  customer: {{organisation: Siege}}
  startsOn: "{starts_on}"
  timeZone: Europe/Berlin
  plans: [{{name: {name}, pools: [{{name: seats, seats: {seats}}}]}}]
  issuer: {{secretRef: {{name: issuer}}}}
  deliverTo: {{license: {{name: {name}}}}}
"#
        )
    };
    LICENSES.map(contract).join("---\n")
}
