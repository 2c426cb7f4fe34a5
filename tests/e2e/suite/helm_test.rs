//! A customer who installs, upgrades and uninstalls with helm.

use std::path::PathBuf;

use seatkeeper::domain::license::mode::Mode;
use serde_json::json;

use super::case::{Case, Shown};
use super::keys::{Signer, claims};
use crate::Cluster;
use crate::harness::helm::Helm;

/// A customer's own chart: a License and the Secret with its key.
fn customers_chart(case: &Case) -> PathBuf {
    let chart = Cluster::shared().state().join(&case.namespace);
    std::fs::create_dir_all(chart.join("templates")).expect("the state folder is ours");
    let license = json!({
        "apiVersion": "seatkeeper.dev/v1alpha1", "kind": "License", "metadata": {"name": "acd"},
        "spec": {"product": "innoacd", "keys": [{"name": "key", "secretRef": {"name": "key"}}], "trust": {"secretRef": {"name": "vendor-trust"}}},
    });
    let key = r#"{apiVersion: v1, kind: Secret, metadata: {name: key}, type: seatkeeper.dev/license, stringData: {"key.jwt": {{ .Values.key | quote }}}}"#;
    let app =
        r#"{apiVersion: v1, kind: ConfigMap, metadata: {name: app}, data: {version: {{ .Values.version | quote }}}}"#;
    for (name, text) in [
        ("Chart.yaml", "{apiVersion: v2, name: acd, version: 1.0.0}"),
        ("values.yaml", "{key: '', version: '1'}"),
        ("templates/license.yaml", &license.to_string()),
        ("templates/key.yaml", key),
        ("templates/app.yaml", app),
    ] {
        std::fs::write(chart.join(name), text).expect("the state folder is ours");
    }
    chart
}

/// K1, I4: demo mode rolls back neither the fix of the application nor the new key.
#[tokio::test]
async fn k1_helm_upgrades_succeed_in_demo_and_bring_the_new_key() {
    let case = Case::new("release").await;
    case.trust().await;
    let chart = customers_chart(&case);
    let helm = Helm::new(Cluster::shared(), &case.namespace);
    let vendor = Signer::of("vendor");
    let key = |days: i64| format!("key={}", vendor.sign(&claims("innoacd", &case.namespace, days)));
    let license = case.license("acd");
    helm.install("acd", &chart, &["--set", &key(-30)]).await;
    license.becomes(Mode::Demo).await;
    license.is_not("Licensed", "Expired").await;

    helm.upgrade("acd", &chart, &["--rollback-on-failure", "--set", &key(-30), "--set", "version=2"]).await;
    assert_eq!(case.kubectl.expect(&["get", "configmap", "app", "-o", "jsonpath={.data.version}"]).await, "2");
    license.becomes(Mode::Demo).await;

    helm.upgrade("acd", &chart, &["--rollback-on-failure", "--set", &key(365), "--set", "version=3"]).await;
    assert_eq!(license.becomes(Mode::Full).await.seats(), Some("agents 0/50"));
    assert_eq!(case.kubectl.expect(&["get", "configmap", "app", "-o", "jsonpath={.data.version}"]).await, "3");
    let history = helm.run(&["history", "acd", "-o", "json"]).await;
    assert!(!history.stdout.to_lowercase().contains("rollback"), "{history:?}");

    helm.uninstall("acd", &[]).await;
    let left = case.kubectl.expect(&["get", "licenses.seatkeeper.dev,secrets", "-o", "name"]).await;
    assert_eq!(left, "secret/vendor-trust\n");
}
