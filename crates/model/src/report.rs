use std::collections::BTreeMap;

use chrono::{DateTime, FixedOffset, Utc};
use serde::{Deserialize, Serialize};

use crate::{CommandId, DeviceClock};

/// What a device last said of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceReport {
    /// The config profile that it goes by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<ReportedProfile>,
    /// Firmware version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firmware: Option<String>,
    /// How it reaches the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// Its card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<CardSpace>,
    /// Charge of its battery, in per cent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub battery: Option<u8>,
}

/// A config profile as a device took it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedProfile {
    /// Which.
    pub id: String,
    /// Which version of it.
    pub version: u64,
    /// Settings that it could not take, and why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub errors: BTreeMap<String, String>,
}

/// How a device reaches the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Network {
    /// By what.
    pub kind: NetworkKind,
    /// Address of the dock's bay that it sits in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bay_mac: Option<String>,
    /// Name of the wireless network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssid: Option<String>,
    /// Strength of the signal, in dBm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal_dbm: Option<i16>,
    /// Its own address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// A kind of network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum NetworkKind {
    /// The dock's Ethernet.
    Dock,
    /// Wi-Fi.
    Wifi,
    /// 4G and the like.
    Cellular,
}

/// How full a card is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardSpace {
    /// All bytes.
    pub total: u64,
    /// Free bytes.
    pub free: u64,
    /// Start of the oldest recording on it, by the device's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<DateTime<FixedOffset>>,
}

impl DeviceReport {
    /// Where what it holds begins in true time, if it says so; where `clock` does not tell, as the device says.
    pub fn begins(&self, clock: &DeviceClock) -> Option<DateTime<Utc>> {
        let oldest = self.storage.as_ref()?.oldest?;
        Some(clock.to_true(oldest, None).unwrap_or_else(|| oldest.to_utc()))
    }

    /// Whether `newer` says more than that time passed: a battery drains, a card fills, a signal sways.
    pub fn differs(&self, newer: &Self) -> bool {
        let steady = |report: &Self| {
            let signal = |network: Network| Network { signal_dbm: None, ..network };
            (report.profile.clone(), report.firmware.clone(), report.network.clone().map(signal))
        };
        steady(self) != steady(newer)
    }
}

/// What a device is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum CommandOp {
    /// Blink, beep: a person looks for it.
    Identify,
    /// Look through the card again and offer what is on it.
    Rescan,
    /// Hand over the own log.
    Logs,
    /// Let a new enrolment text of another server count.
    Release,
}

impl CommandOp {
    /// The word for it, on the wire and for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Identify => "identify",
            Self::Rescan => "rescan",
            Self::Logs => "logs",
            Self::Release => "release",
        }
    }
}

/// Something that a device is to do once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Command {
    /// By which the device tells that it did it.
    pub id: CommandId,
    /// What.
    pub op: CommandOp,
    /// Since when it waits.
    pub since: DateTime<Utc>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_battery_that_drains_and_a_signal_that_sways_are_no_news() {
        let network = |signal_dbm| Network {
            kind: NetworkKind::Wifi,
            bay_mac: None,
            ssid: Some("yard".into()),
            signal_dbm,
            address: None,
        };
        let report = |signal, battery| DeviceReport {
            network: Some(network(Some(signal))),
            battery: Some(battery),
            ..DeviceReport::default()
        };
        assert!(!report(-60, 80).differs(&report(-70, 79)));
        let firmware = DeviceReport { firmware: Some("2.0".into()), ..report(-60, 80) };
        assert!(report(-60, 80).differs(&firmware));
    }
}
