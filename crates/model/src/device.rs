use std::collections::BTreeSet;
use std::net::IpAddr;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::{DeviceId, EnrolmentId, Sha256, TokenId};

/// Whether a device may do business with the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceState {
    /// Approved by an admin; has not called with its new identity yet.
    Approved,
    /// In service.
    Active,
    /// Lost or stolen, perhaps: it may hand over what it holds, and gets nothing for it, no receipt either.
    Suspended,
    /// Out of service for good.
    Retired,
    /// Another device took its place; it may still hand over what it holds.
    Replaced,
}

impl DeviceState {
    /// The word for it, on the wire and for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Retired => "retired",
            Self::Replaced => "replaced",
        }
    }

    /// Whether it is given receipts, and so may delete.
    pub const fn gets_receipts(self) -> bool {
        matches!(self, Self::Approved | Self::Active | Self::Replaced)
    }
}

/// From when on a device belongs to whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Assignment {
    /// The officer or vehicle.
    pub assignee: String,
    /// First moment of the assignment; it lasts until the next one begins.
    pub from: DateTime<Utc>,
}

/// A device that an admin has approved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Given by the server.
    pub id: DeviceId,
    /// As printed on the device.
    pub serial: String,
    /// Name of the device model.
    pub model: String,
    /// Whether it may do business.
    pub state: DeviceState,
    /// SHA-256 of the public key (SubjectPublicKeyInfo) that proves its identity; one that only uploads with tokens has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Sha256>,
    /// With which standard clients upload in its name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub upload_tokens: Vec<UploadToken>,
    /// To whom it belonged, oldest first.
    pub assignments: Vec<Assignment>,
    /// Name of its config profile.
    pub profile: String,
    /// Its home site: whose people see it and get mails about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// Labels by which people treat several devices as one.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub groups: BTreeSet<String>,
    /// Serial of the device that took its place, until it is put back in service; it may be suspended all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced_by: Option<String>,
    /// When it was approved.
    pub approved_at: DateTime<Utc>,
}

/// A bearer token for uploads; the secret itself is not kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadToken {
    /// By which people tell it from others.
    pub id: TokenId,
    /// SHA-256 of the token as the client sends it.
    pub hash: Sha256,
    /// When it was made.
    pub issued_at: DateTime<Utc>,
}

impl Device {
    /// Whether it is to do its work, perhaps when it is back. One whose place another took only hands over what it holds, and
    /// its address is that other's.
    pub fn is_in_service(&self) -> bool {
        !matches!(self.state, DeviceState::Retired | DeviceState::Replaced) && self.replaced_by.is_none()
    }

    /// Whether it is told how to be set: one whose place another took needs a network for what it still holds.
    pub fn goes_by_settings(&self) -> bool {
        self.state != DeviceState::Retired
    }

    /// Who had the device at `moment`; before the first assignment, the first one counts, since a camera often
    /// records before anyone completes its set-up.
    pub fn assignee_at(&self, moment: DateTime<Utc>) -> Option<&str> {
        self.assignments
            .iter()
            .rev()
            .find(|assignment| assignment.from <= moment)
            .or_else(|| self.assignments.first())
            .map(|assignment| assignment.assignee.as_str())
    }
}

/// What an admin hands to a device so that it may ask to be known; the secret itself is not kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolToken {
    /// Public half of the token.
    pub id: TokenId,
    /// SHA-256 of the secret half.
    pub secret_hash: Sha256,
    /// The one serial that may use it, if it is for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// Model of that device; with a token for several, of all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// It is typed, not scanned: its secret is short, and its device is found by its serial.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub typed: bool,
    /// No use after this.
    pub expires: DateTime<Utc>,
    /// How many enrolments may still be made with it.
    pub uses_left: u32,
    /// When an admin made it worthless.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<DateTime<Utc>>,
}

impl EnrolToken {
    /// Whether a device may still begin with it.
    pub fn is_good(&self, now: DateTime<Utc>) -> bool {
        self.uses_left > 0 && self.revoked_at.is_none() && now < self.expires
    }
}

/// The model of a device that does not say which it is.
pub const UNKNOWN_MODEL: &str = "unknown";

/// Where an enrolment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnrolmentState {
    /// Waits for an admin.
    Pending,
    /// An admin completed the set-up; the device may fetch its certificate.
    Approved,
    /// An admin approved another request of the same serial.
    Superseded,
    /// An admin turned it away.
    Rejected,
}

/// How long a request waits to be approved; then the device was forgotten, and needs a new enrolment text.
const WAITS: TimeDelta = TimeDelta::days(7);

/// What a device says of itself, kept as it said it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Description {
    /// The maker's unique id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// Firmware version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub firmware: Option<String>,
    /// Its own network addresses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub macs: Vec<String>,
    /// Address of the dock's bay that it sat in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bay_mac: Option<String>,
}

/// A device's request to be known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolment {
    /// Given by the server.
    pub id: EnrolmentId,
    /// Token that it was made with.
    pub token: TokenId,
    /// The token's; a device that says another is refused. Of a token for several, what the device says.
    pub serial: String,
    /// Likewise; [`UNKNOWN_MODEL`] if neither says one.
    pub model: String,
    /// SHA-256 of the public key that the device proved to hold.
    pub key: Sha256,
    /// The public key itself (DER SubjectPublicKeyInfo, base64url): the certificate is made for it.
    pub spki: String,
    /// What the device said of itself.
    #[serde(default)]
    pub description: Description,
    /// Where it called from, as the server saw it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// Short text that the device and the admin both see.
    pub code: String,
    /// Where it stands.
    pub state: EnrolmentState,
    /// When the device asked first.
    pub requested_at: DateTime<Utc>,
    /// The device it became, once approved.
    pub device: Option<DeviceId>,
}

impl Enrolment {
    /// Whether an admin may still approve it.
    pub fn waits(&self, now: DateTime<Utc>) -> bool {
        self.state == EnrolmentState::Pending && now - self.requested_at < WAITS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_recording_belongs_to_whoever_had_the_device_at_its_start() {
        let device = Device {
            id: DeviceId::from_bytes([1; 16]),
            serial: "B-1".into(),
            model: "BC4".into(),
            state: DeviceState::Active,
            key: None,
            upload_tokens: Vec::new(),
            assignments: vec![
                Assignment { assignee: "J. Smith".into(), from: at("2026-03-01T00:00:00Z") },
                Assignment { assignee: "A. Jones".into(), from: at("2026-06-01T00:00:00Z") },
            ],
            profile: "default".into(),
            site: None,
            groups: BTreeSet::new(),
            replaced_by: None,
            approved_at: at("2026-03-01T00:00:00Z"),
        };
        assert_eq!(device.assignee_at(at("2026-05-31T23:59:59Z")), Some("J. Smith"));
        assert_eq!(device.assignee_at(at("2026-06-01T00:00:00Z")), Some("A. Jones"));
        assert_eq!(device.assignee_at(at("2026-01-01T00:00:00Z")), Some("J. Smith"));
    }
}
