//! K: Seatkeeper on a real API server over a real etcd that waits for the disk. The operator is a process with only the
//! rights of the chart's ServiceAccount.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Client;
use kube::api::{Api, PostParams};
use kube::config::Kubeconfig;
use seatkeeper::domain::license::jwk::signing_key_pem;
use seatkeeper::machine::monotonic;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::lease::Leases;
use super::licence;
use super::process::{Server, arguments, resident_mib};
use super::seats::{Door, NAMESPACE};
use super::{free_port, loopback, owns, until};
use crate::harness::control_plane::ControlPlane;
use crate::harness::http;

/// A write takes some milliseconds, so an operator that writes nothing for this long has nothing left to write.
const QUIET: Duration = Duration::from_secs(1);

pub struct Plane {
    pub operator: Server,
    pub door: Door,
    pub leases: Leases,
    /// The API server's memory in MiB before the first request for a seat.
    pub api_server_mib: f64,
    metrics: SocketAddr,
    etcd: SocketAddr,
    admin: Client,
    program: PathBuf,
    kubeconfig: PathBuf,
    folder: PathBuf,
    /// The last field, so that it is dropped last.
    control_plane: ControlPlane,
}

impl Plane {
    pub async fn start(program: PathBuf, folder: &Path, vast: usize) -> Self {
        let control_plane = ControlPlane::start_with_fsync().expect("a control plane");
        let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/seatkeeper");
        let installed = Command::new(control_plane.bin("helm"))
            .args(["install", "seatkeeper", chart, "--namespace", "seatkeeper", "--create-namespace", "--wait"])
            .env("KUBECONFIG", control_plane.kubeconfig())
            .stdout(Stdio::null())
            .status();
        assert!(installed.is_ok_and(|status| status.success()), "helm install failed");
        let kubeconfig = control_plane.service_account_kubeconfig("seatkeeper", "seatkeeper").await;
        let (_, pem) = signing_key_pem(&[7; 32]).expect("a signing key");
        apply(&control_plane, &licence::surroundings(&pem));
        let admin = control_plane.admin().await;

        let etcd_arguments = arguments(control_plane.pid("etcd"));
        assert!(
            !etcd_arguments.iter().any(|argument| argument.contains("no-fsync")),
            "etcd does not wait for the disk"
        );
        let url = etcd_arguments.iter().find_map(|argument| argument.strip_prefix("--listen-client-urls=http://"));
        let etcd = url.and_then(|address| address.parse().ok()).expect("etcd's address");

        let leases = leases(&control_plane, &admin).await;
        let token = token(&admin, "agents", Some("seatkeeper")).await;
        let (metrics, seats) = (loopback(free_port()), loopback(free_port()));
        let operator = start_operator(&program, &kubeconfig, folder, metrics, seats, Start::Unbounded);
        let mut plane = Plane {
            operator,
            door: Door::new(seats, &token),
            leases,
            api_server_mib: 0.0,
            metrics,
            etcd,
            admin,
            program,
            kubeconfig,
            folder: folder.to_owned(),
            control_plane,
        };
        owns(&plane.door, "the operator").await;
        apply(&plane.control_plane, &licence::contract(vast));
        plane.until_seats().await;
        plane.api_server_mib = resident_mib(plane.api_server_pid());
        plane
    }

    async fn until_seats(&mut self) {
        super::until_seats(&self.door, "the operator", &mut self.operator, &self.folder.join("operator.log")).await;
    }

    /// Ends the operator and starts another.
    pub async fn restart(&mut self, start: Start) {
        // The previous operator still uses its ports.
        let (metrics, seats) = (loopback(free_port()), loopback(free_port()));
        self.operator = start_operator(&self.program, &self.kubeconfig, &self.folder, metrics, seats, start);
        (self.metrics, self.door.address) = (metrics, seats);
        self.until_seats().await;
    }

    pub fn etcd_pid(&self) -> u32 {
        self.control_plane.pid("etcd")
    }

    pub fn api_server_pid(&self) -> u32 {
        self.control_plane.pid("kube-apiserver")
    }

    /// Returns the number of the operator's write requests so far.
    pub async fn writes(&self) -> f64 {
        let (_, text) = http::once(self.metrics, format_args!("GET /metrics"), "", "").await;
        http::metric(&text, "seatkeeper_api_writes_total", "")
    }

    /// Returns the bytes written to etcd's log so far, and how often etcd has waited for the disk.
    pub async fn etcd(&self) -> (f64, f64) {
        let (_, text) = http::once(self.etcd, format_args!("GET /metrics"), "", "").await;
        let waits = http::metric(&text, "etcd_disk_wal_fsync_duration_seconds_count", "");
        (http::metric(&text, "etcd_disk_wal_write_bytes_total", ""), waits)
    }

    /// Returns the number of writes of a resource that the API server has served so far.
    pub async fn api_writes(&self, resource: &str) -> f64 {
        let request = http_request("/metrics");
        let text = self.admin.request_text(request).await.expect("the API server's metrics");
        let of = |verb| {
            let label = format!(r#"resource="{resource}""#);
            let lines = text.lines().filter(|line| line.contains(&format!(r#"verb="{verb}""#)));
            http::metric(&lines.collect::<Vec<_>>().join("\n"), "apiserver_request_total", &label)
        };
        ["POST", "PUT", "PATCH", "APPLY", "DELETE"].into_iter().map(of).sum()
    }
}

pub fn http_request(path: &str) -> ::http::Request<Vec<u8>> {
    ::http::Request::get(path).body(Vec::new()).expect("a request")
}

/// How the operator is started.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// The ledger is written as fast as possible.
    Unbounded,
    /// Under the default byte budget.
    Budget,
    /// Unbounded, and unused memory is returned to the system at once.
    Frugal,
}

fn start_operator(
    program: &Path,
    kubeconfig: &Path,
    folder: &Path,
    metrics: SocketAddr,
    seats: SocketAddr,
    start: Start,
) -> Server {
    let (metrics, seats) = (metrics.to_string(), seats.to_string());
    let arguments = ["operator", "--namespace", "seatkeeper", "--listen", &metrics, "--seats-listen", &seats];
    let more = if start == Start::Budget { Vec::new() } else { super::unbounded("operator") };
    let all = [&arguments[..], &more].concat();
    let kubeconfig = format!("KUBECONFIG={}", kubeconfig.display());
    let environment = [kubeconfig.as_str(), "MIMALLOC_PURGE_DELAY=0"];
    let environment = &environment[..if start == Start::Frugal { 2 } else { 1 }];
    Server::with_environment(program, &all, environment, &folder.join("operator.log"))
}

fn apply(control_plane: &ControlPlane, yaml: &str) {
    let mut kubectl = Command::new(control_plane.bin("kubectl"))
        .args(["apply", "-f", "-"])
        .env("KUBECONFIG", control_plane.kubeconfig())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("kubectl");
    kubectl.stdin.take().expect("stdin").write_all(yaml.as_bytes()).expect("kubectl reads");
    assert!(kubectl.wait().is_ok_and(|status| status.success()), "kubectl apply failed");
}

async fn token(admin: &Client, account: &str, audience: Option<&str>) -> String {
    let request = TokenRequest {
        spec: Some(TokenRequestSpec {
            audiences: audience.map(|audience| vec![audience.to_owned()]),
            expiration_seconds: Some(24 * 3600),
            ..TokenRequestSpec::default()
        }),
        ..TokenRequest::default()
    };
    let accounts = Api::<ServiceAccount>::namespaced(admin.clone(), NAMESPACE);
    let answer = accounts.create_subresource("token", account, &PostParams::default(), &request).await;
    let answer: TokenRequest = answer.unwrap_or_else(|e| panic!("a token for {account}: {e}"));
    answer.status.and_then(|status| status.token).expect("a token")
}

async fn leases(control_plane: &ControlPlane, admin: &Client) -> Leases {
    let kubeconfig = Kubeconfig::read_from(control_plane.kubeconfig()).expect("a kubeconfig");
    let cluster = kubeconfig.clusters.into_iter().find_map(|named| named.cluster).expect("a cluster");
    let address = cluster.server.as_deref().and_then(|url| url.strip_prefix("https://")?.parse().ok());
    let authority = BASE64_STANDARD.decode(cluster.certificate_authority_data.expect("an authority"));
    Leases {
        address: address.expect("an address"),
        authority: authority.expect("base64"),
        token: token(admin, "leases", None).await,
    }
}

/// Waits until nothing more is written to the ledger: the last releases are answered before they are written, and bases
/// are written later still.
pub async fn until_written(plane: &Plane) {
    let (mut written, mut since) = (plane.api_writes("seatledgers").await, monotonic());
    until("the last writes", async || {
        let now = plane.api_writes("seatledgers").await;
        if std::mem::replace(&mut written, now) != now {
            since = monotonic();
        }
        monotonic() - since > QUIET
    })
    .await;
}
