//! What there is to tell: from the rows of the index.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Days, NaiveDate, Utc};
use longshore_model::{Device, DeviceId, DigestOf, HealthTypes, Outcome, Recording};
use longshore_store::facts::Window;
use longshore_store::index::{HealthWhat, Index, IndexError, TransferRow, TransferWhat};
use longshore_store::verify::{Looked, Reconciled};

use super::compose::health::{HealthNews, needing};
use super::compose::transfer::{DeviceNews, FailedBy, Failure, File, RequestEnd, RequestNews, Storage, TransferNews};
use super::compose::{Checkpoints, DeviceName, Night};
use crate::health::{HealthViews, IssueView};

/// Full days whose mean says what comes on a day: two weeks, so that weekends count as much as they should.
const MEAN_OF: u64 = 14;

/// What a digest of transfers tells of this window, but for the storage.
pub(super) fn transfers(index: &Index, of: &DigestOf, window: &Window) -> Result<TransferNews, IndexError> {
    let mut names = Names { index, known: HashMap::new() };
    let mut devices: HashMap<DeviceId, Vec<File>> = HashMap::new();
    let mut news = TransferNews::default();
    for TransferRow { at, device, site, what } in index.transfers_within(window)? {
        if of.site.is_some() && site != of.site {
            continue;
        }
        let failed = match what {
            TransferWhat::Stored { rid, revision, .. } => {
                if let Some(recording) = index.stored_as(device, rid, revision)? {
                    devices.entry(device).or_default().push(file(recording));
                }
                None
            }
            TransferWhat::Mismatched { .. } => Some(FailedBy::Mismatch),
            TransferWhat::Conflicted { .. } => Some(FailedBy::Conflict),
            TransferWhat::Expired => Some(FailedBy::Expiry),
            TransferWhat::Answered { request, .. } | TransferWhat::Unanswered { request } => {
                if let Some(row) = index.request(request)? {
                    let ended = match what {
                        TransferWhat::Answered { outcome: Outcome::Done, .. } => RequestEnd::There,
                        TransferWhat::Answered { outcome: Outcome::Nothing, .. } => RequestEnd::Nothing,
                        _ => RequestEnd::Late,
                    };
                    let (requester, span) = (row.request.requester, row.request.span);
                    let device = names.of(device)?;
                    news.requests.push(RequestNews { at, device, requester, from: span.from, to: span.to, ended });
                }
                None
            }
        };
        if let Some(why) = failed {
            news.failures.push(Failure { at, device: names.of(device)?, why });
        }
    }
    for (device, files) in devices {
        news.devices.push(DeviceNews { name: names.of(device)?, files });
    }
    Ok(news)
}

/// What a digest of health tells of this window: how it is now, and what changed in it.
pub(super) fn health(
    index: &Index,
    types: &HealthTypes,
    of: &DigestOf,
    window: &Window,
    now: DateTime<Utc>,
) -> Result<HealthNews, IndexError> {
    let mut views = HealthViews::new(index, types, now);
    let (mut begun, mut ended, mut told) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for row in index.health_within(window)? {
        if of.site.is_some() && row.site != of.site {
            continue;
        }
        match row.what {
            HealthWhat::Begun => drop(begun.insert(row.issue)),
            HealthWhat::Ended => drop(ended.insert(row.issue)),
            HealthWhat::Seen => {}
        }
        told.insert(row.issue);
    }
    let open = open_issues(&mut views, index, of)?;
    let mut news = HealthNews { begun, ..HealthNews::default() };
    for number in told {
        let Some(issue) = index.issue(number)?.filter(|issue| !issue.is_muted(now)) else { continue };
        news.is_news = true;
        if !issue.is_open() && ended.contains(&number) {
            news.ended.push(views.of(&issue)?);
        }
    }
    news.open = open;
    Ok(news)
}

/// What the nightly looks at the store found, and the signed places of the journal, in this window.
pub(super) fn custody(index: &Index, window: &Window) -> Result<(Vec<Night>, Checkpoints), IndexError> {
    let nights = index.reconciliations_since(window.after)?.into_iter().filter(|night| night.seq <= window.until);
    let night = |Reconciled { reconciliation, .. }: Reconciled| {
        let Looked { expected, present, unverified, problems, problems_named, .. } = reconciliation.looked;
        let named = problems_named.into_iter().map(|problem| format!("{}: {}", problem.path, problem.text)).collect();
        Night { day: reconciliation.day, expected, present, unverified, problems, named }
    };
    let signed = index.checkpoints_since(window.after)?.into_iter().filter(|signed| signed.seq <= window.until);
    Ok((nights.map(night).collect(), Checkpoints(signed.map(|signed| signed.signed).collect())))
}

/// How many devices need attention.
pub(super) fn attention(
    index: &Index,
    types: &HealthTypes,
    of: &DigestOf,
    now: DateTime<Utc>,
) -> Result<usize, IndexError> {
    Ok(needing(&open_issues(&mut HealthViews::new(index, types, now), index, of)?, now))
}

fn open_issues(views: &mut HealthViews<'_>, index: &Index, of: &DigestOf) -> Result<Vec<IssueView>, IndexError> {
    let mut open = views.of_all(&index.open_issues()?)?;
    if of.site.is_some() {
        open.retain(|issue| issue.device.as_ref().is_some_and(|device| device.site == of.site));
    }
    Ok(open)
}

fn file(recording: Recording) -> File {
    let when = recording.when();
    // How long it is, a clock that is wrong says as well as one that is right.
    let length = recording.end.map(|end| end - recording.start);
    File {
        start: when.map(|(start, _)| start),
        duration: length,
        camera: recording.camera,
        kind: recording.kind,
        event_type: recording.event_type,
        bytes: recording.size,
    }
}

/// How long the room on the storage lasts, as far as the days before `today` (UTC) tell.
pub(super) fn storage(index: &Index, free: u64, today: NaiveDate) -> Result<Storage, IndexError> {
    let first = today.checked_sub_days(Days::new(MEAN_OF)).unwrap_or(today);
    let days = index.stored_days(first, today)?;
    let since = days.first().map(|day| today.signed_duration_since(day.date).num_days());
    let bytes: u64 = days.iter().map(|day| day.bytes).sum();
    let daily = since.and_then(|since| u64::try_from(since).ok()).and_then(|since| bytes.checked_div(since));
    Ok(Storage { free, daily })
}

/// How people know devices.
pub(super) struct Names<'a> {
    pub(super) index: &'a Index,
    pub(super) known: HashMap<DeviceId, DeviceName>,
}

impl Names<'_> {
    pub(super) fn of(&mut self, id: DeviceId) -> Result<DeviceName, IndexError> {
        if let Some(name) = self.known.get(&id) {
            return Ok(name.clone());
        }
        let name = self.index.device(id)?.map_or_else(|| stranger(id), named);
        self.known.insert(id, name.clone());
        Ok(name)
    }
}

fn named(device: Device) -> DeviceName {
    let assignee = device.assignments.into_iter().next_back().map(|last| last.assignee);
    DeviceName { assignee, model: device.model, serial: device.serial }
}

/// None of ours; the index has every device that anything is told of.
fn stranger(id: DeviceId) -> DeviceName {
    DeviceName { assignee: None, model: "device".to_owned(), serial: id.to_string() }
}
