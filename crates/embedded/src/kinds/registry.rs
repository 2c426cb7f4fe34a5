//! The kinds that an API serves, those of CustomResourceDefinitions after the built-in ones.

use bytes::Bytes;
use serde_json::Value;
use std::sync::{Arc, OnceLock};

use super::custom::Unsupported;
use super::kind::Kind;
use super::{builtin, custom};

/// The kinds that an API serves: those built into Kubernetes, and those of CustomResourceDefinitions. Reading schemas
/// takes a while, so the APIs of one process may share one.
#[derive(Debug)]
pub struct Kinds {
    all: Vec<Kind>,
    /// The index of the kind of namespaces.
    namespaces: usize,
    /// The OpenAPI documents by path, made when one is asked for.
    pub(crate) documents: OnceLock<Vec<(String, String)>>,
    /// The OpenAPI v2 document as JSON and in Protobuf, likewise.
    pub(crate) older_document: OnceLock<(Bytes, Bytes)>,
}

/// The built-in kinds only.
impl Default for Kinds {
    fn default() -> Self {
        Kinds::of(builtin::kinds())
    }
}

impl Kinds {
    /// Returns the built-in kinds, and one for each of `crds` (`apiextensions.k8s.io/v1`, as JSON), of which the first
    /// version is served.
    ///
    /// # Errors
    ///
    /// Fails if the schema of a CRD has a format, a pattern or a CEL function that is not supported here.
    pub fn with(crds: &[Value]) -> Result<Arc<Kinds>, Unsupported> {
        let mut all = builtin::kinds();
        for crd in crds {
            all.push(custom::kind(crd, all.len())?);
        }
        Ok(Arc::new(Kinds::of(all)))
    }

    fn of(all: Vec<Kind>) -> Kinds {
        let namespaces = all.iter().position(Kind::is_namespace).unwrap_or_default();
        Kinds { all, namespaces, documents: OnceLock::new(), older_document: OnceLock::new() }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &Kind)> {
        self.all.iter().enumerate()
    }

    pub(crate) fn get(&self, id: usize) -> &Kind {
        &self.all[id]
    }

    /// Returns the index of the kind of namespaces.
    pub(crate) fn namespaces(&self) -> usize {
        self.namespaces
    }

    pub(crate) fn find(&self, group: &str, version: &str, plural: &str) -> Option<usize> {
        self.all.iter().position(|k| k.group == group && k.version == version && k.plural == plural)
    }

    /// Returns the pairs of group and version, each once, in the order of the API server's lists.
    pub(crate) fn group_versions(&self) -> Vec<(&str, &str)> {
        let mut all: Vec<(&str, &str)> = Vec::new();
        for kind in &self.all {
            if !all.contains(&(kind.group.as_str(), kind.version.as_str())) {
                all.push((&kind.group, &kind.version));
            }
        }
        all
    }
}
