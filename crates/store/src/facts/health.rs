//! What is wrong with devices and with the server.

use chrono::{DateTime, Utc};
use longshore_model::{DeviceId, HealthEventId, HealthSubject, Issue, IssueChange};
use serde::{Deserialize, Serialize};

/// Something about health. `by` is as in [`Fact`](super::Fact).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum HealthFact {
    /// Issues began, went on or ended.
    Noted {
        /// The issues as they are from now on.
        issues: Vec<Issue>,
        /// What of it people read.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        changes: Vec<IssueChange>,
        /// The report of a device that this comes from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        report: Option<HealthReport>,
    },
    /// Somebody does not want to hear of an issue for a while.
    Silenced {
        /// Which.
        issue: u64,
        /// Whom it is about.
        subject: HealthSubject,
        /// No longer than this; `None`: they want to again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<DateTime<Utc>>,
        /// Who did it.
        by: String,
    },
    /// Somebody does not want to hear of an issue any more, or wants to again.
    Ignored {
        /// Which.
        issue: u64,
        /// Whom it is about.
        subject: HealthSubject,
        /// Whether it is ignored from now on.
        ignored: bool,
        /// Who did it.
        by: String,
    },
}

/// A device said how it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthReport {
    /// Which.
    pub device: DeviceId,
    /// The events that were taken: the same again is passed over.
    pub events: Vec<HealthEventId>,
}
