//! The witness: which write was acknowledged last, in a file beside the database.
//!
//! A commit waits for the disk only once. The price is that redb opens a database whose last commit is damaged as it
//! was before that commit. The witness also records the last acknowledged write, so that such a database is refused
//! instead of passing for an intact one. Nobody waits until this file is on the disk: it survives a kill as it was
//! written; after a loss of power it may name an earlier write, never a later one.

use std::fs::{self, File, OpenOptions};
use std::io::{Error, ErrorKind, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use nix::fcntl::OFlag;
use sha2::{Digest, Sha256};

/// A revision and as many bytes of its hash. This is short enough that it is written either whole or not at all.
const LENGTH: usize = 16;

/// The record of the last acknowledged write.
pub struct Witness(File);

impl Witness {
    /// Returns the revision that the witness in the file `path` names; `None` if there is no such file.
    pub fn read(path: &Path) -> Result<Option<u64>, Error> {
        let bytes = match fs::read(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            read => read?,
        };
        let revision = bytes.first_chunk().map_or(0, |first| u64::from_le_bytes(*first));
        match bytes == text(revision) {
            true => Ok(Some(revision)),
            false => {
                let why = "this file is damaged, so it is unknown whether the database beside it lacks its last \
                           writes; remove this file to continue with the database as it is";
                Err(Error::new(ErrorKind::InvalidData, why))
            }
        }
    }

    /// Replaces the witness in the file `path` of `folder` by one that names `revision`. It is on the disk when this
    /// returns.
    pub fn make(path: &Path, folder: &Path, revision: u64) -> Result<Self, Error> {
        // It is renamed once it is complete. What an earlier start left is not written to: it may be a link.
        let draft = path.with_added_extension("new");
        remove_if_there(&draft)?;
        let mut file = make_new().open(&draft)?;
        file.write_all(&text(revision))?;
        file.sync_all()?;
        fs::rename(&draft, path)?;
        File::open(folder)?.sync_all()?;
        Ok(Witness(file))
    }

    /// Removes the witness of a database that no longer exists.
    pub fn remove(path: &Path, folder: &Path) -> Result<(), Error> {
        match remove_if_there(path)? {
            true => File::open(folder)?.sync_all(),
            false => Ok(()),
        }
    }

    /// Changes the revision that the witness names.
    pub fn note(&self, revision: u64) -> Result<(), Error> {
        self.0.write_all_at(&text(revision), 0)
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        // If this fails, the file may name an earlier write, which is harmless.
        let _ = self.0.sync_data();
    }
}

/// Makes a file that only its owner can read, where nothing is, not even a link.
pub fn make_new() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).custom_flags(OFlag::O_NOFOLLOW.bits());
    options
}

/// Removes a file or a link, and returns whether there was one.
pub fn remove_if_there(path: &Path) -> Result<bool, Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        removed => removed.map(|()| true),
    }
}

fn text(revision: u64) -> [u8; LENGTH] {
    let mut text = [0; LENGTH];
    let (number, hash) = text.split_at_mut(LENGTH / 2);
    number.copy_from_slice(&revision.to_le_bytes());
    hash.copy_from_slice(&Sha256::digest(revision.to_le_bytes())[..LENGTH / 2]);
    text
}
