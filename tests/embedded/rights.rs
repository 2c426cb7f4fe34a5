//! How the operator gets its rights on the embedded API, which has no ServiceAccounts: it uses the API's own
//! credential, and only those parts of the chart that are neither rights nor workload.

use std::path::PathBuf;
use std::sync::Arc;

use crate::Cluster;
use crate::harness::helm::Helm;
use crate::harness::kubectl::Kubectl;
use crate::suite::installation::{SEATKEEPER, values};

/// Makes the operator's namespace with the Secrets that pin trust.
pub async fn installed(api: &Cluster) -> PathBuf {
    let kubeconfig = bare(api).await;
    let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/seatkeeper");
    let values = values(api);
    let template = ["template", SEATKEEPER, chart, "--show-only", "templates/trust.yaml", "--values", &values];
    let output = Helm::new(api, SEATKEEPER).run(&template).await;
    assert!(output.ok, "{}", output.stderr);
    Kubectl::new(api, SEATKEEPER).apply(&output.stdout).await;
    kubeconfig
}

/// No test waits for a turn: an embedded API starts at once, so each test has its own.
pub type Turn = ();

/// Starts an API for operators that watch all of it, and returns it with their rights.
pub async fn ground() -> (Arc<Cluster>, PathBuf, Turn) {
    let api = Cluster::start().unwrap_or_else(|why| panic!("there is no cluster to test on: {why}"));
    let operator = bare(&api).await;
    (Arc::new(api), operator, ())
}

/// Makes the operator's namespace.
async fn bare(api: &Cluster) -> PathBuf {
    Kubectl::new(api, SEATKEEPER).expect(&["create", "namespace", SEATKEEPER]).await;
    api.kubeconfig().to_owned()
}
