//! What is wrong with a device or with the server: health events, as they are reported, and issues, which are what people
//! see. An issue is one trouble from its begin to its end, however often it is reported.

use std::fmt;

use chrono::{DateTime, FixedOffset, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Number;

use crate::{DeviceId, HealthEventId};

/// How much a health event matters; the worst is the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know; nobody has to do anything.
    Notice,
    /// Somebody has to look into it in the next days.
    Warning,
    /// Recordings are lost, or will be soon: somebody has to act today.
    Critical,
}

impl Severity {
    /// The word for it, on the wire and for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One thing that a device noticed of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthEvent {
    /// Made by the device; the same event has the same id however often it is sent.
    pub id: HealthEventId,
    /// What it is: a name in the table of types, such as `storage_missing`, or one that a newer device has.
    #[serde(rename = "type")]
    pub kind: String,
    /// When, by the device's clock and in its zone.
    pub at: DateTime<FixedOffset>,
    /// How much it matters, in the device's opinion; it counts only for a type that the server does not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// Which of its cameras.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub camera: Option<String>,
    /// What was measured, in the unit of the type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Number>,
    /// What the device has to say about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// It is over: this ends what an event of the same type and camera began.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cleared: bool,
}

/// Whom an issue is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HealthSubject {
    /// The server, or somebody whom it does not know.
    Server,
    /// A device.
    Device(DeviceId),
}

impl HealthSubject {
    /// The device, if it is one.
    pub const fn device(self) -> Option<DeviceId> {
        match self {
            Self::Server => None,
            Self::Device(device) => Some(device),
        }
    }
}

/// What makes two health events the same trouble.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IssueKey {
    /// Whom it is about.
    pub subject: HealthSubject,
    /// Name of its type.
    pub kind: String,
    /// Which part: a camera of a device, an address, a recipient.
    pub part: Option<String>,
}

/// One trouble, from its begin to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issue {
    /// Counts from 1; by it people name it.
    pub number: u64,
    /// Whom it is about.
    pub subject: HealthSubject,
    /// Name of its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Which part: a camera of a device, an address, a recipient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
    /// It stands for several parts that are not told apart, since there are too many.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub several: bool,
    /// How much it matters in the opinion of the device; see [`HealthTypes`](crate::HealthTypes) for what counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<Severity>,
    /// When it began, in true time as far as it is known.
    pub since: DateTime<Utc>,
    /// When it was there last, likewise.
    pub last_seen: DateTime<Utc>,
    /// When the server heard of it last.
    pub heard_at: DateTime<Utc>,
    /// How often it was reported.
    pub count: u64,
    /// How often it came back soon after its end.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub reopened: u32,
    /// What was measured last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Number>,
    /// What is known of it beside its type: its cause, in the words of whoever noticed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// It comes and goes, and was reported to be over: it ends at this moment unless it comes back before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calm_at: Option<DateTime<Utc>>,
    /// How it ended, and when; `None`: it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<(IssueEnd, DateTime<Utc>)>,
    /// Nobody wants to hear of it before this moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silenced_until: Option<DateTime<Utc>>,
    /// Nobody wants to hear of it, now and whenever it comes back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ignored: bool,
}

impl Issue {
    /// What makes another event the same trouble.
    pub fn key(&self) -> IssueKey {
        IssueKey { subject: self.subject, kind: self.kind.clone(), part: self.part.clone() }
    }

    /// Whether it has not ended.
    pub fn is_open(&self) -> bool {
        self.ended.is_none()
    }

    /// Whether people do not want to hear of it now.
    pub fn is_muted(&self, now: DateTime<Utc>) -> bool {
        self.ignored || self.silenced_until.is_some_and(|until| now < until)
    }
}

/// How an issue ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum IssueEnd {
    /// Whoever noticed it said that it is over.
    Cleared,
    /// Nobody noticed it for as long as its type says.
    Quiet,
    /// Its device went out of service.
    Retired,
}

/// Something that happened to an issue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssueChange {
    /// Which issue, by its number.
    pub issue: u64,
    /// When the server heard of it.
    pub at: DateTime<Utc>,
    /// What happened.
    #[serde(flatten)]
    pub what: IssueWhat,
    /// What was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<Number>,
    /// What whoever noticed it has to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// What happens to issues.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum IssueWhat {
    /// It began.
    Opened,
    /// It came back soon after its end.
    Reopened,
    /// It is still there, after a while in which nobody said so.
    Seen,
    /// It ended.
    Ended {
        /// How.
        how: IssueEnd,
    },
    /// Nobody wants to hear of it for a while.
    Silenced {
        /// No longer than this; `None`: they want to again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<DateTime<Utc>>,
        /// Who said so.
        by: String,
    },
    /// Nobody wants to hear of it any more, or they want to again.
    Ignored {
        /// Whether it is ignored from now on.
        ignored: bool,
        /// Who said so.
        by: String,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it like this")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_critical_is_worse_than_a_warning_and_that_worse_than_a_notice() {
        assert!(Severity::Critical > Severity::Warning && Severity::Warning > Severity::Notice);
    }

    #[test]
    fn an_event_says_no_more_than_it_has_to() {
        let text = r#"{"id":"000102030405060708090a0b0c0d0e0f","type":"gps_lost","at":"2026-11-21T14:00:00+01:00"}"#;
        let event: HealthEvent = serde_json::from_str(text).unwrap();
        assert!(!event.cleared && event.severity.is_none());
        assert_eq!(serde_json::to_string(&event).unwrap(), text);
    }
}
