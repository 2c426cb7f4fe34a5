//! Storage of objects. Every write is committed here before it is acknowledged to a client.

mod database;
mod durable;
mod proof;
mod witness;

pub use durable::Durable;

use std::path::PathBuf;

/// The new state of one object: its bytes, or `None` if it was removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// `<group>/<plural>/<namespace>/<name>`.
    pub key: String,
    pub value: Option<Vec<u8>>,
}

/// Everything a storage holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// The revision of the last commit; 0 if there was none.
    pub revision: u64,
    pub objects: Vec<(String, Vec<u8>)>,
}

/// Storage for objects.
pub trait Storage: Send + Sync + 'static {
    /// Returns everything that was committed.
    fn load(&self) -> Result<Contents, StorageError>;

    /// Returns whether the storage keeps anything. If it does not, nothing has to be serialised for it.
    fn keeps(&self) -> bool {
        true
    }

    /// Commits all of `changes` or, with an error, none of them. In a durable storage they survive whatever happens
    /// after this returns. `revision` is that of the last change, and higher than that of any commit before.
    fn commit(&self, revision: u64, changes: &[Change]) -> Result<(), StorageError>;
}

/// Keeps nothing: the objects exist only in the memory of the API.
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

/// Why objects could not be stored or loaded.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    #[error("{0} is in use by another process: end that process, or name another folder")]
    InUse(PathBuf),
    #[error(
        "{path} is damaged: {why}. It was not changed: restore a copy of it, or move it away with all files of its name \
         to start with an empty one"
    )]
    Damaged { path: PathBuf, why: String },
    #[error("{path}: {why}")]
    Unusable { path: PathBuf, why: String },
}
