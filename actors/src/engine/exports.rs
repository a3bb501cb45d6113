//! Recordings that are given out.

use std::collections::BTreeSet;

use longshore_model::{ExportClaims, ExportId, ReceiptError, Sha256};
use longshore_store::export::{ExportPlan, spans};
use longshore_store::facts::{CustodyFact, Fact, StoredId};
use longshore_store::index::{ExportIs, Index, IndexError};
use longshore_store::manifest::Manifest;
use tokio::time::timeout;

use super::Engine;
use crate::custody::{ExportRefused, Selection};
use crate::decision::DecisionError;
use crate::kit::{ASK_DEADLINE, blocking};

/// Why an export is not signed.
#[derive(Debug, thiserror::Error)]
pub enum SignRefused {
    /// It was not begun here.
    #[error("no export {0} was begun on this server")]
    Unknown(ExportId),
    /// Another list was signed for it.
    #[error("the export {0} was signed already, with other files in it; begin a new one with `longshore export`")]
    Signed(ExportId),
    /// No randomness.
    #[error(transparent)]
    Receipt(#[from] ReceiptError),
}

impl Engine {
    /// Records that somebody is given these recordings, and says what an export of them is to hold. It is recorded before any
    /// byte is given out, so that none is without a trace.
    ///
    /// # Errors
    /// [`DecisionError`].
    pub async fn export(&self, selection: Selection, by: String) -> Result<ExportPlan, DecisionError<ExportRefused>> {
        let index = self.catalogue.index().clone();
        let found = blocking(move || selection.find(&index)).await?.map_err(DecisionError::Refused)?;
        let export = ExportId::random().map_err(|_| DecisionError::NoRandomness)?;
        let recordings: Vec<StoredId> = found.iter().map(StoredId::of).collect();
        let given = CustodyFact::Exported { export, recordings: recordings.clone(), by: by.clone() };
        let recording = self.catalogue.record(vec![Fact::Custody(given)]);
        timeout(ASK_DEADLINE, recording).await.map_err(|_| DecisionError::Unavailable)??;
        // What was just recorded is to be covered too.
        self.checkpoint().await.map_err(|error| match error {
            DecisionError::Index(error) => DecisionError::Index(error),
            DecisionError::Record(error) => DecisionError::Record(error),
            DecisionError::Refused(_) | DecisionError::NoRandomness => DecisionError::NoRandomness,
            DecisionError::Unavailable => DecisionError::Unavailable,
        })?;
        let (index, server) = (self.catalogue.index().clone(), self.receipt_key.server_id().to_owned());
        let (keys, at) = (self.receipt_key.jwks(), self.clock.now());
        let plan = blocking(move || {
            let mut lines = BTreeSet::new();
            for stored in &recordings {
                let events = index.custody(stored.device, stored.rid)?.into_iter();
                lines.extend(events.filter(|event| event.what.is_for(stored.revision)).map(|event| event.seq));
            }
            let lines: Vec<u64> = lines.into_iter().collect();
            let first = lines.first().copied().unwrap_or_default();
            let checkpoints: Vec<u64> =
                index.checkpoints_since(first)?.iter().map(|checkpoint| checkpoint.seq).collect();
            let spans = spans(&lines, &checkpoints).map_err(|error| IndexError::Damaged(error.to_string()))?;
            let recordings = found.into_iter().map(|Manifest { recording, .. }| recording).collect();
            Ok(ExportPlan { export, at, by, server, recordings, lines, spans, keys })
        });
        Ok(plan.await?)
    }

    /// Signs the list of the files in an export, once; who asks again for the same list, since the answer was lost, gets it again.
    ///
    /// # Errors
    /// [`DecisionError`].
    pub async fn sign_export(
        &self,
        export: ExportId,
        files: Sha256,
        by: String,
    ) -> Result<String, DecisionError<SignRefused>> {
        let signing = self.catalogue.decide(move |index: &Index| {
            Ok(match index.export_signed(export)? {
                None => Err(SignRefused::Unknown(export)),
                Some(ExportIs::Signed(signed)) if signed != files => Err(SignRefused::Signed(export)),
                Some(ExportIs::Signed(_)) => Ok((Vec::new(), ())),
                Some(ExportIs::Begun) => Ok((vec![Fact::Custody(CustodyFact::ExportSigned { export, files, by })], ())),
            })
        });
        timeout(ASK_DEADLINE, signing).await.map_err(|_| DecisionError::Unavailable)??;
        let (at, server) = (self.clock.now(), self.receipt_key.server_id().to_owned());
        let signed = self.receipt_key.state(&ExportClaims { export, files, at, server });
        signed.map_err(|error| DecisionError::Refused(error.into()))
    }
}
