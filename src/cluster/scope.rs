//! Where the operator looks: in all namespaces, or in some.

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Namespace;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::Config;
use kube::{Api, Client, Resource};

use super::watch::Source;

/// The namespace whose UID identifies the cluster.
const KUBE_SYSTEM: &str = "kube-system";

/// Where the operator looks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    #[default]
    Everywhere,
    Namespaces(Vec<String>),
}

impl Scope {
    /// In these namespaces; everywhere if there are none.
    pub fn of(namespaces: Vec<String>) -> Self {
        if namespaces.is_empty() { Scope::Everywhere } else { Scope::Namespaces(namespaces) }
    }

    pub fn nowhere() -> Self {
        Scope::Namespaces(Vec::new())
    }

    /// In this namespace too.
    pub fn and(&self, namespace: &str) -> Self {
        match self {
            Scope::Namespaces(named) if !named.iter().any(|name| name == namespace) => {
                Scope::Namespaces(named.iter().cloned().chain([namespace.to_owned()]).collect())
            }
            same => same.clone(),
        }
    }

    /// Where to watch a kind.
    pub fn sources<K>(&self, client: &Client, config: &Config) -> Vec<Source<K>>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        let source = |api, place: &str| Source { api, config: config.clone(), place: place.to_owned() };
        match self {
            Scope::Everywhere => vec![source(Api::all(client.clone()), "")],
            Scope::Namespaces(named) => {
                named.iter().map(|name| source(Api::namespaced(client.clone(), name), name)).collect()
            }
        }
    }

    /// Where to watch the Namespaces themselves. RBAC can name those that may be watched one by one.
    pub fn namespaces(&self, client: &Client) -> Vec<Source<PartialObjectMeta<Namespace>>> {
        let api = || Api::all(client.clone());
        match self.and(KUBE_SYSTEM) {
            Scope::Everywhere => vec![Source { api: api(), config: Config::default(), place: String::new() }],
            Scope::Namespaces(named) => {
                let one = |name: String| {
                    let config = Config::default().fields(&format!("metadata.name={name}"));
                    Source { api: api(), config, place: name }
                };
                named.into_iter().map(one).collect()
            }
        }
    }
}
