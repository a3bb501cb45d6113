//! Fast answers over the journal (sled). Everything in it can be thrown away and made again from there.
//!
//! [`apply`](Index::apply) brings in facts and the place in the journal behind them, all or nothing, so that a start
//! goes on from there; [`kept`](Index::open) decides whether an index may be gone on with at all.

mod apply;
mod custody;
mod digests;
mod endangered;
mod health;
mod kept;
mod news;
mod outbox;
mod people;
mod profiles;
mod reports;
mod requests;
mod sessions;
mod tables;

use std::cmp::Ordering;
use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, FixedOffset, Utc};
use longshore_model::{
    Declared, Device, DeviceId, EnrolToken, Enrolment, EnrolmentId, Recording, RecordingId, Sha256, TokenId, UploadId,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use apply::Applying;
pub use custody::ExportIs;
pub use digests::{DigestEnd, DigestRow, DigestState, HealthRow, HealthWhat, StoredDay, TransferRow, TransferWhat};
pub use health::{HealthReportRow, ISSUE_CHANGES_KEPT};
pub use news::{News, NewsRow};
pub use outbox::{Delivery, OutboxRow, Tried};
pub use reports::ReportRow;
pub use requests::{Closed, Lies, RequestRow, Target, Told};
pub use sessions::{OpenSession, SESSIONS_KEPT};
use tables::{Table, Tables};

use crate::history::Happened;
use crate::journal::Mark;
use crate::manifest::Manifest;

/// Bytes of memory that sled may use for its cache, unless the operator says otherwise.
pub const DEFAULT_CACHE_BYTES: u64 = 64 * 1024 * 1024;
/// Key of the one row of `applied`.
const APPLIED: &[u8] = b"applied";

/// Why the index gives no answer.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// sled refused.
    #[error("the index cannot be used: {0}; stop Longshore and run `longshore catalogue rebuild`")]
    Sled(#[from] sled::Error),
    /// The folder cannot be made or cleared.
    #[error("the folder of the index cannot be used: {0}")]
    Io(#[from] io::Error),
    /// sled panicked over what it found.
    #[error("the index could not be opened: sled gave up on what it found")]
    Panicked,
    /// A row that is not what it should be.
    #[error("a row of the index is damaged: {0}; stop Longshore and run `longshore catalogue rebuild`")]
    Damaged(String),
}

/// Where an index lies, and what it may use.
#[derive(Debug, Clone)]
pub struct IndexPlace {
    /// Its folder; nothing else is in it. It has to be on a local disk.
    pub folder: PathBuf,
    /// Bytes of memory for sled's cache.
    pub cache_bytes: u64,
}

impl IndexPlace {
    /// The index of a data folder, with the usual cache.
    pub fn below(data: &Path) -> Self {
        Self { folder: data.join("index"), cache_bytes: DEFAULT_CACHE_BYTES }
    }
}

/// The index, for reading from any thread; only the catalogue's thread applies facts.
#[derive(Clone)]
pub struct Index {
    folder: PathBuf,
    db: sled::Db,
    tables: Tables,
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
    /// The token with this id.
    ///
    /// # Errors
    /// [`IndexError`]; so for all that follow.
    pub fn token(&self, id: TokenId) -> Result<Option<EnrolToken>, IndexError> {
        get(&self.tables[Table::Tokens], id.as_bytes())
    }

    /// The enrolment with this id.
    pub fn enrolment(&self, id: EnrolmentId) -> Result<Option<Enrolment>, IndexError> {
        get(&self.tables[Table::Enrolments], id.as_bytes())
    }

    /// All enrolment tokens that were ever made, by the end of their time.
    pub fn tokens(&self) -> Result<Vec<EnrolToken>, IndexError> {
        let mut tokens: Vec<EnrolToken> = values(self.tables[Table::Tokens].iter())?;
        tokens.sort_by_key(|token| (token.expires, token.id));
        Ok(tokens)
    }

    /// All enrolments, in the order in which they were asked for.
    pub fn enrolments(&self) -> Result<Vec<Enrolment>, IndexError> {
        let mut enrolments: Vec<Enrolment> = values(self.tables[Table::Enrolments].iter())?;
        enrolments.sort_by_key(|enrolment| (enrolment.requested_at, enrolment.id));
        Ok(enrolments)
    }

    /// The device with this id.
    pub fn device(&self, id: DeviceId) -> Result<Option<Device>, IndexError> {
        get(&self.tables[Table::Devices], id.as_bytes())
    }

    /// The device whose public key has this checksum.
    pub fn device_by_key(&self, key: Sha256) -> Result<Option<Device>, IndexError> {
        self.device_behind(self.tables[Table::Keys].get(key.as_bytes())?)
    }

    /// The device in whose name uploads come with the token that has this checksum.
    pub fn device_by_upload_token(&self, hash: Sha256) -> Result<Option<Device>, IndexError> {
        self.device_behind(self.tables[Table::UploadTokens].get(hash.as_bytes())?)
    }

    /// The device with this serial.
    pub fn device_by_serial(&self, serial: &str) -> Result<Option<Device>, IndexError> {
        self.device_behind(self.tables[Table::Serials].get(serial.as_bytes())?)
    }

    fn device_behind(&self, id: Option<sled::IVec>) -> Result<Option<Device>, IndexError> {
        id.map_or(Ok(None), |id| get(&self.tables[Table::Devices], &id))
    }

    /// All devices, by serial.
    pub fn devices(&self) -> Result<Vec<Device>, IndexError> {
        let mut devices: Vec<Device> = values(self.tables[Table::Devices].iter())?;
        devices.sort_by(|a, b| a.serial.cmp(&b.serial));
        Ok(devices)
    }

    /// What happened to the device with this serial, and to those that had it before, oldest first.
    pub fn history(&self, serial: &str) -> Result<Vec<Happened>, IndexError> {
        values(self.tables[Table::History].scan_prefix(history_prefix(serial)))
    }

    /// How many recordings a device has declared.
    pub fn count_declared(&self, device: DeviceId) -> Result<u64, IndexError> {
        self.tables[Table::Declared]
            .scan_prefix(device.as_bytes())
            .try_fold(0, |count, row| Ok(row.map(|_| count + 1)?))
    }

    /// All that a device has declared.
    pub fn declared_of(&self, device: DeviceId) -> Result<Vec<DeclaredRow>, IndexError> {
        values(self.tables[Table::Declared].scan_prefix(device.as_bytes()))
    }

    /// What a device declared under this `rid`.
    pub fn declared(&self, device: DeviceId, rid: RecordingId) -> Result<Option<DeclaredRow>, IndexError> {
        get(&self.tables[Table::Declared], &recording_key(device, rid))
    }

    /// All contents that are stored under this `rid`, by revision: nearly always one, or none.
    pub fn stored(&self, device: DeviceId, rid: RecordingId) -> Result<Vec<Manifest>, IndexError> {
        self.tables[Table::Stored].scan_prefix(recording_key(device, rid)).map(|row| read_manifest(&row?.1)).collect()
    }

    /// The recording that this upload brought.
    pub fn stored_by_upload(&self, upload: UploadId) -> Result<Option<Manifest>, IndexError> {
        let Some(key) = self.tables[Table::Uploads].get(upload.as_bytes())? else {
            return Ok(None);
        };
        self.tables[Table::Stored].get(key)?.map(|text| read_manifest(&text)).transpose()
    }

    /// Whether this device had this upload, and it expired.
    pub fn expired(&self, device: DeviceId, upload: UploadId) -> Result<bool, IndexError> {
        Ok(self.tables[Table::Expired].get(upload.as_bytes())?.is_some_and(|of| of == device.as_bytes()))
    }

    /// The manifest stored under the same `rid` and revision as `recording`, byte for byte.
    pub fn manifest_of(&self, recording: &Recording) -> Result<Option<Vec<u8>>, IndexError> {
        let key = revision_key(recording.device, recording.rid, recording.revision);
        Ok(self.tables[Table::Stored].get(key)?.map(|text| text.to_vec()))
    }

    /// How many declared recordings are not stored as they were declared last.
    pub fn declared_not_stored(&self) -> Result<u64, IndexError> {
        let mut count = 0;
        for row in &self.tables[Table::Declared] {
            let (key, row) = row?;
            let declared = read::<DeclaredRow>(&row)?.declared;
            let mut is_stored = false;
            for stored in self.tables[Table::Stored].scan_prefix(key) {
                let sha256 = read_manifest(&stored?.1)?.recording.sha256;
                is_stored |= declared.sha256.is_none_or(|declared| declared == sha256);
            }
            count += u64::from(!is_stored);
        }
        Ok(count)
    }

    /// All stored recordings, by start.
    pub fn recordings(&self) -> Result<Vec<StoredRow>, IndexError> {
        self.stored_rows(self.tables[Table::Stored].iter())
    }

    /// The stored recordings of one device, by start.
    pub fn recordings_of(&self, device: DeviceId) -> Result<Vec<StoredRow>, IndexError> {
        self.stored_rows(self.tables[Table::Stored].scan_prefix(device.as_bytes()))
    }

    fn stored_rows(&self, rows: sled::Iter) -> Result<Vec<StoredRow>, IndexError> {
        let mut recordings = Vec::new();
        for row in rows {
            let (key, text) = row?;
            recordings.push(StoredRow {
                manifest: read_manifest(&text)?,
                deleted_at: get(&self.tables[Table::Deleted], &key)?,
            });
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
        get(&self.tables[Table::Deleted], &revision_key(device, rid, revision))
    }

    /// Up to where the journal is in the index; `None` if it holds nothing yet.
    pub fn applied(&self) -> Result<Option<Mark>, IndexError> {
        get(&self.tables[Table::Applied], APPLIED)
    }

    /// How many rows of the two are not the same: their values differ, or only one index has them.
    pub fn differences(&self, other: &Self) -> Result<u64, IndexError> {
        let mut differences = 0;
        for (ours, theirs) in self.tables.all().iter().zip(other.tables.all()) {
            let (mut ours, mut theirs) = (ours.iter(), theirs.iter());
            let (mut our, mut their) = (ours.next().transpose()?, theirs.next().transpose()?);
            while our.is_some() || their.is_some() {
                let order = match (&our, &their) {
                    (Some(our), Some(their)) => our.0.cmp(&their.0),
                    (Some(_), None) => Ordering::Less,
                    _ => Ordering::Greater,
                };
                differences += u64::from(our != their);
                if order.is_le() {
                    our = ours.next().transpose()?;
                }
                if order.is_ge() {
                    their = theirs.next().transpose()?;
                }
            }
        }
        Ok(differences)
    }
}

/// A serial has no control characters, so none is the beginning of another's key.
fn history_prefix(serial: &str) -> Vec<u8> {
    [serial.as_bytes(), &[0]].concat()
}

fn recording_key(device: DeviceId, rid: RecordingId) -> Vec<u8> {
    [device.as_bytes().as_slice(), rid.as_bytes()].concat()
}

fn revision_key(device: DeviceId, rid: RecordingId, revision: u32) -> Vec<u8> {
    [device.as_bytes().as_slice(), rid.as_bytes(), &revision.to_be_bytes()].concat()
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

#[cfg(test)]
mod tests;
