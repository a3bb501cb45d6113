//! Config profiles: which versions there may be, and which device may have which. Pure; decided in the catalogue's writer,
//! so that a profile and the device that gets it are what they were when it was looked whether they suit.

mod groups;

use std::fmt;
use std::sync::Arc;

use longshore_model::{
    BuiltIn, Complaint, Device, DeviceId, DeviceModels, DeviceProfile, DeviceState, Profile, ProfileName, Settings,
    Suits,
};
use longshore_store::facts::{Fact, ProfileFact};
use longshore_store::index::{Index, IndexError};
use tokio::sync::watch;

pub use groups::GroupAssigned;
pub(crate) use groups::{Known, assign_group, may_carry};

/// What is known of models of devices, now and after each reload.
pub type Models = watch::Receiver<Arc<DeviceModels>>;

/// A profile as somebody wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewProfile {
    /// Its name; a profile of this name gets a new version.
    pub name: ProfileName,
    /// What it is for.
    pub note: Option<String>,
    /// What it sets.
    pub settings: Settings,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// The version that counts.
    pub profile: Profile,
    /// Whether it is a new one; a profile that says the same again is none.
    pub is_new: bool,
    /// Devices that are set to it, and hear of it now.
    pub devices: Vec<DeviceId>,
    /// What should be thought about, each once.
    pub warnings: Vec<Complaint>,
}

/// A device that has a profile, and what should be thought about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileAssigned {
    /// The device.
    pub device: Device,
    /// What should be thought about, each once.
    pub warnings: Vec<Complaint>,
}

/// Why a profile is not taken, or not given to a device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProfileRefused {
    /// What it sets is wrong for every device.
    #[error("{}", listed(.0))]
    Wrong(Vec<Complaint>),
    /// A device that has it, or is to have it, can't do it.
    #[error("{who} cannot do what {name} sets: {}", listed(.complaints))]
    Unsuited {
        /// The device, or the model.
        who: String,
        /// The profile.
        name: ProfileName,
        /// What it can't.
        complaints: Vec<Complaint>,
    },
    /// It sets an address, which two devices must not share.
    #[error(
        "{name} sets a static address, which only one device may have; {serials} would have it; give all but one of them another profile, with `longshore profile assign SERIAL NAME`"
    )]
    SharedAddress {
        /// The profile.
        name: ProfileName,
        /// Devices that would have it.
        serials: String,
    },
    /// There is no such profile.
    #[error("there is no config profile {name:?}; there is: {known}")]
    UnknownProfile {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// It never had this version.
    #[error("{name} has no version {version}; `longshore profile history {name}` shows which there were")]
    UnknownVersion {
        /// The profile.
        name: String,
        /// What was asked for.
        version: u32,
    },
    /// No device has this serial.
    #[error("no device with the serial {0} is enrolled; `longshore device list` shows which are")]
    UnknownDevice(String),
    /// It is out of service.
    #[error("the device {0} is retired")]
    Retired(String),
    /// There is nothing to change.
    #[error("the label {group} gives the profile {name} already")]
    GroupAlready {
        /// Which label.
        group: String,
        /// The profile.
        name: ProfileName,
    },
    /// There is nothing to change.
    #[error("the device {serial} has the profile {name} already")]
    Already {
        /// Its serial.
        serial: String,
        /// The profile.
        name: ProfileName,
    },
}

fn listed(complaints: &[Complaint]) -> impl fmt::Display {
    complaints.iter().map(Complaint::to_string).collect::<Vec<_>>().join("; ")
}

/// Makes a new version; `before` is the newest one, `devices` are those that are set to it.
pub(crate) fn apply(
    new: NewProfile,
    before: Option<Profile>,
    devices: &[Device],
    models: &DeviceModels,
    by: String,
) -> Result<(Vec<Fact>, Applied), ProfileRefused> {
    let NewProfile { name, note, settings } = new;
    let settings =
        settings.with_secrets_of(before.as_ref().map(|before| &before.settings)).map_err(ProfileRefused::Wrong)?;
    let wrong = settings.mistakes();
    if !wrong.is_empty() {
        return Err(ProfileRefused::Wrong(wrong));
    }
    let in_service: Vec<&Device> = devices.iter().filter(|device| device.is_in_service()).collect();
    let mut warnings = Vec::new();
    for device in &in_service {
        suits(&name, &settings, &format!("{} {}", device.model, device.serial), &device.model, models, &mut warnings)?;
    }
    if name.as_str() == BuiltIn::NAME {
        // Every device that is new gets it.
        for (model, _) in models.iter() {
            suits(&name, &settings, model, model, models, &mut warnings)?;
        }
    }
    may_share(&name, &settings, in_service.iter().copied())?;
    let says_the_same = |before: &&Profile| before.settings == settings && (note.is_none() || before.note == note);
    if let Some(same) = before.as_ref().filter(says_the_same) {
        return Ok((Vec::new(), Applied { profile: same.clone(), is_new: false, devices: Vec::new(), warnings }));
    }
    let version = before.map_or(1, |before| before.version + 1);
    let profile =
        Profile { name: name.clone(), version, note: note.clone(), settings: settings.clone(), by: None, at: None };
    let fact = ProfileFact::Applied { name, version, note, settings: Box::new(settings), by };
    let devices = devices.iter().filter(|device| device.goes_by_settings()).map(|device| device.id).collect();
    Ok((vec![Fact::Profile(fact)], Applied { profile, is_new: true, devices, warnings }))
}

/// Gives a device another profile of its own. `profile` is the one that it has by that: with the default, perhaps that of its
/// labels. `others` are those that have it already.
pub(crate) fn assign(
    serial: &str,
    device: Option<Device>,
    own: &ProfileName,
    profile: &Profile,
    others: &[Device],
    models: &DeviceModels,
    by: String,
) -> Result<(Vec<Fact>, ProfileAssigned), ProfileRefused> {
    let Some(mut device) = device else { return Err(ProfileRefused::UnknownDevice(serial.to_owned())) };
    let (serial, name) = (serial.to_owned(), own.clone());
    if device.state == DeviceState::Retired {
        return Err(ProfileRefused::Retired(serial));
    }
    if device.profile == name.as_str() {
        return Err(ProfileRefused::Already { serial, name });
    }
    let warnings = may_have(&serial, &device.model, profile, others, models)?;
    name.as_str().clone_into(&mut device.profile);
    let fact = ProfileFact::Assigned { device: device.id, profile: name, by };
    Ok((vec![Fact::Profile(fact)], ProfileAssigned { device, warnings }))
}

/// Whether a device with this serial and model may have a profile that `others` have.
fn may_have(
    serial: &str,
    model: &str,
    profile: &Profile,
    others: &[Device],
    models: &DeviceModels,
) -> Result<Vec<Complaint>, ProfileRefused> {
    let Profile { name, settings, .. } = profile;
    let mut warnings = Vec::new();
    suits(name, settings, &format!("{model} {serial}"), model, models, &mut warnings)?;
    let in_service = others.iter().filter(|other| other.is_in_service() && other.serial != serial);
    if settings.has_static_address() && in_service.clone().next().is_some() {
        let serials: Vec<_> = in_service.map(|other| other.serial.as_str()).chain([serial]).collect();
        return Err(ProfileRefused::SharedAddress { name: name.clone(), serials: serials.join(", ") });
    }
    Ok(warnings)
}

/// Whether a device that comes into service may have the profile of this name, perhaps in the place of another device.
pub(crate) fn may_be_given(
    index: &Index,
    models: &DeviceModels,
    name: &str,
    serial: &str,
    model: &str,
    replaces: Option<&Device>,
) -> Result<Result<(), ProfileRefused>, IndexError> {
    let Some(profile) = index.profile(name)? else { return Ok(Err(unknown(name, &index.profiles()?))) };
    let mut others = index.devices_with_profile(name)?;
    others.retain(|other| replaces.is_none_or(|replaced| replaced.id != other.id));
    Ok(may_have(serial, model, &profile, &others, models).map(drop))
}

/// What a device is to be set to. A profile never goes; were it not there, what every server has is right for every model.
pub(crate) fn settings_of(index: &Index, models: &DeviceModels, device: &Device) -> Result<DeviceProfile, IndexError> {
    let groups = index.group_profiles()?;
    let mut profile = index.profile(groups.of(device).name)?.unwrap_or_else(BuiltIn::profile);
    if !device.is_in_service() {
        profile.settings = profile.settings.without_static_address();
    }
    Ok(profile.for_device(models.get(&device.model)))
}

/// There is no profile of this name.
pub(crate) fn unknown<'a>(name: &str, known: impl IntoIterator<Item = &'a Profile>) -> ProfileRefused {
    let mut known: Vec<_> = known.into_iter().map(|profile| profile.name.as_str()).collect();
    known.sort_unstable();
    ProfileRefused::UnknownProfile { name: name.to_owned(), known: known.join(", ") }
}

fn may_share<'a>(
    name: &ProfileName,
    settings: &Settings,
    devices: impl Iterator<Item = &'a Device>,
) -> Result<(), ProfileRefused> {
    let serials: Vec<_> = devices.map(|device| device.serial.as_str()).collect();
    if settings.has_static_address() && serials.len() > 1 {
        return Err(ProfileRefused::SharedAddress { name: name.clone(), serials: serials.join(", ") });
    }
    Ok(())
}

fn suits(
    name: &ProfileName,
    settings: &Settings,
    who: &str,
    model: &str,
    models: &DeviceModels,
    warnings: &mut Vec<Complaint>,
) -> Result<(), ProfileRefused> {
    let Suits { refused, warnings: more } = settings.suit(model, models.get(model));
    if !refused.is_empty() {
        return Err(ProfileRefused::Unsuited { who: who.to_owned(), name: name.clone(), complaints: refused });
    }
    for warning in more {
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use longshore_model::{Addressing, Band, DeviceModel, WifiRadio};

    use super::*;

    pub(super) fn models() -> DeviceModels {
        let model = |bands: &[Band], addressing: &[Addressing]| DeviceModel {
            wifi: Some(WifiRadio { bands: bands.to_vec(), standard: None, rate: longshore_model::Rate::default() }),
            addressing: Some(addressing.to_vec()),
            ..DeviceModel::default()
        };
        let both = [Addressing::Dhcp, Addressing::Static];
        let json = serde_json::json!({
            "OLD": model(&[Band::Ghz2], &both),
            "NEW": model(&[Band::Ghz2, Band::Ghz5], &both),
            "CAM": model(&[Band::Ghz2], &[Addressing::Dhcp]),
        });
        serde_json::from_value(json).unwrap()
    }

    pub(super) fn device(n: u8, model: &str, profile: &str) -> Device {
        let json = serde_json::json!({
            "id": DeviceId::from_bytes([n; 16]), "serial": format!("S-{n}"), "model": model, "state": "active",
            "assignments": [], "profile": profile, "approved_at": "2026-11-21T15:00:00Z",
        });
        serde_json::from_value(json).unwrap()
    }

    pub(super) fn new(name: &str, settings: serde_json::Value) -> NewProfile {
        let settings = serde_json::from_value(settings).unwrap();
        NewProfile { name: name.parse().unwrap(), note: None, settings }
    }

    fn yard(band: &str, passphrase: &str) -> serde_json::Value {
        serde_json::json!({"wifi": [{"ssid": "Yard", "security": "wpa2-aes", "passphrase": passphrase, "band": band}]})
    }

    fn applied(new: NewProfile, before: Option<Profile>, devices: &[Device]) -> Result<Applied, ProfileRefused> {
        apply(new, before, devices, &models(), "uid 0".into()).map(|(facts, applied)| {
            assert_eq!(facts.len(), usize::from(applied.is_new));
            applied
        })
    }

    #[test]
    fn each_change_is_a_new_version_and_the_same_again_is_none() {
        let first = applied(new("patrol", yard("5 GHz", "12345678")), None, &[]).unwrap();
        assert_eq!((first.profile.version, first.is_new), (1, true));
        let again = applied(new("patrol", yard("5 GHz", "12345678")), Some(first.profile.clone()), &[]).unwrap();
        assert_eq!((again.profile.version, again.is_new), (1, false));
        // What people are shown is the same too, and another passphrase is not.
        let shown = applied(new("patrol", yard("5 GHz", "***")), Some(first.profile.clone()), &[]).unwrap();
        assert!(!shown.is_new);
        let replaced = Device { state: DeviceState::Replaced, ..device(2, "OLD", "patrol") };
        let retired = Device { state: DeviceState::Retired, ..device(3, "NEW", "patrol") };
        let devices = [device(1, "NEW", "patrol"), replaced, retired];
        let changed = applied(new("patrol", yard("5 GHz", "87654321")), Some(first.profile), &devices).unwrap();
        assert_eq!((changed.profile.version, changed.is_new), (2, true));
        assert_eq!(changed.devices, [devices[0].id, devices[1].id], "one that still hands over needs the network too");
        let first = applied(new("default", serde_json::json!({"led": "off"})), Some(BuiltIn::profile()), &[]).unwrap();
        assert_eq!(first.profile.version, 2);
    }

    #[test]
    fn a_profile_is_refused_if_a_device_that_has_it_cannot_do_it() {
        let five = || new("patrol", yard("5 GHz", "12345678"));
        assert!(applied(five(), None, &[device(1, "NEW", "patrol")]).is_ok());
        let refused = applied(five(), None, &[device(1, "NEW", "patrol"), device(2, "OLD", "patrol")]).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "OLD S-2 cannot do what patrol sets: wifi[0].band: Yard is at 5 GHz, and OLD has 2.4 GHz only"
        );
        let retired = Device { state: DeviceState::Retired, ..device(2, "OLD", "patrol") };
        assert!(applied(five(), None, &[retired]).is_ok());
        assert!(matches!(applied(new("patrol", yard("5 GHz", "short")), None, &[]), Err(ProfileRefused::Wrong(_))));
        assert!(matches!(applied(new("patrol", yard("5 GHz", "***")), None, &[]), Err(ProfileRefused::Wrong(_))));
    }

    #[test]
    fn the_default_has_to_suit_every_model() {
        let refused = applied(new("default", yard("5 GHz", "12345678")), Some(BuiltIn::profile()), &[]).unwrap_err();
        assert!(matches!(refused, ProfileRefused::Unsuited { .. }), "{refused}");
        assert!(applied(new("default", yard("2.4 GHz", "12345678")), Some(BuiltIn::profile()), &[]).is_ok());
    }

    #[test]
    fn a_static_address_is_for_one_device_and_warned_of() {
        let address = serde_json::json!({"network": {"addressing": "static", "address": "10.0.0.2", "prefix": 24}});
        let fixed = || new("fixed", address.clone());
        let two = [device(1, "OLD", "fixed"), device(2, "OLD", "fixed")];
        let one = applied(fixed(), None, &two[..1]).unwrap();
        assert_eq!(one.warnings[0].key, "network.addressing");
        assert!(matches!(applied(fixed(), None, &two), Err(ProfileRefused::SharedAddress { .. })));
        // One whose place the other took has it no more, also if it was lost and is suspended.
        for state in [DeviceState::Replaced, DeviceState::Suspended] {
            let replaced = Device { state, replaced_by: Some("S-2".into()), ..two[0].clone() };
            assert!(applied(fixed(), None, &[replaced, two[1].clone()]).is_ok());
        }
        let give = |device: Device, others: &[Device]| {
            let serial = device.serial.clone();
            assign(&serial, Some(device), &one.profile.name, &one.profile, others, &models(), "uid 0".into())
        };
        assert!(give(device(3, "OLD", "default"), &[]).is_ok());
        assert!(matches!(give(device(3, "OLD", "default"), &two[..1]), Err(ProfileRefused::SharedAddress { .. })));
        let refused = give(device(3, "CAM", "default"), &[]).unwrap_err();
        assert!(refused.to_string().contains("CAM has no static addresses"), "{refused}");
    }

    #[test]
    fn a_device_gets_a_profile_once_and_only_while_it_is_in_service() {
        let default = BuiltIn::profile();
        let give =
            |device: Option<Device>| assign("S-1", device, &default.name, &default, &[], &models(), "uid 0".into());
        let (facts, assigned) = give(Some(device(1, "odd", "patrol"))).unwrap();
        assert_eq!((facts.len(), assigned.device.profile.as_str()), (1, "default"));
        assert!(matches!(give(Some(device(1, "odd", "default"))), Err(ProfileRefused::Already { .. })));
        assert!(matches!(give(None), Err(ProfileRefused::UnknownDevice(_))));
        let retired = Device { state: DeviceState::Retired, ..device(1, "odd", "patrol") };
        assert!(matches!(give(Some(retired)), Err(ProfileRefused::Retired(_))));
    }
}
