//! What has all its bytes becomes a recording, whether its device comes again or not: a client that heard that its last byte
//! is durable may be content, and a camera may be lost.

use std::time::Duration;

use chrono::TimeDelta;
use longshore_store::Purpose;
use longshore_store::incoming::Unfinished;
use tokio::time::sleep;

use super::{Engine, Held};
use crate::kit::blocking;
use crate::sessions::AttachError;
use crate::upload::Wants;

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

    /// Completes the uploads whose last byte is here and of which no recording came: since the server stopped, or the disk
    /// refused. What cannot be completed now is left for the next time.
    pub async fn complete_what_is_whole(&self) {
        for whole in self.incoming.whole_for(GRACE) {
            let (device, upload) = (whole.identity.device, whole.identity.upload);
            if let Err(error) = self.complete_one(&whole).await {
                tracing::warn!(%upload, %device, "an upload that has all its bytes is no recording yet: {error}");
            }
        }
    }

    async fn complete_one(&self, whole: &Unfinished) -> Result<(), String> {
        let (device, upload) = (whole.identity.device, whole.identity.upload);
        match self.attach(device, upload, Wants::Offset).await {
            Ok(Held::Transfer(attachment)) => drop(attachment.end().await.map_err(|error| error.to_string())?),
            // Somebody was faster.
            Ok(Held::Stored { .. }) | Err(AttachError::NotFound) => {}
            Err(error) => return Err(error.to_string()),
        }
        if let Purpose::Joined(rid) = whole.identity.purpose {
            let index = self.catalogue.index().clone();
            let row = blocking(move || index.declared(device, rid)).await.map_err(|error| error.to_string())?;
            let parts = row.map(|row| row.declared.parts).unwrap_or_default();
            self.discard_parts(device, upload, parts).await.map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}
