//! The durable storage of the embedded API, seen from outside: killed, damaged, in use, full.

mod child;
mod crash_test;
mod damage_test;
mod disk_test;
mod model;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use seatkeeper_embedded::storage::{Durable, StorageError};
use seatkeeper_embedded::{Embedded, Kinds, Setup};

/// The database in the folder of a test.
const DATABASE: &str = "objects.redb";
/// The witness beside it.
const WITNESS: &str = "objects.acknowledged";

/// Opens the storage in `folder`.
fn durable(folder: &Path) -> Result<Durable, StorageError> {
    Durable::open(&folder.join(DATABASE))
}

/// Opens the API that keeps its objects in `folder`.
#[expect(clippy::disallowed_methods, reason = "these tests are about a real disk, in real time")]
fn open(folder: &Path) -> Result<Embedded, StorageError> {
    static KINDS: LazyLock<Arc<Kinds>> = LazyLock::new(Arc::default);
    Embedded::open(&folder.join(DATABASE), Setup { kinds: KINDS.clone(), now: Box::new(chrono::Utc::now), random })
}

#[expect(clippy::disallowed_methods, reason = "these tests are about real processes")]
fn random(bytes: &mut [u8]) {
    getrandom::fill(bytes).unwrap();
}

/// A seed for [`Dice`].
fn random_seed() -> u64 {
    let mut bytes = [0; 4];
    random(&mut bytes);
    u32::from_le_bytes(bytes).into()
}

#[expect(clippy::disallowed_methods, reason = "these tests are about real processes")]
fn now() -> Instant {
    Instant::now()
}

/// The folder of one test, deleted when the test has passed.
struct Desk(PathBuf);

impl Desk {
    fn new(name: &str) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("storage-{name}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Desk(folder)
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

/// Repeatable random numbers (SplitMix64).
#[derive(Clone)]
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % limit
    }
}
