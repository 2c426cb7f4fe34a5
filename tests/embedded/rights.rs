//! How the operator comes by its rights on the embedded API, which knows no ServiceAccounts: it has the API's own
//! credential, and of the chart only what is neither rights nor workload.

use std::path::PathBuf;
use std::sync::Arc;

use crate::Cluster;
use crate::helm::Helm;
use crate::installation::{SEATKEEPER, values};
use crate::kubectl::Kubectl;

/// The operator's namespace with the Secrets that pin whom to trust.
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

/// Nobody waits: an embedded API is started in no time, so each test has one of its own.
pub type Turn = ();

/// An API for operators that see the whole of it, and their rights.
pub async fn ground() -> (Arc<Cluster>, PathBuf, Turn) {
    let api = Cluster::start().unwrap_or_else(|why| panic!("there is no cluster to test on: {why}"));
    let operator = bare(&api).await;
    (Arc::new(api), operator, ())
}

/// The operator's namespace.
async fn bare(api: &Cluster) -> PathBuf {
    Kubectl::new(api, SEATKEEPER).expect(&["create", "namespace", SEATKEEPER]).await;
    api.kubeconfig().to_owned()
}
