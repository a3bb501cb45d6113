use std::net::IpAddr;

use chrono::{DateTime, Utc};
use longshore_model::{DeviceId, Network, SessionEnd};
use serde::{Deserialize, Serialize};

/// Something that happened to the sessions of devices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum SessionFact {
    /// A device is connected.
    Began {
        /// Which.
        device: DeviceId,
        /// When its first request came.
        at: DateTime<Utc>,
        /// From where.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        address: Option<IpAddr>,
    },
    /// It is not any more.
    Ended {
        /// Which.
        device: DeviceId,
        /// When its last request ended, as far as is known.
        at: DateTime<Utc>,
        /// From where it came last.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        address: Option<IpAddr>,
        /// What it said of its network last.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        network: Option<Network>,
        /// Bytes of recordings that came, whether they became recordings or not; `None` if nobody was there to count.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        received: Option<u64>,
        /// Why.
        end: SessionEnd,
    },
}
