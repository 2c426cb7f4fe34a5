//! A storage in one file on disk (redb). A commit returns once the disk has it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use redb::Database;
use redb::backends::FileBackend;

use super::database::{builder, contents, initialize, write};
use super::proof::prove;
use super::witness::{WITNESS, Witness};
use super::{Change, Contents, Storage, StorageError};

/// The file name of the database in its folder.
pub const DATABASE: &str = "seatkeeper.redb";
/// A new database is created under this name, and renamed once it is complete.
const DRAFT: &str = "seatkeeper.redb.new";
/// The process that holds the lock on this file owns the folder.
const LOCK: &str = "seatkeeper.lock";

/// The database of a folder. One process at a time can open it.
pub struct Durable {
    open: Mutex<Open>,
    path: PathBuf,
    /// Locked for the lifetime of this value.
    _lock: File,
}

struct Open {
    /// `None` after a failed commit: redb accepts nothing more until the file is opened again.
    database: Option<Database>,
    /// The revision of the last successful commit.
    revision: u64,
    witness: Witness,
}

impl Durable {
    /// Opens the database in `folder`, or creates one if there is none.
    ///
    /// # Errors
    ///
    /// Fails if another process has the folder, if the folder or a file in it cannot be used, or if the database is
    /// damaged or ends before the last acknowledged write. A damaged database is left as it is.
    pub fn open(folder: &Path) -> Result<Self, StorageError> {
        let path = folder.join(DATABASE);
        let lock = take(folder)?;
        let unusable = |why: String| StorageError::Unusable { path: path.clone(), why };
        if !fs::exists(&path).map_err(|e| unusable(e.to_string()))? {
            make(folder).map_err(|e| unusable(e.to_string()))?;
        }
        let revision = prove(&path)?.revision;
        let witness = compare(folder, &path, revision)?;
        let database = builder().open(&path).map_err(|e| unusable(e.to_string()))?;
        let open = Mutex::new(Open { database: Some(database), revision, witness });
        Ok(Durable { open, path, _lock: lock })
    }
}

/// Refuses a database that ends before the last acknowledged write. Without a record of that write, the database is
/// accepted as it is.
fn compare(folder: &Path, path: &Path, revision: u64) -> Result<Witness, StorageError> {
    let unusable = |e: std::io::Error| StorageError::Unusable { path: folder.join(WITNESS), why: e.to_string() };
    match Witness::read(folder).map_err(unusable)? {
        Some(acknowledged) if revision < acknowledged => {
            let why = format!(
                "it ends with revision {revision}, but revision {acknowledged} was acknowledged; if this is an \
                 older copy, remove {} to continue with it",
                folder.join(WITNESS).display()
            );
            Err(StorageError::Damaged { path: path.to_owned(), why })
        }
        _ => Witness::make(folder, revision).map_err(unusable),
    }
}

/// Locks the folder for this process, and creates the folder if it does not exist.
fn take(folder: &Path) -> Result<File, StorageError> {
    let path = folder.join(LOCK);
    let unusable = |e: std::io::Error| StorageError::Unusable { path: folder.to_owned(), why: e.to_string() };
    fs::create_dir_all(folder).map_err(unusable)?;
    let opened = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path);
    let lock = opened.map_err(unusable)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(StorageError::InUse(folder.to_owned())),
        Err(TryLockError::Error(error)) => Err(unusable(error)),
    }
}

/// Creates an empty database that only its owner can read, because it will hold Secrets. If the process ends in the
/// middle, the folder holds either no database or a complete one.
fn make(folder: &Path) -> Result<(), redb::Error> {
    let draft = folder.join(DRAFT);
    if let Err(error) = fs::remove_file(&draft)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        return Err(error.into());
    }
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&draft)?;
    let database = builder().create_with_backend(FileBackend::new(file)?)?;
    initialize(&database)?;
    drop(database);
    Witness::remove(folder)?;
    fs::rename(&draft, folder.join(DATABASE))?;
    // The name of a new file is part of its folder, so the folder has to be on the disk too.
    File::open(folder).and_then(|folder| folder.sync_all())?;
    Ok(())
}

impl Open {
    /// Returns the database. After a failed commit it is opened again, because the disk may have room again.
    fn database(&mut self, path: &Path) -> Result<&Database, String> {
        if self.database.is_none() {
            let database = builder().open(path).map_err(|e| e.to_string())?;
            let found = contents(&database).map_err(|e| e.to_string())?.revision;
            if found != self.revision {
                return Err("a write that was reported as failed is on the disk after all; restart this process".into());
            }
            self.database = Some(database);
        }
        self.database.as_ref().ok_or_else(|| "the database is closed".to_owned())
    }
}

impl Storage for Durable {
    fn load(&self) -> Result<Contents, StorageError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let read = open.database(&self.path).and_then(|database| contents(database).map_err(|e| e.to_string()));
        read.map_err(|why| StorageError::Damaged { path: self.path.clone(), why })
    }

    fn commit(&self, revision: u64, changes: &[Change]) -> Result<(), StorageError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let written = open
            .database(&self.path)
            .and_then(|database| write(database, revision, changes).map_err(|error| error.to_string()));
        match written {
            Ok(()) => {
                open.revision = revision;
                // The write itself is on the disk. Without this record, only later damage to it would go unnoticed.
                if let Err(error) = open.witness.note(revision) {
                    tracing::warn!(%error, revision, "{} cannot be written", WITNESS);
                }
            }
            Err(_) => open.database = None,
        }
        written.map_err(|why| StorageError::Unusable { path: self.path.clone(), why })
    }
}
