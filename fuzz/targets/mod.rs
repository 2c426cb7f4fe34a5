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
}

macro_rules! targets {
    ($($name:ident),* $(,)?) => { &[$(Target { name: stringify!($name), run: $name::run }),*] };
}

pub const ALL: &[Target] = targets![
    caller_tokens,
    certificates,
    json_patches,
    jwks,
    kept_lists,
    ledger_lines,
    ledgers,
    license_keys,
    manifests,
    merge_patches,
    protobuf,
    requests,
    revocations,
    seat_bodies,
    seat_paths,
    selectors,
    signing_keys,
    yaml,
];

/// Writes the seeds that are signed.
pub fn write_seeds(folder: &Path) {
    for (name, seed) in [("license_keys", license_keys::genuine()), ("revocations", revocations::genuine())] {
        std::fs::write(folder.join(name).join("genuine"), seed).expect("the folder of the target is there");
    }
}
