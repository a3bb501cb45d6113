//! What has all its bytes becomes a recording, whether its device comes again or not: a client that heard that its last byte
//! is durable may be content, and a camera may be lost.

use std::time::Duration;

use actix::Addr;
use chrono::TimeDelta;
use longshore_store::Purpose;
use longshore_store::incoming::Unfinished;
use tokio::time::sleep;

use super::Engine;
use crate::kit::{ASK_DEADLINE, ask, blocking};
use crate::sessions::{AttachError, CompleteWhole};

/// The request that brought the last byte sees to it first, and must not be disturbed.
const GRACE: TimeDelta = TimeDelta::minutes(1);
/// Between two rounds. What the disk refused once is not tried much more often by its device either.
const EVERY: Duration = Duration::from_secs(60);

impl Engine {
    /// Completes whatever has all its bytes, again and again until the engine drains.
    pub async fn keep_completing(&self) {
        while !*self.draining.borrow() {
            self.complete_what_is_whole().await;
            sleep(EVERY).await;
        }
    }

    /// Begins to complete the uploads whose last byte is here, of which no recording came and on which nobody works: since the
    /// server stopped, or the disk refused. What cannot be completed now is left for the next time. Their devices are told to
    /// offer again, since nobody is here to take the receipts.
    pub async fn complete_what_is_whole(&self) {
        for whole in self.incoming.whole_for(GRACE) {
            let (device, upload) = (whole.identity.device, whole.identity.upload);
            if let Err(error) = self.complete_one(&whole).await {
                tracing::warn!(%upload, %device, "an upload that has all its bytes is no recording yet: {error}");
            }
        }
    }

    async fn complete_one(&self, whole: &Unfinished) -> Result<(), AttachError> {
        let (device, upload) = (whole.identity.device, whole.identity.upload);
        let session = self.session(device).await.ok_or(AttachError::Unavailable)?;
        let completing = ask(&session, CompleteWhole(upload), ASK_DEADLINE).await;
        let stream = completing.unwrap_or(Err(AttachError::Unavailable))?;
        let Purpose::Joined(rid) = whole.identity.purpose else { return Ok(()) };
        let index = self.catalogue.index().clone();
        let row = blocking(move || index.declared(device, rid)).await?;
        let parts = row.map(|row| row.declared.parts).unwrap_or_default();
        let at_work = move || stream.as_ref().is_some_and(Addr::connected);
        self.discard_parts_after(at_work, device, upload, parts);
        Ok(())
    }
}
