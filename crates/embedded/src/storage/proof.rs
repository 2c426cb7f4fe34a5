//! Whether a file is an intact database. This is checked on a copy in memory, so a damaged file stays as it is and can
//! be examined.

use redb::StorageBackend;
use redb::backends::InMemoryBackend;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use super::database::{builder, contents};
use super::{Contents, StorageError};

/// Returns everything in the database at `path`, which is only read. Fails if anything in it is not as it was written.
pub fn prove(path: &Path) -> Result<Contents, StorageError> {
    let bytes =
        std::fs::read(path).map_err(|e| StorageError::Unusable { path: path.to_owned(), why: e.to_string() })?;
    let damaged = |why: String| StorageError::Damaged { path: path.to_owned(), why };
    // redb takes an empty file for a new database. Ours are never empty.
    if bytes.is_empty() {
        return Err(damaged("it is empty".into()));
    }
    // A file that is not a database must not end the process, even if redb panics on it.
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
    // What a crash leaves behind is repaired on opening; whatever is wrong after that is damage.
    if !database.check_integrity()? {
        return Err(redb::Error::Corrupted("its parts do not fit together".into()));
    }
    contents(&database)
}
