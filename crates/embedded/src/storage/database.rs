//! The tables of the database file (redb): what is in them, and how a commit changes them.

use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};

use super::{Change, Contents};

const OBJECTS: TableDefinition<&str, &[u8]> = TableDefinition::new("objects");
const NUMBERS: TableDefinition<&str, u64> = TableDefinition::new("numbers");
const REVISION: &str = "revision";
const FORMAT: &str = "format";
/// The format of keys and values. A file with another number was written by another version.
const FORMAT_NOW: u64 = 1;
/// Size of the database's cache. It can be small: the API keeps all objects in memory, so the database only needs what
/// a commit touches.
const CACHE_BYTES: usize = 8 << 20;

pub fn builder() -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

/// Writes what an empty database holds.
pub fn initialize(database: &Database) -> Result<(), redb::Error> {
    let mut write = database.begin_write()?;
    write.set_durability(Durability::Immediate)?;
    write.open_table(OBJECTS)?;
    write.open_table(NUMBERS)?.insert(FORMAT, FORMAT_NOW)?;
    write.commit()?;
    Ok(())
}

/// Returns everything in a database.
pub fn contents(database: &Database) -> Result<Contents, redb::Error> {
    let read = database.begin_read()?;
    let numbers = read.open_table(NUMBERS)?;
    let number = |name: &str| numbers.get(name).map(|value| value.map(|v| v.value()));
    if number(FORMAT)? != Some(FORMAT_NOW) {
        return Err(redb::Error::Corrupted("it was written by another version of this program".into()));
    }
    let mut contents = Contents { revision: number(REVISION)?.unwrap_or(0), objects: Vec::new() };
    for entry in read.open_table(OBJECTS)?.iter()? {
        let (key, value) = entry?;
        contents.objects.push((key.value().to_owned(), value.value().to_vec()));
    }
    Ok(contents)
}

/// Commits `changes`, all or none of them.
pub fn write(database: &Database, revision: u64, changes: &[Change]) -> Result<(), redb::Error> {
    let mut write = database.begin_write()?;
    write.set_durability(Durability::Immediate)?;
    // Two phases would wait for the disk twice. Damage that one phase does not reveal is revealed by the witness.
    write.set_two_phase_commit(false);
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
