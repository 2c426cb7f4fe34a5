//! What was decided, and when it may be answered.

use tokio::sync::oneshot;

use super::asked::{Denied, Granted};
use super::limits::PATIENCE;
use crate::wrong::{self, Variant::*};

/// A grant, and when it may be answered.
pub(super) enum Outcome {
    Now(Granted),
    /// After the grant is durable.
    Then(Granted, oneshot::Receiver<()>),
}

impl Outcome {
    /// Waits until the grant may be answered.
    pub async fn answer(self) -> Result<Granted, Denied> {
        match self {
            Outcome::Now(granted) => Ok(granted),
            Outcome::Then(granted, _) if wrong::is(AnsweredBeforeDurable) => Ok(granted),
            Outcome::Then(granted, durable) => until_durable(durable).await.map(|()| granted),
        }
    }
}

/// Waits until a decision is in the ledger.
pub(super) async fn until_durable(durable: oneshot::Receiver<()>) -> Result<(), Denied> {
    match tokio::time::timeout(PATIENCE, durable).await {
        Ok(Ok(())) => Ok(()),
        // The owner that decided has lost the ledger, so it is unknown whether the ledger has the decision. Asking
        // again answers that.
        Ok(Err(_)) => Err(Denied::NotOwner),
        Err(_) => Err(Denied::LedgerUnavailable),
    }
}
