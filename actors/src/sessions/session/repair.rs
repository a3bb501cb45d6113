//! An upload whose bytes were not those that were declared is repaired.

use std::sync::Arc;

use actix::prelude::*;
use longshore_model::{BlockSums, Declared};
use longshore_store::incoming::Unfinished;
use tokio::time::timeout;

use super::super::messages::{Created, REPAIR_WAIT, Repair, RepairError};
use super::super::plan::{self, Known};
use super::DeviceSession;
use crate::kit::blocking;
use crate::storage::{self, Repaired, StorageError};

impl Handler<Repair> for DeviceSession {
    type Result = ResponseActFuture<Self, Result<Created, RepairError>>;

    fn handle(&mut self, Repair { rid, sums }: Repair, ctx: &mut Self::Context) -> Self::Result {
        self.called(ctx);
        let device = self.device;
        let (completer, incoming) = (self.parts.completer.clone(), self.parts.incoming.clone());
        let (repairing, in_flight) = (Arc::clone(&self.repairing), self.probe.in_flight());
        let repairing = async move {
            let _in_flight = in_flight;
            // Comparing a large recording takes longer than a device waits. Whoever asks again waits for its end, and then
            // finds what came of it.
            let one_at_a_time = timeout(REPAIR_WAIT, repairing.lock()).await;
            let _one_at_a_time = one_at_a_time.map_err(|_| RepairError::Unavailable)?;
            let begun = incoming.of_recording(device, rid);
            let index = completer.catalogue.index().clone();
            let looked_up = blocking(move || Ok((index.stored(device, rid)?, index.declared(device, rid)?)));
            let (stored, row) = looked_up.await?;
            let declared = row.as_ref().ok_or(RepairError::NothingAside)?.declared.clone();
            let is_stored = plan::stored_as(&declared, &stored).is_some();
            let begun = begun.ok_or(if is_stored { RepairError::AlreadyStored } else { RepairError::NothingAside })?;
            let known = Known { declared: row, ..Known::default() };
            if plan::paused(&known, completer.clock.now()).is_some() {
                return Err(RepairError::NotNow);
            }
            check(&declared, &begun, &sums)?;
            let upload = begun.identity.upload;
            if begun.is_on_its_way() {
                return Ok(Created { upload, offset: begun.offset, length: begun.identity.length });
            }
            let repaired = completer.writer.send(storage::Repair(upload, sums)).await.map_err(StorageError::from)??;
            match repaired {
                Repaired::GoesOn(offset) => {
                    tracing::info!(%upload, %device, %rid, offset, "an upload whose bytes differ goes on after the good ones");
                    Ok(Created { upload, offset, length: begun.identity.length })
                }
                Repaired::Contradicts(found) => Err(RepairError::Contradicts { found }),
            }
        };
        Box::pin(repairing.into_actor(self))
    }
}

/// Whether the list, the last offer and what is here are of one and the same content.
fn check(declared: &Declared, begun: &Unfinished, sums: &BlockSums) -> Result<(), RepairError> {
    if let Some(offered) = declared.size.filter(|offered| *offered != sums.size()) {
        return Err(RepairError::SizeDiffers { offered });
    }
    if let Some(offered) = declared.sha256.filter(|offered| *offered != sums.sha256()) {
        return Err(RepairError::ChecksumDiffers { offered });
    }
    // It was begun for another size, or goes on already for another content.
    match begun.identity.length == Some(sums.size()) && (!begun.is_on_its_way() || plan::same_source(declared, begun)) {
        true => Ok(()),
        false => Err(RepairError::NothingAside),
    }
}
