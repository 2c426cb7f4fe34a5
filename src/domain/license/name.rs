//! The name of a License.

use std::fmt;
use std::sync::Arc;

/// Names a License in a cluster. Shown as `namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LicenseName {
    pub namespace: Arc<str>,
    pub name: Arc<str>,
}

impl LicenseName {
    pub fn new(namespace: &str, name: &str) -> Self {
        LicenseName { namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for LicenseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
