//! Where objects are kept. What is acknowledged to a client was committed here before.

mod durable;
mod proof;
mod witness;

pub use durable::{DATABASE, Durable};
pub use witness::WITNESS;

use std::path::PathBuf;

/// What becomes of one object: its bytes, or None where it is no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// `<group>/<plural>/<namespace>/<name>`.
    pub key: String,
    pub value: Option<Vec<u8>>,
}

/// Everything a storage holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// The revision of the last commit; 0 where there was none.
    pub revision: u64,
    pub objects: Vec<(String, Vec<u8>)>,
}

/// Keeps objects.
pub trait Storage: Send + Sync + 'static {
    /// Everything that was committed.
    fn load(&self) -> Result<Contents, StorageError>;

    /// Whether it keeps anything: where it does not, nothing needs to be written out for it.
    fn keeps(&self) -> bool {
        true
    }

    /// Takes all of `changes` or, with an error, none of them. Where the storage is durable they survive whatever happens
    /// after the return. `revision` is that of the last change and higher than any before.
    fn commit(&self, revision: u64, changes: &[Change]) -> Result<(), StorageError>;
}

/// Keeps nothing: the objects of the API itself are the only ones.
#[derive(Debug, Default)]
pub struct Memory;

impl Storage for Memory {
    fn load(&self) -> Result<Contents, StorageError> {
        Ok(Contents::default())
    }

    fn keeps(&self) -> bool {
        false
    }

    fn commit(&self, _: u64, _: &[Change]) -> Result<(), StorageError> {
        Ok(())
    }
}

/// Why objects could not be kept or found again.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    #[error("{0}: is in use by another process; end that one, or name another folder")]
    InUse(PathBuf),
    #[error("{path}: is damaged: {why}. It is left as it is: put a copy of it back, or move it away to begin anew")]
    Damaged { path: PathBuf, why: String },
    #[error("{path}: {why}")]
    Unusable { path: PathBuf, why: String },
}
