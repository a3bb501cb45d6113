//! An upload in the hands of one job.

use std::sync::{Arc, Mutex, PoisonError};

use longshore_model::UploadId;

use super::{Incoming, IncomingError, Known, Uploads};

/// Keeps an upload for one job; see [`Incoming::hold`].
pub struct Hold {
    upload: UploadId,
    uploads: Arc<Mutex<Uploads>>,
}

impl Hold {
    pub(super) fn change(&self, change: impl FnOnce(&mut Known)) {
        let mut uploads = self.uploads.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = uploads.known.get_mut(&self.upload) {
            change(known);
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.change(|known| known.held = false);
    }
}

impl Incoming {
    /// Keeps everybody else from an upload that nobody has open, until the hold is dropped.
    ///
    /// # Errors
    /// [`IncomingError::Busy`] while a handle to it, or another hold, lives.
    pub fn hold(&self, upload: UploadId) -> Result<Hold, IncomingError> {
        let mut uploads = self.lock();
        let entry = uploads.known.get_mut(&upload).ok_or(IncomingError::NotFound)?;
        if entry.is_taken() {
            return Err(IncomingError::Busy);
        }
        entry.held = true;
        Ok(Hold { upload, uploads: Arc::clone(&self.uploads) })
    }
}
