use longshore_model::{HealthEvent, HealthEventId};
use serde::{Deserialize, Serialize};

use crate::Clock;

/// `POST /health-events`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthEvents {
    /// What the device noticed, in the order in which it did, at most 100 at once; none: it has nothing to say.
    pub events: Vec<HealthEvent>,
    /// The device's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<Clock>,
}

/// Answer to `POST /health-events`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthEventsAnswer {
    /// One for each event, in their order.
    pub events: Vec<HealthEventAnswer>,
}

/// The server's word on one event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthEventAnswer {
    /// Which.
    pub id: HealthEventId,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: HealthEventOutcome,
}

/// What became of a health event, by the member `answer`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum HealthEventOutcome {
    /// It is recorded, now or before; the device may forget it.
    Recorded,
    /// It is not taken, and will not be: the device may forget it.
    Refused {
        /// Why.
        reason: String,
    },
}
