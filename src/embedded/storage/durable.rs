//! One file on disk (redb). A commit returns once the disk has it.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use redb::{Database, DatabaseError, Durability, ReadableDatabase, ReadableTable, TableDefinition};

use super::{Change, Contents, Storage, StorageError};

/// The file in its folder.
pub const DATABASE: &str = "seatkeeper.redb";
const OBJECTS: TableDefinition<&str, &[u8]> = TableDefinition::new("objects");
const NUMBERS: TableDefinition<&str, u64> = TableDefinition::new("numbers");
const REVISION: &str = "revision";
const FORMAT: &str = "format";
/// How keys and values are written. Another number is another version's file.
const FORMAT_NOW: u64 = 1;
/// The API keeps all objects in memory; the database only needs what a commit touches.
const CACHE_BYTES: usize = 8 << 20;

/// A folder's database. One process at a time has it.
pub struct Durable {
    database: Database,
    path: PathBuf,
}

impl Durable {
    /// Opens the database in `folder`, or makes one where there is none. A damaged one is refused and left as it is.
    pub fn open(folder: &Path) -> Result<Self, StorageError> {
        let path = folder.join(DATABASE);
        let file = path.clone();
        let unusable = |why: String| StorageError::Unusable { path: file.clone(), why };
        fs::create_dir_all(folder).map_err(|e| unusable(e.to_string()))?;
        let new = !path.exists();
        // A file that is no database at all must not bring the process down, whatever the library makes of it.
        let opened = catch_unwind(AssertUnwindSafe(|| open_checked(&path)));
        let database = match opened {
            Ok(Ok(database)) => database,
            Ok(Err(DatabaseError::DatabaseAlreadyOpen)) => return Err(StorageError::InUse(path)),
            Ok(Err(DatabaseError::Storage(redb::StorageError::Io(error))))
                if error.kind() != std::io::ErrorKind::InvalidData =>
            {
                return Err(unusable(error.to_string()));
            }
            Ok(Err(error)) => return Err(StorageError::Damaged { path, why: error.to_string() }),
            Err(_) => return Err(StorageError::Damaged { path, why: "it cannot be read as a database".into() }),
        };
        let durable = Durable { database, path };
        if new {
            durable.begin().map_err(&unusable)?;
            // The name of a new file is in its folder, which has to be on disk as well.
            fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(|e| unusable(e.to_string()))?;
        }
        Ok(durable)
    }

    fn begin(&self) -> Result<(), String> {
        let text = |error: &dyn std::fmt::Display| error.to_string();
        let write = self.database.begin_write().map_err(|e| text(&e))?;
        {
            write.open_table(OBJECTS).map_err(|e| text(&e))?;
            let mut numbers = write.open_table(NUMBERS).map_err(|e| text(&e))?;
            numbers.insert(FORMAT, FORMAT_NOW).map_err(|e| text(&e))?;
        }
        write.commit().map_err(|e| text(&e))
    }

    fn read(&self) -> Result<Contents, redb::Error> {
        let read = self.database.begin_read()?;
        let numbers = read.open_table(NUMBERS)?;
        let number = |name: &str| numbers.get(name).map(|value| value.map(|v| v.value()));
        if number(FORMAT)? != Some(FORMAT_NOW) {
            return Err(redb::Error::Corrupted("it was written by another version of Seatkeeper".into()));
        }
        let mut contents = Contents { revision: number(REVISION)?.unwrap_or(0), objects: Vec::new() };
        for entry in read.open_table(OBJECTS)?.iter()? {
            let (key, value) = entry?;
            contents.objects.push((key.value().to_owned(), value.value().to_vec()));
        }
        Ok(contents)
    }

    fn write(&self, revision: u64, changes: &[Change]) -> Result<(), redb::Error> {
        let mut write = self.database.begin_write()?;
        write.set_durability(Durability::Immediate)?;
        {
            let mut objects = write.open_table(OBJECTS)?;
            for change in changes {
                match &change.value {
                    Some(value) => objects.insert(change.key.as_str(), value.as_slice())?,
                    None => objects.remove(change.key.as_str())?,
                };
            }
            write.open_table(NUMBERS)?.insert(REVISION, revision)?;
        }
        write.commit()?;
        Ok(())
    }
}

fn open_checked(path: &Path) -> Result<Database, DatabaseError> {
    let mut database = Database::builder().set_cache_size(CACHE_BYTES).create(path)?;
    // After a crash the library repairs by itself; what it cannot repair is an error here.
    database.check_integrity()?;
    Ok(database)
}

impl Storage for Durable {
    fn load(&self) -> Result<Contents, StorageError> {
        let damaged = |why: String| StorageError::Damaged { path: self.path.clone(), why };
        match catch_unwind(AssertUnwindSafe(|| self.read())) {
            Ok(read) => read.map_err(|error| damaged(error.to_string())),
            Err(_) => Err(damaged("it cannot be read as a database".into())),
        }
    }

    fn commit(&self, revision: u64, changes: &[Change]) -> Result<(), StorageError> {
        self.write(revision, changes)
            .map_err(|error| StorageError::Unusable { path: self.path.clone(), why: error.to_string() })
    }
}
