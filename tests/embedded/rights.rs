//! How the operator comes by its rights on the embedded API, which knows no ServiceAccounts: it has the API's own
//! credential, and of the chart only what is neither rights nor workload.

use std::path::PathBuf;

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

/// The operator's namespace.
pub async fn bare(api: &Cluster) -> PathBuf {
    Kubectl::new(api, SEATKEEPER).expect(&["create", "namespace", SEATKEEPER]).await;
    api.kubeconfig().to_owned()
}
