//! Fast answers over the journal (sled). Everything in it can be thrown away and made again by [`Index::apply`].

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use chrono::{DateTime, FixedOffset, Utc};
use longshore_model::{
    Declared, Device, DeviceId, DeviceState, EnrolToken, Enrolment, EnrolmentId, EnrolmentState, RecordingId, Sha256,
    TokenId, UploadId,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::facts::{Entry, Fact};
use crate::manifest::Manifest;

/// Bytes of memory that sled may use for its cache; a key of the configuration later.
const CACHE_BYTES: u64 = 64 * 1024 * 1024;

/// Why the index gives no answer.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// sled refused.
    #[error("the index cannot be used: {0}; it is made again from the journal at the next start")]
    Sled(#[from] sled::Error),
    /// The folder cannot be made or cleared.
    #[error("the folder of the index cannot be used: {0}")]
    Io(#[from] io::Error),
    /// sled panicked over what it found.
    #[error("the index could not be opened: sled gave up on what it found")]
    Panicked,
    /// A row that is not what it should be.
    #[error("a row of the index is damaged: {0}; it is made again from the journal at the next start")]
    Damaged(String),
}

/// The index, for reading from any thread; only the catalogue's thread applies facts.
#[derive(Clone)]
pub struct Index {
    db: sled::Db,
    devices: sled::Tree,
    keys: sled::Tree,
    serials: sled::Tree,
    tokens: sled::Tree,
    enrolments: sled::Tree,
    declared: sled::Tree,
    stored: sled::Tree,
    uploads: sled::Tree,
    deleted: sled::Tree,
}

/// What a device declared, and how often its transfer brought other bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeclaredRow {
    /// The device's word.
    pub declared: Declared,
    /// Transfers of it whose checksum was wrong.
    pub mismatches: u32,
    /// When the last of them ended.
    pub last_mismatch: Option<DateTime<Utc>>,
}

/// A recording in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRow {
    /// What it is, with its receipt.
    pub manifest: Manifest,
    /// When the device deleted its copy, by the device's clock.
    pub deleted_at: Option<DateTime<FixedOffset>>,
}

impl Index {
    /// Makes an empty index, in place of whatever is there.
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn create(folder: &Path) -> Result<Self, IndexError> {
        match std::fs::remove_dir_all(folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        // sled panics rather than errs over some of what a disk can hold.
        let opened =
            catch_unwind(AssertUnwindSafe(|| sled::Config::new().path(folder).cache_capacity(CACHE_BYTES).open()));
        let db = opened.map_err(|_| IndexError::Panicked)??;
        Ok(Self {
            devices: db.open_tree("devices")?,
            keys: db.open_tree("keys")?,
            serials: db.open_tree("serials")?,
            tokens: db.open_tree("tokens")?,
            enrolments: db.open_tree("enrolments")?,
            declared: db.open_tree("declared")?,
            stored: db.open_tree("stored")?,
            uploads: db.open_tree("uploads")?,
            deleted: db.open_tree("deleted")?,
            db,
        })
    }

    /// Brings the index up to a fact. The same facts in the same order always give the same rows.
    ///
    /// # Errors
    /// [`IndexError`]; the index is of no use then.
    pub fn apply(&self, entry: &Entry) -> Result<(), IndexError> {
        match &entry.fact {
            Fact::TokenIssued { token, .. } => put(&self.tokens, token.id.as_bytes(), token),
            Fact::EnrolmentRequested { enrolment } => {
                if let Some(mut token) = self.token(enrolment.token)? {
                    token.uses_left = token.uses_left.saturating_sub(1);
                    put(&self.tokens, token.id.as_bytes(), &token)?;
                }
                put(&self.enrolments, enrolment.id.as_bytes(), enrolment)
            }
            Fact::DeviceApproved { enrolment, device, .. } => {
                if let Some(mut enrolment) = self.enrolment(*enrolment)? {
                    enrolment.state = EnrolmentState::Approved;
                    enrolment.device = Some(device.id);
                    put(&self.enrolments, enrolment.id.as_bytes(), &enrolment)?;
                }
                put(&self.devices, device.id.as_bytes(), device)?;
                self.keys.insert(device.key.as_bytes(), device.id.as_bytes())?;
                self.serials.insert(device.serial.as_bytes(), device.id.as_bytes())?;
                Ok(())
            }
            Fact::DeviceActivated { device } | Fact::DeviceReinstated { device, .. } => {
                self.put_state(*device, DeviceState::Active)
            }
            Fact::DeviceSuspended { device, .. } => self.put_state(*device, DeviceState::Suspended),
            Fact::DeviceRetired { device, .. } => self.put_state(*device, DeviceState::Retired),
            Fact::DeviceReenrolled { enrolment, device, key, .. } => {
                if let Some(mut enrolment) = self.enrolment(*enrolment)? {
                    enrolment.state = EnrolmentState::Approved;
                    enrolment.device = Some(*device);
                    put(&self.enrolments, enrolment.id.as_bytes(), &enrolment)?;
                }
                if let Some(mut device) = self.device(*device)? {
                    self.keys.remove(device.key.as_bytes())?;
                    self.keys.insert(key.as_bytes(), device.id.as_bytes())?;
                    device.key = *key;
                    put(&self.devices, device.id.as_bytes(), &device)?;
                }
                Ok(())
            }
            Fact::Declared { device, items } => items.iter().try_for_each(|declared| {
                // A failing card gives another checksum each time it is asked; the count of failures goes on.
                let before = self.declared(*device, declared.rid)?;
                let (mismatches, last_mismatch) =
                    before.map_or((0, None), |before| (before.mismatches, before.last_mismatch));
                let row = DeclaredRow { declared: declared.clone(), mismatches, last_mismatch };
                put(&self.declared, &recording_key(*device, declared.rid), &row)
            }),
            Fact::Mismatched { device, rid, .. } => {
                if let Some(mut row) = self.declared(*device, *rid)? {
                    row.mismatches += 1;
                    row.last_mismatch = Some(entry.at);
                    put(&self.declared, &recording_key(*device, *rid), &row)?;
                }
                Ok(())
            }
            Fact::Stored { manifest } => self.apply_stored(manifest),
            Fact::Deleted { device, rid, revision, deleted_at } => {
                put(&self.deleted, &revision_key(*device, *rid, *revision), deleted_at)
            }
        }
    }

    fn put_state(&self, device: DeviceId, state: DeviceState) -> Result<(), IndexError> {
        if let Some(mut device) = self.device(device)? {
            device.state = state;
            put(&self.devices, device.id.as_bytes(), &device)?;
        }
        Ok(())
    }

    fn apply_stored(&self, text: &str) -> Result<(), IndexError> {
        let manifest = read_manifest(text.as_bytes())?;
        let recording = &manifest.recording;
        let key = revision_key(recording.device, recording.rid, recording.revision);
        self.stored.insert(&key, text.as_bytes())?;
        self.uploads.insert(recording.upload.as_bytes(), key)?;
        Ok(())
    }

    /// The token with this id.
    ///
    /// # Errors
    /// [`IndexError`]; so for all that follow.
    pub fn token(&self, id: TokenId) -> Result<Option<EnrolToken>, IndexError> {
        get(&self.tokens, id.as_bytes())
    }

    /// The enrolment with this id.
    pub fn enrolment(&self, id: EnrolmentId) -> Result<Option<Enrolment>, IndexError> {
        get(&self.enrolments, id.as_bytes())
    }

    /// All enrolments, in the order in which they were asked for.
    pub fn enrolments(&self) -> Result<Vec<Enrolment>, IndexError> {
        let mut enrolments: Vec<Enrolment> = values(self.enrolments.iter())?;
        enrolments.sort_by_key(|enrolment| (enrolment.requested_at, enrolment.id));
        Ok(enrolments)
    }

    /// The device with this id.
    pub fn device(&self, id: DeviceId) -> Result<Option<Device>, IndexError> {
        get(&self.devices, id.as_bytes())
    }

    /// The device whose public key has this checksum.
    pub fn device_by_key(&self, key: Sha256) -> Result<Option<Device>, IndexError> {
        self.device_behind(self.keys.get(key.as_bytes())?)
    }

    /// The device with this serial.
    pub fn device_by_serial(&self, serial: &str) -> Result<Option<Device>, IndexError> {
        self.device_behind(self.serials.get(serial.as_bytes())?)
    }

    fn device_behind(&self, id: Option<sled::IVec>) -> Result<Option<Device>, IndexError> {
        id.map_or(Ok(None), |id| get(&self.devices, &id))
    }

    /// All devices, by serial.
    pub fn devices(&self) -> Result<Vec<Device>, IndexError> {
        let mut devices: Vec<Device> = values(self.devices.iter())?;
        devices.sort_by(|a, b| a.serial.cmp(&b.serial));
        Ok(devices)
    }

    /// What a device declared under this `rid`.
    pub fn declared(&self, device: DeviceId, rid: RecordingId) -> Result<Option<DeclaredRow>, IndexError> {
        get(&self.declared, &recording_key(device, rid))
    }

    /// The newest content stored under this `rid`.
    pub fn stored(&self, device: DeviceId, rid: RecordingId) -> Result<Option<Manifest>, IndexError> {
        match self.stored.scan_prefix(recording_key(device, rid)).next_back() {
            Some(row) => read_manifest(&row?.1).map(Some),
            None => Ok(None),
        }
    }

    /// The recording that this upload brought.
    pub fn stored_by_upload(&self, upload: UploadId) -> Result<Option<Manifest>, IndexError> {
        let Some(key) = self.uploads.get(upload.as_bytes())? else {
            return Ok(None);
        };
        self.stored.get(key)?.map(|text| read_manifest(&text)).transpose()
    }

    /// All stored recordings, by start.
    pub fn recordings(&self) -> Result<Vec<StoredRow>, IndexError> {
        let mut recordings = Vec::new();
        for row in &self.stored {
            let (key, text) = row?;
            recordings.push(StoredRow { manifest: read_manifest(&text)?, deleted_at: get(&self.deleted, &key)? });
        }
        recordings.sort_by(|a, b| {
            let (a, b) = (&a.manifest.recording, &b.manifest.recording);
            (a.start, &a.path).cmp(&(b.start, &b.path))
        });
        Ok(recordings)
    }

    /// When the device deleted this content, by its clock.
    pub fn deleted(
        &self,
        device: DeviceId,
        rid: RecordingId,
        revision: u32,
    ) -> Result<Option<DateTime<FixedOffset>>, IndexError> {
        get(&self.deleted, &revision_key(device, rid, revision))
    }

    /// Hands what is in memory to the operating system.
    pub fn flush(&self) -> Result<(), IndexError> {
        self.db.flush()?;
        Ok(())
    }
}

fn recording_key(device: DeviceId, rid: RecordingId) -> Vec<u8> {
    [device.as_bytes().as_slice(), rid.as_bytes()].concat()
}

fn revision_key(device: DeviceId, rid: RecordingId, revision: u32) -> Vec<u8> {
    [device.as_bytes().as_slice(), rid.as_bytes(), &revision.to_be_bytes()].concat()
}

fn put<T: Serialize>(tree: &sled::Tree, key: &[u8], value: &T) -> Result<(), IndexError> {
    let json = serde_json::to_vec(value).map_err(|error| IndexError::Damaged(error.to_string()))?;
    tree.insert(key, json)?;
    Ok(())
}

fn get<T: DeserializeOwned>(tree: &sled::Tree, key: &[u8]) -> Result<Option<T>, IndexError> {
    tree.get(key)?.map(|json| read(&json)).transpose()
}

fn read<T: DeserializeOwned>(json: &[u8]) -> Result<T, IndexError> {
    serde_json::from_slice(json).map_err(|error| IndexError::Damaged(error.to_string()))
}

fn read_manifest(text: &[u8]) -> Result<Manifest, IndexError> {
    Manifest::parse(text).map_err(|error| IndexError::Damaged(error.to_string()))
}

fn values<T: DeserializeOwned>(
    rows: impl Iterator<Item = sled::Result<(sled::IVec, sled::IVec)>>,
) -> Result<Vec<T>, IndexError> {
    rows.map(|row| read(&row?.1)).collect()
}
