//! A recording is joined of its parts: their bytes are read from the disk and go the way of all bytes, through a request's
//! hold on the transfer.

use std::time::Duration;

use longshore_model::{DeviceId, RunningHash, UploadId};
use longshore_store::incoming::IncomingError;
use tokio::time::sleep;

use super::{Engine, Held};
use crate::kit::blocking;
use crate::sessions::AttachError;
use crate::storage::StorageError;
use crate::upload::{Attachment, EndError, Ended, Evicted, Wants, WriteError};

/// Between two looks whether what was joined is stored.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Bytes that are read at once: as many as are written at once.
const PIECE: usize = 1024 * 1024;

/// Why a recording was not joined. Its parts are there all the same, but for one that is damaged.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// Nobody may hold its transfer now.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// A part cannot be read.
    #[error("the part {0}: {1}")]
    Part(UploadId, StorageError),
    /// The bytes were not taken, or no recording came of them.
    #[error(transparent)]
    End(#[from] EndError),
}

impl From<WriteError> for JoinError {
    fn from(error: WriteError) -> Self {
        Self::End(error.into())
    }
}

impl Engine {
    /// Joins the recording of `upload` of its parts, and discards them once it is stored. A part counts only if its bytes are those that came,
    /// so the whole counts only when all of them were read: until then nothing of it is committed.
    ///
    /// # Errors
    /// [`JoinError`]; the same again begins anew.
    pub async fn join(&self, device: DeviceId, upload: UploadId, parts: &[UploadId]) -> Result<Ended, JoinError> {
        let ended = match self.attach(device, upload, Wants::AppendWhole).await? {
            Held::Stored { length, receipt, .. } => Ended { offset: length, receipt },
            Held::Transfer(mut attachment) => {
                // Nothing is left if it was joined before, and did not become a recording then.
                let parts = if attachment.left() == 0 { &[] } else { parts };
                for part in parts {
                    if let Err(error) = self.copy(device, *part, &mut attachment).await {
                        drop(attachment);
                        self.discard_damaged(device, upload, &error).await;
                        return Err(error);
                    }
                }
                attachment.keep();
                attachment.end().await?
            }
        };
        self.discard_parts(device, upload, parts.to_vec()).await?;
        Ok(ended)
    }

    /// Discards the parts of a recording once it is stored: that all bytes are here is not enough, since they may be other ones
    /// when they are read from the medium again. If that takes long, it goes on beside the caller.
    async fn discard_parts(&self, device: DeviceId, whole: UploadId, parts: Vec<UploadId>) -> Result<(), AttachError> {
        if self.incoming.find(device, whole).is_none() {
            return self.discard_now(device, whole, &parts).await;
        }
        let incoming = self.incoming.clone();
        self.discard_parts_after(move || incoming.find(device, whole).is_some(), device, whole, parts);
        Ok(())
    }

    /// The same when nobody is at work on the recording any more.
    pub(super) fn discard_parts_after(
        &self,
        at_work: impl Fn() -> bool + Send + Sync + 'static,
        device: DeviceId,
        whole: UploadId,
        parts: Vec<UploadId>,
    ) {
        let engine = self.clone();
        tokio::spawn(async move {
            // Should the server stop meanwhile, the next request that joins them finds the recording, or they expire.
            while at_work() && !*engine.draining.borrow() {
                sleep(LOOK_EVERY).await;
            }
            if let Err(error) = engine.discard_now(device, whole, &parts).await {
                tracing::warn!(upload = %whole, %device, %error, "the parts of a recording were not discarded");
            }
        });
    }

    async fn discard_now(&self, device: DeviceId, whole: UploadId, parts: &[UploadId]) -> Result<(), AttachError> {
        if parts.is_empty() {
            return Ok(());
        }
        let index = self.catalogue.index().clone();
        if blocking(move || index.stored_by_upload(whole)).await?.is_none() {
            return Ok(());
        }
        for part in parts {
            if let Err(error) = self.terminate(device, *part).await {
                // Those of a request that came before are gone, and what is left expires.
                tracing::debug!(%part, %error, "a part of a recording that is stored was not discarded");
            }
        }
        Ok(())
    }

    async fn copy(&self, device: DeviceId, upload: UploadId, attachment: &mut Attachment) -> Result<(), JoinError> {
        let incoming = self.incoming.clone();
        let refused = |error: StorageError| JoinError::Part(upload, error);
        let part = reading(move || incoming.part(device, upload)).await.map_err(refused)?;
        let (mut hash, mut at) = (RunningHash::default(), 0);
        while at < part.length {
            let reader = part.clone();
            let bytes = tokio::select! {
                biased;
                evicted = attachment.evicted() => return Err(why(evicted)),
                read = reading(move || Ok(reader.read(at, PIECE)?)) => read.map_err(refused)?,
            };
            if bytes.is_empty() {
                break;
            }
            hash.update(&bytes);
            attachment.write(&bytes).await?;
            at += bytes.len() as u64;
        }
        if hash.finish() == part.sha256 {
            Ok(())
        } else {
            Err(refused(StorageError::Damaged("its bytes are not those that came".to_owned())))
        }
    }

    /// A part that is damaged comes again under another id, and so nobody asks for this whole any more.
    async fn discard_damaged(&self, device: DeviceId, upload: UploadId, error: &JoinError) {
        let JoinError::Part(part, StorageError::Damaged(_)) = error else { return };
        tracing::error!(%part, %device, %error, "a part is damaged: check the disk. It comes again");
        for upload in [*part, upload] {
            if let Err(error) = self.terminate(device, upload).await {
                tracing::warn!(%upload, %error, "it could not be discarded");
            }
        }
    }
}

async fn reading<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, IncomingError> + Send + 'static,
) -> Result<T, StorageError> {
    match tokio::task::spawn_blocking(read).await {
        Ok(read) => read.map_err(StorageError::from),
        Err(_) => Err(StorageError::Unavailable),
    }
}

fn why(evicted: Evicted) -> JoinError {
    match evicted {
        Evicted::Superseded => WriteError::Superseded.into(),
        Evicted::Draining => AttachError::Draining.into(),
        Evicted::Failed(error) => WriteError::Storage(error).into(),
    }
}
