//! Which recordings somebody wants to be given.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use longshore_model::{DeviceId, Recording, RecordingId, RequestId, VideoRequest};
use longshore_store::index::{Index, IndexError};
use longshore_store::manifest::Manifest;

/// Recordings of one export: each is a file to copy and a line to find, and somebody has to look through them.
const RECORDINGS: usize = 10_000;
/// Rows of the index that are in memory at once.
const ROWS: usize = 256;

/// Which recordings are wanted; all that is said has to be so.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection {
    /// These.
    pub recordings: Vec<RecordingId>,
    /// What came for this request for footage.
    pub request: Option<RequestId>,
    /// Of the devices with these serials.
    pub serials: Vec<String>,
    /// Of whom the device belonged to then.
    pub assignee: Option<String>,
    /// What was recorded at this time or later.
    pub from: Option<DateTime<Utc>>,
    /// What was recorded before this time.
    pub until: Option<DateTime<Utc>>,
}

/// Why nothing is given out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExportRefused {
    /// Nothing says which.
    #[error("say which recordings: by their ids, a request, a device, an assignee or a time")]
    NoSelection,
    /// None is like that.
    #[error("no stored recording is like that; `longshore recordings list` shows which are")]
    Nothing,
    /// One of the named ones is not stored.
    #[error("no recording with the id {0} is stored; `longshore recordings list` shows which are")]
    UnknownRecording(RecordingId),
    /// Nobody made that request.
    #[error("no request {0} is known; `longshore request list` shows which are")]
    UnknownRequest(RequestId),
    /// No device has that serial.
    #[error("no device with the serial {0} is known; `longshore device list` shows which are")]
    UnknownDevice(String),
    /// It ends before it begins.
    #[error("the time ends before it begins")]
    Inverted,
    /// More than anybody looks through.
    #[error("more than {RECORDINGS} recordings are like that; narrow it down, or make several exports")]
    TooMany,
}

impl Selection {
    /// The stored recordings that are wanted, by device and start.
    pub(crate) fn find(&self, index: &Index) -> Result<Result<Vec<Manifest>, ExportRefused>, IndexError> {
        if *self == Self::default() {
            return Ok(Err(ExportRefused::NoSelection));
        }
        if self.from.zip(self.until).is_some_and(|(from, until)| until <= from) {
            return Ok(Err(ExportRefused::Inverted));
        }
        let request = match self.request {
            None => None,
            Some(id) => match index.request(id)? {
                Some(row) => Some(row.request),
                None => return Ok(Err(ExportRefused::UnknownRequest(id))),
            },
        };
        let mut devices = BTreeSet::new();
        for serial in &self.serials {
            match index.device_by_serial(serial)? {
                Some(device) => drop(devices.insert(device.id)),
                None => return Ok(Err(ExportRefused::UnknownDevice(serial.clone()))),
            }
        }
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let rows = index.stored_after(after, ROWS)?;
            if rows.is_empty() {
                break;
            }
            for (id, text) in rows {
                let manifest = Manifest::parse(&text).map_err(|error| IndexError::Damaged(error.to_string()))?;
                after = Some(id);
                if self.takes(&manifest.recording, &devices, request.as_ref()) {
                    found.push(manifest);
                }
                if found.len() > RECORDINGS {
                    return Ok(Err(ExportRefused::TooMany));
                }
            }
        }
        let lacking = |rid: &&RecordingId| !found.iter().any(|manifest| manifest.recording.rid == **rid);
        Ok(match self.recordings.iter().find(lacking) {
            Some(rid) => Err(ExportRefused::UnknownRecording(*rid)),
            None if found.is_empty() => Err(ExportRefused::Nothing),
            None => Ok(found),
        })
    }

    fn takes(&self, recording: &Recording, devices: &BTreeSet<DeviceId>, request: Option<&VideoRequest>) -> bool {
        let named = self.recordings.is_empty() || self.recordings.contains(&recording.rid);
        let of_device = self.serials.is_empty() || devices.contains(&recording.device);
        let of_assignee = self.assignee.is_none() || recording.assignee == self.assignee;
        let asked = request.is_none_or(|request| {
            request.devices.contains(&recording.device)
                && request.is_of_camera(&recording.camera)
                && within(recording, Some(request.span.from), Some(request.span.to))
        });
        named && of_device && of_assignee && asked && within(recording, self.from, self.until)
    }
}

/// Whether any of it lies in that time; one whose time nobody knows lies in none.
fn within(recording: &Recording, from: Option<DateTime<Utc>>, until: Option<DateTime<Utc>>) -> bool {
    if from.is_none() && until.is_none() {
        return true;
    }
    recording.when().is_some_and(|(start, end)| {
        from.is_none_or(|from| end.unwrap_or(start).max(start) >= from) && until.is_none_or(|until| start < until)
    })
}
