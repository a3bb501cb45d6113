//! What the server sees when it looks at all devices: who did not call for days, whose model nobody knows, what will be
//! overwritten before it is here. Pure, but for reading the index.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use longshore_model::{
    Device, DeviceId, DeviceModels, DeviceState, HealthSubject, IssueKey, Kind, UNKNOWN_MODEL, health_type,
};
use longshore_store::index::{DeclaredRow, Index, IndexError};

use super::listening::{self, Listening};
use super::notices::Notice;

/// What is overwritten within this time has to be brought in today.
const NEAR: TimeDelta = TimeDelta::days(1);
/// What should have been overwritten longer ago is gone, or the device did not mean it.
const LONG_AGO: TimeDelta = TimeDelta::days(7);

/// Whether what is overwritten at this moment has to be brought in today.
pub(crate) fn is_soon(overwritten_at: DateTime<Utc>, now: DateTime<Utc>) -> bool {
    (now - LONG_AGO..now + NEAR).contains(&overwritten_at)
}

/// What is known besides.
pub(super) struct Circumstances<'a> {
    pub(super) models: &'a DeviceModels,
    pub(super) connected: &'a HashSet<DeviceId>,
    /// A device that did not call for so long is offline.
    pub(super) offline_after: TimeDelta,
    pub(super) now: DateTime<Utc>,
}

/// What is so, and what is not, of every device in service.
pub(super) fn survey(index: &Index, known: &Circumstances<'_>) -> Result<Vec<(Notice, bool)>, IndexError> {
    let mut found = Vec::new();
    let checkpoints = index.newest_checkpoints(listening::DAYS)?;
    let listening = Listening::by(checkpoints.into_iter().map(|checkpoint| checkpoint.at), known.now);
    for device in index.devices()? {
        if !in_service(&device) {
            continue;
        }
        let silent = match known.connected.contains(&device.id) {
            true => TimeDelta::zero(),
            false => listening.since(index.last_connected(device.id)?.unwrap_or(device.approved_at), known.now),
        };
        let offline = Notice::of_device(device.id, health_type::LINK_OFFLINE).value(silent.num_days());
        found.push((offline, silent >= known.offline_after));
        let unknown = device.model == UNKNOWN_MODEL || known.models.get(&device.model).is_none();
        let model = Notice::of_device(device.id, health_type::MODEL_UNRECOGNISED).text(device.model);
        found.push((model, unknown));
    }
    Ok(found)
}

/// What devices will overwrite soon: of all of them, or of those for which it is an open issue.
pub(super) fn overwrites(index: &Index, all: bool, now: DateTime<Utc>) -> Result<Vec<(Notice, bool)>, IndexError> {
    let mut found = Vec::new();
    for device in index.devices()?.into_iter().filter(in_service) {
        let key = IssueKey {
            subject: HealthSubject::Device(device.id),
            kind: health_type::OVERWRITE_NEAR.to_owned(),
            part: None,
        };
        if !all && !index.issue_by_key(&key)?.is_some_and(|issue| issue.is_open()) {
            continue;
        }
        let (recordings, first) = overwritten_soon(index, device.id, now)?;
        let mut notice = Notice::of_device(device.id, health_type::OVERWRITE_NEAR).value(recordings);
        if let Some(first) = first {
            notice = notice.text(format!("the first is overwritten at {}", first.format("%Y-%m-%d %H:%M UTC")));
        }
        found.push((notice, recordings > 0));
    }
    Ok(found)
}

/// A suspended device hands over what it holds too, and what a retired one holds nobody gets.
fn in_service(device: &Device) -> bool {
    matches!(device.state, DeviceState::Approved | DeviceState::Active | DeviceState::Suspended)
}

fn overwritten_soon(
    index: &Index,
    device: DeviceId,
    now: DateTime<Utc>,
) -> Result<(u64, Option<DateTime<Utc>>), IndexError> {
    let clock = index.clock(device)?;
    let (mut recordings, mut first) = (0, None);
    for DeclaredRow { declared, .. } in index.declared_of(device)? {
        let wanted = declared.kind == Kind::Event || declared.request.is_some();
        let Some(at) = declared.overwrite_at.filter(|_| wanted) else { continue };
        let at = clock.to_true(at, None).unwrap_or_else(|| at.to_utc());
        if is_soon(at, now) && index.stored(device, declared.rid)?.is_empty() {
            recordings += 1;
            first = Some(first.map_or(at, |first: DateTime<Utc>| first.min(at)));
        }
    }
    Ok((recordings, first))
}
