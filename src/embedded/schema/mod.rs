//! What the objects of a kind look like, and what is wrong with one that does not.

pub mod error;
pub mod node;

pub use error::{FieldError, Reason};
pub use node::{ListKind, Node, Type};
