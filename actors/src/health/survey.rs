//! What the server sees when it looks at all devices: who did not call for days, whose model nobody knows, what will be
//! overwritten before it is here. Pure, but for reading the index.

use std::collections::{BTreeSet, HashSet};

use chrono::{DateTime, FixedOffset, TimeDelta, Utc};
use longshore_model::{Device, DeviceId, DeviceModels, DeviceState, UNKNOWN_MODEL, health_type};
use longshore_store::index::{Index, IndexError};

use super::listening::{self, Listening};
use super::notices::Notice;

/// What is overwritten within this time has to be brought in today.
const NEAR: TimeDelta = TimeDelta::days(1);
/// What did not come by so long after is lost: a device tells roughly when, and overwrites nothing while it is unloaded for a
/// night.
const LATE: TimeDelta = TimeDelta::hours(12);
/// What should have been overwritten longer ago is gone, or the device did not mean it.
const LONG_AGO: TimeDelta = TimeDelta::days(7);

/// Whether what a device offers, and so still holds, has to be brought in today.
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

/// What devices will overwrite soon, and what they have: of all of them, or of those for which it is an open issue.
pub(super) fn overwrites(index: &Index, all: bool, now: DateTime<Utc>) -> Result<Vec<(Notice, bool)>, IndexError> {
    let types = [health_type::OVERWRITE_NEAR, health_type::RECORDING_LOST];
    let open = index.open_issues()?.into_iter().filter(|issue| types.contains(&issue.kind.as_str()));
    let mut devices: BTreeSet<DeviceId> = open.filter_map(|issue| issue.subject.device()).collect();
    if all {
        devices.extend(index.endangered_devices()?);
    }
    let mut found = Vec::new();
    for id in devices {
        if index.device(id)?.is_some_and(|device| in_service(&device)) {
            let clock = index.clock(id)?;
            let truly = |at: DateTime<FixedOffset>| clock.to_true(at, None).unwrap_or_else(|| at.to_utc());
            let endangered = index.endangered_of(id)?.into_iter().map(truly);
            found.extend(Danger::of(endangered, now).notices(id));
        }
    }
    Ok(found)
}

/// What becomes of the recordings of a device that are not here.
#[derive(Debug, Default)]
struct Danger {
    /// Overwritten soon; when the first of them is.
    near: Counted,
    /// Overwritten not long ago.
    lost: Counted,
    /// Overwritten so long ago that nobody is told any more.
    forgotten: Counted,
}

#[derive(Debug, Default)]
struct Counted {
    recordings: u64,
    first: Option<DateTime<Utc>>,
}

impl Danger {
    fn of(overwritten_at: impl Iterator<Item = DateTime<Utc>>, now: DateTime<Utc>) -> Self {
        let mut danger = Self::default();
        for at in overwritten_at.filter(|at| *at < now + NEAR) {
            let counted = match now - at {
                since if since < LATE => &mut danger.near,
                since if since <= LONG_AGO => &mut danger.lost,
                _ => &mut danger.forgotten,
            };
            counted.recordings += 1;
            counted.first = Some(counted.first.map_or(at, |first| first.min(at)));
        }
        danger
    }

    /// Only what came is over: of what did not, the issue ends by itself.
    fn notices(self, device: DeviceId) -> Vec<(Notice, bool)> {
        let Self { near, lost, forgotten } = self;
        let is_near_over = near.recordings + lost.recordings == 0;
        let is_lost_over = lost.recordings + forgotten.recordings == 0;
        let of = |kind, what: &str, Counted { recordings, first }: Counted, is_over: bool| {
            let notice = Notice::of_device(device, kind).value(recordings);
            let told = first.map(|first| format!("the first {what} {}", first.format("%Y-%m-%d %H:%M UTC")));
            let notice = told.map_or(notice.clone(), |told| notice.text(told));
            (recordings > 0 || is_over).then_some((notice, recordings > 0))
        };
        let near = of(health_type::OVERWRITE_NEAR, "is overwritten at", near, is_near_over);
        let lost = of(health_type::RECORDING_LOST, "was to be overwritten at", lost, is_lost_over);
        near.into_iter().chain(lost).collect()
    }
}

/// A suspended device hands over what it holds too, and what a retired one holds nobody gets.
fn in_service(device: &Device) -> bool {
    matches!(device.state, DeviceState::Approved | DeviceState::Active | DeviceState::Suspended)
}
