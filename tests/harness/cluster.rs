//! What tests need from a cluster, whichever API server it has: `crate::Cluster` is the real control plane or the
//! embedded API.

use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};

use crate::Cluster;

impl Cluster {
    /// Returns the cluster that all tests of this binary share. Statics are never dropped: it ends with the process.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Result<Cluster, String>> = OnceLock::new();
        started(SHARED.get_or_init(Self::start))
    }

    /// Returns a client of the administrator, one per test: a client belongs to the runtime that made it.
    pub async fn admin(&self) -> kube::Client {
        client_of(self.kubeconfig()).await
    }

    /// Creates a namespace whose name starts with `name`, and returns its name.
    pub async fn namespace(&self, name: &str) -> String {
        static LAST: AtomicUsize = AtomicUsize::new(0);
        let name = format!("{name}-{}", LAST.fetch_add(1, Ordering::Relaxed) + 1);
        let metadata = ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() };
        let made = Api::all(self.admin().await)
            .create(&PostParams::default(), &Namespace { metadata, ..Namespace::default() })
            .await;
        made.unwrap_or_else(|e| panic!("namespace {name}: {e}"));
        name
    }
}

/// Returns what was started, or panics with the reason why there is nothing to test on.
pub fn started<T>(result: &Result<T, String>) -> &T {
    result.as_ref().unwrap_or_else(|why| panic!("there is no cluster to test on: {why}"))
}

/// Returns a client with the rights of `kubeconfig`.
pub async fn client_of(kubeconfig: &Path) -> kube::Client {
    kube::Client::try_from(config_of(kubeconfig).await).unwrap_or_else(|e| panic!("{}: {e}", kubeconfig.display()))
}

/// Returns a client's configuration from `kubeconfig`.
pub async fn config_of(kubeconfig: &Path) -> kube::Config {
    // It fails if another test has already installed it, which is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let read = Kubeconfig::read_from(kubeconfig).unwrap_or_else(|e| panic!("{}: {e}", kubeconfig.display()));
    kube::Config::from_custom_kubeconfig(read, &KubeConfigOptions::default())
        .await
        .unwrap_or_else(|e| panic!("{}: {e}", kubeconfig.display()))
}
