//! The chart: what the operator may and may not do, who may do what with its kinds, upgrades and uninstalling. Every
//! other test proves that the rights suffice, because the operator runs with only these.

use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

use seatkeeper::api::crds;
use seatkeeper::domain::license::mode::Mode;
use serde_json::json;

use super::seats_test::LEADS;
use crate::harness::control_plane::ControlPlane;
use crate::harness::eventually::eventually;
use crate::harness::helm::Helm;
use crate::harness::kubectl::Kubectl;
use crate::rights::{self, CHART, installed_from};
use crate::suite::case::{Case, KEYS, PLAN, TRUST, order};
use crate::suite::faults_ground::SOON;
use crate::suite::faults_operators::Replica;
use crate::suite::installation::{Installation, SEATKEEPER};

/// RBAC cannot distinguish types of Secrets; the admission policies can.
#[tokio::test]
async fn the_operators_own_rights_end_at_what_it_made() {
    let cp = ControlPlane::shared();
    let case = Case::new("bounds").await;
    let operator = Kubectl::with(cp, &Installation::shared().await.kubeconfig, &case.namespace);
    let secret = |name: &str, type_: &str, owner: Option<&str>| {
        let annotations = owner.map(|owner| json!({"seatkeeper.dev/owner": owner}));
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "annotations": annotations}, "type": type_, "stringData": {"a": "b"}}).to_string()
    };
    let refused = async |args: &[&str], yaml: &str, message: &str| {
        let output = operator.run_with(args, yaml).await;
        assert!(
            !output.ok && output.stderr.contains("orbidden") && output.stderr.contains(message),
            "{args:?}: {output:?}"
        );
    };
    let create = ["create", "-f", "-"];
    let types = "the licence operator may only write Secrets of type seatkeeper.dev/*";
    let own = "the licence operator may only write Secrets that it created, with the annotation seatkeeper.dev/owner";
    refused(&create, &secret("a", "Opaque", Some("me")), types).await;
    refused(&create, &secret("a", KEYS, None), own).await;
    operator.expect_with(&create, &secret("ours", KEYS, Some("me"))).await;
    // Pinned trust decides for the whole cluster.
    let pin = "the licence operator may not pin trust, with the label seatkeeper.dev/product";
    let mut pins: serde_json::Value = serde_json::from_str(&secret("pins", TRUST, Some("me"))).expect("it is JSON");
    pins["metadata"]["labels"] = json!({"seatkeeper.dev/product": "innoacd"});
    for namespace in [SEATKEEPER, &case.namespace] {
        let create = ["create", "--raw", &format!("/api/v1/namespaces/{namespace}/secrets"), "-f", "-"];
        refused(&create, &pins.to_string(), pin).await;
    }
    // The operator may not read a Secret by name, so kubectl has to replace it without reading it first.
    let path = |name: &str| format!("/api/v1/namespaces/{}/secrets/{name}", case.namespace);
    let [ours, opaque, keys] = ["ours", "opaque", "keys"].map(path);
    operator.expect_with(&["replace", "--raw", &ours, "-f", "-"], &secret("ours", KEYS, Some("you"))).await;
    refused(&["replace", "--raw", &ours, "-f", "-"], &secret("ours", KEYS, None), own).await;
    // A Secret that a user created stays the user's, whatever its type.
    case.secret("opaque", "Opaque", &[("a", "b")]).await;
    case.secret("keys", KEYS, &[("a", "b")]).await;
    refused(&["replace", "--raw", &opaque, "-f", "-"], &secret("opaque", "Opaque", Some("me")), types).await;
    refused(&["replace", "--raw", &keys, "-f", "-"], &secret("keys", KEYS, Some("me")), own).await;
    for name in ["ours", "opaque", "keys"] {
        refused(&["delete", "secret", name], "", "cannot delete resource").await;
    }
    let license = json!({"apiVersion": "seatkeeper.dev/v1alpha1", "kind": "License", "metadata": {"name": "a"}, "spec": {"product": "a"}});
    let label = "the licence operator may only create Licenses with the label app.kubernetes.io/managed-by: seatkeeper";
    refused(&create, &license.to_string(), label).await;
    refused(&["get", "namespace", "default"], "", "cannot get resource").await;
    for (verb, what) in [
        ("delete", "licenses.seatkeeper.dev"),
        ("update", "licenses.seatkeeper.dev"),
        ("create", "plans.seatkeeper.dev"),
        ("create", "rosters.seatkeeper.dev"),
        ("patch", "rosters.seatkeeper.dev"),
        // Ledgers only in the operator's own namespace.
        ("get", "seatledgers.seatkeeper.dev"),
        ("create", "seatledgers.seatkeeper.dev"),
        ("create", "subscriptions.seatkeeper.dev"),
        ("get", "secrets"),
        ("patch", "secrets"),
        ("list", "pods"),
        ("list", "configmaps"),
        ("create", "clusterrolebindings"),
        ("impersonate", "users"),
    ] {
        assert!(!may(&operator, &[verb, what]).await, "the operator may {verb} {what}");
    }
    let home = Kubectl::with(cp, &Installation::shared().await.kubeconfig, SEATKEEPER);
    for (verb, allowed) in [
        ("get", true),
        ("list", true),
        ("create", true),
        ("update", true),
        ("delete", true),
        // The API server accepts a merge patch without a resourceVersion blindly, and a watch cache may be stale.
        ("patch", false),
        ("watch", false),
        ("deletecollection", false),
    ] {
        assert_eq!(may(&home, &[verb, "seatledgers.seatkeeper.dev"]).await, allowed, "the operator, {verb}");
    }
    // The policies do not restrict other users.
    case.kubectl.expect_with(&create, &secret("free", "Opaque", None)).await;
    case.kubectl.expect_with(&create, &license.to_string()).await;
}

/// Helm installs the admission policies after the Deployment. The operator used to work meanwhile with all that RBAC gives
/// it.
#[tokio::test]
async fn k1_the_operator_begins_only_once_the_admission_policies_restrain_it() {
    let cp = ControlPlane::start().unwrap_or_else(|why| panic!("{why}"));
    let operator = rights::unrestrained(&cp).await;
    let replica = Replica::start_with(&operator, "unrestrained", &["--await-policies"]);
    let log = operator.with_file_name("operator-unrestrained.log");
    eventually(SOON, "the operator says that it waits", async || {
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        said.contains("a Secret that no policy should admit would be created").then_some(()).ok_or(said)
    })
    .await;
    assert_ne!(replica.ask("/readyz").await.map(|(status, _)| status), Some(200));
    let stored = ["get", "secrets,licenses.seatkeeper.dev,leases", "-o", "name"];
    assert_eq!(Kubectl::new(&cp, SEATKEEPER).expect(&stored).await, "");

    rights::apply(&cp, &["admission-policies"]).await;
    replica.says(SOON, LEADS).await;
}

async fn may(who: &Kubectl, what: &[&str]) -> bool {
    let output = who.run(&[&["auth", "can-i"], what].concat()).await;
    match output.stdout.trim() {
        "yes" => true,
        "no" => false,
        _ => panic!("{output:?}"),
    }
}

/// K1: Kubernetes' own roles reach the kinds: all may read what names nobody, only admin may write, and only the kinds of
/// the customer: contracts are the vendor's, ledgers the operator's, and seats are for whom they are given to.
#[tokio::test]
async fn k1_view_edit_and_admin_may_do_what_they_should() {
    let case = Case::new("roles").await;
    for role in ["view", "edit", "admin"] {
        let (role, user) = (format!("--clusterrole={role}"), format!("--user={role}"));
        case.kubectl.expect(&["create", "rolebinding", &user[7..], &role, &user]).await;
    }
    // A controller aggregates the roles.
    eventually(Duration::from_secs(20), "admin may write Licenses", async || {
        may(&case.kubectl, &["delete", "licenses.seatkeeper.dev", "--as=admin"])
            .await
            .then_some(())
            .ok_or("not yet".into())
    })
    .await;
    for role in ["view", "edit", "admin"] {
        let user = format!("--as={role}");
        assert!(!may(&case.kubectl, &["create", "licenses.seatkeeper.dev", "--subresource=seats", &user]).await);
        for crd in crds::all() {
            let resource = crds::name(&crd);
            let description = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["description"].as_str();
            let of_customer = description.is_some_and(|text| text.contains("Written by the customer."));
            let writes = role == "admin" && of_customer;
            // Rosters name people, and ledgers say who works when.
            let reads = match resource {
                "rosters.seatkeeper.dev" => role == "admin",
                "seatledgers.seatkeeper.dev" => false,
                _ => true,
            };
            for (verb, allowed) in [
                ("get", reads),
                ("list", reads),
                ("watch", reads),
                ("create", writes),
                ("patch", writes),
                ("delete", writes),
            ] {
                assert_eq!(may(&case.kubectl, &[verb, resource, &user]).await, allowed, "{role} {verb} {resource}");
            }
            let status = ["patch", resource, "--subresource=status", &user];
            assert!(!may(&case.kubectl, &status).await, "{role} may write the status of {resource}");
        }
    }
    // Who is to read ledgers gets a role of its own, which is bound to nobody.
    let bound = case.kubectl.expect(&["get", "clusterrolebindings,rolebindings", "-A", "-o", "json"]).await;
    assert!(!bound.contains("seatkeeper-ledger-reader"));
    let bind = ["create", "rolebinding", "reader", "--clusterrole=seatkeeper-ledger-reader", "--user=auditor"];
    case.kubectl.expect(&bind).await;
    eventually(Duration::from_secs(20), "the auditor may read ledgers", async || {
        let may = may(&case.kubectl, &["list", "seatledgers.seatkeeper.dev", "--as=auditor"]).await;
        may.then_some(()).ok_or("not yet".into())
    })
    .await;
}

/// An invalid value is refused before anything is installed.
#[tokio::test]
async fn the_chart_refuses_wrong_values_and_says_which() {
    let cp = ControlPlane::shared();
    let helm = Helm::new(cp, "values");
    for (value, message) in [
        ("replicaCount=x", "'/replicaCount': got string, want integer"),
        ("replicas=2", "additional properties 'replicas' not allowed"),
        ("image.pullPolicy=Sometimes", "'/image/pullPolicy': value must be one of"),
        ("crds.enabled=maybe", "'/crds/enabled': got string, want boolean"),
        ("seats.tls.secretName=A_b", "'/seats/tls/secretName': 'A_b' does not match pattern"),
        ("seats.tls.certManager.issuerRef.kind=ClusterIssuer", "properties 'name' required, if 'kind' exists"),
        (
            "seats.tls.enabled=false,seats.tls.secretName=mine",
            "seats.tls.enabled is false: remove seats.tls.secretName",
        ),
        ("scope.namespaces={A}", "'/scope/namespaces/0': 'A' does not match pattern"),
        (
            "networkPolicy.from.seats[0].pods.a=b",
            "'/networkPolicy/from/seats/0': additional properties 'pods' not allowed",
        ),
        (
            "networkPolicy.egress.apiServer.ports={0}",
            "'/networkPolicy/egress/apiServer/ports/0': minimum: got 0, want 1",
        ),
        ("trust.fromLicenses=Ask", "'/trust/fromLicenses': value must be one of 'Refuse', 'Allow'"),
        ("trust.Innoacd.jwks.keys[0].kty=OKP", "'Innoacd' does not match pattern"),
        ("trust.innoacd.revoked=a.b.c", "missing property 'jwks'"),
        ("trust.innoacd.jwks.keys[0].kty=RSA", "trust.innoacd.jwks has no Ed25519 key (kty OKP, crv Ed25519)"),
        ("trust.innoacd.jwks.keys[0].kty=oct,trust.innoacd.jwks.keys[0].k=x", "is a secret key"),
    ] {
        let output = helm.run(&["template", "seatkeeper", CHART, "--set", value]).await;
        assert!(!output.ok && output.stderr.contains(message), "{value}: {output:?}");
    }
    assert!(helm.run(&["template", "seatkeeper", CHART, "--set", "replicaCount=3"]).await.ok);
    assert!(helm.run(&["lint", CHART, "--strict"]).await.ok);
}

/// K1: the operator gets the folder of the Secret and the name of its Service; without the values, neither.
#[tokio::test]
async fn k1_the_chart_mounts_the_certificate_and_has_cert_manager_make_one() {
    let case = Case::new("chart-tls").await;
    let helm = Helm::new(ControlPlane::shared(), &case.namespace);
    let template = async |values: &str, file: &str| {
        let shown = format!("templates/{file}.yaml");
        let output = helm.run(&["template", "licences", CHART, "--set", values, "--show-only", &shown]).await;
        if output.ok { output.stdout } else { output.stderr }
    };
    let service = format!("licences-seatkeeper.{}.svc", case.namespace);
    let issuer = "seats.tls.certManager.issuerRef.name=internal";
    for (values, secret) in [
        ("seats.tls.secretName=mine", "mine"),
        (issuer, "licences-seatkeeper-seats-tls"),
        (&format!("seats.tls.secretName=mine,{issuer}"), "mine"),
    ] {
        let deployment = template(values, "deployment").await;
        // The API server accepts the manifest unchanged.
        case.kubectl.apply_with(&["--dry-run=server", "--validate=strict"], &deployment).await;
        for part in [
            "- --seats-tls-dir\n        - /etc/seatkeeper/seats-tls\n",
            &format!("- --seats-tls-name\n        - {service}\n"),
            "mountPath: /etc/seatkeeper/seats-tls\n",
            &format!("secretName: {secret}\n"),
        ] {
            assert!(deployment.contains(part), "{values}: {part:?} is not in {deployment}");
        }
        let certificate = template(values, "certificate").await;
        let makes = certificate.contains(&format!("secretName: {secret}\n"))
            && certificate.contains(&format!("- {service}\n"))
            && certificate.contains("name: internal\n");
        assert_eq!(makes, values.contains(issuer), "{values}: {certificate}");
    }
    // By default the operator has an authority of its own, and nothing is mounted.
    let own = template("replicaCount=1", "deployment").await;
    assert!(own.contains(&format!("- --seats-tls-own\n        - --seats-tls-name\n        - {service}\n")), "{own}");
    assert!(!own.contains("/etc/seatkeeper/seats-tls"), "{own}");
    assert!(!template("seats.tls.enabled=false", "deployment").await.contains("seats-tls"));
}

/// K1: the network policy admits to the ports that the operator opens, and Prometheus is told how to ask for metrics.
#[tokio::test]
async fn k1_the_network_policy_and_the_service_monitor_fit_the_ports() {
    let case = Case::new("chart-network").await;
    let helm = Helm::new(ControlPlane::shared(), &case.namespace);
    let template = async |values: &str, file: &str| {
        let shown = format!("templates/{file}.yaml");
        let output = helm.run(&["template", "licences", CHART, "--set", values, "--show-only", &shown]).await;
        if output.ok { output.stdout } else { output.stderr }
    };
    let to_pods = "podSelector:\n        matchLabels:\n          app.kubernetes.io/name: seatkeeper\n";
    for (values, ports, closed) in [
        ("replicaCount=1", &["seats", "metrics", "http"][..], "port: grpc"),
        ("metrics.secure=false", &["seats", "http"][..], "port: metrics"),
    ] {
        let policy = template(values, "networkpolicy").await;
        case.kubectl.apply_with(&["--dry-run=server", "--validate=strict"], &policy).await;
        let deployment = template(values, "deployment").await;
        for port in ports {
            assert!(policy.contains(&format!("- port: {port}\n")), "{values}, {port}: {policy}");
            assert!(deployment.contains(&format!("- name: {port}\n          containerPort: ")), "{port}: {deployment}");
        }
        assert!(!policy.contains(closed) && !deployment.contains(closed), "{values}: {policy}");
        // Replicas reach one another, in and out.
        assert_eq!(policy.matches(to_pods).count(), 2, "{policy}");
        assert!(
            ["- port: 443\n", "- port: 6443\n", "- port: 53\n"].iter().all(|port| policy.contains(port)),
            "{policy}"
        );
    }
    let selected = "networkPolicy.from.metrics[0].namespaceSelector.matchLabels.a=b,networkPolicy.from.seats[0].podSelector.matchLabels.c=d";
    let policy = template(selected, "networkpolicy").await;
    assert!(
        policy.contains("a: b\n") && policy.contains("c: d\n") && !policy.contains("namespaceSelector: {}"),
        "{policy}"
    );
    assert!(template("networkPolicy.enabled=false", "networkpolicy").await.contains("could not find template"));

    let monitor = template("metrics.serviceMonitor.enabled=true", "servicemonitor").await;
    let name = format!("serverName: licences-seatkeeper.{}.svc\n", case.namespace);
    let asks = ["port: metrics\n", "bearerTokenFile: /var/run", "scheme: https\n", &name, "name: seatkeeper-ca\n"];
    assert!(asks.iter().all(|part| monitor.contains(part)), "{monitor}");
    let open = template("metrics.serviceMonitor.enabled=true,metrics.secure=false", "servicemonitor").await;
    assert!(open.contains("port: http\n") && !open.contains("bearerTokenFile"), "{open}");
    let plain = template("metrics.serviceMonitor.enabled=true,seats.tls.enabled=false", "servicemonitor").await;
    assert!(plain.contains("bearerTokenFile") && !plain.contains("https"), "{plain}");
}

/// The API server says at which priority level it has answered a request.
#[tokio::test]
async fn the_lease_and_the_ledger_have_a_priority_level_of_their_own() {
    let cp = ControlPlane::shared();
    let installation = Installation::shared().await;
    let admin = Kubectl::new(cp, SEATKEEPER);
    let uid =
        async |kind: &str| admin.expect(&["get", kind, "seatkeeper-lead", "-o", "jsonpath={.metadata.uid}"]).await;
    let [level, schema] = [uid("prioritylevelconfiguration").await, uid("flowschema").await];
    let operator = Kubectl::with(cp, &installation.kubeconfig, SEATKEEPER);
    let headers_of = async |path: &str| {
        let output = operator.run(&["get", "--raw", path, "-v=8"]).await;
        assert!(output.ok, "{output:?}");
        output.stderr.to_lowercase()
    };
    let of_lead =
        [format!("x-kubernetes-pf-prioritylevel-uid: {level}"), format!("x-kubernetes-pf-flowschema-uid: {schema}")];
    let is_of_lead = |headers: &str| of_lead.iter().all(|line| headers.contains(line));
    let home = format!("namespaces/{SEATKEEPER}");
    for path in [
        format!("/apis/coordination.k8s.io/v1/{home}/leases/seatkeeper"),
        format!("/apis/seatkeeper.dev/v1alpha1/{home}/seatledgers"),
    ] {
        eventually(Duration::from_secs(20), "the API server has taken it up", async || {
            let headers = headers_of(&path).await;
            if is_of_lead(&headers) { Ok(()) } else { Err(headers) }
        })
        .await;
    }
    assert!(!is_of_lead(&headers_of("/apis/seatkeeper.dev/v1alpha1/licenses").await));
    let keys = operator.expect(&["get", "--raw", "/openid/v1/jwks"]).await;
    assert!(keys.contains("\"kid\""), "{keys}");
}

/// Makes the chart of a release whose Licenses had another column.
fn older_chart(cp: &ControlPlane) -> PathBuf {
    let chart = cp.state().join("older-chart");
    let copied = std::process::Command::new("cp").arg("-r").arg(CHART).arg(&chart).status().expect("there is cp");
    assert!(copied.success());
    let crd = chart.join("templates/crds/licenses.seatkeeper.dev.yaml");
    let text = std::fs::read_to_string(&crd).expect("it was copied");
    assert!(text.contains("name: Product\n"), "{text}");
    std::fs::write(&crd, text.replace("name: Product\n", "name: Goods\n")).expect("the state folder is ours");
    chart
}

/// K1: `helm upgrade` upgrades the CustomResourceDefinitions, and `helm uninstall` keeps them and every object.
#[tokio::test]
async fn k1_crds_are_upgraded_with_the_release_and_kept_when_it_goes() {
    let cp = ControlPlane::start().unwrap_or_else(|why| panic!("{why}"));
    let installed = Installation::run(&cp, installed_from(&cp, older_chart(&cp)).await).await;
    let case = Case::on(&cp, "kept").await;
    case.signing_key().await;
    case.kubectl.apply(PLAN).await;
    case.kubectl.apply(&order("stadtwerke", "")).await;
    let before = case.license("innoacd").becomes(Mode::Full).await;

    let column = [
        "get",
        "crd",
        "licenses.seatkeeper.dev",
        "-o",
        "jsonpath={.spec.versions[0].additionalPrinterColumns[0].name}",
    ];
    assert_eq!(case.kubectl.expect(&column).await, "Goods");
    let helm = Helm::new(&cp, SEATKEEPER);
    helm.upgrade(SEATKEEPER, CHART, &["--set", "replicaCount=1"]).await;
    assert_eq!(case.kubectl.expect(&column).await, "Product");

    helm.uninstall(SEATKEEPER, &[]).await;
    let address = installed.address;
    TcpStream::connect(address).expect("the operator listens");
    drop(installed);
    assert!(TcpStream::connect(address).is_err(), "the operator ends with the pipe that holds it");
    case.kubectl.expect(&["wait", "--for=condition=Established", "crd/licenses.seatkeeper.dev", "--timeout=10s"]).await;
    let after = case.license("innoacd").get().await;
    assert_eq!((after.metadata.uid, after.status), (before.metadata.uid, before.status));
    case.kubectl.expect(&["get", "lsub/stadtwerke", "lplan/innoacd", "secret/innoacd-license"]).await;
    // After a new installation, the objects are still there.
    let _operator = Installation::run(&cp, installed_from(&cp, CHART).await).await;
    case.kubectl.expect(&["get", "lic/innoacd"]).await;
}
