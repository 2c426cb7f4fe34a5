//! Namespaces, for their labels, by which a License may admit them. They are watched as a whole: RBAC cannot grant
//! labels alone.

use k8s_openapi::api::core::v1::Namespace;
use kube::ResourceExt;
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::ObjectRef;
use kube::runtime::reflector::store::Store;

use crate::api::allowed_namespaces::Labels;

/// A Namespace without its spec and status.
pub type NamespaceMeta = PartialObjectMeta<Namespace>;

/// The labels of a namespace; `None` if it does not exist.
pub fn labels(namespaces: &Store<NamespaceMeta>, name: &str) -> Option<Labels> {
    Some(namespaces.get(&ObjectRef::new(name))?.labels().clone())
}
