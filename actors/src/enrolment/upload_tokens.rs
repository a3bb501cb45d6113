//! Tokens with which standard clients upload in a device's name. Pure.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use longshore_model::{Assignment, Device, DeviceId, DeviceState, TokenId, UploadToken};
use longshore_store::facts::Fact;

use super::rules::DEFAULT_PROFILE;

/// Tokens of one device at the same time: two clients, and a new one for each while the old is being replaced.
const TOKENS: usize = 4;

/// A device that is to be made known without a key of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeylessDevice {
    /// Name of its model.
    pub model: String,
    /// The officer or vehicle that it belongs to.
    pub assignee: String,
}

/// Why there is no token, or why it stays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UploadTokenRefused {
    /// No device has this serial.
    #[error(
        "no device with the serial {0} is known; --model and --assignee make it known as one that uploads with tokens only"
    )]
    Unknown(String),
    /// There is one.
    #[error("a device with the serial {0} is known already; leave --model and --assignee out")]
    Known(String),
    /// It is out of service.
    #[error("the device {0} is retired")]
    Retired(String),
    /// It has as many as it may.
    #[error("the device {0} has {TOKENS} upload tokens; revoke one first: `longshore device show {0}` lists them")]
    TooMany(String),
    /// It has no such token.
    #[error("the device {serial} has no upload token {token}; `longshore device show {serial}` lists them")]
    NoSuchToken {
        /// The device's serial.
        serial: String,
        /// The token's id.
        token: TokenId,
    },
}

/// Gives `token` to the device with this serial, or makes the device known as `id` first.
pub(super) fn issue(
    serial: String,
    device: Option<Device>,
    keyless: Option<KeylessDevice>,
    id: DeviceId,
    token: UploadToken,
    by: String,
) -> Result<(Vec<Fact>, Device), UploadTokenRefused> {
    let now = token.issued_at;
    // A retired device is gone; its serial may begin anew.
    let in_service = device.as_ref().is_some_and(|device| device.state != DeviceState::Retired);
    let (mut facts, mut device) = match (device, keyless) {
        (Some(_), Some(_)) if in_service => return Err(UploadTokenRefused::Known(serial)),
        (_, Some(keyless)) => {
            let device = added(serial, keyless, id, now);
            (vec![Fact::DeviceAdded { device: device.clone(), by: by.clone() }], device)
        }
        (Some(_), None) if !in_service => return Err(UploadTokenRefused::Retired(serial)),
        (Some(device), None) => (Vec::new(), device),
        (None, None) => return Err(UploadTokenRefused::Unknown(serial)),
    };
    if device.upload_tokens.len() >= TOKENS {
        return Err(UploadTokenRefused::TooMany(device.serial));
    }
    device.upload_tokens.push(token.clone());
    facts.push(Fact::UploadTokenIssued { device: device.id, token, by });
    Ok((facts, device))
}

fn added(serial: String, keyless: KeylessDevice, id: DeviceId, now: DateTime<Utc>) -> Device {
    Device {
        id,
        serial,
        model: keyless.model,
        state: DeviceState::Approved,
        key: None,
        upload_tokens: Vec::new(),
        assignments: vec![Assignment { assignee: keyless.assignee, from: now }],
        profile: DEFAULT_PROFILE.to_owned(),
        site: None,
        groups: BTreeSet::new(),
        replaced_by: None,
        approved_at: now,
    }
}

pub(super) fn revoke(
    serial: String,
    device: Option<Device>,
    token: TokenId,
    by: String,
) -> Result<(Vec<Fact>, Device), UploadTokenRefused> {
    let Some(mut device) = device else { return Err(UploadTokenRefused::Unknown(serial)) };
    if !device.upload_tokens.iter().any(|known| known.id == token) {
        return Err(UploadTokenRefused::NoSuchToken { serial, token });
    }
    device.upload_tokens.retain(|known| known.id != token);
    Ok((vec![Fact::UploadTokenRevoked { device: device.id, token, by }], device))
}

#[cfg(test)]
mod tests {
    use longshore_model::Sha256;

    use super::*;

    fn token(n: u8) -> UploadToken {
        let issued_at = "2026-11-21T15:00:00Z".parse().unwrap();
        UploadToken { id: TokenId::from_bytes([n; 16]), hash: Sha256::of(&[n]), issued_at }
    }

    fn issued(device: Option<Device>, keyless: bool, n: u8) -> Result<(Vec<Fact>, Device), UploadTokenRefused> {
        let keyless = keyless.then(|| KeylessDevice { model: "Uppy".into(), assignee: "Front desk".into() });
        issue("W-1".into(), device, keyless, DeviceId::from_bytes([7; 16]), token(n), "uid 0".into())
    }

    #[test]
    fn a_device_without_a_key_is_made_known_with_its_first_token_and_gets_more() {
        assert_eq!(issued(None, false, 1), Err(UploadTokenRefused::Unknown("W-1".into())));
        let (facts, device) = issued(None, true, 1).unwrap();
        assert!(matches!(facts[..], [Fact::DeviceAdded { .. }, Fact::UploadTokenIssued { .. }]), "{facts:?}");
        assert_eq!((device.key, device.upload_tokens.len()), (None, 1));
        assert_eq!(issued(Some(device.clone()), true, 2), Err(UploadTokenRefused::Known("W-1".into())));
        let full = (2..=4).fold(device, |device, n| issued(Some(device), false, n).unwrap().1);
        assert_eq!(issued(Some(full.clone()), false, 5), Err(UploadTokenRefused::TooMany("W-1".into())));
        let retired = Device { state: DeviceState::Retired, ..full };
        assert_eq!(issued(Some(retired.clone()), false, 5), Err(UploadTokenRefused::Retired("W-1".into())));
        assert_eq!(issued(Some(retired), true, 5).unwrap().1.upload_tokens, [token(5)], "its serial may begin anew");
    }

    #[test]
    fn a_token_is_revoked_once() {
        let (_, device) = issued(None, true, 1).unwrap();
        let revoked = |device, n| revoke("W-1".into(), Some(device), token(n).id, "uid 0".into());
        assert!(matches!(revoked(device.clone(), 2), Err(UploadTokenRefused::NoSuchToken { .. })));
        let (facts, device) = revoked(device, 1).unwrap();
        assert!(matches!(facts[..], [Fact::UploadTokenRevoked { .. }]), "{facts:?}");
        assert!(device.upload_tokens.is_empty() && revoked(device, 1).is_err());
    }
}
