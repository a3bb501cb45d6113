//! What the server wants of a device, and what the device says of it.

use chrono::{DateTime, FixedOffset, Utc};
use longshore_model::{CommandId, CommandOp, DeviceProfile, DeviceReport, DeviceState, Holds, RequestId};
use serde::{Deserialize, Serialize};

use crate::bodies::{Clock, ServerIdentity};

/// `GET /desired`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Desired {
    /// The server's time.
    pub time: DateTime<Utc>,
    /// Whether the device is in service.
    pub state: DeviceState,
    /// What the device is to be set to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<DeviceProfile>,
    /// Footage that people ask for.
    #[serde(default)]
    pub requests: Vec<DesiredRequest>,
    /// What the device is to do once.
    #[serde(default)]
    pub commands: Vec<DesiredCommand>,
    /// Counts up when the device should offer again: a receipt became ready after its upload's last answer.
    pub offer_again: u64,
    /// How to reach and to know the server.
    pub server: ServerIdentity,
}

/// Footage that people ask for: of some cameras, in a stretch of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesiredRequest {
    /// Names the request.
    pub id: RequestId,
    /// Of which of the device's cameras; empty: of all.
    #[serde(default)]
    pub cameras: Vec<String>,
    /// From when, in true time.
    pub from: DateTime<Utc>,
    /// To when, in true time.
    pub to: DateTime<Utc>,
    /// What the device's own clock showed at `from`, as far as the server knows.
    pub device_from: DateTime<FixedOffset>,
    /// What the device's own clock showed at `to`.
    pub device_to: DateTime<FixedOffset>,
    /// 1 is the most urgent, 9 the least.
    pub priority: u8,
    /// When the request is given up.
    pub expires: DateTime<Utc>,
}

/// Something that the device is to do once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DesiredCommand {
    /// Names the command.
    pub id: CommandId,
    /// What to do.
    pub op: CommandOp,
}

/// `PUT /reported`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reported {
    /// `ETag` of the document of `GET /desired` that it went by. Under another one it may have looked for another time, so that
    /// nothing ends by what it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired: Option<String>,
    /// How it stands with each request that the device was given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requests: Vec<ReportedRequest>,
    /// Commands that it did, or cannot do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<ReportedCommand>,
    /// How the device is.
    #[serde(flatten)]
    pub report: DeviceReport,
    /// The device's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<Clock>,
}

/// How it stands with a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedRequest {
    /// Which.
    pub id: RequestId,
    /// How much of it the device still holds.
    pub state: Holds,
    /// What of the range it holds or held, by its own clock.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ranges: Vec<Range>,
}

/// A stretch of time, by the device's own clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// Its first moment.
    pub from: DateTime<FixedOffset>,
    /// The moment behind its last.
    pub to: DateTime<FixedOffset>,
}

/// A command that is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedCommand {
    /// Which.
    pub id: CommandId,
    /// Whether the device did it.
    pub state: CommandState,
    /// What it has to say about that, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandState {
    /// The device did it.
    Done,
    /// The device cannot do it.
    Failed,
}
