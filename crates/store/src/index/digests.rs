//! Daily mails: which were made, where the next one goes on, and what those about transfers tell.

use std::ops::Range;

use chrono::{DateTime, Datelike as _, NaiveDate, Utc};
use longshore_model::{
    Device, DeviceId, DigestOf, Issue, IssueChange, IssueWhat, Outcome, Recording, RecordingId, RequestId,
};
use serde::{Deserialize, Serialize};

use super::apply::{Applied, Rows, change, get, put};
use super::tables::Table;
use super::{Index, IndexError, read, read_manifest, revision_key, values};
use crate::facts::{DigestFact, Entry, Window};

/// Where the windows of a digest go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DigestEnd {
    /// Which digest.
    pub digest: DigestOf,
    /// The last fact of its last window.
    pub until: u64,
    /// When that ended by the server's clock.
    pub to: DateTime<Utc>,
    /// The date of which one is planned and neither sent nor found to be empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<NaiveDate>,
}

/// The digest of a date.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DigestRow {
    /// Which digest.
    pub digest: DigestOf,
    /// Of which local date.
    pub date: NaiveDate,
    /// Dates before it of which none was made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missed: Vec<NaiveDate>,
    /// The time zone of that date (IANA).
    pub zone: String,
    /// Mail addresses.
    pub to: Vec<String>,
    /// Of what it tells.
    pub window: Window,
    /// What became of it.
    pub state: DigestState,
}

/// What became of the digest of a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DigestState {
    /// There is none: it was set up after the time of this date.
    Begun,
    /// It is to be made.
    Planned,
    /// It is with the mails that are to be sent.
    Sent,
    /// There was nothing to tell.
    Nothing,
}

/// Something that a digest of transfers tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferRow {
    /// When it happened.
    pub at: DateTime<Utc>,
    /// Of which device.
    pub device: DeviceId,
    /// Its home site then: whoever is moved in between is told of once all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// What happened.
    #[serde(flatten)]
    pub what: TransferWhat,
}

/// What happened to a transfer, or to a request for one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum TransferWhat {
    /// A recording came into the store.
    Stored {
        /// Which.
        rid: RecordingId,
        /// Which content of it.
        revision: u32,
        /// Its size.
        bytes: u64,
    },
    /// All of it came, and it was not what was declared.
    Mismatched {
        /// Which recording.
        rid: RecordingId,
    },
    /// Another content came under the id of one that is stored.
    Conflicted {
        /// Which recording.
        rid: RecordingId,
    },
    /// It came no further for so long that it was given up.
    Expired,
    /// There is no more to come of a request.
    Answered {
        /// Which request.
        request: RequestId,
        /// How it ended.
        outcome: Outcome,
    },
    /// The time of a request was over before there was.
    Unanswered {
        /// Which request.
        request: RequestId,
    },
}

/// Something that a digest of health tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthRow {
    /// To which issue it happened.
    pub issue: u64,
    /// Home site then of the device that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// What happened.
    pub what: HealthWhat,
}

/// What happened to an issue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthWhat {
    /// It began, or came back.
    Begun,
    /// It is still there.
    Seen,
    /// It ended.
    Ended,
}

/// What came into the store on one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredDay {
    /// Which day (UTC).
    pub date: NaiveDate,
    /// How many recordings.
    pub recordings: u64,
    /// Their size.
    pub bytes: u64,
}

impl Rows {
    /// Counts what came into the store, for what is foretold of it.
    pub(super) fn count_stored(&self, at: DateTime<Utc>, bytes: u64) -> Applied<()> {
        let (date, table) = (at.date_naive(), &self.tables[Table::StoredDays]);
        let day = get(table, &days(date))?.unwrap_or(StoredDay { date, recordings: 0, bytes: 0 });
        put(table, &days(date), &StoredDay { date, recordings: day.recordings + 1, bytes: day.bytes + bytes })
    }

    pub(super) fn apply_digest(&self, entry: &Entry, fact: &DigestFact) -> Applied<()> {
        match fact {
            DigestFact::Begun { digest, date } => {
                if let Some(date) = date {
                    let window = Window { after: entry.seq, until: entry.seq, from: entry.at, to: entry.at };
                    let row = DigestRow {
                        digest: digest.clone(),
                        date: *date,
                        missed: Vec::new(),
                        zone: String::new(),
                        to: Vec::new(),
                        window,
                        state: DigestState::Begun,
                    };
                    // One that was made before it was given up stays.
                    if self.tables[Table::Digests].get(date_key(digest, *date))?.is_none() {
                        put(&self.tables[Table::Digests], &date_key(digest, *date), &row)?;
                    }
                }
                self.end_window(digest, entry.seq, entry.at, None)
            }
            DigestFact::Planned { digest, date, missed, zone, to, window, .. } => {
                let row = DigestRow {
                    digest: digest.clone(),
                    date: *date,
                    missed: missed.clone(),
                    zone: zone.clone(),
                    to: to.clone(),
                    window: window.clone(),
                    state: DigestState::Planned,
                };
                put(&self.tables[Table::Digests], &date_key(digest, *date), &row)?;
                self.end_window(digest, window.until, window.to, Some(*date))
            }
            DigestFact::Sent { digest, date } => self.close_digest(digest, *date, DigestState::Sent),
            DigestFact::Nothing { digest, date } => self.close_digest(digest, *date, DigestState::Nothing),
            DigestFact::Ended { digest } => {
                self.tables[Table::DigestEnds].remove(key(digest))?;
                Ok(())
            }
        }
    }

    fn end_window(&self, digest: &DigestOf, until: u64, to: DateTime<Utc>, open: Option<NaiveDate>) -> Applied<()> {
        let end = DigestEnd { digest: digest.clone(), until, to, open };
        put(&self.tables[Table::DigestEnds], &key(digest), &end)
    }

    fn close_digest(&self, digest: &DigestOf, date: NaiveDate, state: DigestState) -> Applied<()> {
        change(&self.tables[Table::Digests], &date_key(digest, date), |row: &mut DigestRow| row.state = state)?;
        change(&self.tables[Table::DigestEnds], &key(digest), |end: &mut DigestEnd| {
            end.open = end.open.filter(|open| *open != date);
        })
    }

    /// Notes what the next digests of health tell: the changes that one fact brings.
    pub(super) fn note_health(&self, entry: &Entry, issues: &[Issue], changes: &[IssueChange]) -> Applied<()> {
        for (number, change) in (0_u32..).zip(changes) {
            let what = match change.what {
                IssueWhat::Opened | IssueWhat::Reopened => HealthWhat::Begun,
                IssueWhat::Seen => HealthWhat::Seen,
                IssueWhat::Ended { .. } => HealthWhat::Ended,
                // People know what they did.
                IssueWhat::Silenced { .. } | IssueWhat::Ignored { .. } => continue,
            };
            let issue = issues.iter().find(|issue| issue.number == change.issue);
            let site = self.site_of(issue.and_then(|issue| issue.subject.device()))?;
            let key = [entry.seq.to_be_bytes().as_slice(), &number.to_be_bytes()].concat();
            put(&self.tables[Table::HealthNews], &key, &HealthRow { issue: change.issue, site, what })?;
        }
        Ok(())
    }

    fn site_of(&self, device: Option<DeviceId>) -> Applied<Option<String>> {
        let Some(device) = device else { return Ok(None) };
        Ok(get::<Device>(&self.tables[Table::Devices], device.as_bytes())?.and_then(|device| device.site))
    }

    /// Notes what the next digests of transfers tell.
    pub(super) fn note_transfer(&self, entry: &Entry, device: DeviceId, what: TransferWhat) -> Applied<()> {
        let site = self.site_of(Some(device))?;
        let key = [entry.seq.to_be_bytes().as_slice(), device.as_bytes()].concat();
        put(&self.tables[Table::TransferNews], &key, &TransferRow { at: entry.at, device, site, what })
    }
}

impl Index {
    /// The digests that are set up, each with where it goes on.
    ///
    /// # Errors
    /// [`IndexError`]; so for all that follow.
    pub fn digest_ends(&self) -> Result<Vec<DigestEnd>, IndexError> {
        values(self.tables[Table::DigestEnds].iter())
    }

    /// Where this digest goes on; `None`: it is not set up.
    pub fn digest_end(&self, digest: &DigestOf) -> Result<Option<DigestEnd>, IndexError> {
        super::get(&self.tables[Table::DigestEnds], &key(digest))
    }

    /// The digest of this date.
    pub fn digest(&self, digest: &DigestOf, date: NaiveDate) -> Result<Option<DigestRow>, IndexError> {
        super::get(&self.tables[Table::Digests], &date_key(digest, date))
    }

    /// The newest date up to this one of which the digest was made, or found to be empty.
    pub fn digest_until(&self, digest: &DigestOf, date: NaiveDate) -> Result<Option<NaiveDate>, IndexError> {
        let newest = self.tables[Table::Digests].range(key(digest)..=date_key(digest, date)).next_back();
        newest.map(|row| Ok(read::<DigestRow>(&row?.1)?.date)).transpose()
    }

    /// What came into the store on each day from the first to before the second; days on which nothing came have no row.
    pub fn stored_days(&self, from: NaiveDate, before: NaiveDate) -> Result<Vec<StoredDay>, IndexError> {
        values(self.tables[Table::StoredDays].range(days(from)..days(before).max(days(from))))
    }

    /// What a digest of transfers tells of the whole window, in the order of the journal.
    pub fn transfers_within(&self, window: &Window) -> Result<Vec<TransferRow>, IndexError> {
        values(self.tables[Table::TransferNews].range(places(window)))
    }

    /// What a digest of health tells of the whole window, likewise.
    pub fn health_within(&self, window: &Window) -> Result<Vec<HealthRow>, IndexError> {
        values(self.tables[Table::HealthNews].range(places(window)))
    }

    /// A content under the id of a recording.
    pub fn stored_as(
        &self,
        device: DeviceId,
        rid: RecordingId,
        revision: u32,
    ) -> Result<Option<Recording>, IndexError> {
        let manifest = self.tables[Table::Stored].get(revision_key(device, rid, revision))?;
        Ok(manifest.map(|text| read_manifest(&text)).transpose()?.map(|manifest| manifest.recording))
    }

    /// The last thing that happened to a transfer before `moment`, by its place in the journal; 0 if there is none.
    pub fn transfer_before(&self, moment: DateTime<Utc>) -> Result<u64, IndexError> {
        for row in self.tables[Table::TransferNews].iter().rev() {
            let (key, row) = row?;
            if read::<TransferRow>(&row)?.at < moment {
                return Ok(key.first_chunk().map_or(0, |seq| u64::from_be_bytes(*seq)));
            }
        }
        Ok(0)
    }
}

/// Keys of what lies in a window begin so.
fn places(window: &Window) -> Range<[u8; 8]> {
    let [first, end] = [window.after, window.until].map(|seq| seq.saturating_add(1).to_be_bytes());
    first..end.max(first)
}

/// Names have no control characters, and no site has an empty one.
fn key(digest: &DigestOf) -> Vec<u8> {
    let site = digest.site.as_deref().unwrap_or_default();
    [digest.kind.as_str().as_bytes(), &[0], site.as_bytes(), &[0]].concat()
}

/// In the order of the dates.
fn date_key(digest: &DigestOf, date: NaiveDate) -> Vec<u8> {
    [key(digest).as_slice(), &days(date)].concat()
}

/// In the order of the dates, also of those before the year 1: the sign's bit is turned round.
fn days(date: NaiveDate) -> [u8; 4] {
    (date.num_days_from_ce().cast_unsigned() ^ (1 << 31)).to_be_bytes()
}
