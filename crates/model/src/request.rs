use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::{DeviceId, RequestId, Span};

/// Somebody asks for what some devices recorded in a stretch of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VideoRequest {
    /// Given by the server.
    pub id: RequestId,
    /// Given by the client, so that a repeated call finds the same request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Who asks.
    pub requester: String,
    /// Whose footage.
    pub devices: Vec<DeviceId>,
    /// Of which of their cameras; empty: of all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cameras: Vec<String>,
    /// From when to when, in true time.
    #[serde(flatten)]
    pub span: Span,
    /// 1 is the most urgent.
    pub priority: u8,
    /// What for, in the requester's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Mail addresses of those who are told that it was taken and what became of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notify: Vec<String>,
    /// When it was made.
    pub added_at: DateTime<Utc>,
    /// When it is given up.
    pub expires: DateTime<Utc>,
}

impl VideoRequest {
    /// Longest stretch of one request: a week of a vehicle's cameras is what a card holds.
    pub const LONGEST: TimeDelta = TimeDelta::days(7);
    /// How long one lives of which nobody says otherwise.
    pub const LIFE: TimeDelta = TimeDelta::days(30);
    /// The longest that one may live.
    pub const LONGEST_LIFE: TimeDelta = TimeDelta::days(365);
    /// The most urgent priority.
    pub const MOST_URGENT: u8 = 1;
    /// The least urgent one.
    pub const LEAST_URGENT: u8 = 9;
    /// The one of a request of which nobody says otherwise.
    pub const PRIORITY: u8 = 5;

    /// Whether it asks for what this camera recorded.
    pub fn is_of_camera(&self, camera: &str) -> bool {
        self.cameras.is_empty() || self.cameras.iter().any(|wanted| wanted == camera)
    }

    /// Whether it asks for the same as another one.
    pub fn is_same(&self, other: &Self) -> bool {
        (&self.requester, &self.devices, &self.cameras, self.span, self.priority, &self.notify)
            == (&other.requester, &other.devices, &other.cameras, other.span, other.priority, &other.notify)
    }
}

/// What a device says of a request that it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holds {
    /// It holds some of it, and has handed over nothing yet.
    Queued,
    /// It has handed over some of it, and holds more.
    Partial,
    /// It has handed over all that it held.
    Done,
    /// It holds nothing of it.
    Nothing,
}

impl Holds {
    /// Whether there is no more to come, by the device's word.
    pub const fn is_last(self) -> bool {
        matches!(self, Self::Done | Self::Nothing)
    }
}

/// How a request ended at one device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// What the device recorded of it is in the store.
    Done,
    /// The device recorded nothing then, or has overwritten it.
    Nothing,
}
