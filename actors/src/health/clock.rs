//! What a device's clock tells of its health. Pure.

use chrono::TimeDelta;
use longshore_model::{ClockSample, DeviceId, health_type};

use super::notices::{Notice, Notices};
use crate::sessions::is_unset;

/// A clock that is off by more is wrong: a request takes its time to come, but no longer than this.
const WRONG: TimeDelta = TimeDelta::seconds(60);
/// One that was wrong is right again when it is off by less.
const RIGHT: TimeDelta = TimeDelta::seconds(30);

/// Tells whether a device's clock was set, and whether it is right.
pub(crate) fn notice(notices: &Notices, device: DeviceId, sample: &ClockSample) {
    let unset = is_unset(sample.wall, sample.server);
    let shown = format!("it showed {} at {}", sample.wall.to_rfc3339(), sample.server.to_rfc3339());
    notices.is(Notice::of_device(device, health_type::CLOCK_UNSET).text(shown), unset);
    let ahead = sample.ahead();
    let drift = Notice::of_device(device, health_type::CLOCK_DRIFT).value(ahead.num_seconds());
    if unset || ahead.abs() < RIGHT {
        notices.over(drift);
    } else if ahead.abs() > WRONG {
        let way = if ahead > TimeDelta::zero() { "ahead" } else { "behind" };
        notices.stands(drift.text(format!("it is {} s {way}", ahead.num_seconds().abs())));
    }
}
