//! Facts become rows. The facts of one call and the place behind them are one sled transaction: whatever a kill leaves
//! of it, the rows are those of exactly the facts up to [`Index::applied`], so counting up and down is safe.

use longshore_model::{
    Declared, Device, DeviceId, DeviceState, EnrolToken, Enrolment, EnrolmentId, EnrolmentState, Recording, TokenId,
    UploadToken,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sled::Transactional as _;
use sled::transaction::{ConflictableTransactionError, TransactionError, TransactionalTree};

use super::digests::TransferWhat;
use super::news::News;
use super::tables::{Table, Tables};
use super::{
    APPLIED, DeclaredRow, Index, IndexError, history_prefix, read, read_manifest, recording_key, revision_key,
};
use crate::audit::{self, Audited};
use crate::custody::Step;
use crate::facts::{Entry, Fact, StorageFact};
use crate::history::{self, Happened, Subject};
use crate::journal::{JournalError, Mark};

/// Facts of a replay that share one transaction: beyond some hundreds it gets no faster, and they wait in memory.
const GROUP: usize = 256;

pub(super) type Applied<T> = Result<T, ConflictableTransactionError<IndexError>>;

impl Index {
    /// Brings in facts that follow each other in the journal, and `mark`, the place behind the last of them. The same
    /// facts in the same order always give the same rows, in whatever groups.
    ///
    /// # Errors
    /// [`IndexError`]; the index is of no use then.
    pub fn apply(&self, entries: &[Entry], mark: &Mark) -> Result<(), IndexError> {
        let done = self.tables.all().transaction(|trees| {
            let rows = Rows { tables: Tables::of(trees) };
            entries.iter().try_for_each(|entry| rows.apply(entry))?;
            put(&rows.tables[Table::Applied], APPLIED, mark)
        });
        done.map_err(|error| match error {
            TransactionError::Abort(error) => error,
            TransactionError::Storage(error) => error.into(),
        })
    }
}

/// The rows, as a transaction sees them.
pub(super) struct Rows {
    pub(super) tables: Tables<TransactionalTree>,
}

impl Rows {
    fn apply(&self, entry: &Entry) -> Applied<()> {
        self.apply_fact(entry)?;
        // After its rows: the first line about a device by its id comes when the device is there.
        if let Some((subject, what, by)) = history::line(&entry.fact)
            && let Some(serial) = self.name_of(subject)?
        {
            let happened = Happened { at: entry.at, what, by: by.map(str::to_owned) };
            let key = [history_prefix(&serial).as_slice(), &entry.seq.to_be_bytes()].concat();
            put(&self.tables[Table::History], &key, &happened)?;
        }
        if let Some((did, subject, by)) = audit::line(&entry.fact)
            && let Some(about) = self.name_of(subject)?
        {
            let (did, by) = (did.to_owned(), by.to_owned());
            let audited = Audited { seq: entry.seq, at: entry.at, by, did, about };
            put(&self.tables[Table::Audit], &entry.seq.to_be_bytes(), &audited)?;
        }
        Ok(())
    }

    /// A device's serial, or what else is named; `None` for a device that nobody knows.
    fn name_of(&self, subject: Subject<'_>) -> Applied<Option<String>> {
        Ok(match subject {
            Subject::Serial(serial) => Some(serial.to_owned()),
            Subject::Device(id) => {
                get::<Device>(&self.tables[Table::Devices], id.as_bytes())?.map(|device| device.serial)
            }
            Subject::Other(name) => Some(name),
        })
    }

    fn apply_fact(&self, entry: &Entry) -> Applied<()> {
        match &entry.fact {
            Fact::TokenIssued { token, .. } => put(&self.tables[Table::Tokens], token.id.as_bytes(), token),
            Fact::EnrolmentRequested { enrolment } => {
                change(&self.tables[Table::Tokens], enrolment.token.as_bytes(), |token: &mut EnrolToken| {
                    token.uses_left = token.uses_left.saturating_sub(1);
                })?;
                put(&self.tables[Table::Enrolments], enrolment.id.as_bytes(), enrolment)
            }
            Fact::DeviceApproved { enrolment, device, .. } => {
                self.approved(*enrolment, device.id)?;
                self.add(device)
            }
            Fact::DeviceAdded { device, .. } => self.add(device),
            Fact::UploadTokenIssued { device, token, .. } => {
                self.tables[Table::UploadTokens].insert(token.hash.as_bytes(), device.as_bytes())?;
                change(&self.tables[Table::Devices], device.as_bytes(), |device: &mut Device| {
                    device.upload_tokens.push(token.clone())
                })
            }
            Fact::UploadTokenRevoked { device, token, .. } => self.revoke(*device, *token),
            Fact::EnrolmentSuperseded { enrolment } => {
                change(&self.tables[Table::Enrolments], enrolment.as_bytes(), |enrolment: &mut Enrolment| {
                    enrolment.state = EnrolmentState::Superseded;
                })
            }
            Fact::DeviceActivated { device } => self.change_state(*device, DeviceState::Active),
            Fact::DeviceReinstated { device, .. } => {
                change(&self.tables[Table::Devices], device.as_bytes(), |device: &mut Device| {
                    (device.state, device.replaced_by) = (DeviceState::Active, None);
                })
            }
            Fact::DeviceSuspended { device, .. } => self.change_state(*device, DeviceState::Suspended),
            Fact::DeviceRetired { device, .. } => self.change_state(*device, DeviceState::Retired),
            Fact::DeviceReenrolled { enrolment, device: id, key, .. } => {
                self.approved(*enrolment, *id)?;
                let before = get::<Device>(&self.tables[Table::Devices], id.as_bytes())?.and_then(|device| device.key);
                if let Some(before) = before {
                    self.tables[Table::Keys].remove(before.as_bytes())?;
                }
                self.tables[Table::Keys].insert(key.as_bytes(), id.as_bytes())?;
                change(&self.tables[Table::Devices], id.as_bytes(), |device: &mut Device| device.key = Some(*key))
            }
            Fact::People(fact) => self.apply_people(entry, fact),
            Fact::Declared { device, items } => items.iter().try_for_each(|item| {
                self.in_custody(entry, *device, item.rid, Step::Declared { size: item.size, sha256: item.sha256 })?;
                self.declare(*device, item)
            }),
            Fact::Conflicted { device, rid, declared, .. } => {
                self.in_custody(entry, *device, *rid, Step::Conflicted { declared: *declared })?;
                self.note_transfer(entry, *device, TransferWhat::Conflicted { rid: *rid })
            }
            // What comes wrong, or is wrong again and again once it is here, has to wait after some times.
            Fact::Mismatched { device, rid, .. } | Fact::Storage(StorageFact::Altered { device, rid, .. }) => {
                if let Some(step) = Step::refused(&entry.fact) {
                    self.in_custody(entry, *device, *rid, step)?;
                }
                change(&self.tables[Table::Declared], &recording_key(*device, *rid), |row: &mut DeclaredRow| {
                    row.mismatches += 1;
                    row.last_mismatch = Some(entry.at);
                })?;
                self.note_transfer(entry, *device, TransferWhat::Mismatched { rid: *rid })
            }
            Fact::Expired { device, upload, rid } => {
                if let Some(rid) = rid {
                    self.in_custody(entry, *device, *rid, Step::Expired { upload: *upload })?;
                }
                self.tables[Table::Expired].insert(upload.as_bytes(), device.as_bytes())?;
                self.note_transfer(entry, *device, TransferWhat::Expired)
            }
            Fact::Stored { manifest } => {
                let recording = read_manifest(manifest.as_bytes()).map_err(abort)?.recording;
                let key = revision_key(recording.device, recording.rid, recording.revision);
                self.count_in_session(&recording, entry.at)?;
                let stored = Step::Stored { revision: recording.revision };
                self.in_custody(entry, recording.device, recording.rid, stored)?;
                self.tables[Table::Stored].insert(key.as_slice(), manifest.as_bytes())?;
                self.tables[Table::Uploads].insert(recording.upload.as_bytes(), key)?;
                self.is_safe(recording.device, recording.rid)?;
                let Recording { device, rid, revision, .. } = recording;
                self.tell_news(entry, News::Stored { device, rid, revision })?;
                self.lay(&recording)?;
                let (rid, revision, bytes) = (recording.rid, recording.revision, recording.size);
                self.count_stored(entry.at, bytes)?;
                self.note_transfer(entry, recording.device, TransferWhat::Stored { rid, revision, bytes })
            }
            Fact::Deleted { device, rid, revision, deleted_at } => {
                let (revision, deleted_at) = (*revision, *deleted_at);
                self.in_custody(entry, *device, *rid, Step::Deleted { revision, deleted_at })?;
                put(&self.tables[Table::Deleted], &revision_key(*device, *rid, revision), &deleted_at)
            }
            Fact::Request(fact) => self.apply_request(entry, fact),
            Fact::Report(fact) => self.apply_report(entry, fact),
            Fact::Profile(fact) => self.apply_profile(fact, entry.at),
            Fact::Session(fact) => self.apply_session(fact),
            Fact::Outbox(fact) => self.apply_outbox(entry, fact),
            Fact::Health(fact) => self.apply_health(entry, fact),
            Fact::Digest(fact) => self.apply_digest(entry, fact),
            Fact::Custody(fact) => self.apply_custody(entry, fact),
        }
    }
}

impl Rows {
    fn approved(&self, enrolment: EnrolmentId, device: DeviceId) -> Applied<()> {
        change(&self.tables[Table::Enrolments], enrolment.as_bytes(), |enrolment: &mut Enrolment| {
            enrolment.state = EnrolmentState::Approved;
            enrolment.device = Some(device);
        })
    }

    fn add(&self, device: &Device) -> Applied<()> {
        put(&self.tables[Table::Devices], device.id.as_bytes(), device)?;
        if let Some(key) = device.key {
            self.tables[Table::Keys].insert(key.as_bytes(), device.id.as_bytes())?;
        }
        self.tables[Table::Serials].insert(device.serial.as_bytes(), device.id.as_bytes())?;
        Ok(())
    }

    fn revoke(&self, id: DeviceId, token: TokenId) -> Applied<()> {
        let Some(device) = get::<Device>(&self.tables[Table::Devices], id.as_bytes())? else { return Ok(()) };
        let (revoked, kept) = device.upload_tokens.into_iter().partition(|known| known.id == token);
        let revoked: Vec<UploadToken> = revoked;
        for token in revoked {
            self.tables[Table::UploadTokens].remove(token.hash.as_bytes())?;
        }
        change(&self.tables[Table::Devices], id.as_bytes(), |device: &mut Device| device.upload_tokens = kept.clone())
    }

    fn declare(&self, device: DeviceId, item: &Declared) -> Applied<()> {
        let key = recording_key(device, item.rid);
        // A failing card gives another checksum each time it is asked; the count of failures goes on.
        let before: Option<DeclaredRow> = get(&self.tables[Table::Declared], &key)?;
        let (mismatches, last_mismatch) = before.map_or((0, None), |before| (before.mismatches, before.last_mismatch));
        put(&self.tables[Table::Declared], &key, &DeclaredRow { declared: item.clone(), mismatches, last_mismatch })?;
        self.declare_endangered(device, item)
    }

    pub(super) fn change_state(&self, device: DeviceId, state: DeviceState) -> Applied<()> {
        change(&self.tables[Table::Devices], device.as_bytes(), |device: &mut Device| device.state = state)
    }
}

/// Changes a row; without one, nothing.
pub(super) fn change<T: Serialize + DeserializeOwned>(
    tree: &TransactionalTree,
    key: &[u8],
    f: impl FnOnce(&mut T),
) -> Applied<()> {
    let Some(mut row) = get(tree, key)? else { return Ok(()) };
    f(&mut row);
    put(tree, key, &row)
}

pub(super) fn put<T: Serialize>(tree: &TransactionalTree, key: &[u8], value: &T) -> Applied<()> {
    let json = serde_json::to_vec(value).map_err(|error| abort(IndexError::Damaged(error.to_string())))?;
    tree.insert(key, json)?;
    Ok(())
}

pub(super) fn get<T: DeserializeOwned>(tree: &TransactionalTree, key: &[u8]) -> Applied<Option<T>> {
    tree.get(key)?.map(|json| read(&json)).transpose().map_err(abort)
}

fn abort(error: IndexError) -> ConflictableTransactionError<IndexError> {
    ConflictableTransactionError::Abort(error)
}

/// Facts on their way from the journal into an index, in groups.
pub struct Applying<'a> {
    index: &'a Index,
    entries: Vec<Entry>,
    mark: Option<Mark>,
    facts: u64,
}

impl<'a> Applying<'a> {
    /// Nothing is on its way yet.
    pub fn to(index: &'a Index) -> Self {
        Self { index, entries: Vec::with_capacity(GROUP), mark: None, facts: 0 }
    }

    /// Takes one fact, with the place behind it. It is in the index at the latest after [`Self::finish`].
    ///
    /// # Errors
    /// [`JournalError::Replay`] with the [`IndexError`], as a replay wants it.
    pub fn take(&mut self, entry: Entry, mark: Mark) -> Result<(), JournalError> {
        self.entries.push(entry);
        self.mark = Some(mark);
        if self.entries.len() < GROUP {
            return Ok(());
        }
        self.finish().map(drop)
    }

    /// Brings in what is left. Returns how many facts were taken in all.
    ///
    /// # Errors
    /// As for [`Self::take`].
    pub fn finish(&mut self) -> Result<u64, JournalError> {
        if let Some(mark) = self.mark.take() {
            self.index.apply(&self.entries, &mark)?;
            self.facts += self.entries.len() as u64;
            self.entries.clear();
        }
        Ok(self.facts)
    }
}
