use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use longshore_model::DeviceId;

/// When each device called last since the server started; kept over sessions that end. One entry a device that is enrolled.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen(Arc<Mutex<HashMap<DeviceId, DateTime<Utc>>>>);

impl Seen {
    /// It calls.
    pub(crate) fn note(&self, device: DeviceId, now: DateTime<Utc>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(device, now);
    }

    /// When it called last.
    pub(crate) fn last(&self, device: DeviceId) -> Option<DateTime<Utc>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&device).copied()
    }
}
