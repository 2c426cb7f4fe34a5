//! Which write was acknowledged last, in a file of its own beside the database.
//!
//! A commit waits for the disk once. In return a database whose last commit is damaged is read as it was before that
//! commit. What was acknowledged stands here as well, so that such a database is refused, and not taken for a whole one.
//! Nobody waits for this file to be on the disk: after a kill it is as it was written, and after a loss of power it may
//! only name an earlier write.

use std::fs::{self, File, OpenOptions};
use std::io::{Error, ErrorKind, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use sha2::{Digest, Sha256};

/// The file in its folder.
pub const WITNESS: &str = "seatkeeper.acknowledged";
/// A new one is made under this name and takes its own once it is whole.
const DRAFT: &str = "seatkeeper.acknowledged.new";
/// A revision and as many bytes of its hash: short enough to be written whole or not at all.
const LENGTH: usize = 16;

/// Says which write was acknowledged last.
pub struct Witness(File);

impl Witness {
    /// The revision that it names; None: there is no such file.
    pub fn read(folder: &Path) -> Result<Option<u64>, Error> {
        let bytes = match fs::read(folder.join(WITNESS)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            read => read?,
        };
        let revision = bytes.first_chunk().map_or(0, |first| u64::from_le_bytes(*first));
        match bytes == text(revision) {
            true => Ok(Some(revision)),
            false => {
                let why = "is damaged, so that nobody can tell whether the database beside it lacks its last writes; \
                           remove it to go on with the database as it is";
                Err(Error::new(ErrorKind::InvalidData, why))
            }
        }
    }

    /// One that names `revision`, in the place of one before. It is on the disk when this returns.
    pub fn make(folder: &Path, revision: u64) -> Result<Self, Error> {
        let draft = folder.join(DRAFT);
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(&text(revision))?;
        file.sync_all()?;
        fs::rename(&draft, folder.join(WITNESS))?;
        File::open(folder)?.sync_all()?;
        Ok(Witness(file))
    }

    /// Takes away what was said of a database that is no more.
    pub fn remove(folder: &Path) -> Result<(), Error> {
        match fs::remove_file(folder.join(WITNESS)) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed.and_then(|()| File::open(folder)?.sync_all()),
        }
    }

    /// From now on it names `revision`.
    pub fn note(&self, revision: u64) -> Result<(), Error> {
        self.0.write_all_at(&text(revision), 0)
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        // One that is not on the disk names an earlier write, and that is no fault.
        let _ = self.0.sync_data();
    }
}

fn text(revision: u64) -> [u8; LENGTH] {
    let mut text = [0; LENGTH];
    let (number, hash) = text.split_at_mut(LENGTH / 2);
    number.copy_from_slice(&revision.to_le_bytes());
    hash.copy_from_slice(&Sha256::digest(revision.to_le_bytes())[..LENGTH / 2]);
    text
}
