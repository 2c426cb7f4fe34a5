//! What was decided, and when it may be answered.

use tokio::sync::oneshot;

use super::asked::{Denied, Granted};
use super::limits::PATIENCE;
use crate::wrong::{self, Variant::*};

/// A grant, and when it may be answered.
pub(super) struct Outcome {
    granted: Granted,
    /// Notified once the grant is durable; `None` if it is.
    durable: Option<oneshot::Receiver<()>>,
}

impl Outcome {
    /// A grant that may be answered once `durable` is notified, or now if it is `None`.
    pub fn new(granted: Granted, durable: Option<oneshot::Receiver<()>>) -> Self {
        Outcome { granted, durable }
    }

    /// Waits until the grant may be answered.
    pub async fn answer(self) -> Result<Granted, Denied> {
        match self.durable {
            Some(durable) if !wrong::is(AnsweredBeforeDurable) => until_durable(durable).await.map(|()| self.granted),
            _ => Ok(self.granted),
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
