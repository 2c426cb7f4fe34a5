//! How fast ten thousand Licenses become Ready, compared with the raw rate of the same status writes on the same API
//! server.
//!
//! Rounds are interleaved: first the raw writes, which put every License back, then the operator, which makes them
//! Ready again. Both write with a token of the chart's ServiceAccount, 64 in flight; etcd waits for the disk.
//! `make bench-converge` runs it; LICENSES and ROUNDS change its size.

#[allow(dead_code)]
#[path = "../tests/harness/mod.rs"]
mod harness;

use futures::{StreamExt, TryStreamExt, stream};
use harness::cluster::client_of;
use harness::control_plane::ControlPlane as Cluster;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ListParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use seatkeeper::api::common::{SecretRef, SecretSource};
use seatkeeper::api::license::{HoldersShown, KeySource, LicenseSpec, LicenseStatus};
use seatkeeper::api::{License, secret_type};
use seatkeeper::cluster::status::patch_status;
use seatkeeper::domain::license::jwk::{publish, signing_key_pem};
use seatkeeper::domain::license::key::{Claims, sign_key};
use seatkeeper::domain::tick::Moment;
use seatkeeper::machine::monotonic;
use serde_json::json;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const NAMESPACE: &str = "bench";
const IN_FLIGHT: usize = 64;
const PATIENCE: Duration = Duration::from_secs(600);
/// How long the settled operator is observed.
const IDLE: Duration = Duration::from_secs(20);

fn main() {
    // `cargo test --benches` and `cargo bench -- --list` ask every bench binary for tests; this one has none.
    if std::env::args().any(|argument| argument == "--list" || argument == "--test") {
        return;
    }
    let number =
        |name: &str, default: usize| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (licenses, rounds) = (number("LICENSES", 10_000), number("ROUNDS", 3));
    tokio::runtime::Runtime::new().expect("a runtime").block_on(measure(licenses, rounds));
}

async fn measure(licenses: usize, rounds: usize) {
    let plane = Cluster::start_with_fsync().expect("a control plane");
    let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/seatkeeper");
    let installed = Command::new(plane.bin("helm"))
        .args(["install", "seatkeeper", chart, "--namespace", "seatkeeper", "--create-namespace", "--wait"])
        .env("KUBECONFIG", plane.kubeconfig())
        .stdout(Stdio::null())
        .status();
    assert!(installed.is_ok_and(|status| status.success()), "helm install failed");
    let kubeconfig = plane.service_account_kubeconfig("seatkeeper", "seatkeeper").await;
    let account = client_of(&kubeconfig).await;
    let admin = plane.admin().await;

    println!("making {licenses} Licenses, each with a key of its own; etcd waits for the disk (fsync on)");
    let began = monotonic();
    make(&admin, licenses).await;
    println!("made in {:.1} s\n", (monotonic() - began).as_secs_f64());

    let mut operator = Operator::start(&kubeconfig);
    let empty = operator.until_ready(&account, licenses).await;
    let status = Api::<License>::namespaced(admin.clone(), NAMESPACE).get("l-00000").await.expect("a License").status;
    let back = put_back(status.expect("a status"));
    println!("first time, from nothing: {:.1} s after the start of the process", empty.total.as_secs_f64());
    println!("one status has {} bytes of JSON\n", serde_json::to_string(&back).unwrap_or_default().len());
    operator.stop();

    println!(
        "{:>5} {:>12} {:>14} {:>8} {:>14} {:>14} {:>12} {:>12}",
        "round", "raw, /s", "operator, /s", "ratio", "with its start", "status writes", "reads", "RSS, MiB"
    );
    let (mut raws, mut ours, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=rounds {
        let raw = licenses as f64 / write_all(&account, licenses, &back).await.as_secs_f64();
        let mut operator = Operator::start(&kubeconfig);
        let took = operator.until_ready(&account, licenses).await;
        let our = licenses as f64 / took.since_lead.as_secs_f64();
        let metrics = operator.metrics().await;
        println!(
            "{round:>5} {raw:>12.0} {our:>14.0} {:>8.2} {:>12.1} s {:>14} {:>12} {:>12.0}",
            our / raw,
            took.total.as_secs_f64(),
            metrics.of("seatkeeper_status_writes_total"),
            metrics.of("seatkeeper_api_reads_total"),
            operator.resident_mib(),
        );
        raws.push(raw);
        ours.push(our);
        ratios.push(our / raw);
        if round == rounds {
            idle(&operator, licenses).await;
        }
        operator.stop();
    }
    println!();
    for (name, values) in [("raw, /s", &mut raws), ("operator, /s", &mut ours), ("ratio", &mut ratios)] {
        values.sort_by(f64::total_cmp);
        println!(
            "{name}: median {:.2}, from {:.2} to {:.2}",
            values[values.len() / 2],
            values[0],
            values[values.len() - 1]
        );
    }
}

/// Prints what a settled operator reads: only its Lease. Writes are left out, because Events are still sent at their
/// limited rate; `tests/e2e/suite/faults_test.rs` proves that there are no writes once they are sent.
async fn idle(operator: &Operator, licenses: usize) {
    let before = operator.metrics().await.of("seatkeeper_api_reads_total");
    tokio::time::sleep(IDLE).await;
    let reads = operator.metrics().await.of("seatkeeper_api_reads_total") - before;
    let memory = operator.resident_mib() * 1024.0 / licenses as f64;
    println!(
        "\nat rest for {} s: {reads} reads, the Lease's among them; {memory:.1} KiB of memory for each License",
        IDLE.as_secs()
    );
}

/// Creates the key Secrets, the trust they share, and the Licenses.
async fn make(admin: &Client, licenses: usize) {
    let (key, _) = signing_key_pem(&[7; 32]).expect("a signing key");
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}});
    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(admin.clone());
    let _ = namespaces.create(&PostParams::default(), &serde_json::from_value(namespace).expect("a Namespace")).await;
    let secrets: Api<Secret> = Api::namespaced(admin.clone(), NAMESPACE);
    let jwks = serde_json::to_vec(&publish([&key.verifying_key()])).expect("a key set");
    let trust = secret("trust", secret_type::TRUST, "jwks.json", jwks);
    secrets.create(&PostParams::default(), &trust).await.expect("the trust");
    let all: Api<License> = Api::namespaced(admin.clone(), NAMESPACE);
    let each = stream::iter(0..licenses).map(Ok::<_, kube::Error>);
    each.try_for_each_concurrent(IN_FLIGHT, |n| {
        let (secrets, all, key) = (secrets.clone(), all.clone(), key.clone());
        async move {
            let text = sign_key(&claims(n), &key).into_bytes();
            let name = name(n);
            secrets.create(&PostParams::default(), &secret(&name, secret_type::LICENSE, "key.jwt", text)).await?;
            all.create(&PostParams::default(), &license(&name)).await?;
            Ok(())
        }
    })
    .await
    .expect("Licenses");
}

fn name(n: usize) -> String {
    format!("l-{n:05}")
}

fn secret(name: &str, type_: &str, entry: &str, content: Vec<u8>) -> Secret {
    Secret {
        metadata: ObjectMeta { name: Some(name.into()), ..ObjectMeta::default() },
        type_: Some(type_.into()),
        data: Some([(entry.to_owned(), ByteString(content))].into()),
        ..Secret::default()
    }
}

fn license(name: &str) -> License {
    let named = |name: &str| SecretRef { name: name.to_owned() };
    License::new(
        name,
        LicenseSpec {
            product: "innoacd".into(),
            subscription_ref: None,
            keys: vec![KeySource { name: "vendor".into(), secret_ref: named(name), key: None }],
            trust: Some(SecretSource { secret_ref: named("trust") }),
            server: None,
            allowed_namespaces: None,
            administrators: Vec::new(),
            assignments: Vec::new(),
            reservations: Vec::new(),
            holders: HoldersShown::default(),
        },
    )
}

fn claims(n: usize) -> Claims {
    let now = seatkeeper::machine::machine_time().timestamp();
    let year = 365 * 24 * 3600;
    serde_json::from_value(json!({
        "iss": "vendor", "jti": format!("serial-{n}"), "sub": format!("Organisation {n}"), "aud": "innoacd",
        "iat": now - 100, "nbf": now - 100, "exp": now + year, "grace_until": now + year + 14 * 24 * 3600,
        "grant": format!("vendor/bench/{n}"), "plan": "innoacd", "demo_seats": 2, "features": ["acd", "statistics"],
        "pools": [{"name": "agents", "model": "Concurrent", "countBy": "User", "seats": 50}],
    }))
    .expect("claims")
}

/// Returns a status of the same size, to which every License is put back.
fn put_back(status: LicenseStatus) -> serde_json::Value {
    let text = serde_json::to_string(&status).expect("a status");
    // Full and Demo have the same length, and differ only in the places that show the mode.
    serde_json::from_str(&text.replace("\"Full\"", "\"Demo\"")).expect("a status")
}

/// Writes one status of every License the way the operator does.
async fn write_all(account: &Client, licenses: usize, status: &serde_json::Value) -> Duration {
    let api: Api<License> = Api::namespaced(account.clone(), NAMESPACE);
    let patch = json!({"apiVersion": "seatkeeper.dev/v1alpha1", "kind": "License", "status": status});
    let params = PatchParams::apply("seatkeeper").force();
    let began = monotonic();
    stream::iter(0..licenses)
        .map(Ok::<_, kube::Error>)
        .try_for_each_concurrent(IN_FLIGHT, |n| {
            let (api, patch, params) = (api.clone(), Patch::Apply(patch.clone()), params.clone());
            async move { patch_status(&api, &name(n), &params, &patch).await.map(|_| ()) }
        })
        .await
        .expect("status writes");
    monotonic() - began
}

/// The operator, run as a separate process.
struct Operator {
    process: Child,
    port: u16,
    began: Moment,
}

/// How long the operator took to make every License Ready.
struct Took {
    /// From the start of the process.
    total: Duration,
    /// From the moment it led with full caches.
    since_lead: Duration,
}

impl Operator {
    fn start(kubeconfig: &Path) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
        let process = Command::new(env!("CARGO_BIN_EXE_seatkeeper"))
            .args(["operator", "--namespace", "seatkeeper", "--listen", &format!("127.0.0.1:{port}")])
            .args(["--seats-listen", "127.0.0.1:0", "--trust-from-licenses", "allow"])
            .env("KUBECONFIG", kubeconfig)
            .stderr(Stdio::null())
            .spawn()
            .expect("the operator");
        Operator { process, port, began: monotonic() }
    }

    /// Waits until every License is Full.
    async fn until_ready(&mut self, account: &Client, licenses: usize) -> Took {
        let api: Api<License> = Api::namespaced(account.clone(), NAMESPACE);
        let mut led = None;
        let not_full = ListParams::default().fields("status.mode!=Full").limit(1);
        loop {
            assert!((monotonic() - self.began) < PATIENCE, "not every License became Ready");
            if led.is_none() && self.get("readyz").await.contains("leads") {
                led = Some(monotonic());
            }
            if let Some(led) = led
                && api.list_metadata(&not_full).await.expect("a list").items.is_empty()
            {
                let took = Took { total: (monotonic() - self.began), since_lead: (monotonic() - led) };
                let ready = api.list(&ListParams::default()).await.expect("a list");
                let ready =
                    ready.iter().filter(|l| l.status.as_ref().and_then(|s| s.seats.as_deref()) == Some("agents 0/50"));
                assert_eq!(ready.map(ResourceExt::name_any).count(), licenses);
                return took;
            }
            let pause = if led.is_some() { 100 } else { 5 };
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    async fn metrics(&self) -> Metrics {
        Metrics(self.get("metrics").await)
    }

    /// Returns what the operator serves at `path`; an empty string while it does not listen yet.
    async fn get(&self, path: &str) -> String {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let Ok(mut socket) = tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await else {
            return String::new();
        };
        let request = format!("GET /{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let mut answer = String::new();
        let _ = socket.write_all(request.as_bytes()).await;
        let _ = socket.read_to_string(&mut answer).await;
        answer
    }

    fn resident_mib(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap_or_default() / 1024.0
    }

    fn stop(&mut self) {
        let _ = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status();
        let _ = self.process.wait();
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

struct Metrics(String);

impl Metrics {
    /// Returns the sum of a metric over its labels.
    fn of(&self, name: &str) -> f64 {
        let of_name = |line: &&str| line.split(['{', ' ']).next() == Some(name);
        self.0.lines().filter(of_name).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }
}
