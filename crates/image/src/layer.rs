//! The files of the image. Nobody may write to any of them, and none is a shell.

use std::io;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, Utc};
use tar::{Builder, EntryType, Header};

/// Where the program is, from the root.
pub const PROGRAM: &str = "seatkeeper";
/// The user and group that the program runs as; root owns the files.
pub const USER: u32 = 65532;

const ANYBODY_READS: u32 = 0o444;
const ANYBODY_RUNS: u32 = 0o555;

/// Returns the files as one tar file.
pub fn tar(program: &[u8], modified: DateTime<Utc>) -> io::Result<Vec<u8>> {
    let seconds = u64::try_from(modified.timestamp()).map_err(io::Error::other)?;
    let mut tar = Builder::new(Vec::new());
    let mut add =
        |path: &str, contents: &[u8], mode| tar.append(&header(path, contents.len(), mode, seconds)?, contents);
    add("etc/", b"", ANYBODY_RUNS)?;
    add("etc/group", format!("nonroot:x:{USER}:\n").as_bytes(), ANYBODY_READS)?;
    add("etc/passwd", format!("nonroot:x:{USER}:{USER}:nonroot:/:/sbin/nologin\n").as_bytes(), ANYBODY_READS)?;
    add("etc/ssl/", b"", ANYBODY_RUNS)?;
    add("etc/ssl/certs/", b"", ANYBODY_RUNS)?;
    add("etc/ssl/certs/ca-certificates.crt", authorities().as_bytes(), ANYBODY_READS)?;
    add(PROGRAM, program, ANYBODY_RUNS)?;
    tar.into_inner()
}

/// Returns the header of a file or, if the path ends with a slash, of a folder.
pub fn header(path: &str, size: usize, mode: u32, modified: u64) -> io::Result<Header> {
    let mut header = Header::new_ustar();
    header.set_path(path)?;
    header.set_entry_type(if path.ends_with('/') { EntryType::Directory } else { EntryType::Regular });
    header.set_size(size as u64);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(modified);
    header.set_cksum();
    Ok(header)
}

/// Returns the certificate authorities that Mozilla trusts, in PEM. They come from a crate, so that Cargo.lock pins
/// them and none of the building machine's own gets in.
fn authorities() -> String {
    let mut pem = "Certificate authorities that Mozilla trusts, from the crate webpki-root-certs.\n\
        Licence: CDLA-Permissive-2.0, https://cdla.dev/permissive-2-0/\n"
        .to_owned();
    for certificate in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        pem.push_str("-----BEGIN CERTIFICATE-----\n");
        let mut text = BASE64_STANDARD.encode(certificate);
        while !text.is_empty() {
            let rest = text.split_off(text.len().min(64));
            pem.push_str(&text);
            pem.push('\n');
            text = rest;
        }
        pem.push_str("-----END CERTIFICATE-----\n");
    }
    pem
}
