//! Reading and writing files: bounded in size, and never in part.

use nix::fcntl::OFlag;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::failure::Failure;

/// The largest file that is read.
pub const MAX_FILE_BYTES: usize = 1024 * 1024;

/// Reads a whole file. Fails as wrong use if it cannot be read or is larger than 1 MiB.
pub fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    whole(path, File::open(path))
}

/// The same of a file in a folder that others may write to. Fails also if it is no file: a pipe would be read without end.
pub fn read_in_folder(path: &Path) -> Result<Vec<u8>, Failure> {
    let opened = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path);
    match opened.as_ref().ok().and_then(|file| file.metadata().ok()) {
        Some(found) if !found.is_file() => Err(Failure::usage(format!("{}: is not a file", path.display()))),
        _ => whole(path, opened),
    }
}

/// Reads at most `limit` bytes of a file and one more, which shows that the file is larger.
pub fn read_start(path: &Path, limit: usize) -> Result<Vec<u8>, Failure> {
    start(path, File::open(path), limit)
}

fn whole(path: &Path, opened: std::io::Result<File>) -> Result<Vec<u8>, Failure> {
    let bytes = start(path, opened, MAX_FILE_BYTES)?;
    match bytes.len() > MAX_FILE_BYTES {
        true => Err(Failure::usage(format!("{}: is larger than {MAX_FILE_BYTES} bytes", path.display()))),
        false => Ok(bytes),
    }
}

fn start(path: &Path, opened: std::io::Result<File>, limit: usize) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    opened
        .and_then(|file| file.take(limit as u64 + 1).read_to_end(&mut bytes))
        .map_err(|e| Failure::usage(format!("{}: cannot be read: {e}", path.display())))?;
    Ok(bytes)
}

/// Writes a new file with the permissions `mode`. Fails if the file exists, also as a link that leads nowhere.
pub fn write_new(path: &Path, text: &str, mode: u32) -> Result<(), Failure> {
    create(path, text, mode).map_err(|e| Failure::new(format!("{}: cannot be written: {e}", path.display())))
}

/// Replaces a file as a whole, or leaves it as it was. The new one has the permissions `mode`.
pub fn replace(path: &Path, text: &str, mode: u32) -> Result<(), Failure> {
    let name = path.file_name().ok_or_else(|| Failure::usage(format!("{}: names no file", path.display())))?;
    let draft = path.with_file_name(format!(".{}.{}", name.to_string_lossy(), std::process::id()));
    replace_by(&draft, path, text, mode)
}

/// The same by way of the file `draft`, which must be in the same folder.
pub fn replace_by(draft: &Path, path: &Path, text: &str, mode: u32) -> Result<(), Failure> {
    let failure = |e: std::io::Error| Failure::new(format!("{}: cannot be written: {e}", path.display()));
    // What stands there now may be left from an earlier start, or be a link that somebody else has put there.
    match std::fs::remove_file(draft) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(failure(e)),
        _ => {}
    }
    let written = create(draft, text, mode).and_then(|()| std::fs::rename(draft, path));
    written.inspect_err(|_| drop(std::fs::remove_file(draft))).map_err(failure)
}

/// Creates a file where nothing is, not even a link.
fn create(path: &Path, text: &str, mode: u32) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(mode).custom_flags(OFlag::O_NOFOLLOW.bits());
    options.open(path).and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
}
