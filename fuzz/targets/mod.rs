//! What is fuzzed, one file each. A target is given any bytes. It panics if what is made of them is wrong.

mod caller_tokens;
mod certificates;
mod json_patches;
mod jwks;
mod kept_lists;
mod ledger_lines;
mod ledgers;
mod license_keys;
mod manifests;
mod merge_patches;
mod protobuf;
mod requests;
mod revocations;
mod seat_bodies;
mod seat_paths;
mod selectors;
mod shared;
mod signing_keys;
mod yaml;

use std::path::Path;

/// Bytes from outside, and the code that reads them.
#[derive(Clone, Copy)]
pub struct Target {
    /// That of its file, and of its folder in `fuzz/seeds`.
    pub name: &'static str,
    pub run: fn(&[u8]),
    /// The longest input, in bytes: the product reads no longer one, nobody can hand it one, or `docs/testing.md` says why.
    pub longest: usize,
}

macro_rules! targets {
    ($($name:ident: $longest:expr),* $(,)?) => {
        &[$(Target { name: stringify!($name), run: $name::run, longest: $longest }),*]
    };
}

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

pub const ALL: &[Target] = targets![
    caller_tokens: 16 * KIB,
    certificates: MIB,
    json_patches: MIB / 2,
    jwks: 64 * KIB,
    kept_lists: MIB,
    ledger_lines: MIB,
    ledgers: MIB,
    license_keys: 64 * KIB,
    manifests: MIB,
    merge_patches: MIB / 2,
    protobuf: MIB,
    requests: MIB / 2,
    revocations: MIB,
    seat_bodies: MIB,
    seat_paths: 64 * KIB,
    selectors: 64 * KIB,
    signing_keys: 64 * KIB,
    yaml: MIB / 4,
];

/// Writes the seeds that are signed.
pub fn write_seeds(folder: &Path) {
    for (name, seed) in [("license_keys", license_keys::genuine()), ("revocations", revocations::genuine())] {
        std::fs::write(folder.join(name).join("genuine"), seed).expect("the folder of the target is there");
    }
}
