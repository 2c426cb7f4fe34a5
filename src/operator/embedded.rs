//! The embedded Kubernetes API, serving our kinds.

use std::sync::{Arc, LazyLock};

use seatkeeper_embedded::{Kinds, Setup};

use crate::api::crds;
use crate::domain::Instant;
use crate::machine::fill_with_random;

/// Read once in a process: simulation makes thousands of APIs. Every test that runs on it shows that none of our kinds
/// is refused.
static KINDS: LazyLock<Arc<Kinds>> = LazyLock::new(|| Kinds::with(&crds::all()).unwrap_or_default());

/// What an embedded API with our kinds takes from outside. `now` is its clock.
pub fn setup(now: impl Fn() -> Instant + Send + Sync + 'static) -> Setup {
    Setup { kinds: KINDS.clone(), now: Box::new(now), random }
}

fn random(bytes: &mut [u8]) {
    // Zeros where the system has no randomness: names then collide, and a create is answered `AlreadyExists`.
    let _ = fill_with_random(bytes);
}
