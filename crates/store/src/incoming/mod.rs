//! Uploads on their way: `.incoming/<upload>/{data,state}`, and which of them there are.
//!
//! The disk is the truth; the list in memory follows it. `data` is synced before `state` says how far it is.

mod aside;
mod hold;
mod part;
mod transfer;
mod unfinished;
mod walk;

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use chrono::TimeDelta;
use longshore_model::{Clock, DeviceId, RecordingId, UploadId};

use crate::files::{self, File, Files};
use crate::slots::{Committed, Identity, STATE_BYTES, Slot};
pub use aside::Aside;
pub use hold::Hold;
pub use part::Part;
use transfer::Last;
pub use transfer::{Transfer, before_in_block};
pub use unfinished::Unfinished;
pub use walk::Found;

/// Folder of uploads on their way; its dot keeps it out of sight on the share.
pub(crate) const FOLDER: &str = ".incoming";

/// How long room is promised to an upload that does not come further: a camera that was lost in the middle, or that
/// announces what it never sends, must not keep all others out for ever. It goes on if there is room then.
const PROMISED: TimeDelta = TimeDelta::hours(6);

/// Why an upload cannot be worked on.
#[derive(Debug, thiserror::Error)]
pub enum IncomingError {
    /// There is no such upload.
    #[error("there is no such upload")]
    NotFound,
    /// Writes of an earlier request are still on their way to the disk.
    #[error("earlier writes of this upload have not ended yet")]
    Busy,
    /// It is complete, and an earlier try began to put it under its final name: roll it forward.
    #[error("the recording is on its way to its final name")]
    Placing,
    /// What is on the disk is less than what was acknowledged. The upload is gone; the device offers it again.
    #[error("the upload's file is damaged: {0}")]
    Damaged(String),
    /// The disk refused.
    #[error("the storage refused: {0}")]
    Io(#[from] io::Error),
}

/// All uploads on their way.
#[derive(Clone)]
pub struct Incoming {
    files: Arc<dyn Files>,
    uploads: Arc<Mutex<Uploads>>,
    clock: Arc<dyn Clock>,
}

#[derive(Default)]
struct Uploads {
    known: HashMap<UploadId, Known>,
    /// Those of which nobody was told yet, so that a walk does not take them for the remains of a crash.
    making: HashMap<UploadId, (DeviceId, Option<RecordingId>)>,
}

struct Known {
    unfinished: Unfinished,
    open: Weak<Transfer>,
    held: bool,
}

impl Known {
    /// Somebody has it open, or holds it.
    fn is_taken(&self) -> bool {
        self.held || self.open.strong_count() > 0
    }
}

impl From<Unfinished> for Known {
    fn from(unfinished: Unfinished) -> Self {
        Self { unfinished, open: Weak::new(), held: false }
    }
}

impl Incoming {
    /// Makes a new, empty upload; when this returns, it survives a power cut.
    ///
    /// # Errors
    /// [`io::ErrorKind::ResourceBusy`] if there is one of the same recording. The disk's; nothing is left behind then, or
    /// what is left goes at the next start.
    pub fn create(&self, identity: Identity) -> io::Result<()> {
        let upload = identity.upload;
        let brings = (identity.device, identity.rid());
        let mut uploads = self.lock();
        let known = uploads.known.values().map(|known| &known.unfinished.identity);
        let known = known.map(|identity| (identity.device, identity.rid()));
        // Of parts there may be many.
        if brings.1.is_some() && known.chain(uploads.making.values().copied()).any(|other| other == brings) {
            // Whoever asked for it twice finds the first when asking again.
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        uploads.making.insert(upload, brings);
        drop(uploads);
        let made = self.make(&folder_path(upload), identity);
        if made.is_err() {
            let _goes_at_the_next_start = self.remove(upload);
        }
        let mut uploads = self.lock();
        uploads.making.remove(&upload);
        uploads.known.insert(upload, Unfinished::from(made?).into());
        Ok(())
    }

    fn make(&self, folder: &str, identity: Identity) -> io::Result<Slot> {
        self.files.create_folder(folder)?;
        let data = self.files.create(&data_path(identity.upload))?;
        let state = self.files.create(&state_path(identity.upload))?;
        let advanced_at = identity.created_at;
        let committed = Committed::nothing();
        let slot = Slot { generation: 0, identity, committed, advanced_at, aside_since: None, altered: false };
        state.write_at(&slot.to_bytes(), slot.position())?;
        data.sync()?;
        state.sync()?;
        self.files.sync_folder(folder)?;
        self.files.sync_folder(FOLDER)?;
        Ok(slot)
    }

    /// One upload of this device that is on its way.
    pub fn find(&self, device: DeviceId, upload: UploadId) -> Option<Unfinished> {
        let uploads = self.lock();
        let unfinished = uploads.known.get(&upload).map(|known| &known.unfinished);
        unfinished.filter(|upload| upload.identity.device == device && upload.is_on_its_way()).cloned()
    }

    /// The upload of this device that brings this recording, or that lies aside.
    pub fn of_recording(&self, device: DeviceId, rid: RecordingId) -> Option<Unfinished> {
        self.of_device(device).into_iter().find(|upload| upload.identity.rid() == Some(rid))
    }

    /// Bytes that the unfinished uploads still lack; of those that do not come further, or whose length nobody knows,
    /// none.
    pub fn promised(&self) -> u64 {
        let lacks =
            |upload: &Unfinished| upload.identity.length.map_or(0, |length| length.saturating_sub(upload.offset));
        let (now, uploads) = (self.clock.now(), self.lock());
        let all = uploads.known.values().map(|known| &known.unfinished);
        let live = all.filter(|upload| now - upload.advanced_at < PROMISED);
        live.map(lacks).fold(0, u64::saturating_add)
    }

    /// Uploads that did not come further, or lay aside, for so long that they are to go.
    pub fn expired(&self) -> Vec<Unfinished> {
        let now = self.clock.now();
        self.select(|upload| upload.has_expired(now))
    }

    /// Uploads that have had all their bytes for this long, are to become recordings, and are in nobody's hands: what is open
    /// or held is just being read back, or gets its name.
    pub fn whole_for(&self, time: TimeDelta) -> Vec<Unfinished> {
        let since = self.clock.now() - time;
        let all = |upload: &Unfinished| upload.is_on_its_way() && upload.is_complete() && upload.advanced_at <= since;
        let uploads = self.lock();
        let free = uploads.known.values().filter(|known| !known.is_taken()).map(|known| &known.unfinished);
        free.filter(|upload| upload.identity.rid().is_some() && all(upload)).cloned().collect()
    }

    /// How many uploads of this device are on their way.
    pub fn begun_by(&self, device: DeviceId) -> usize {
        self.of_device(device).iter().filter(|upload| upload.is_on_its_way()).count()
    }

    /// All uploads of this device, those that lie aside too.
    pub fn of_device(&self, device: DeviceId) -> Vec<Unfinished> {
        self.select(|upload| upload.identity.device == device)
    }

    fn select(&self, which: impl Fn(&Unfinished) -> bool) -> Vec<Unfinished> {
        let uploads = self.lock();
        uploads.known.values().map(|known| &known.unfinished).filter(|upload| which(upload)).cloned().collect()
    }

    /// Opens an upload for writing, cut back to what was committed.
    ///
    /// # Errors
    /// [`IncomingError::Busy`] while an earlier handle, or a write through it, lives.
    pub fn resume(&self, upload: UploadId) -> Result<(Arc<Transfer>, Committed), IncomingError> {
        self.files.standing().may_make()?;
        // The lock is not held over the disk's work: whoever lists uploads must not wait for a slow disk.
        let _hold = self.hold(upload)?;
        let mount = self.pinned();
        let opened = mount.cut_back(upload);
        let mut uploads = self.lock();
        let entry = uploads.known.get_mut(&upload).ok_or(IncomingError::NotFound)?;
        if let Err(IncomingError::Damaged(_)) = &opened {
            uploads.known.remove(&upload);
            drop(uploads);
            // What cannot be removed now goes at the next start.
            let _gone_at_the_latest_then = mount.remove(upload);
            return opened;
        }
        let (transfer, committed) = opened?;
        entry.unfinished.offset = committed.offset;
        entry.open = Arc::downgrade(&transfer);
        Ok((transfer, committed))
    }

    fn cut_back(&self, upload: UploadId) -> Result<(Arc<Transfer>, Committed), IncomingError> {
        if self.files.exists(&record_path(upload))? {
            return Err(IncomingError::Placing);
        }
        let Some((slot, data_len)) = self.read_state(upload)? else {
            return Err(IncomingError::Damaged("its state cannot be read".to_owned()));
        };
        if slot.aside_since.is_some() {
            return Err(IncomingError::NotFound);
        }
        let committed = slot.committed;
        if data_len < committed.offset {
            let lacking = format!("{} bytes were acknowledged, {data_len} are there", committed.offset);
            return Err(IncomingError::Damaged(lacking));
        }
        let data = self.files.open_direct(&data_path(upload))?;
        let state = self.files.open(&state_path(upload))?;
        data.set_len(committed.offset)?;
        self.make_durable(&slot, &*state)?;
        let (changing, last) = (Mutex::default(), Mutex::new(Last { slot, failed: false }));
        let Self { files, uploads, clock } = self.clone();
        Ok((Arc::new(Transfer { files, data, state, changing, last, uploads, clock }), committed))
    }

    /// What was read of a state may stand in the page cache alone (a kill before a sync, a sync that failed), and what
    /// follows from it is told from now on. So the slot is written again, as it is and where it is: torn by a power cut, it
    /// harms neither itself, if it was durable, nor the other. And the names are synced.
    fn make_durable(&self, slot: &Slot, state: &dyn File) -> io::Result<()> {
        state.write_at(&slot.to_bytes(), slot.position())?;
        state.sync()?;
        self.files.sync_folder(&folder_path(slot.identity.upload))?;
        self.files.sync_folder(FOLDER)
    }

    /// Removes an upload that is given up, and what it brought.
    ///
    /// # Errors
    /// [`IncomingError::Busy`] while a handle to it lives, [`IncomingError::Placing`] once it began to become a
    /// recording. After an error of the disk the upload is gone from the list, and what is left of it goes at the next
    /// start.
    pub fn discard(&self, upload: UploadId) -> Result<(), IncomingError> {
        self.discard_if(upload, |_| true)
    }

    /// Removes an upload whose time is over, and what it brought.
    ///
    /// # Errors
    /// As [`Self::discard`]; [`IncomingError::Busy`] also if it came further, or was taken up, after it was listed.
    pub fn expire(&self, upload: UploadId) -> Result<(), IncomingError> {
        let now = self.clock.now();
        self.discard_if(upload, |unfinished| unfinished.has_expired(now))
    }

    /// Removes an upload that lies aside, and what it brought.
    ///
    /// # Errors
    /// As [`Self::discard`]; [`IncomingError::Busy`] also if it goes on meanwhile.
    pub fn discard_aside(&self, upload: UploadId) -> Result<(), IncomingError> {
        self.discard_if(upload, |unfinished| !unfinished.is_on_its_way())
    }

    fn discard_if(&self, upload: UploadId, may_go: impl Fn(&Unfinished) -> bool) -> Result<(), IncomingError> {
        let _hold = self.hold(upload)?;
        // Looked at again with the hold: from here on nobody brings it further.
        if !self.select(|unfinished| unfinished.identity.upload == upload).iter().all(may_go) {
            return Err(IncomingError::Busy);
        }
        let mount = self.pinned();
        if mount.files.exists(&record_path(upload))? {
            return Err(IncomingError::Placing);
        }
        self.lock().known.remove(&upload);
        Ok(mount.remove(upload)?)
    }

    /// Removes what is left in the incoming folder of an upload that is recorded as a recording.
    ///
    /// # Errors
    /// As [`Self::discard`], but for `Placing`.
    pub fn finish(&self, upload: UploadId) -> Result<(), IncomingError> {
        let _hold = match self.hold(upload) {
            // A start that could not read its state did not list it.
            Err(IncomingError::NotFound) => None,
            hold => Some(hold?),
        };
        self.lock().known.remove(&upload);
        Ok(self.pinned().remove(upload)?)
    }

    /// The same on the mount that is there now: what was looked at on one must not be done on the next.
    fn pinned(&self) -> Self {
        Self { files: self.files.pin(), ..self.clone() }
    }

    fn read_state(&self, upload: UploadId) -> io::Result<Option<(Slot, u64)>> {
        let state = match files::read_all(&*self.files, &state_path(upload), STATE_BYTES) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let Some(slot) = Slot::newest(&state).filter(|slot| slot.identity.upload == upload) else { return Ok(None) };
        match self.files.open(&data_path(upload)) {
            Ok(data) => Ok(Some((slot, data.size()?))),
            // A power cut during its creation, which nobody was told of, can leave the one name without the other.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok(Some((slot, 0)).filter(|(slot, _)| slot.committed.offset > 0))
            }
            Err(error) => Err(error),
        }
    }

    fn data_len(&self, upload: UploadId) -> io::Result<u64> {
        match self.files.open(&data_path(upload)) {
            Ok(data) => data.size(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// The state goes first: a folder without one is nothing, whatever else is left in it.
    fn remove(&self, upload: UploadId) -> io::Result<()> {
        files::remove_if_there(&*self.files, &state_path(upload))?;
        let entries = match self.files.list(&folder_path(upload)) {
            // Whoever finished it was faster than the walk that found it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            // The record of a placing goes last: without it, nobody would know how far the placing was.
            if entry.name != RECORD {
                self.files.remove(&format!("{}/{}", folder_path(upload), entry.name))?;
            }
        }
        files::remove_if_there(&*self.files, &record_path(upload))?;
        self.files.remove_folder(&folder_path(upload))
    }

    fn lock(&self) -> MutexGuard<'_, Uploads> {
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Name of the record of a placing.
const RECORD: &str = "placing";

pub(crate) fn folder_path(upload: UploadId) -> String {
    format!("{FOLDER}/{upload}")
}

pub(crate) fn data_path(upload: UploadId) -> String {
    format!("{FOLDER}/{upload}/data")
}

pub(crate) fn state_path(upload: UploadId) -> String {
    format!("{FOLDER}/{upload}/state")
}

pub(crate) fn record_path(upload: UploadId) -> String {
    format!("{FOLDER}/{upload}/{RECORD}")
}

pub(crate) fn manifest_path(upload: UploadId) -> String {
    format!("{FOLDER}/{upload}/manifest")
}
