//! What an API serves: the kinds, its clock, and the objects.

use std::sync::{Arc, RwLockReadGuard};

use super::commit::Ledger;
use super::objects::State;
use crate::kinds::Kinds;
use crate::{Instant, Random};

/// What an API serves.
pub struct Served {
    pub kinds: Arc<Kinds>,
    pub now: Box<dyn Fn() -> Instant + Send + Sync>,
    pub random: Random,
    pub ledger: Ledger,
}

impl Served {
    pub fn now(&self) -> Instant {
        (self.now)()
    }

    pub fn read(&self) -> RwLockReadGuard<'_, State> {
        self.ledger.read()
    }
}
