//! How the operator gets its rights on a real control plane: as the chart's ServiceAccount.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use tokio::sync::{Mutex, MutexGuard, OnceCell};

use crate::harness::cluster::started;
use crate::harness::control_plane::ControlPlane;
use crate::harness::helm::Helm;
use crate::harness::kubectl::Kubectl;
use crate::suite::installation::{SEATKEEPER, values};

pub const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/seatkeeper");

/// Installs the chart, and returns the kubeconfig of its ServiceAccount.
pub async fn installed(cp: &ControlPlane) -> PathBuf {
    installed_from(cp, CHART).await
}

pub async fn installed_from(cp: &ControlPlane, chart: impl AsRef<Path>) -> PathBuf {
    let flags = ["--create-namespace", "--values", &values(cp)];
    Helm::new(cp, SEATKEEPER).install(SEATKEEPER, chart, &flags).await;
    cp.service_account_kubeconfig(SEATKEEPER, SEATKEEPER).await
}

/// The turn of one test at a time: two operators at once would do each other's work.
pub type Turn = MutexGuard<'static, ()>;

/// Waits for the test's turn, and returns the control plane for operators that watch all of it, and their rights.
pub async fn ground() -> (Arc<ControlPlane>, PathBuf, Turn) {
    static TURN: Mutex<()> = Mutex::const_new(());
    static GROUND: OnceLock<Result<Arc<ControlPlane>, String>> = OnceLock::new();
    static OPERATOR: OnceCell<PathBuf> = OnceCell::const_new();
    let turn = TURN.lock().await;
    let cp = started(GROUND.get_or_init(|| ControlPlane::start().map(Arc::new)));
    let operator = OPERATOR.get_or_init(|| bare(cp)).await;
    (cp.clone(), operator.clone(), turn)
}

/// Installs the CRDs, and the ServiceAccount with the chart's rights, admission policies and flow control, but
/// no operator.
async fn bare(cp: &ControlPlane) -> PathBuf {
    let kubeconfig = unrestrained(cp).await;
    apply(cp, &["admission-policies", "flow-control"]).await;
    kubeconfig
}

/// Installs the CRDs, and the ServiceAccount with the chart's rights, but neither admission policies nor an operator.
pub async fn unrestrained(cp: &ControlPlane) -> PathBuf {
    Kubectl::new(cp, SEATKEEPER).expect(&["create", "namespace", SEATKEEPER]).await;
    crds(cp).await;
    apply(cp, &["serviceaccount", "rbac"]).await;
    cp.service_account_kubeconfig(SEATKEEPER, SEATKEEPER).await
}

/// Applies these templates of the chart.
pub async fn apply(cp: &ControlPlane, templates: &[&str]) {
    apply_with(cp, templates, "replicaCount=1").await;
}

/// The same, with these values.
pub async fn apply_with(cp: &ControlPlane, templates: &[&str], values: &str) {
    let shown: Vec<String> = templates.iter().map(|name| format!("templates/{name}.yaml")).collect();
    let mut template = vec!["template", SEATKEEPER, CHART, "--set", values];
    shown.iter().for_each(|file| template.extend(["--show-only", file]));
    let output = Helm::new(cp, SEATKEEPER).run(&template).await;
    assert!(output.ok, "{}", output.stderr);
    let mut by_namespace: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for object in output.stdout.split("---\n") {
        let namespace = object.lines().find_map(|line| line.strip_prefix("  namespace: ")).unwrap_or(SEATKEEPER);
        by_namespace.entry(namespace).or_default().push(object);
    }
    for (namespace, objects) in by_namespace {
        Kubectl::new(cp, namespace).apply(&objects.join("---\n")).await;
    }
}

pub async fn crds(cp: &ControlPlane) {
    let kubectl = Kubectl::new(cp, "default");
    kubectl.expect(&["apply", "--server-side", "-f", concat!(env!("CARGO_MANIFEST_DIR"), "/crds")]).await;
    kubectl.expect(&["wait", "crds", "--all", "--for=condition=Established", "--timeout=30s"]).await;
}
