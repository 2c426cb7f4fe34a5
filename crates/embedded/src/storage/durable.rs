//! A storage in one file on disk (redb). A commit returns once the disk has it.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use nix::fcntl::OFlag;
use redb::Database;
use redb::backends::FileBackend;

use super::database::{builder, contents, initialize, write};
use super::proof::prove;
use super::witness::{Witness, make_new, remove_if_there};
use super::{Change, Contents, Storage, StorageError};

/// Where the parts of a storage are: the database, and files of the same name beside it.
struct Files {
    database: PathBuf,
    /// A new database is created under this name, and renamed once it is complete.
    draft: PathBuf,
    /// The process that holds the lock on this file owns the database.
    lock: PathBuf,
    /// Names the last acknowledged write.
    witness: PathBuf,
    folder: PathBuf,
}

/// A database in a folder. One process at a time can open it.
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
    /// Opens the database in the file `path`, or creates it, and its folder, if there is none. The files beside it have
    /// its name with other extensions.
    ///
    /// # Errors
    ///
    /// Fails if another process has the database, if its folder or a file cannot be used, or if the database is damaged, is
    /// gone, or ends before the last acknowledged write. A damaged database is left as it is.
    pub fn open(path: &Path) -> Result<Self, StorageError> {
        let files = Files::beside(path);
        let lock = files.take()?;
        let unusable = |why: String| StorageError::Unusable { path: path.to_owned(), why };
        if !fs::exists(path).map_err(|e| unusable(e.to_string()))? {
            files.refuse_if_gone()?;
            files.make().map_err(|e| unusable(e.to_string()))?;
        }
        let revision = prove(path)?.revision;
        let witness = files.compare(revision)?;
        let database = builder().open(path).map_err(|e| unusable(e.to_string()))?;
        let open = Mutex::new(Open { database: Some(database), revision, witness });
        Ok(Durable { open, path: files.database, _lock: lock })
    }
}

impl Files {
    fn beside(database: &Path) -> Self {
        let named = |extension: &str| database.with_extension(extension);
        let folder = database.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Files {
            database: database.to_owned(),
            draft: database.with_added_extension("new"),
            lock: named("lock"),
            witness: named("acknowledged"),
            folder: folder.to_owned(),
        }
    }

    /// Fails if there was a database: to begin with an empty one would make other signing keys, for example.
    fn refuse_if_gone(&self) -> Result<(), StorageError> {
        let unusable = |why: String| StorageError::Unusable { path: self.database.clone(), why };
        // A damaged witness is one too.
        match Witness::read(&self.witness) {
            Ok(None) => Ok(()),
            _ => Err(unusable(format!(
                "it is gone, and {} is there: restore a copy of the database, or remove that file too to start with an \
                 empty one",
                self.witness.display()
            ))),
        }
    }

    /// Refuses a database that ends before the last acknowledged write. Without a record of that write, the database is
    /// accepted as it is.
    fn compare(&self, revision: u64) -> Result<Witness, StorageError> {
        let unusable = |e: std::io::Error| StorageError::Unusable { path: self.witness.clone(), why: e.to_string() };
        match Witness::read(&self.witness).map_err(unusable)? {
            Some(acknowledged) if revision < acknowledged => {
                let why = format!(
                    "it ends with revision {revision}, but revision {acknowledged} was acknowledged; if this is an \
                     older copy, remove {} to continue with it",
                    self.witness.display()
                );
                Err(StorageError::Damaged { path: self.database.clone(), why })
            }
            _ => Witness::make(&self.witness, &self.folder, revision).map_err(unusable),
        }
    }

    /// Locks the database for this process, and creates its folder if that does not exist.
    fn take(&self) -> Result<File, StorageError> {
        let unusable = |e: std::io::Error| StorageError::Unusable { path: self.folder.clone(), why: e.to_string() };
        fs::create_dir_all(&self.folder).map_err(unusable)?;
        // It stays from start to start. A link is not followed: what it leads to would be made.
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o600).custom_flags(OFlag::O_NOFOLLOW.bits());
        let lock = options.open(&self.lock).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => Ok(lock),
            Err(TryLockError::WouldBlock) => Err(StorageError::InUse(self.folder.clone())),
            Err(TryLockError::Error(error)) => Err(unusable(error)),
        }
    }

    /// Creates an empty database that only its owner can read, because it will hold Secrets. If the process ends in the
    /// middle, the folder holds either no database or a complete one.
    fn make(&self) -> Result<(), redb::Error> {
        remove_if_there(&self.draft)?;
        let file = make_new().read(true).open(&self.draft)?;
        let database = builder().create_with_backend(FileBackend::new(file)?)?;
        initialize(&database)?;
        drop(database);
        Witness::remove(&self.witness, &self.folder)?;
        fs::rename(&self.draft, &self.database)?;
        // The name of a new file is part of its folder, so the folder has to be on the disk too.
        File::open(&self.folder).and_then(|folder| folder.sync_all())?;
        Ok(())
    }
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
                    tracing::warn!(%error, revision, "the witness beside {} cannot be written", self.path.display());
                }
            }
            Err(_) => open.database = None,
        }
        written.map_err(|why| StorageError::Unusable { path: self.path.clone(), why })
    }
}
