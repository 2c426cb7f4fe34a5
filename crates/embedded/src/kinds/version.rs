//! The version of the API.

/// The release of Kubernetes whose API this is.
pub const KUBERNETES: &str = "1.36.4";
