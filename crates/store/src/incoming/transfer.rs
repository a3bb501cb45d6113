use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::Uploads;
use crate::files::{File, Files};
use crate::slots::{Committed, Identity, Slot};

/// The only handle by which an upload's bytes reach the disk.
pub struct Transfer {
    pub(super) identity: Identity,
    pub(super) files: Arc<dyn Files>,
    pub(super) data: Arc<dyn File>,
    pub(super) state: Arc<dyn File>,
    pub(super) last: Mutex<Last>,
    pub(super) uploads: Arc<Mutex<Uploads>>,
}

pub(super) struct Last {
    pub(super) generation: u64,
    pub(super) committed: Committed,
    /// A failed sync may have dropped what it was to write, and the next would say all is well; so there is no next.
    pub(super) failed: bool,
}

impl Transfer {
    /// What it is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The storage as it was when this upload was opened: what is placed must be on the file system that was written.
    pub fn files(&self) -> &dyn Files {
        &*self.files
    }

    /// Writes bytes that come after what is committed.
    ///
    /// # Errors
    /// The disk's.
    pub fn write(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.data.write_at(bytes, offset)
    }

    /// Makes everything up to `to.offset` durable, then says so in the state, durably. After an error the handle is
    /// of no more use: [`Incoming::resume`] goes back to the last commit.
    ///
    /// # Errors
    /// The disk's.
    pub fn commit(&self, to: Committed) -> io::Result<()> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.failed {
            return Err(io::Error::other("an earlier sync of this upload failed"));
        }
        if to.offset <= last.committed.offset {
            return Ok(());
        }
        let slot = Slot { generation: last.generation + 1, identity: self.identity.clone(), committed: to };
        last.failed = true;
        self.data.sync()?;
        self.state.write_at(&slot.to_bytes(), slot.position())?;
        self.state.sync()?;
        *last = Last { generation: slot.generation, committed: to, failed: false };
        let mut uploads = self.uploads.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = uploads.known.get_mut(&self.identity.upload) {
            (known.offset, known.advanced) = (to.offset, Instant::now());
        }
        Ok(())
    }
}
