//! A recording is joined of its parts: their bytes are read from the disk and go the way of all bytes, through a request's
//! hold on the transfer.

use longshore_model::{DeviceId, RunningHash, UploadId};
use longshore_store::incoming::IncomingError;

use super::{Engine, Held};
use crate::sessions::AttachError;
use crate::storage::StorageError;
use crate::upload::{Attachment, EndError, Ended, Evicted, Wants, WriteError};

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
    /// Joins the recording of `upload` of its parts, and discards them. A part counts only if its bytes are those that came,
    /// so the whole counts only when all of them were read: until then nothing of it is committed.
    ///
    /// # Errors
    /// [`JoinError`]; the same again begins anew.
    pub async fn join(&self, device: DeviceId, upload: UploadId, parts: &[UploadId]) -> Result<Ended, JoinError> {
        let ended = match self.attach(device, upload, Wants::AppendWhole).await? {
            Held::Stored { length, receipt, .. } => Ended { offset: length, receipt },
            Held::Transfer(mut attachment) => {
                // Nothing is left if it was joined, and did not become a recording then.
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
        for part in parts {
            if let Err(error) = self.terminate(device, *part).await {
                // Those of a request that came before are gone, and what is left expires.
                tracing::debug!(%part, %error, "a part of a recording that is complete was not discarded");
            }
        }
        Ok(ended)
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
