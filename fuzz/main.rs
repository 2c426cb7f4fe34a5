//! Runs one fuzz target on libFuzzer. `fuzz/run.sh` says which, by the variable `TARGET`.

#![no_main]

mod limits;
mod neighbours;
mod random;
mod stretch;
mod targets;

use libfuzzer_sys::fuzz_target;

fuzz_target!(init: limits::begin(), |data: &[u8]| limits::run(data));
