//! Paths of the endpoints that devices call.

/// Who the server is; needs no authentication.
pub const HELLO: &str = "/device/v1/hello";
/// Asking to be known; below it, one enrolment by its id.
pub const ENROLMENTS: &str = "/device/v1/enrolments";
/// What the server wants of this device.
pub const DESIRED: &str = "/device/v1/desired";
/// What the device is, and what it has done of that.
pub const REPORTED: &str = "/device/v1/reported";
/// "I hold these recordings."
pub const OFFERS: &str = "/device/v1/offers";
/// Transfers; below it, one transfer by its id.
pub const UPLOADS: &str = "/device/v1/uploads";
/// Recordings; below one, by its id, the checksums of its blocks.
pub const RECORDINGS: &str = "/device/v1/recordings";
/// What the device has deleted.
pub const DELETIONS: &str = "/device/v1/deletions";
/// What the device noticed of itself.
pub const HEALTH_EVENTS: &str = "/device/v1/health-events";
