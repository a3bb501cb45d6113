use chrono::{DateTime, FixedOffset};
use longshore_model::{DeviceId, Holds, Outcome, RequestId, Span, VideoRequest};
use serde::{Deserialize, Serialize};

/// What happened to a request for footage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum RequestFact {
    /// Somebody asked.
    Added {
        /// What for.
        request: VideoRequest,
    },
    /// A device was given it for the first time.
    HandedOver {
        /// Which.
        request: RequestId,
        /// To whom.
        device: DeviceId,
    },
    /// A device said what it holds of it; only what is new.
    Told {
        /// Of which.
        request: RequestId,
        /// Who.
        device: DeviceId,
        /// How much of it is still there.
        holds: Holds,
        /// What of its range the device holds or held, in true time.
        ranges: Vec<Span>,
        /// The range that it was asked for, by its own clock as it was known then.
        asked: (DateTime<FixedOffset>, DateTime<FixedOffset>),
    },
    /// There is no more to come from a device.
    Finished {
        /// For which.
        request: RequestId,
        /// From whom.
        device: DeviceId,
        /// How it ended.
        outcome: Outcome,
    },
    /// Somebody does not want it any more.
    Cancelled {
        /// Which.
        request: RequestId,
        /// Who.
        by: String,
    },
    /// Its time is over.
    Expired {
        /// Which.
        request: RequestId,
    },
    /// Those who are to be told of it were told: the messages are in the outbox.
    Announced {
        /// Of which.
        request: RequestId,
        /// What became of it; otherwise only that it was taken.
        over: bool,
    },
}
