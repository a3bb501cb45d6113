//! Requests as people see them: read from the index, with what is known of their devices.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use longshore_model::{Declared, Device, DeviceClock, DeviceId, VideoRequest};
use longshore_store::index::{Index, IndexError, RequestRow, Target};
use serde::{Deserialize, Serialize};

use super::queue::{self, Coverage};
use super::standing::{Circumstances, Standing, standing};
use crate::sessions::stored_as;

/// A request, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RequestView {
    /// What is asked for.
    #[serde(flatten)]
    pub request: VideoRequest,
    /// How it stands with each device.
    pub targets: Vec<TargetView>,
}

/// How a request stands with one device, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TargetView {
    /// Serial of the device.
    pub serial: String,
    /// Where it stands, and why.
    #[serde(flatten)]
    pub standing: Standing,
    /// Whether the device is connected.
    pub connected: bool,
    /// When it was connected last, if it is not now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<DateTime<Utc>>,
    /// When it will overwrite the first of what is still to come, by its own guess.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overwrites_at: Option<DateTime<Utc>>,
    /// What of the range is in the store, by camera.
    pub coverage: Vec<Coverage>,
}

/// Looks requests up; what is known of a device is read once.
pub(crate) struct Views<'a> {
    index: &'a Index,
    connected: &'a HashSet<DeviceId>,
    now: DateTime<Utc>,
    devices: HashMap<DeviceId, Option<Known>>,
}

struct Known {
    device: Device,
    clock: DeviceClock,
    /// When it was last connected, as far as the journal knows.
    heard: Option<DateTime<Utc>>,
    /// What it declared and does not have in the store, with the times at which it is overwritten.
    waits: Option<Vec<(Declared, DateTime<Utc>)>>,
}

impl<'a> Views<'a> {
    pub(crate) fn new(index: &'a Index, connected: &'a HashSet<DeviceId>, now: DateTime<Utc>) -> Self {
        Self { index, connected, now, devices: HashMap::new() }
    }

    pub(crate) fn of(&mut self, row: &RequestRow) -> Result<RequestView, IndexError> {
        let mut targets = Vec::with_capacity(row.targets.len());
        for target in &row.targets {
            targets.extend(self.target(row, target)?);
        }
        Ok(RequestView { request: row.request.clone(), targets })
    }

    fn target(&mut self, row: &RequestRow, target: &Target) -> Result<Option<TargetView>, IndexError> {
        let (id, request) = (target.device, &row.request);
        let mut stored = self.index.stored_within(id, request.span)?;
        stored.retain(|lies| request.is_of_camera(&lies.camera));
        let coverage = queue::coverage(request, &stored);
        if !self.devices.contains_key(&id) {
            let known = self.look_up(id)?;
            self.devices.insert(id, known);
        }
        let is_open = row.closed.is_none() && target.ended.is_none();
        let Some(Some(known)) = self.devices.get_mut(&id) else { return Ok(None) };
        let overwrites_at = if is_open { known.overwrites(self.index, request)? } else { None };
        let connected = self.connected.contains(&id);
        let seen = known.heard.filter(|_| !connected);
        let circumstances = Circumstances {
            device: &known.device,
            connected,
            seen,
            says: target.says_of(known.clock.to_device(request.span)),
            coverage: &coverage,
            overwrites: overwrites_at,
            now: self.now,
        };
        Ok(Some(TargetView {
            serial: known.device.serial.clone(),
            standing: standing(row, target, &circumstances),
            connected,
            last_seen: seen,
            overwrites_at,
            coverage,
        }))
    }

    fn look_up(&self, id: DeviceId) -> Result<Option<Known>, IndexError> {
        let Some(device) = self.index.device(id)? else { return Ok(None) };
        let clock = self.index.clock(id)?;
        let heard = self.index.last_connected(id)?;
        Ok(Some(Known { device, clock, heard, waits: None }))
    }
}

impl Known {
    /// When the device will overwrite the first of what it holds for this request.
    fn overwrites(&mut self, index: &Index, request: &VideoRequest) -> Result<Option<DateTime<Utc>>, IndexError> {
        let device = self.device.id;
        let waits = match &mut self.waits {
            Some(waits) => waits,
            none => none.insert(waiting(index, device, &self.clock)?),
        };
        let asked = waits.iter().filter(|(declared, _)| {
            let lies_in = declared.span(&self.clock).is_some_and(|span| span.overlaps(&request.span));
            request.is_of_camera(&declared.camera) && (lies_in || declared.request == Some(request.id))
        });
        Ok(asked.map(|(_, at)| *at).min())
    }
}

fn waiting(index: &Index, device: DeviceId, clock: &DeviceClock) -> Result<Vec<(Declared, DateTime<Utc>)>, IndexError> {
    let mut waiting = Vec::new();
    for row in index.declared_of(device)? {
        let declared = row.declared;
        let Some(at) = declared.overwrites(clock) else { continue };
        if stored_as(&declared, &index.stored(device, declared.rid)?).is_none() {
            waiting.push((declared, at));
        }
    }
    Ok(waiting)
}
