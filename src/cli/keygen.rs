//! `seatkeeper keygen`: a signing key and its public half.

use clap::Args;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use zeroize::Zeroizing;

use super::failure::Failure;
use super::output::say;
use super::{files, private};
use crate::domain::license::jwk::{publish, signing_key_pem, thumbprint};
use crate::machine::fill_with_random;

/// Makes an Ed25519 signing key (signing-key.pem, PKCS #8) and its public half (jwks.json).
#[derive(Args)]
pub struct Arguments {
    /// The folder to write them into. Existing files are never overwritten.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    private::forbid_core_dumps();
    let folder = &arguments.out;
    let (private, public) = (folder.join("signing-key.pem"), folder.join("jwks.json"));
    if let Some(there) = [&private, &public].into_iter().find(|path| path.symlink_metadata().is_ok()) {
        return Err(Failure::new(format!(
            "{}: exists already and is not overwritten: choose another folder, or move it away",
            there.display()
        )));
    }
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|e| Failure::new(format!("{}: cannot be made: {e}", folder.display())))?;
    let mut secret = Zeroizing::new([0; 32]);
    fill_with_random(&mut *secret)
        .map_err(|e| Failure::new(format!("the system could not provide random bytes: {e}")))?;
    let (key, pem) = signing_key_pem(&secret)?;
    let verifying = key.verifying_key();
    let jwks = serde_json::to_string_pretty(&publish([&verifying])).unwrap_or_default();
    files::write_new(&private, &pem, 0o600)?;
    files::write_new(&public, &(jwks + "\n"), 0o644)?;
    say(&format!(
        "Key {}\n{}: the private key. Keep it secret: anybody who has it can issue licences\n{}: the public key, to verify keys with\n",
        thumbprint(&verifying),
        private.display(),
        public.display()
    ))
}
