//! Recordings that people want, that are not in the store, and of which their device says when it will overwrite them: kept apart,
//! so that nobody has to walk through all that devices ever declared.

use chrono::{DateTime, FixedOffset};
use longshore_model::{Declared, DeviceId, Kind, RecordingId};

use super::apply::{Applied, Rows, put};
use super::tables::Table;
use super::{Index, IndexError, read, recording_key, revision_key};

/// The first copy of a recording; there is no later one without it.
const FIRST: u32 = 1;

impl Index {
    /// When the device overwrites each of its own, by its clock.
    ///
    /// # Errors
    /// [`IndexError`]; so for what follows.
    pub fn endangered_of(&self, device: DeviceId) -> Result<Vec<DateTime<FixedOffset>>, IndexError> {
        self.tables[Table::Endangered].scan_prefix(device.as_bytes()).values().map(|row| read(&row?)).collect()
    }

    /// The devices that hold some.
    pub fn endangered_devices(&self) -> Result<Vec<DeviceId>, IndexError> {
        let mut devices = Vec::new();
        for key in self.tables[Table::Endangered].iter().keys() {
            devices.extend(key?.first_chunk().map(|id| DeviceId::from_bytes(*id)));
            devices.dedup();
        }
        Ok(devices)
    }
}

impl Rows {
    pub(super) fn declare_endangered(&self, device: DeviceId, item: &Declared) -> Applied<()> {
        let (table, key) = (&self.tables[Table::Endangered], recording_key(device, item.rid));
        let is_wanted = item.kind == Kind::Event || item.request.is_some();
        let is_stored = self.tables[Table::Stored].get(revision_key(device, item.rid, FIRST))?.is_some();
        match item.overwrite_at.filter(|_| is_wanted && !is_stored) {
            Some(at) => put(table, &key, &at),
            None => Ok(table.remove(key).map(drop)?),
        }
    }

    pub(super) fn is_safe(&self, device: DeviceId, rid: RecordingId) -> Applied<()> {
        Ok(self.tables[Table::Endangered].remove(recording_key(device, rid)).map(drop)?)
    }
}
