//! Parts that wait to be joined.

use std::io;
use std::sync::Arc;

use longshore_model::{DeviceId, RunningHash, Sha256, UploadId};

use super::{Incoming, IncomingError, Unfinished, data_path};
use crate::files::File;
use crate::slots::{Committed, Purpose};

/// A part of a recording, whole.
#[derive(Clone)]
pub struct Part {
    data: Arc<dyn File>,
    /// Its bytes.
    pub length: u64,
    /// Their checksum, as it was when they came.
    pub sha256: Sha256,
}

impl Part {
    /// At most `len` bytes from `offset` on; none at its end.
    ///
    /// # Errors
    /// The disk's.
    pub fn read(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let left = usize::try_from(self.length.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; len.min(left)];
        let read = self.data.read_at(&mut bytes, offset)?;
        bytes.truncate(read);
        Ok(bytes)
    }
}

impl Incoming {
    /// A part of which all bytes are here, for reading.
    ///
    /// # Errors
    /// [`IncomingError::NotFound`] if the device has no such part, [`IncomingError::Damaged`] if less is on the disk than
    /// was acknowledged.
    pub fn part(&self, device: DeviceId, upload: UploadId) -> Result<Part, IncomingError> {
        let is_part = |part: &Unfinished| part.identity.purpose == Purpose::Part && part.is_complete();
        self.find(device, upload).filter(is_part).ok_or(IncomingError::NotFound)?;
        let mount = self.pinned();
        let unreadable = || IncomingError::Damaged("its state cannot be read".to_owned());
        let (slot, data_len) = mount.read_state(upload)?.ok_or_else(unreadable)?;
        let Committed { offset, hash } = slot.committed;
        if data_len < offset {
            return Err(IncomingError::Damaged(format!("{offset} bytes were acknowledged, {data_len} are there")));
        }
        let hash = RunningHash::resume(&hash).map_err(|error| IncomingError::Damaged(error.to_string()))?;
        Ok(Part { data: mount.files.open(&data_path(upload))?, length: offset, sha256: hash.finish() })
    }
}
