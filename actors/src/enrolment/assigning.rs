//! To whom a device belongs, as a dated history. Pure.

use chrono::{DateTime, Utc};
use longshore_model::{Assignment, Device, DeviceState};
use longshore_store::facts::{Fact, PeopleFact};

/// Why a device is not given to somebody else.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AssignRefused {
    /// No device has this serial.
    #[error("no device with the serial {0} is enrolled; `longshore device list` shows which are")]
    Unknown(String),
    /// It is out of service.
    #[error("the device {0} is retired")]
    Retired(String),
    /// There is nothing to change.
    #[error("the device {serial} belongs to {assignee} already")]
    Already {
        /// Its serial.
        serial: String,
        /// To whom.
        assignee: String,
    },
    /// Nobody knows yet.
    #[error("{0} is in the future; assign the device when it is handed over")]
    InTheFuture(DateTime<Utc>),
    /// The history is only added to.
    #[error("the device {serial} was given to {assignee} at {from}; another assignment has to begin later")]
    NotAfterTheLast {
        /// Its serial.
        serial: String,
        /// To whom it was given last.
        assignee: String,
        /// When.
        from: DateTime<Utc>,
    },
}

/// Gives the device to `assignee` from a moment on, which is `now` unless somebody says another. What is stored keeps
/// its name: whose a recording is was decided by who had the device at its start.
pub(super) fn assign(
    serial: &str,
    device: Option<Device>,
    assignee: String,
    from: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
    by: String,
) -> Result<(Vec<Fact>, Device), AssignRefused> {
    let Some(mut device) = device else { return Err(AssignRefused::Unknown(serial.to_owned())) };
    let serial = serial.to_owned();
    if device.state == DeviceState::Retired {
        return Err(AssignRefused::Retired(serial));
    }
    let from = from.unwrap_or(now);
    if from > now {
        return Err(AssignRefused::InTheFuture(from));
    }
    if let Some(last) = device.assignments.last() {
        if last.assignee == assignee {
            return Err(AssignRefused::Already { serial, assignee });
        }
        if from <= last.from {
            let last = last.clone();
            return Err(AssignRefused::NotAfterTheLast { serial, assignee: last.assignee, from: last.from });
        }
    }
    let assignment = Assignment { assignee, from };
    device.assignments.push(assignment.clone());
    Ok((vec![Fact::People(PeopleFact::DeviceAssigned { device: device.id, assignment, by })], device))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use longshore_model::DeviceId;

    use super::*;

    fn at(hour: u32) -> DateTime<Utc> {
        format!("2026-11-21T{hour:02}:00:00Z").parse().unwrap()
    }

    fn device(state: DeviceState) -> Device {
        Device {
            id: DeviceId::from_bytes([1; 16]),
            serial: "B-1".into(),
            model: "BC4".into(),
            state,
            key: None,
            upload_tokens: Vec::new(),
            assignments: vec![Assignment { assignee: "J. Smith".into(), from: at(8) }],
            profile: "default".into(),
            site: None,
            groups: BTreeSet::new(),
            replaced_by: None,
            approved_at: at(8),
        }
    }

    #[test]
    fn a_history_only_grows_at_its_end() {
        let given =
            |to: &str, from| assign("B-1", Some(device(DeviceState::Active)), to.into(), from, at(16), "uid 0".into());
        let (_, device) = given("A. Jones", None).unwrap();
        assert_eq!((device.assignee_at(at(15)), device.assignee_at(at(16))), (Some("J. Smith"), Some("A. Jones")));
        let (_, device) = given("A. Jones", Some(at(12))).unwrap();
        assert_eq!((device.assignee_at(at(11)), device.assignee_at(at(12))), (Some("J. Smith"), Some("A. Jones")));
        assert!(matches!(given("J. Smith", None), Err(AssignRefused::Already { .. })));
        assert!(matches!(given("A. Jones", Some(at(8))), Err(AssignRefused::NotAfterTheLast { .. })));
        assert!(matches!(given("A. Jones", Some(at(17))), Err(AssignRefused::InTheFuture(_))));
    }

    #[test]
    fn what_is_unknown_or_out_of_service_belongs_to_nobody_new() {
        let given = |device| assign("B-1", device, "A. Jones".into(), None, at(16), "uid 0".into()).unwrap_err();
        assert_eq!(given(None), AssignRefused::Unknown("B-1".into()));
        assert_eq!(given(Some(device(DeviceState::Retired))), AssignRefused::Retired("B-1".into()));
    }
}
