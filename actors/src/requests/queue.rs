//! What becomes of requests for footage. Pure: the same rows and the same time, the same answer.

use chrono::{DateTime, TimeDelta, Utc};
use longshore_model::{Declared, Device, DeviceClock, DeviceState, Holds, Outcome, RequestId, Span, VideoRequest};
use longshore_store::facts::{Fact, RequestFact};
use longshore_store::index::{Closed, Lies, RequestRow, Target, Told};
use serde::{Deserialize, Serialize};

use crate::mailer::MailAddress;

/// Requests of which something is still to come. More than people read, and few enough to be looked through at once.
const OPEN: usize = 1000;
/// The same of one device: its document stays small.
const OPEN_OF_DEVICE: usize = 64;
/// Devices of one request.
const DEVICES: usize = 100;
/// People who are told of one request.
const NOTIFIED: usize = 20;

/// What somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// By which a repeated call is known.
    pub key: Option<String>,
    /// Who asks.
    pub requester: String,
    /// Serials of the devices.
    pub serials: Vec<String>,
    /// Names of their cameras; empty: all.
    pub cameras: Vec<String>,
    /// From when.
    pub from: DateTime<Utc>,
    /// To when.
    pub to: DateTime<Utc>,
    /// 1 is the most urgent.
    pub priority: u8,
    /// What for.
    pub note: Option<String>,
    /// Who is told of it by mail.
    pub notify: Vec<MailAddress>,
    /// When it is given up, if not after [`VideoRequest::LIFE`].
    pub expires: Option<DateTime<Utc>>,
}

/// Why a request is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddRefused {
    /// From and to are the same moment.
    #[error("the range is empty: `from` and `to` are the same moment")]
    Empty,
    /// The range ends before it begins.
    #[error("the range ends before it begins: `from` has to be before `to`")]
    Inverted,
    /// More than anybody watches.
    #[error("the range is longer than {} days: ask for less, or make several requests", VideoRequest::LONGEST.num_days())]
    TooLong,
    /// No such priority.
    #[error("a priority is {} (most urgent) to {}", VideoRequest::MOST_URGENT, VideoRequest::LEAST_URGENT)]
    Priority,
    /// It would be over at once, or live too long.
    #[error("a request expires after now, and at most {} days from now", VideoRequest::LONGEST_LIFE.num_days())]
    Expiry,
    /// It would be over before it can be answered.
    #[error("the request expires before its range is over, and could never be answered: let it expire later than `to`")]
    TooEarly,
    /// None, or too many.
    #[error("a request is for 1 to {most} devices", most = DEVICES)]
    Devices,
    /// Too many.
    #[error("at most {most} people are told of a request", most = NOTIFIED)]
    Notified,
    /// Nobody knows it.
    #[error("no device with the serial {0} is known; `longshore device list` shows which are")]
    Unknown(String),
    /// It is out of service for good.
    #[error("{0} is retired and hands over nothing any more")]
    Retired(String),
    /// It only uploads.
    #[error("{0} uploads by itself with a token, and cannot be asked for anything")]
    CannotBeAsked(String),
    /// Another request has this key.
    #[error("the key was used for another request, {0}: choose another one")]
    KeyTaken(RequestId),
    /// The queue is full.
    #[error("{most} requests are open already: cancel some, or wait until some are done", most = OPEN)]
    TooManyOpen,
    /// The queue of one device is full.
    #[error("{most} requests are open for {0} already: cancel some, or wait until some are done", most = OPEN_OF_DEVICE)]
    TooManyOfDevice(String),
}

/// Why a request is not cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CancelRefused {
    /// There is none.
    #[error("there is no request {0}; `longshore request list` shows which there are")]
    Unknown(RequestId),
    /// Nothing is left of it to be cancelled.
    #[error("the request {0} is over")]
    Over(RequestId),
    /// Another's footage is not given up by whoever may only ask for their own.
    #[error("the request {0} was made by somebody else: ask them, a device admin or an admin to cancel it")]
    OfAnother(RequestId),
}

/// A request that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    /// As it is kept.
    pub request: VideoRequest,
    /// It was not there before.
    pub is_new: bool,
}

/// Rules that need no knowledge of anything else.
pub(super) fn check(draft: &Draft, now: DateTime<Utc>) -> Result<(), AddRefused> {
    let length = draft.to - draft.from;
    let expires = draft.expires.or_else(|| now.checked_add_signed(VideoRequest::LIFE)).unwrap_or(now);
    let life = expires - now;
    match () {
        () if length < TimeDelta::zero() => Err(AddRefused::Inverted),
        () if length.is_zero() => Err(AddRefused::Empty),
        () if length > VideoRequest::LONGEST => Err(AddRefused::TooLong),
        () if !(VideoRequest::MOST_URGENT..=VideoRequest::LEAST_URGENT).contains(&draft.priority) => {
            Err(AddRefused::Priority)
        }
        () if life <= TimeDelta::zero() || life > VideoRequest::LONGEST_LIFE => Err(AddRefused::Expiry),
        // Before a range is over nobody knows what there is of it.
        () if expires <= draft.to => Err(AddRefused::TooEarly),
        () if draft.notify.len() > NOTIFIED => Err(AddRefused::Notified),
        () if draft.serials.is_empty() || draft.serials.len() > DEVICES => Err(AddRefused::Devices),
        () => Ok(()),
    }
}

/// Takes a request of these devices. `by_key` is what its key was used for, `open` what waits. One that asks for the same as an
/// open one of the same requester is that one.
pub(super) fn add(
    draft: Draft,
    id: RequestId,
    devices: &[Device],
    by_key: Option<RequestRow>,
    open: &[RequestRow],
    now: DateTime<Utc>,
) -> Result<(Vec<Fact>, Added), AddRefused> {
    let Draft { key, requester, mut cameras, from, to, priority, note, notify, expires, .. } = draft;
    let mut ids: Vec<_> = devices.iter().map(|device| device.id).collect();
    ids.sort_unstable();
    ids.dedup();
    cameras.sort_unstable();
    cameras.dedup();
    let mut notify: Vec<_> = notify.into_iter().map(String::from).collect();
    notify.sort_unstable();
    notify.dedup();
    let expires = expires.unwrap_or_else(|| now.checked_add_signed(VideoRequest::LIFE).unwrap_or(now));
    let span = Span { from, to };
    let request = VideoRequest {
        id,
        key,
        requester,
        devices: ids,
        cameras,
        span,
        priority,
        note,
        notify,
        added_at: now,
        expires,
    };
    if let Some(known) = by_key {
        return match known.request.is_same(&request) {
            true => Ok((Vec::new(), Added { request: known.request, is_new: false })),
            false => Err(AddRefused::KeyTaken(known.request.id)),
        };
    }
    if let Some(same) = open.iter().find(|row| request.key.is_none() && row.request.is_same(&request)) {
        return Ok((Vec::new(), Added { request: same.request.clone(), is_new: false }));
    }
    for device in devices {
        if device.state == DeviceState::Retired {
            return Err(AddRefused::Retired(device.serial.clone()));
        }
        if device.key.is_none() {
            return Err(AddRefused::CannotBeAsked(device.serial.clone()));
        }
        let waits =
            |row: &&RequestRow| row.targets.iter().any(|target| target.device == device.id && target.ended.is_none());
        if open.iter().filter(waits).count() >= OPEN_OF_DEVICE {
            return Err(AddRefused::TooManyOfDevice(device.serial.clone()));
        }
    }
    if open.len() >= OPEN {
        return Err(AddRefused::TooManyOpen);
    }
    let facts = vec![Fact::Request(RequestFact::Added { request: request.clone() })];
    Ok((facts, Added { request, is_new: true }))
}

/// Gives a request up; one that was cancelled stays so. `anybodys`: `by` may cancel what others asked for too.
pub(super) fn cancel(
    id: RequestId,
    row: Option<&RequestRow>,
    by: String,
    anybodys: bool,
) -> Result<Vec<Fact>, CancelRefused> {
    match row {
        None => Err(CancelRefused::Unknown(id)),
        Some(row) if !anybodys && row.request.requester != by => Err(CancelRefused::OfAnother(id)),
        Some(RequestRow { closed: Some(Closed::Cancelled { .. }), .. }) => Ok(Vec::new()),
        Some(row) if row.is_open() => Ok(vec![Fact::Request(RequestFact::Cancelled { request: id, by })]),
        Some(_) => Err(CancelRefused::Over(id)),
    }
}

/// How urgent an offered recording is for those who ask for footage of its device: the priority of the most urgent request;
/// `None`: nobody asked for it.
pub(crate) fn wanted(declared: &Declared, span: Option<Span>, open: &[(VideoRequest, Target)]) -> Option<u8> {
    let asks = |request: &VideoRequest| {
        // The device has its own opinion of what it was asked for, since it alone knows how its clock went.
        let lies_in = span.is_some_and(|span| span.overlaps(&request.span));
        request.is_of_camera(&declared.camera) && (lies_in || declared.request == Some(request.id))
    };
    open.iter().map(|(request, _)| request).filter(|request| asks(request)).map(|request| request.priority).min()
}

/// Whether a recording that a device offered is one of these that is still to come: it was not overwritten, by all that is known.
/// `span` is where it lies, `overwrites` when it is overwritten, and `oldest` where what the device holds begins.
pub(super) fn is_to_come(
    declared: &Declared,
    span: Option<Span>,
    overwrites: Option<DateTime<Utc>>,
    oldest: Option<DateTime<Utc>>,
    request: &VideoRequest,
    now: DateTime<Utc>,
) -> bool {
    let Some(span) = span else { return false };
    let is_gone = overwrites.is_some_and(|at| at <= now) || oldest.is_some_and(|oldest| span.from < oldest);
    !is_gone && request.is_of_camera(&declared.camera) && span.overlaps(&request.span)
}

/// Whether there is no more to come from a device, when `says` is its word that counts and `stored` what is in the store of the
/// range. Before the range is over there always is, and so there is while recordings are `to_come` that the device offered: it
/// may not see them now, on a card that is not in.
pub(super) fn settle(
    request: &VideoRequest,
    says: Option<Holds>,
    stored: &[Lies],
    to_come: bool,
    now: DateTime<Utc>,
) -> Option<Outcome> {
    if now < request.span.to {
        return None;
    }
    let whole = coverage(request, stored).iter().all(|camera| request.span.is_whole(&camera.covered));
    // Another camera may have more, which nobody but the device knows, unless the device has but one.
    let no_other = !request.cameras.is_empty() || stored.iter().all(|lies| lies.camera.is_empty());
    match says {
        _ if whole && no_other && !stored.is_empty() => Some(Outcome::Done),
        Some(Holds::Done | Holds::Nothing) if to_come => None,
        Some(Holds::Nothing) if stored.is_empty() => Some(Outcome::Nothing),
        // What it sent may lie elsewhere by true time, or nobody knows where.
        Some(Holds::Done | Holds::Nothing) => Some(Outcome::Done),
        _ => None,
    }
}

/// What of a request's range is in the store, by camera.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Coverage {
    /// Which camera; empty if the device has but one.
    pub camera: String,
    /// What of the range is there.
    pub covered: Vec<Span>,
    /// How much of it that is, in per cent, rounded down.
    pub percent: u8,
}

/// One for each camera that was asked for, or else of which something is there.
pub(super) fn coverage(request: &VideoRequest, stored: &[Lies]) -> Vec<Coverage> {
    let mut cameras = match request.cameras.is_empty() {
        true => stored.iter().map(|lies| lies.camera.clone()).collect(),
        false => request.cameras.clone(),
    };
    cameras.sort_unstable();
    cameras.dedup();
    let of = |camera: String| {
        let parts = stored.iter().filter(|lies| lies.camera == camera);
        // Where the end is not known, nothing is claimed to be there.
        let parts = parts.filter_map(|lies| Some(Span { from: lies.from, to: lies.to? }));
        let covered = request.span.covered(parts);
        let length: i64 = covered.iter().map(|part| part.length().num_milliseconds()).sum();
        let percent = (length * 100).checked_div(request.span.length().num_milliseconds()).unwrap_or(0);
        let percent = match request.span.is_whole(&covered) {
            true => 100,
            false => u8::try_from(percent).unwrap_or(0).min(99),
        };
        Coverage { camera, covered, percent }
    };
    cameras.into_iter().map(of).collect()
}

/// Which of these are over since their time is.
pub(super) fn expired(open: &[RequestRow], now: DateTime<Utc>) -> Vec<Fact> {
    let over = open.iter().filter(|row| row.request.expires <= now);
    over.map(|row| Fact::Request(RequestFact::Expired { request: row.request.id })).collect()
}

/// What is new in what a device says of the requests that it was given. Before the range is over it cannot know that it has no
/// more, so that says nothing.
pub(super) fn told(
    open: &[(VideoRequest, Target)],
    said: Vec<(RequestId, Holds, Vec<Span>)>,
    clock: &DeviceClock,
    now: DateTime<Utc>,
) -> Vec<Fact> {
    let news = |(id, holds, ranges): (RequestId, Holds, Vec<Span>)| {
        let (request, target) = open.iter().find(|(request, _)| request.id == id)?;
        let (ranges, asked) = (request.span.covered(ranges), clock.to_device(request.span));
        let told = Told { holds, ranges, asked };
        let says_something = target.told.as_ref() != Some(&told) && !(holds.is_last() && now < request.span.to);
        let (Told { holds, ranges, asked }, device) = (told, target.device);
        says_something.then_some(Fact::Request(RequestFact::Told { request: id, device, holds, ranges, asked }))
    };
    said.into_iter().filter_map(news).collect()
}

#[cfg(test)]
mod tests;
