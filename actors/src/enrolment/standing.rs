//! In service, suspended, retired: which change an admin may make. Pure.

use longshore_model::{Device, DeviceState};
use longshore_store::facts::Fact;

use crate::profiles::ProfileRefused;

/// What an admin wants of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It may be lost or stolen: no receipts, no settings.
    Suspend,
    /// It is back.
    Activate,
    /// It will not come back.
    Retire,
}

/// Why a device's standing is not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChangeRefused {
    /// No device has this serial.
    #[error("no device with the serial {0} is enrolled; `longshore device list` shows which are")]
    Unknown(String),
    /// There is nothing to change.
    #[error("the device {serial} is {state} already")]
    Already {
        /// Its serial.
        serial: String,
        /// What it is.
        state: &'static str,
    },
    /// It has not called yet, so there is nothing to put back.
    #[error("the device {0} is approved and goes into service by its first call")]
    NotInServiceYet(String),
    /// It would come back with settings that it can't have.
    #[error("the device {1} cannot come back with its config profile: {0}")]
    Profile(ProfileRefused, String),
    /// Nothing brings it back.
    #[error("the device {0} is retired; to use it again, enrol it anew with `longshore device add`")]
    Retired(String),
}

pub(super) fn change(
    serial: &str,
    device: Option<Device>,
    change: Change,
    by: String,
) -> Result<(Vec<Fact>, Device), ChangeRefused> {
    let Some(mut device) = device else { return Err(ChangeRefused::Unknown(serial.to_owned())) };
    let serial = || serial.to_owned();
    let id = device.id;
    let (state, fact) = match (change, device.state) {
        (_, DeviceState::Retired) => return Err(ChangeRefused::Retired(serial())),
        (Change::Activate, DeviceState::Approved) => return Err(ChangeRefused::NotInServiceYet(serial())),
        (Change::Activate, DeviceState::Active) | (Change::Suspend, DeviceState::Suspended) => {
            return Err(ChangeRefused::Already { serial: serial(), state: device.state.as_str() });
        }
        (Change::Activate, DeviceState::Suspended | DeviceState::Replaced) => {
            (DeviceState::Active, Fact::DeviceReinstated { device: id, by })
        }
        (Change::Suspend, _) => (DeviceState::Suspended, Fact::DeviceSuspended { device: id, by }),
        (Change::Retire, _) => (DeviceState::Retired, Fact::DeviceRetired { device: id, by }),
    };
    device.state = state;
    Ok((vec![fact], device))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use longshore_model::{DeviceId, Sha256};

    use super::*;

    fn decided(state: DeviceState, wanted: Change) -> Option<DeviceState> {
        let device = Device {
            id: DeviceId::from_bytes([1; 16]),
            serial: "B-1".into(),
            model: "BC4".into(),
            state,
            key: Some(Sha256::of(b"key")),
            upload_tokens: Vec::new(),
            assignments: Vec::new(),
            profile: "default".into(),
            site: None,
            groups: BTreeSet::new(),
            replaced_by: None,
            approved_at: "2026-11-21T15:00:00Z".parse().unwrap(),
        };
        change("B-1", Some(device), wanted, "uid 0".into()).ok().map(|(_, device)| device.state)
    }

    #[test]
    fn a_device_goes_between_service_and_suspension_and_from_either_into_retirement() {
        use DeviceState::{Active, Approved, Replaced, Retired, Suspended};
        for (state, suspended, activated, retired) in [
            (Approved, Some(Suspended), None, Some(Retired)),
            (Active, Some(Suspended), None, Some(Retired)),
            (Suspended, None, Some(Active), Some(Retired)),
            (Replaced, Some(Suspended), Some(Active), Some(Retired)),
            (Retired, None, None, None),
        ] {
            let outcome = [Change::Suspend, Change::Activate, Change::Retire].map(|wanted| decided(state, wanted));
            assert_eq!(outcome, [suspended, activated, retired], "{state:?}");
        }
    }

    #[test]
    fn a_serial_that_nobody_has_is_refused_by_name() {
        let refused = change("X", None, Change::Retire, "uid 0".into()).unwrap_err();
        assert_eq!(refused, ChangeRefused::Unknown("X".into()));
    }
}
