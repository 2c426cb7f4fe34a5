//! Secrets on this machine: the files, folders and memory that hold them.
//!
//! Files and folders belong to this user, nobody else can write to them, and no symbolic link leads elsewhere. OpenSSH
//! asks the same of its files (StrictModes). Root is trusted, because nothing can be kept from it.

use nix::fcntl::OFlag;
use nix::sys::prctl::set_dumpable;
use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::{Uid, geteuid};
use std::borrow::Cow;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

use super::failure::Failure;
use super::output::warn;
use crate::domain::license::jwk::MAX_JWKS_BYTES;
use crate::domain::transit::text_of;

/// Write access for the group, and for everybody.
const WRITABLE: u32 = 0o022;
/// Any access for the group, and for everybody.
const OPEN: u32 = 0o077;
/// Everybody may write, but only the owner of an entry may move it away.
const STICKY: u32 = 0o1000;

/// Opens a folder for secrets, and returns where it is. Makes it if it does not exist; then only its owner can enter
/// it. Fails if somebody else could have put something into it, or can replace it.
pub fn folder(path: &Path) -> Result<PathBuf, Failure> {
    // Without a slash at its end, which would follow a link.
    let path: PathBuf = path.components().collect();
    let failed = |e: std::io::Error| Failure::new(format!("{}: {e}; name another folder", path.display()));
    DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(failed)?;
    let found = fs::symlink_metadata(&path).map_err(failed)?;
    refuse(&path, &found)?;
    let path = path.canonicalize().map_err(failed)?;
    for above in path.ancestors().skip(1) {
        let mode = fs::metadata(above).map_err(failed)?.mode();
        if mode & 0o002 != 0 && mode & STICKY == 0 {
            let (path, above, mode) = (path.display(), above.display(), shown(mode));
            return Err(Failure::new(format!(
                "{path}: everybody can replace it, because everybody can write to {above} (mode {mode}): run \
                 `chmod o-w {above}`, or name another folder"
            )));
        }
    }
    Ok(path)
}

/// Fails if a file exists that is not this user's alone to write. Warns if others can read it.
pub fn check(path: &Path) -> Result<(), Failure> {
    match fs::symlink_metadata(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        Err(e) => Err(Failure::new(format!("{}: {e}", path.display()))),
        Ok(found) => {
            refuse(path, &found)?;
            warn_if_open(path);
            Ok(())
        }
    }
}

/// The text of a file; `None` if there is none. A link is not followed. It is overwritten when it is dropped.
pub fn read(path: &Path) -> Result<Option<Zeroizing<String>>, Failure> {
    let failed = |e: std::io::Error| Failure::new(format!("{}: cannot be read: {e}", path.display()));
    match OpenOptions::new().read(true).custom_flags(OFlag::O_NOFOLLOW.bits()).open(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        opened => {
            let bytes = whole(opened.map_err(failed)?).map_err(failed)?;
            let text = text_of(&bytes).map(Cow::into_owned);
            Ok(Some(Zeroizing::new(text.unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into_owned()))))
        }
    }
}

/// Reads a file with a signing key, as `files::read` reads others. It is overwritten when it is dropped.
pub fn read_key(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let bytes = File::open(path).and_then(whole);
    let bytes = bytes.map_err(|e| Failure::usage(format!("{}: cannot be read: {e}", path.display())))?;
    match bytes.len() > MAX_JWKS_BYTES {
        true => Err(Failure::usage(format!("{}: is larger than {MAX_JWKS_BYTES} bytes", path.display()))),
        false => Ok(bytes),
    }
}

/// The whole of a file, or one byte more than any file with a key has. There is room for it from the beginning, because
/// a vector that grows leaves copies behind.
fn whole(file: File) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let most = MAX_JWKS_BYTES + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(most + 32));
    file.take(most as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Prevents a crash from writing the keys in memory to disk, and other processes of this user from attaching.
pub fn forbid_core_dumps() {
    // A kernel that does not know one of them has the other.
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    let _ = set_dumpable(false);
}

/// Warns if others have access to a file with a signing key. It is used all the same.
pub fn warn_if_open(path: &Path) {
    if let Some(mode) = open_mode(path) {
        warn(&open_to_others(path, mode));
    }
}

/// The mode of a file that others have access to; `None` of any other.
pub fn open_mode(path: &Path) -> Option<u32> {
    fs::metadata(path).ok().map(|found| found.mode()).filter(|mode| mode & OPEN != 0)
}

/// What is said of a file with secrets that others have access to.
pub fn open_to_others(path: &Path, mode: u32) -> String {
    let (path, mode) = (path.display(), shown(mode));
    format!("{path}: other users of this machine have access to it (mode {mode}): run `chmod go-rwx {path}`")
}

fn refuse(path: &Path, found: &Metadata) -> Result<(), Failure> {
    if found.is_symlink() {
        let leads = fs::read_link(path).unwrap_or_default();
        let (path, leads) = (path.display(), leads.display());
        return Err(Failure::new(format!("{path}: is a symbolic link, which is not followed: name {leads} itself")));
    }
    match trouble(found.uid(), found.mode(), geteuid()) {
        None => Ok(()),
        Some(Trouble::Foreign) => Err(Failure::new(format!(
            "{}: belongs to the user with uid {}, who decides what is in it: make it yours with `chown`, or name \
             another folder",
            path.display(),
            found.uid()
        ))),
        Some(Trouble::Writable) => {
            let (path, mode) = (path.display(), shown(found.mode()));
            let message =
                format!("{path}: other users of this machine can write to it (mode {mode}): run `chmod go-w {path}`");
            Err(Failure::new(message))
        }
    }
}

#[derive(Debug, PartialEq)]
enum Trouble {
    Foreign,
    Writable,
}

fn trouble(owner: u32, mode: u32, me: Uid) -> Option<Trouble> {
    match () {
        () if owner != me.as_raw() && owner != 0 => Some(Trouble::Foreign),
        () if mode & WRITABLE != 0 => Some(Trouble::Writable),
        () => None,
    }
}

/// A mode as `chmod` takes it.
fn shown(mode: u32) -> String {
    format!("{:04o}", mode & 0o7777)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_image_of_the_memory_is_written_and_nobody_attaches() {
        forbid_core_dumps();
        assert_eq!(nix::sys::prctl::get_dumpable(), Ok(false));
        assert_eq!(nix::sys::resource::getrlimit(Resource::RLIMIT_CORE), Ok((0, 0)));
    }

    #[test]
    fn only_this_user_and_root_are_trusted() {
        let me = Uid::from_raw(1000);
        for (owner, mode, wrong) in [
            (1000, 0o40700, None),
            (1000, 0o40755, None),
            (0, 0o40755, None),
            (1001, 0o40700, Some(Trouble::Foreign)),
            (1000, 0o40775, Some(Trouble::Writable)),
            (0, 0o41777, Some(Trouble::Writable)),
        ] {
            assert_eq!(trouble(owner, mode, me), wrong, "{owner} {mode:o}");
        }
        assert_eq!(trouble(1000, 0o40700, Uid::from_raw(0)), Some(Trouble::Foreign), "for root, too");
    }
}
