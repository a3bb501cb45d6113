//! What became of recordings, and what vouches for it.

use longshore_model::ReceiptError;
use longshore_store::custody::Checkpoint;
use longshore_store::verify::Reconciled;
use tokio::time::timeout;

use super::{Engine, EngineError};
use crate::custody::{self, Reconcile, ReconcileRefused};
use crate::decision::DecisionError;
use crate::kit::{ASK_DEADLINE, blocking};

impl Engine {
    /// Signs how far the journal goes, and writes that into it. If nothing came since it was signed last, that one is answered;
    /// `None`: the journal is empty.
    ///
    /// # Errors
    /// [`DecisionError`].
    pub async fn checkpoint(&self) -> Result<Option<Checkpoint>, DecisionError<ReceiptError>> {
        let made = custody::checkpoint(&self.catalogue, &self.receipt_key, &self.clock);
        timeout(ASK_DEADLINE, made).await.map_err(|_| DecisionError::Unavailable)?
    }

    /// The signed places of the journal whose own lines come after `seq`, oldest first: one a day, and what people asked for.
    /// 0 gives all.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn checkpoints_since(&self, seq: u64) -> Result<Vec<Checkpoint>, EngineError> {
        let index = self.catalogue.index().clone();
        Ok(blocking(move || index.checkpoints_since(seq)).await?)
    }

    /// What the looks at the store found that were told in lines after `seq`, oldest first: one a night, and what people asked
    /// for. 0 gives all.
    ///
    /// # Errors
    /// [`EngineError`].
    pub async fn reconciliations_since(&self, seq: u64) -> Result<Vec<Reconciled>, EngineError> {
        let index = self.catalogue.index().clone();
        Ok(blocking(move || index.reconciliations_since(seq)).await?)
    }

    /// Begins to look at the store now.
    ///
    /// # Errors
    /// [`DecisionError`].
    pub async fn reconcile(&self) -> Result<(), DecisionError<ReconcileRefused>> {
        let begun = self.custody.ask(Reconcile, ASK_DEADLINE).await.map_err(|_| DecisionError::Unavailable)?;
        begun.map_err(DecisionError::Refused)
    }

    /// Whether the store is being looked at.
    pub fn is_reconciling(&self) -> bool {
        self.reconciling.available_permits() == 0
    }
}
