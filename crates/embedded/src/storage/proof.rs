//! Whether a file is a whole database: proved on a copy in memory, so that what is wrong with it can still be looked at.

use redb::StorageBackend;
use redb::backends::InMemoryBackend;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use super::durable::{builder, contents};
use super::{Contents, StorageError};

/// Everything in the database at `path`, which is only read. Fails where anything in it is not as it was written.
pub fn prove(path: &Path) -> Result<Contents, StorageError> {
    let bytes =
        std::fs::read(path).map_err(|e| StorageError::Unusable { path: path.to_owned(), why: e.to_string() })?;
    let damaged = |why: String| StorageError::Damaged { path: path.to_owned(), why };
    // The library takes an empty file for a new database. Ours are never empty.
    if bytes.is_empty() {
        return Err(damaged("it is empty".into()));
    }
    // A file that is no database at all must not bring the process down, whatever the library makes of it.
    match catch_unwind(AssertUnwindSafe(|| examine(&bytes))) {
        Ok(examined) => examined.map_err(|error| damaged(error.to_string())),
        Err(_) => Err(damaged("it cannot be read as a database".into())),
    }
}

fn examine(bytes: &[u8]) -> Result<Contents, redb::Error> {
    let copy = InMemoryBackend::new();
    copy.set_len(bytes.len() as u64)?;
    copy.write(0, bytes)?;
    let mut database = builder().set_check_integrity_on_open(true).create_with_backend(copy)?;
    // What a crash leaves is put right when it is opened; what is wrong after that is damage.
    if !database.check_integrity()? {
        return Err(redb::Error::Corrupted("its parts do not fit together".into()));
    }
    contents(&database)
}
