//! What became of recordings, the signed places of the journal, and what nightly looks at the store found.

use std::ops::Bound;

use chrono::{DateTime, Utc};
use longshore_model::{DeviceId, ExportId, RecordingId, Sha256};
use serde::{Deserialize, Serialize};

use super::apply::{Applied, Rows, put};
use super::news::News;
use super::tables::Table;
use super::{Index, IndexError, read, read_manifest, recording_key, revision_key, values};
use crate::custody::{Checkpoint, CustodyEvent, CustodyOf, Step};
use crate::facts::{CustodyFact, Entry, StoredId};
use crate::manifest::Manifest;
use crate::verify::{Reconciled, Unended};

/// Who did what no person and no device did.
const SERVER: &str = "server";

/// How far an export came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportIs {
    /// It is recorded who is given what.
    Begun,
    /// Its list of files, which has this checksum, is signed.
    Signed(Sha256),
}

/// What a row of `Custody` holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct CustodyRow {
    at: DateTime<Utc>,
    step: Step,
}

/// A row of `Reconciliations`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ReconciliationRow {
    Ended(Box<Reconciled>),
    Paused(Box<Unended>),
}

impl Rows {
    pub(super) fn apply_custody(&self, entry: &Entry, fact: &CustodyFact) -> Applied<()> {
        let key = entry.seq.to_be_bytes();
        match fact {
            CustodyFact::Checkpointed { claims, signed } => {
                let checkpoint = Checkpoint {
                    seq: entry.seq,
                    position: claims.position,
                    hash: claims.hash,
                    at: claims.at,
                    server: claims.server.clone(),
                    signed: signed.clone(),
                };
                put(&self.tables[Table::Checkpoints], &key, &checkpoint)?;
                self.tell_news(entry, News::Checkpointed { seq: entry.seq })
            }
            CustodyFact::Exported { export, recordings, by } => {
                self.tables[Table::Exports].insert(export.as_bytes(), &[])?;
                recordings.iter().try_for_each(|stored| {
                    let StoredId { device, rid, revision } = *stored;
                    self.in_custody(entry, device, rid, Step::Exported { revision, export: *export, by: by.clone() })
                })
            }
            CustodyFact::ExportSigned { export, files, .. } => {
                self.tables[Table::Exports].insert(export.as_bytes(), files.as_bytes().as_slice())?;
                Ok(())
            }
            CustodyFact::Reconciled { reconciliation } => {
                let reconciled = Reconciled { seq: entry.seq, reconciliation: (**reconciliation).clone() };
                put(&self.tables[Table::Reconciliations], &key, &ReconciliationRow::Ended(Box::new(reconciled)))
            }
            CustodyFact::FoundDamaged { recordings } => recordings.iter().try_for_each(|stored| {
                self.tables[Table::Damaged].insert(stored_key(*stored), &[])?;
                Ok(())
            }),
            CustodyFact::FoundSound { recordings } => recordings.iter().try_for_each(|stored| {
                self.tables[Table::Damaged].remove(stored_key(*stored))?;
                Ok(())
            }),
            CustodyFact::ReconciliationPaused { unended } => {
                put(&self.tables[Table::Reconciliations], &key, &ReconciliationRow::Paused(unended.clone()))
            }
        }
    }

    pub(super) fn in_custody(&self, entry: &Entry, device: DeviceId, rid: RecordingId, step: Step) -> Applied<()> {
        // One line may say the same recording twice: of an export, each content.
        let within = match &step {
            Step::Exported { revision, .. } => *revision,
            _ => 0,
        };
        let key = [recording_key(device, rid).as_slice(), &entry.seq.to_be_bytes(), &within.to_be_bytes()].concat();
        put(&self.tables[Table::Custody], &key, &CustodyRow { at: entry.at, step })
    }
}

impl Index {
    /// What became of a recording, in all its contents, in the order of the journal.
    ///
    /// # Errors
    /// [`IndexError`]; so for all that follow.
    pub fn custody(&self, device: DeviceId, rid: RecordingId) -> Result<Vec<CustodyEvent>, IndexError> {
        let (stored, serial) = (self.stored(device, rid)?, self.device(device)?.map(|device| device.serial));
        let serial = serial.unwrap_or_else(|| device.to_string());
        let prefix = recording_key(device, rid);
        let mut events = Vec::new();
        for row in self.tables[Table::Custody].scan_prefix(&prefix) {
            let (key, row) = row?;
            let seq = key.get(prefix.len()..prefix.len() + 8).and_then(|seq| seq.try_into().ok());
            let seq = seq.map(u64::from_be_bytes).ok_or_else(|| IndexError::Damaged("a key of custody".to_owned()))?;
            events.extend(told(seq, read(&row)?, &stored, &serial));
        }
        Ok(events)
    }

    /// The devices that have a recording of this id in the store: nearly always one, or none.
    pub fn devices_with(&self, rid: RecordingId) -> Result<Vec<DeviceId>, IndexError> {
        let mut devices = Vec::new();
        for row in self.tables[Table::Devices].iter().keys() {
            let Ok(bytes) = <[u8; 16]>::try_from(&*row?) else { continue };
            let device = DeviceId::from_bytes(bytes);
            if self.tables[Table::Custody].scan_prefix(recording_key(device, rid)).next().transpose()?.is_some() {
                devices.push(device);
            }
        }
        Ok(devices)
    }

    /// How far an export of this id came; `None`: it was not begun.
    pub fn export_signed(&self, export: ExportId) -> Result<Option<ExportIs>, IndexError> {
        let Some(files) = self.tables[Table::Exports].get(export.as_bytes())? else { return Ok(None) };
        if files.is_empty() {
            return Ok(Some(ExportIs::Begun));
        }
        let files = <[u8; 32]>::try_from(&*files).map_err(|_| IndexError::Damaged("an export".to_owned()))?;
        Ok(Some(ExportIs::Signed(Sha256::from_bytes(files))))
    }

    /// When one of the stored recordings was verified, if there is any: if its row cannot be read, long ago.
    pub fn first_stored_at(&self) -> Result<Option<DateTime<Utc>>, IndexError> {
        let first = self.tables[Table::Stored].first()?.map(|(_, text)| read_manifest(&text));
        Ok(first.map(|first| first.map_or(DateTime::UNIX_EPOCH, |manifest| manifest.recording.verified_at)))
    }

    /// The stored recordings that come after this one in the order of their ids, each with its manifest, byte for byte; at most
    /// so many.
    pub fn stored_after(&self, after: Option<StoredId>, count: usize) -> Result<Vec<(StoredId, Vec<u8>)>, IndexError> {
        let from = after.map(stored_key).map_or(Bound::Unbounded, Bound::Excluded);
        let rows = self.tables[Table::Stored].range::<Vec<u8>, _>((from, Bound::Unbounded)).take(count);
        rows.map(|row| {
            let (key, text) = row?;
            Ok((stored_id(&key).ok_or_else(|| IndexError::Damaged("a key of a recording".to_owned()))?, text.to_vec()))
        })
        .collect()
    }

    /// Whether a look at the store found this recording damaged, and none has seen it right since.
    pub fn is_damaged(&self, stored: StoredId) -> Result<bool, IndexError> {
        Ok(self.tables[Table::Damaged].contains_key(stored_key(stored))?)
    }

    /// The signed places of the journal whose lines come after `seq`, oldest first.
    pub fn checkpoints_since(&self, seq: u64) -> Result<Vec<Checkpoint>, IndexError> {
        values(self.tables[Table::Checkpoints].range(seq.saturating_add(1).to_be_bytes()..))
    }

    /// The one that this line of the journal holds.
    pub fn checkpoint(&self, seq: u64) -> Result<Option<Checkpoint>, IndexError> {
        self.tables[Table::Checkpoints].get(seq.to_be_bytes())?.map(|row| read(&row)).transpose()
    }

    /// The newest of them.
    pub fn last_checkpoint(&self) -> Result<Option<Checkpoint>, IndexError> {
        self.tables[Table::Checkpoints].last()?.map(|(_, row)| read(&row)).transpose()
    }

    /// The newest so many, oldest first.
    pub fn newest_checkpoints(&self, most: usize) -> Result<Vec<Checkpoint>, IndexError> {
        let mut newest: Vec<Checkpoint> = values(self.tables[Table::Checkpoints].iter().rev().take(most))?;
        newest.reverse();
        Ok(newest)
    }

    /// What nightly looks at the store found whose lines come after `seq`, oldest first.
    pub fn reconciliations_since(&self, seq: u64) -> Result<Vec<Reconciled>, IndexError> {
        let rows = self.tables[Table::Reconciliations].range(seq.saturating_add(1).to_be_bytes()..);
        let rows: Vec<ReconciliationRow> = values(rows)?;
        let ended = |row| match row {
            ReconciliationRow::Ended(reconciled) => Some(*reconciled),
            ReconciliationRow::Paused(_) => None,
        };
        Ok(rows.into_iter().filter_map(ended).collect())
    }

    /// The newest of them.
    pub fn last_reconciliation(&self) -> Result<Option<Reconciled>, IndexError> {
        for row in self.tables[Table::Reconciliations].iter().values().rev() {
            if let ReconciliationRow::Ended(reconciled) = read(&row?)? {
                return Ok(Some(*reconciled));
            }
        }
        Ok(None)
    }

    /// How far the newest one came, if it did not end.
    pub fn unended_reconciliation(&self) -> Result<Option<Unended>, IndexError> {
        let newest = self.tables[Table::Reconciliations].last()?.map(|(_, row)| read(&row)).transpose()?;
        Ok(newest.and_then(|row| match row {
            ReconciliationRow::Paused(unended) => Some(*unended),
            ReconciliationRow::Ended(_) => None,
        }))
    }
}

fn stored_key(StoredId { device, rid, revision }: StoredId) -> Vec<u8> {
    revision_key(device, rid, revision)
}

fn stored_id(key: &[u8]) -> Option<StoredId> {
    let (device, rest) = key.split_first_chunk()?;
    let (rid, revision) = rest.split_first_chunk()?;
    let revision = u32::from_be_bytes(revision.try_into().ok()?);
    Some(StoredId { device: DeviceId::from_bytes(*device), rid: RecordingId::from_bytes(*rid), revision })
}

/// The events of one row.
fn told(seq: u64, row: CustodyRow, stored: &[Manifest], serial: &str) -> Vec<CustodyEvent> {
    let CustodyRow { at, step } = row;
    let event = |at, what, by: &str| CustodyEvent { seq, at, what, by: by.to_owned() };
    let one = |what, by: &str| vec![event(at, what, by)];
    match step {
        Step::Declared { size, sha256 } => one(CustodyOf::Declared { size, sha256 }, serial),
        Step::Conflicted { declared } => one(CustodyOf::Conflicted { declared }, serial),
        Step::Mismatched { upload, declared, found } => one(CustodyOf::Mismatched { upload, declared, found }, SERVER),
        Step::Altered { upload, came, medium } => one(CustodyOf::Altered { upload, came, medium }, SERVER),
        Step::Expired { upload } => one(CustodyOf::Expired { upload }, SERVER),
        Step::Deleted { revision, deleted_at } => one(CustodyOf::DeletedOnDevice { revision, deleted_at }, serial),
        Step::Exported { revision, export, by } => one(CustodyOf::Exported { revision, export }, &by),
        Step::Stored { revision } => {
            let manifest = stored.iter().find(|manifest| manifest.recording.revision == revision);
            let Some(recording) = manifest.map(|manifest| &manifest.recording) else { return Vec::new() };
            let (upload, sha256, verified_at) = (recording.upload, recording.sha256, recording.verified_at);
            let received = recording.received_at.map(|at| event(at, CustodyOf::Received { revision, upload }, serial));
            let verified = event(verified_at, CustodyOf::Verified { revision, sha256 }, SERVER);
            let receipted = event(at, CustodyOf::Receipted { revision }, SERVER);
            received.into_iter().chain([verified, receipted]).collect()
        }
    }
}
