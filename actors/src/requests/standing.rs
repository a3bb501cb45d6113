//! How a request stands with a device, for people: what it waits for, and until when. Pure.

use chrono::{DateTime, TimeDelta, Utc};
use longshore_model::{Device, DeviceState, Holds, Outcome, VideoRequest};
use longshore_store::index::{Closed, RequestRow, Target};
use serde::{Deserialize, Serialize};

use super::queue::Coverage;

/// How moments are shown.
const MOMENT: &str = "%Y-%m-%d %H:%M UTC";

/// Where a request stands with one device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum RequestState {
    /// The device does not know of it yet.
    Waiting,
    /// The device knows of it.
    HandedOver,
    /// Some of it is in the store.
    Partly,
    /// All that was recorded is in the store.
    Done,
    /// Nothing was recorded, or it was overwritten.
    Nothing,
    /// Its time was over first.
    Expired,
    /// Somebody did not want it any more.
    Cancelled,
}

impl RequestState {
    /// For people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::HandedOver => "handed over",
            Self::Partly => "partly there",
            Self::Done => "done",
            Self::Nothing => "nothing was recorded",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Where a request stands with one device, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Standing {
    /// Where.
    pub state: RequestState,
    /// Why, in plain words.
    pub why: String,
    /// How long it waits at most; `None`: it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
}

/// What is known besides.
pub(super) struct Circumstances<'a> {
    pub(super) device: &'a Device,
    pub(super) connected: bool,
    /// When the device called last.
    pub(super) seen: Option<DateTime<Utc>>,
    /// The device's word that counts.
    pub(super) says: Option<Holds>,
    pub(super) coverage: &'a [Coverage],
    /// When the device will overwrite the first of what is still to come.
    pub(super) overwrites: Option<DateTime<Utc>>,
    pub(super) now: DateTime<Utc>,
}

/// Where a request stands with one of its devices.
pub(super) fn standing(row: &RequestRow, target: &Target, known: &Circumstances<'_>) -> Standing {
    let over = |state, why: String| Standing { state, why, until: None };
    let there = known.coverage.iter().any(|camera| !camera.covered.is_empty());
    let whole = there && known.coverage.iter().all(|camera| camera.percent == 100);
    match (target.ended, &row.closed) {
        (Some((Outcome::Done, _)), _) if whole => over(RequestState::Done, "all of it is there".to_owned()),
        (Some((Outcome::Done, _)), _) => {
            over(RequestState::Done, "all that the device recorded of it is there".to_owned())
        }
        (Some((Outcome::Nothing, _)), _) => {
            over(RequestState::Nothing, "the device recorded nothing then, or has overwritten it".to_owned())
        }
        (None, Some(Closed::Cancelled { at, by })) => {
            over(RequestState::Cancelled, format!("by {by} on {}", at.format(MOMENT)))
        }
        (None, Some(Closed::Expired { .. })) => {
            let why = if there { "not all of it came in time" } else { "nothing of it came in time" };
            over(RequestState::Expired, why.to_owned())
        }
        (None, None) => {
            let state = match target.handed_over {
                _ if there => RequestState::Partly,
                Some(_) => RequestState::HandedOver,
                None => RequestState::Waiting,
            };
            let why = match known.overwrites {
                Some(at) => format!("{}; {}", waits_for(&row.request, target, known), overwritten(at, known.now)),
                None => waits_for(&row.request, target, known),
            };
            Standing { state, why, until: Some(row.request.expires) }
        }
    }
}

fn waits_for(request: &VideoRequest, target: &Target, known: &Circumstances<'_>) -> String {
    let told = known.says;
    match known.device.state {
        DeviceState::Suspended => return "the device is suspended, and is asked when it is activated".to_owned(),
        DeviceState::Retired => return "the device is retired, and will hand over nothing".to_owned(),
        DeviceState::Approved | DeviceState::Active | DeviceState::Replaced => {}
    }
    if !known.connected {
        let holds = match told {
            Some(Holds::Queued) => ", and holds some of it",
            Some(Holds::Partial) => ", and holds more of it",
            _ => "",
        };
        return match known.seen {
            Some(at) => format!("the device is not connected, last seen {}{holds}", at.format(MOMENT)),
            None => format!("the device has not called yet{holds}"),
        };
    }
    let why = match told {
        _ if target.handed_over.is_none() => "the device has not asked what it is to do yet",
        Some(Holds::Queued | Holds::Partial) => "the device holds some of it, and sends it",
        Some(Holds::Done | Holds::Nothing) if known.now < request.span.to => "the range is not over yet",
        Some(Holds::Done | Holds::Nothing) => {
            "the device does not find what it offered of it before: is another of its cards in?"
        }
        _ => "the device looks for it",
    };
    why.to_owned()
}

fn overwritten(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    match at - now {
        left if left <= TimeDelta::zero() => "the camera may have overwritten some of it by now".to_owned(),
        left => format!("the camera overwrites it in about {}", about(left)),
    }
}

fn about(time: TimeDelta) -> String {
    match time {
        time if time >= TimeDelta::days(2) => format!("{} d", time.num_days()),
        time if time >= TimeDelta::hours(2) => format!("{} h", time.num_hours()),
        time => format!("{} min", time.num_minutes().max(1)),
    }
}

#[cfg(test)]
mod tests {
    use longshore_model::{DeviceId, RequestId, Span};

    use super::*;

    fn now() -> DateTime<Utc> {
        "2026-11-21T15:00:00Z".parse().unwrap()
    }

    fn device(state: DeviceState) -> Device {
        Device {
            id: DeviceId::from_bytes([1; 16]),
            serial: "B-1".into(),
            model: "BC4".into(),
            state,
            key: None,
            upload_tokens: Vec::new(),
            assignments: Vec::new(),
            profile: "default".into(),
            site: None,
            groups: std::collections::BTreeSet::new(),
            replaced_by: None,
            approved_at: now(),
        }
    }

    fn row(target: Target) -> RequestRow {
        let request = VideoRequest {
            id: RequestId::from_bytes([1; 16]),
            key: None,
            requester: "uid 0".into(),
            devices: vec![target.device],
            cameras: Vec::new(),
            span: Span { from: now() - TimeDelta::hours(2), to: now() - TimeDelta::hours(1) },
            priority: 5,
            note: None,
            notify: Vec::new(),
            added_at: now(),
            expires: now() + TimeDelta::days(30),
        };
        RequestRow { request, closed: None, targets: vec![target] }
    }

    fn target(told: Option<Holds>) -> Target {
        let handed_over = told.map(|_| now());
        Target { device: DeviceId::from_bytes([1; 16]), handed_over, told: None, ended: None }
    }

    #[test]
    fn it_says_what_it_waits_for_and_until_when() {
        let (active, suspended) = (device(DeviceState::Active), device(DeviceState::Suspended));
        let seen = Some("2026-11-21T14:02:30Z".parse().unwrap());
        let overwrites = Some(now() + TimeDelta::minutes(9 * 60 + 20));
        let on_the_way = Some(now() + TimeDelta::minutes(40));
        let not_connected = "the device is not connected, last seen 2026-11-21 14:02 UTC";
        for (device, connected, told, overwrites, state, why) in [
            (&active, false, None, None, RequestState::Waiting, not_connected.to_owned()),
            (
                &active,
                false,
                Some(Holds::Queued),
                overwrites,
                RequestState::HandedOver,
                format!("{not_connected}, and holds some of it; the camera overwrites it in about 9 h"),
            ),
            (
                &active,
                true,
                Some(Holds::Queued),
                on_the_way,
                RequestState::HandedOver,
                "the device holds some of it, and sends it; the camera overwrites it in about 40 min".to_owned(),
            ),
            (
                &suspended,
                true,
                None,
                None,
                RequestState::Waiting,
                "the device is suspended, and is asked when it is activated".to_owned(),
            ),
        ] {
            let row = row(target(told));
            let known = Circumstances { device, connected, seen, says: told, coverage: &[], overwrites, now: now() };
            let until = Some(row.request.expires);
            assert_eq!(standing(&row, &row.targets[0], &known), Standing { state, why, until });
        }
    }

    #[test]
    fn what_is_over_waits_for_nothing() {
        let device = device(DeviceState::Active);
        let whole = Coverage { camera: String::new(), covered: vec![row(target(None)).request.span], percent: 100 };
        let part = Coverage { percent: 40, ..whole.clone() };
        let cancelled = Closed::Cancelled { at: now(), by: "uid 0".into() };
        for (ended, closed, coverage, state, why) in [
            (Some(Outcome::Done), None, vec![whole], RequestState::Done, "all of it is there"),
            (
                Some(Outcome::Done),
                None,
                vec![part.clone()],
                RequestState::Done,
                "all that the device recorded of it is there",
            ),
            (
                Some(Outcome::Nothing),
                None,
                vec![],
                RequestState::Nothing,
                "the device recorded nothing then, or has overwritten it",
            ),
            (None, Some(cancelled), vec![], RequestState::Cancelled, "by uid 0 on 2026-11-21 15:00 UTC"),
            (
                None,
                Some(Closed::Expired { at: now() }),
                vec![part],
                RequestState::Expired,
                "not all of it came in time",
            ),
        ] {
            let target = Target { ended: ended.map(|outcome| (outcome, now())), ..target(None) };
            let row = RequestRow { closed, ..row(target) };
            let (coverage, seen) = (coverage.as_slice(), None);
            let (overwrites, says, now) = (None, None, now());
            let known = Circumstances { device: &device, connected: true, seen, says, coverage, overwrites, now };
            let expected = Standing { state, why: why.to_owned(), until: None };
            assert_eq!(standing(&row, &row.targets[0], &known), expected);
        }
    }
}
