//! The embedded Kubernetes API, serving our kinds.

use std::sync::{Arc, LazyLock};

use seatkeeper_embedded::{Kinds, Setup, Unsupported};

use crate::api::crds;
use crate::domain::Instant;
use crate::machine::fill_with_random;

/// Read once in a process: simulation makes thousands of APIs.
static KINDS: LazyLock<Result<Arc<Kinds>, Unsupported>> = LazyLock::new(|| Kinds::with(&crds::all()));

/// What an embedded API with our kinds takes from outside. `now` is its clock. Fails if it cannot check one of our kinds as
/// an API server would.
pub fn setup(now: impl Fn() -> Instant + Send + Sync + 'static) -> Result<Setup, Unsupported> {
    Ok(Setup { kinds: KINDS.clone()?, now: Box::new(now), random })
}

fn random(bytes: &mut [u8]) {
    // Zeros where the system has no randomness: names then collide, and a create is answered `AlreadyExists`.
    let _ = fill_with_random(bytes);
}

#[cfg(test)]
mod tests {
    use seatkeeper_embedded::Embedded;

    use super::*;

    #[test]
    fn every_kind_of_ours_is_served() {
        let setup = setup(crate::machine::machine_time).unwrap_or_else(|refused| panic!("{refused}"));
        let api = Embedded::in_memory(setup);
        for crd in crds::all() {
            let kind = crd["spec"]["names"]["kind"].as_str().expect("every CRD has it");
            assert!(api.resource_of("seatkeeper.dev/v1alpha1", kind).is_some(), "{kind} is not served");
        }
    }
}
