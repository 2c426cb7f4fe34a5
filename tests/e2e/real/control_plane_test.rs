//! The control plane on which everything else is proven is real, and ends with its test.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::api::{Api, ListParams, ObjectMeta, PostParams};
use kube::config::Kubeconfig;

use crate::harness::cluster::client_of;
use crate::harness::control_plane::ControlPlane;
use crate::harness::eventually::eventually;
use crate::harness::helm::Helm;
use crate::harness::kubectl::Kubectl;

const COMPONENTS: [&str; 5] = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok"];

#[tokio::test]
async fn kubernetes_is_1_36() {
    let version = ControlPlane::shared().admin().await.apiserver_version().await.expect("the API server answers");
    assert!(version.git_version.starts_with("v1.36."), "{version:?}");
    assert_eq!((version.major.as_str(), version.minor.as_str()), ("1", "36"));
}

#[tokio::test]
async fn a_service_account_is_itself_and_no_administrator() {
    let cp = ControlPlane::shared();
    let namespace = cp.namespace("account").await;
    let metadata = ObjectMeta { name: Some("reader".into()), ..ObjectMeta::default() };
    Api::namespaced(cp.admin().await, &namespace)
        .create(&PostParams::default(), &ServiceAccount { metadata, ..ServiceAccount::default() })
        .await
        .expect("the administrator may create a ServiceAccount");
    let kubeconfig = cp.service_account_kubeconfig(&namespace, "reader").await;
    let client = client_of(&kubeconfig).await;

    let review = Api::<SelfSubjectReview>::all(client.clone())
        .create(&PostParams::default(), &SelfSubjectReview::default())
        .await
        .expect("everybody may ask who they are");
    let user = review.status.and_then(|s| s.user_info).and_then(|u| u.username);
    assert_eq!(user, Some(format!("system:serviceaccount:{namespace}:reader")));

    let refused = Api::<Secret>::namespaced(client, &namespace).list(&ListParams::default()).await;
    match refused {
        Err(kube::Error::Api(status)) => assert_eq!(status.code, 403, "{status:?}"),
        other => panic!("listing Secrets was to be forbidden: {other:?}"),
    }
    let kubectl = Kubectl::with(cp, &kubeconfig, &namespace);
    let output = kubectl.run(&["get", "secrets"]).await;
    assert!(!output.ok && output.stderr.contains("Forbidden"), "{output:?}");
}

const DEPLOYMENT: &str = r"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: web}]}
";

#[tokio::test]
async fn a_deployment_becomes_ready_on_the_simulated_node() {
    let cp = ControlPlane::shared();
    let kubectl = Kubectl::new(cp, &cp.namespace("deployment").await);
    let file = cp.state().join("deployment.yaml");
    std::fs::write(&file, DEPLOYMENT).expect("the state folder is ours");
    assert_eq!(kubectl.apply_file(&file).await, "deployment.apps/web created\n");
    kubectl.expect(&["rollout", "status", "deployment/web", "--timeout=60s"]).await;
    let nodes = kubectl.expect(&["get", "pods", "-o", "jsonpath={.items[*].spec.nodeName}"]).await;
    assert_eq!(nodes, "gpu-0 gpu-0");
}

#[tokio::test]
async fn kubectl_refuses_a_field_that_does_not_exist() {
    let cp = ControlPlane::shared();
    let kubectl = Kubectl::new(cp, &cp.namespace("strict").await);
    let message = kubectl.refused(&DEPLOYMENT.replace("replicas", "replcas")).await;
    assert!(message.contains(r#"unknown field "spec.replcas""#), "{message}");
    kubectl.apply(DEPLOYMENT).await;
}

#[tokio::test]
async fn helm_installs_upgrades_and_uninstalls_a_chart() {
    let cp = ControlPlane::shared();
    let namespace = cp.namespace("chart").await;
    let chart = cp.state().join("chart");
    std::fs::create_dir_all(chart.join("templates")).expect("the state folder is ours");
    let files = [
        ("Chart.yaml", "{apiVersion: v2, name: web, version: 1.0.0, kubeVersion: '>=1.36.0'}"),
        ("values.yaml", "replicas: 1"),
        ("templates/web.yaml", &DEPLOYMENT.replace("replicas: 2", "replicas: {{ .Values.replicas }}")),
    ];
    for (name, text) in files {
        std::fs::write(chart.join(name), text).expect("the state folder is ours");
    }
    let (helm, kubectl) = (Helm::new(cp, &namespace), Kubectl::new(cp, &namespace));
    let ready = ["get", "deployment", "web", "-o", "jsonpath={.status.readyReplicas}"];

    helm.install("web", &chart, &[]).await;
    assert_eq!(kubectl.expect(&ready).await, "1");
    helm.upgrade("web", &chart, &["--set", "replicas=3"]).await;
    assert_eq!(kubectl.expect(&ready).await, "3");
    helm.uninstall("web", &[]).await;
    let output = kubectl.run(&ready).await;
    assert!(output.stderr.contains("NotFound"), "{output:?}");
    let again = helm.run(&["uninstall", "web"]).await;
    assert!(!again.ok && again.stderr.contains("not found"), "{again:?}");
}

/// The test's own process plays both parts: started again with this variable set, it holds a control plane until it is
/// killed.
const HOLD: &str = "SEATKEEPER_E2E_HOLD";

#[tokio::test]
async fn everything_ends_when_the_process_that_started_it_is_killed() {
    if std::env::var_os(HOLD).is_some() {
        let cp = ControlPlane::start().unwrap_or_else(|why| panic!("{why}"));
        println!("\nholding {}", cp.state().display());
        std::thread::park_timeout(Duration::from_secs(300));
        panic!("this process was not killed within five minutes");
    }
    let mut holder = Command::new(std::env::current_exe().expect("a running program has a path"))
        .args(["--exact", "--nocapture"])
        .arg("real::control_plane_test::everything_ends_when_the_process_that_started_it_is_killed")
        .env(HOLD, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the test can start itself");
    let stdout = holder.stdout.take().expect("stdout is piped");
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if let Some(state) = line.strip_prefix("holding ") {
                let _ = tell.send(state.to_owned());
            }
        }
    });
    let told = told.recv_timeout(Duration::from_secs(240));
    let running = told.map(|state| Running::of(Path::new(&state)));
    holder.kill().expect("the holder is our own process");
    holder.wait().expect("the holder is our own process");
    running.expect("the holder says where its state is").is_gone().await;
}

#[tokio::test]
async fn everything_ends_when_up_sh_is_killed_and_measuring_has_fsync() {
    let mut cp = ControlPlane::start_with_fsync().unwrap_or_else(|why| panic!("{why}"));
    let arguments = |cp: &ControlPlane| {
        let path = format!("/proc/{}/cmdline", cp.pid("etcd"));
        std::fs::read_to_string(path).expect("etcd is running").replace('\0', " ")
    };
    assert!(!arguments(&cp).contains("no-fsync"), "{}", arguments(&cp));
    assert!(arguments(ControlPlane::shared()).contains("--unsafe-no-fsync"), "{}", arguments(ControlPlane::shared()));

    let running = Running::of(cp.state());
    cp.kill();
    running.is_gone().await;
}

/// The processes and the port of a running control plane.
struct Running {
    processes: Vec<(&'static str, String)>,
    api: SocketAddr,
}

impl Running {
    fn of(state: &Path) -> Self {
        let pid = |name| std::fs::read_to_string(state.join("pid").join(name)).expect("up.sh writes it");
        let processes: Vec<_> = COMPONENTS.map(|name| (name, pid(name).trim().to_owned())).into();
        let kubeconfig = Kubeconfig::read_from(state.join("kubeconfig")).expect("up.sh writes it");
        let server = kubeconfig.clusters[0].cluster.as_ref().and_then(|c| c.server.clone()).expect("it has a server");
        let api = server.trim_start_matches("https://").parse().expect("the server is an address and a port");
        let running = Self { processes, api };
        // They must be running first, or their absence later would prove nothing.
        assert_eq!(running.left().len(), COMPONENTS.len(), "{:?}", running.left());
        TcpStream::connect(api).expect("the API server listens");
        running
    }

    fn left(&self) -> Vec<&'static str> {
        let alive = |pid: &str| {
            // A zombie has ended; only its exit status was not read.
            std::fs::read_to_string(format!("/proc/{pid}/stat"))
                .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z'))
        };
        self.processes.iter().filter(|(_, pid)| alive(pid)).map(|(name, _)| *name).collect()
    }

    async fn is_gone(&self) {
        eventually(Duration::from_secs(10), "all components have ended and the port is closed", async || {
            let left = self.left();
            let listens = TcpStream::connect(self.api).is_ok();
            if left.is_empty() && !listens { Ok(()) } else { Err(format!("running {left:?}, port open: {listens}")) }
        })
        .await;
    }
}
