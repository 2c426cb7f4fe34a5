//! The one place that puts the parts together.

pub mod embedded;
