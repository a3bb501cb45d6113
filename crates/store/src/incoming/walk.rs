//! Which uploads there are: at the start, and when the storage was mounted anew under a running server.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use longshore_model::{Clock, Recording, UploadId};

use super::{FOLDER, Incoming, IncomingError, Unfinished, record_path};
use crate::files::{self, Files};
use crate::manifest::Manifest;
use crate::place;
use crate::slots::{Identity, Purpose};

/// What a walk through `.incoming/` found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Uploads whose placing under their final name was interrupted.
    pub interrupted: Vec<UploadId>,
    /// Uploads whose file was shorter than acknowledged, or whose state is unreadable; they are gone.
    pub damaged: Vec<UploadId>,
    /// Uploads at which the disk refused, and why; what is left of them is looked at again at the next start.
    pub refused: Vec<(UploadId, String)>,
}

impl Incoming {
    /// Walks `.incoming/`, removes what never became an upload, and lists the rest.
    ///
    /// # Errors
    /// The disk's.
    pub fn open(files: Arc<dyn Files>, clock: Arc<dyn Clock>) -> io::Result<(Self, Found)> {
        let incoming = Self { files, uploads: Arc::default(), clock };
        let found = incoming.reload()?;
        Ok((incoming, found))
    }

    /// Walks `.incoming/` anew, after the storage was mounted anew: what is on the disk counts. Uploads that are being made,
    /// are open or are held stay as they are; whoever opens one of them next reads what is on the disk.
    ///
    /// # Errors
    /// The disk's; then the list is as it was, or in part as the disk is.
    pub fn reload(&self) -> io::Result<Found> {
        let walk = self.pinned();
        files::create_folders(&*walk.files, FOLDER)?;
        let mut found = Found::default();
        let known: HashSet<UploadId> = walk.lock().known.keys().copied().collect();
        let listed = walk.files.list(FOLDER)?;
        let listed: HashSet<UploadId> = listed.iter().filter_map(|entry| entry.name.parse().ok()).collect();
        for upload in known.union(&listed) {
            // One bad sector must not keep all the others from being served.
            if let Err(error) = walk.look_at(*upload, listed.contains(upload), &mut found) {
                found.refused.push((*upload, error.to_string()));
            }
        }
        Ok(found)
    }

    fn look_at(&self, upload: UploadId, listed: bool, found: &mut Found) -> io::Result<()> {
        let hold = match self.hold(upload) {
            Ok(hold) => Some(hold),
            Err(IncomingError::Busy) => return Ok(()),
            Err(_) if self.lock().making.contains_key(&upload) => return Ok(()),
            Err(_) => None,
        };
        if listed {
            return self.take_in(upload, found);
        }
        if hold.is_some() {
            self.lock().known.remove(&upload);
        }
        Ok(())
    }

    fn list(&self, unfinished: Unfinished) {
        let mut uploads = self.lock();
        let known = uploads.known.entry(unfinished.identity.upload).or_insert_with(|| unfinished.clone().into());
        known.unfinished = unfinished;
    }

    fn take_in(&self, upload: UploadId, found: &mut Found) -> io::Result<()> {
        let (state, interrupted) = (self.read_state(upload), self.files.exists(&record_path(upload)));
        // Where the record of a placing cannot be looked for there may be one, so the upload stays known: were it not, the
        // device would send the recording again, and the next start would complete this one beside it.
        let may_be_placing = !matches!(interrupted, Ok(false));
        let known = match &state {
            Ok(Some((slot, data_len))) if may_be_placing || *data_len >= slot.committed.offset => {
                self.list(slot.clone().into());
                true
            }
            _ => false,
        };
        // Completing it takes nothing but the record, so it is completed now also if the rest cannot be read.
        if interrupted? {
            // Should that fail too, the record alone tells of what recording the device is to send nothing more.
            if !known && let Ok(Manifest { recording, .. }) = place::read_record(&*self.files, upload) {
                let Recording { device, rid, size, sha256, verified_at, .. } = recording;
                let sha256 = recording.attested.then_some(sha256);
                let (purpose, length) = (Purpose::Recording(rid), Some(size));
                let identity = Identity { upload, device, purpose, length, sha256, created_at: verified_at };
                let (advanced_at, aside_since) = (verified_at, None);
                self.list(Unfinished { identity, offset: size, advanced_at, aside_since, altered: false });
            }
            found.interrupted.push(upload);
            return Ok(());
        }
        match state? {
            _ if known => {}
            None if self.data_len(upload)? == 0 => {
                self.lock().known.remove(&upload);
                self.remove(upload)?;
            }
            _ => {
                found.damaged.push(upload);
                self.lock().known.remove(&upload);
                self.remove(upload)?;
            }
        }
        Ok(())
    }
}
