//! Requests for footage, and where in time the recordings lie that may answer them.

use chrono::{DateTime, FixedOffset, Utc};
use longshore_model::{DeviceId, Holds, Outcome, Recording, RequestId, Span, VideoRequest};
use serde::{Deserialize, Serialize};

use super::apply::{Applied, Rows, change, get, put};
use super::digests::TransferWhat;
use super::news::News;
use super::tables::Table;
use super::{Index, IndexError, read, read_manifest, revision_key};
use crate::facts::{Entry, RequestFact};
use crate::manifest::Manifest;

/// A request with what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestRow {
    /// What is asked for.
    pub request: VideoRequest,
    /// Whether it was given up as a whole.
    pub closed: Option<Closed>,
    /// How it stands with each of its devices, in the order in which they were asked for.
    pub targets: Vec<Target>,
}

/// Why a request is over before all its devices are done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Closed {
    /// Somebody does not want it any more.
    Cancelled {
        /// When.
        at: DateTime<Utc>,
        /// Who.
        by: String,
    },
    /// Its time is over.
    Expired {
        /// When.
        at: DateTime<Utc>,
    },
}

/// How a request stands with one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Which device.
    pub device: DeviceId,
    /// When it was given the request first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handed_over: Option<DateTime<Utc>>,
    /// What it says of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<Told>,
    /// How it ended, and when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<(Outcome, DateTime<Utc>)>,
}

/// What a device says of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// How much of it is still there.
    pub holds: Holds,
    /// What of its range the device holds or held.
    pub ranges: Vec<Span>,
    /// The range that it was asked for, by its own clock as it was known then.
    pub asked: (DateTime<FixedOffset>, DateTime<FixedOffset>),
}

/// Where a stored recording lies in true time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lies {
    /// Which of the device's cameras.
    pub camera: String,
    /// Its start.
    pub from: DateTime<Utc>,
    /// Its end, if it is known.
    pub to: Option<DateTime<Utc>>,
}

#[derive(Serialize, Deserialize)]
struct Head {
    request: VideoRequest,
    closed: Option<Closed>,
}

/// Bytes of a key of [`time_key`]; behind them stands the key of `Stored`.
const TIME_KEY_BYTES: usize = 24;
/// No recording that is found by its time is longer.
const LONGEST_RECORDING: chrono::TimeDelta = chrono::TimeDelta::days(1);

impl RequestRow {
    /// Whether anything is still to come.
    pub fn is_open(&self) -> bool {
        self.closed.is_none() && self.targets.iter().any(|target| target.ended.is_none())
    }
}

impl Index {
    /// The request with this id.
    ///
    /// # Errors
    /// [`IndexError`]; so for all that follow.
    pub fn request(&self, id: RequestId) -> Result<Option<RequestRow>, IndexError> {
        let head = self.tables[Table::Requests].get(id.as_bytes())?;
        head.map(|head| self.request_row(&head)).transpose()
    }

    fn request_row(&self, head: &[u8]) -> Result<RequestRow, IndexError> {
        let Head { request, closed } = read(head)?;
        let target = |device: &DeviceId| {
            let row = self.tables[Table::RequestTargets].get(target_key(request.id, *device))?;
            row.map_or_else(|| Ok(Target::new(*device)), |row| read(&row))
        };
        let targets = request.devices.iter().map(target).collect::<Result<_, IndexError>>()?;
        Ok(RequestRow { request, closed, targets })
    }

    /// The request that a client made with this key.
    pub fn request_by_key(&self, key: &str) -> Result<Option<RequestRow>, IndexError> {
        let id = self.tables[Table::RequestKeys].get(key.as_bytes())?;
        let Some(head) = id.map(|id| self.tables[Table::Requests].get(id)).transpose()?.flatten() else {
            return Ok(None);
        };
        self.request_row(&head).map(Some)
    }

    /// The requests that were made last, the newest first, and all older ones of which something is still to come.
    pub fn newest_requests(&self, most: usize) -> Result<Vec<RequestRow>, IndexError> {
        let newest = self.tables[Table::Requests].iter().rev().take(most);
        let mut rows: Vec<_> = newest.map(|row| self.request_row(&row?.1)).collect::<Result<_, IndexError>>()?;
        if rows.len() == most {
            let mut older = self.open_requests()?;
            older.retain(|open| rows.iter().all(|row| row.request.id != open.request.id));
            rows.extend(older.into_iter().rev());
        }
        Ok(rows)
    }

    /// All requests of which something is still to come, the oldest first.
    pub fn open_requests(&self) -> Result<Vec<RequestRow>, IndexError> {
        let mut ids = Vec::new();
        for key in self.tables[Table::OpenRequests].iter().keys() {
            ids.extend(request_of(&key?));
        }
        ids.sort_unstable();
        ids.dedup();
        ids.into_iter().filter_map(|id| self.request(id).transpose()).collect()
    }

    /// What is still to come from this device, the oldest request first, with how it stands with it.
    pub fn open_requests_of(&self, device: DeviceId) -> Result<Vec<(VideoRequest, Target)>, IndexError> {
        let mut open = Vec::new();
        for key in self.tables[Table::OpenRequests].scan_prefix(device.as_bytes()).keys() {
            let Some(id) = request_of(&key?) else { continue };
            let Some(head) = self.tables[Table::Requests].get(id.as_bytes())? else { continue };
            let target = self.tables[Table::RequestTargets].get(target_key(id, device))?;
            let target = target.map_or_else(|| Ok(Target::new(device)), |row| read(&row))?;
            open.push((read::<Head>(&head)?.request, target));
        }
        Ok(open)
    }

    /// Requests of which somebody is to be told more, the oldest first, and whether they know that it was taken.
    pub fn unannounced_requests(&self) -> Result<Vec<(RequestRow, bool)>, IndexError> {
        let mut unannounced = Vec::new();
        for row in &self.tables[Table::Unannounced] {
            let (id, knows) = row?;
            if let Some(head) = self.tables[Table::Requests].get(id)? {
                unannounced.push((self.request_row(&head)?, read(&knows)?));
            }
        }
        Ok(unannounced)
    }

    /// The stored recordings of a device that may have a moment in common with `span`, by start.
    pub fn stored_within(&self, device: DeviceId, span: Span) -> Result<Vec<Lies>, IndexError> {
        let first = span.from.checked_sub_signed(LONGEST_RECORDING).unwrap_or(span.from);
        let (first, last) = (time_key(device, first), time_key(device, span.to));
        let mut found = Vec::new();
        for row in self.tables[Table::StoredTimes].range(first..last) {
            let lies: Lies = read(&row?.1)?;
            if Span::of(lies.from, lies.to).overlaps(&span) {
                found.push(lies);
            }
        }
        Ok(found)
    }
}

impl Index {
    /// What is stored of a device in true time that may have a moment in common with `span`, by start; not more than `most`.
    pub fn manifests_within(&self, device: DeviceId, span: Span, most: usize) -> Result<Vec<Manifest>, IndexError> {
        let first = span.from.checked_sub_signed(LONGEST_RECORDING).unwrap_or(span.from);
        let (first, last) = (time_key(device, first), time_key(device, span.to));
        let mut found = Vec::new();
        for row in self.tables[Table::StoredTimes].range(first..last) {
            let (key, lies) = row?;
            let lies: Lies = read(&lies)?;
            let stored = key.get(TIME_KEY_BYTES..).unwrap_or_default();
            if Span::of(lies.from, lies.to).overlaps(&span)
                && let Some(text) = self.tables[Table::Stored].get(stored)?
            {
                found.push(read_manifest(&text)?);
                if found.len() == most {
                    break;
                }
            }
        }
        Ok(found)
    }
}

impl Target {
    fn new(device: DeviceId) -> Self {
        Self { device, handed_over: None, told: None, ended: None }
    }

    /// What the device said last of how much it holds. That it has no more counts only if it looked for what is `asked` now: its
    /// clock may have turned out to go otherwise.
    pub fn says_of(&self, asked: (DateTime<FixedOffset>, DateTime<FixedOffset>)) -> Option<Holds> {
        let told = self.told.as_ref()?;
        (!told.holds.is_last() || told.asked == asked).then_some(told.holds)
    }
}

impl Rows {
    pub(super) fn apply_request(&self, entry: &Entry, fact: &RequestFact) -> Applied<()> {
        match fact {
            RequestFact::Added { request } => self.add_request(request),
            RequestFact::HandedOver { request, device } => {
                self.change_target(*request, *device, |target| target.handed_over = Some(entry.at))
            }
            RequestFact::Told { request, device, holds, ranges, asked } => {
                let told = Told { holds: *holds, ranges: ranges.clone(), asked: *asked };
                self.change_target(*request, *device, |target| target.told = Some(told))
            }
            RequestFact::Finished { request, device, outcome } => {
                self.tables[Table::OpenRequests].remove(open_key(*device, *request))?;
                self.note_transfer(entry, *device, TransferWhat::Answered { request: *request, outcome: *outcome })?;
                self.change_target(*request, *device, |target| target.ended = Some((*outcome, entry.at)))?;
                self.tell_if_over(entry, *request)
            }
            RequestFact::Cancelled { request, by } => {
                self.close(entry, *request, Closed::Cancelled { at: entry.at, by: by.clone() })
            }
            RequestFact::Announced { request, over: false } => {
                put(&self.tables[Table::Unannounced], request.as_bytes(), &true)
            }
            RequestFact::Announced { request, over: true } => {
                self.tables[Table::Unannounced].remove(request.as_bytes().as_slice())?;
                Ok(())
            }
            RequestFact::Expired { request } => {
                self.note_unanswered(entry, *request)?;
                self.close(entry, *request, Closed::Expired { at: entry.at })
            }
        }
    }

    fn add_request(&self, request: &VideoRequest) -> Applied<()> {
        put(&self.tables[Table::Requests], request.id.as_bytes(), &Head { request: request.clone(), closed: None })?;
        if let Some(key) = &request.key {
            self.tables[Table::RequestKeys].insert(key.as_bytes(), request.id.as_bytes())?;
        }
        if !request.notify.is_empty() {
            put(&self.tables[Table::Unannounced], request.id.as_bytes(), &false)?;
        }
        for device in &request.devices {
            self.tables[Table::OpenRequests].insert(open_key(*device, request.id), b"".as_slice())?;
            put(&self.tables[Table::RequestTargets], &target_key(request.id, *device), &Target::new(*device))?;
        }
        Ok(())
    }

    /// Of the devices from which something was still to come.
    fn note_unanswered(&self, entry: &Entry, id: RequestId) -> Applied<()> {
        let head = get::<Head>(&self.tables[Table::Requests], id.as_bytes())?;
        for device in head.map(|head| head.request.devices).unwrap_or_default() {
            if self.tables[Table::OpenRequests].get(open_key(device, id))?.is_some() {
                self.note_transfer(entry, device, TransferWhat::Unanswered { request: id })?;
            }
        }
        Ok(())
    }

    fn change_target(&self, request: RequestId, device: DeviceId, f: impl FnOnce(&mut Target)) -> Applied<()> {
        change(&self.tables[Table::RequestTargets], &target_key(request, device), f)
    }

    /// Webhooks hear of a request when its last device is done with it.
    fn tell_if_over(&self, entry: &Entry, id: RequestId) -> Applied<()> {
        let Some(head) = get::<Head>(&self.tables[Table::Requests], id.as_bytes())? else { return Ok(()) };
        for device in &head.request.devices {
            let target: Option<Target> = get(&self.tables[Table::RequestTargets], &target_key(id, *device))?;
            if target.is_none_or(|target| target.ended.is_none()) {
                return Ok(());
            }
        }
        if head.closed.is_none() { self.tell_news(entry, News::RequestOver { request: id }) } else { Ok(()) }
    }

    fn close(&self, entry: &Entry, id: RequestId, closed: Closed) -> Applied<()> {
        let Some(mut head) = get::<Head>(&self.tables[Table::Requests], id.as_bytes())? else { return Ok(()) };
        for device in &head.request.devices {
            self.tables[Table::OpenRequests].remove(open_key(*device, id))?;
        }
        if head.closed.is_none() {
            head.closed = Some(closed);
            self.tell_news(entry, News::RequestOver { request: id })?;
        }
        put(&self.tables[Table::Requests], id.as_bytes(), &head)
    }

    /// Notes where a recording lies that came into the store.
    pub(super) fn lay(&self, recording: &Recording) -> Applied<()> {
        let Some((from, to)) = recording.when() else { return Ok(()) };
        let mut key = time_key(recording.device, from);
        key.extend(revision_key(recording.device, recording.rid, recording.revision));
        put(&self.tables[Table::StoredTimes], &key, &Lies { camera: recording.camera.clone(), from, to })
    }
}

fn target_key(request: RequestId, device: DeviceId) -> Vec<u8> {
    [request.as_bytes().as_slice(), device.as_bytes()].concat()
}

fn open_key(device: DeviceId, request: RequestId) -> Vec<u8> {
    [device.as_bytes().as_slice(), request.as_bytes()].concat()
}

fn request_of(open_key: &[u8]) -> Option<RequestId> {
    open_key.last_chunk().map(|id| RequestId::from_bytes(*id))
}

/// In the order of time, also before 1970: the sign's bit is turned round.
fn time_key(device: DeviceId, moment: DateTime<Utc>) -> Vec<u8> {
    let millis = moment.timestamp_millis().cast_unsigned() ^ (1 << 63);
    [device.as_bytes().as_slice(), &millis.to_be_bytes()].concat()
}
