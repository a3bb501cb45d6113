//! Profiles for labels: whether the devices that carry them may have what they are given by them. Pure.

use std::collections::HashMap;

use longshore_model::{BuiltIn, Complaint, Device, DeviceId, DeviceModels, GroupProfiles, Profile, ProfileName};
use longshore_store::facts::{Fact, ProfileFact};
use longshore_store::index::{Index, IndexError};

use super::{ProfileRefused, may_share, suits, unknown};

/// A label that gives a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupAssigned {
    /// Devices that have another profile by that, and hear of it now.
    pub devices: Vec<DeviceId>,
    /// What should be thought about, each once.
    pub warnings: Vec<Complaint>,
}

/// What devices have which profile by.
pub(crate) struct Known {
    devices: Vec<Device>,
    profiles: HashMap<String, Profile>,
    groups: GroupProfiles,
}

impl Known {
    pub(crate) fn read(index: &Index) -> Result<Self, IndexError> {
        let profiles = index.profiles()?.into_iter().map(|profile| (profile.name.to_string(), profile)).collect();
        Ok(Self { devices: index.devices()?, profiles, groups: index.group_profiles()? })
    }
}

/// Lets a label give a profile; the default takes it away.
pub(crate) fn assign_group(
    group: &str,
    name: &str,
    known: &Known,
    models: &DeviceModels,
    by: String,
) -> Result<(Vec<Fact>, GroupAssigned), ProfileRefused> {
    let Some(profile) = known.profiles.get(name).map(|profile| profile.name.clone()) else {
        return Err(unknown(name, known.profiles.values()));
    };
    let gives = known.groups.get(group).map_or(BuiltIn::NAME, ProfileName::as_str);
    if gives == name {
        return Err(ProfileRefused::GroupAlready { group: group.to_owned(), name: profile });
    }
    let mut groups = known.groups.clone();
    groups.set(group.to_owned(), profile.clone());
    let (devices, mut warnings) = changes(known, &known.devices, &groups, models)?;
    for device in known.devices.iter().filter(|device| device.is_in_service() && device.groups.contains(group)) {
        let has = groups.of(device);
        if let Some(counts) = has.group.filter(|_| !has.overruled.is_empty()) {
            let what = format!(
                "{} has other labels that give it another profile ({}); that of {counts} counts, the first by name",
                device.serial,
                has.overruled.join(", ")
            );
            warnings.push(Complaint { key: "group".to_owned(), what });
        }
    }
    let fact = ProfileFact::GroupAssigned { group: group.to_owned(), profile, by };
    Ok((vec![Fact::Profile(fact)], GroupAssigned { devices, warnings }))
}

/// Whether a device may have what its labels give it, as it is to be.
pub(crate) fn may_carry(known: &Known, device: &Device, models: &DeviceModels) -> Result<(), ProfileRefused> {
    let as_it_is_to_be = |known: &Device| if known.id == device.id { device.clone() } else { known.clone() };
    let devices: Vec<_> = known.devices.iter().map(as_it_is_to_be).collect();
    changes(known, &devices, &known.groups, models).map(drop)
}

/// The devices whose profile becomes another one, if all of them may have it.
fn changes(
    known: &Known,
    devices: &[Device],
    groups: &GroupProfiles,
    models: &DeviceModels,
) -> Result<(Vec<DeviceId>, Vec<Complaint>), ProfileRefused> {
    let before: HashMap<_, _> = known.devices.iter().map(|device| (device.id, known.groups.of(device).name)).collect();
    let (mut changed, mut warnings) = (Vec::new(), Vec::new());
    let in_service = || devices.iter().filter(|device| device.is_in_service());
    for device in devices.iter().filter(|device| device.goes_by_settings()) {
        let name = groups.of(device).name;
        if before.get(&device.id) == Some(&name) {
            continue;
        }
        changed.push(device.id);
        if !device.is_in_service() {
            continue;
        }
        // One that is not there sets nothing.
        let Some(Profile { name, settings, .. }) = known.profiles.get(name) else { continue };
        let who = format!("{} {}", device.model, device.serial);
        suits(name, settings, &who, &device.model, models, &mut warnings)?;
        may_share(name, settings, in_service().filter(|other| groups.of(other).name == name.as_str()))?;
    }
    Ok((changed, warnings))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{device, models, new};
    use super::*;

    fn labelled(n: u8, model: &str, profile: &str, groups: &[&str]) -> Device {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        Device { groups, ..device(n, model, profile) }
    }

    fn profile(name: &str, settings: serde_json::Value) -> Profile {
        let new = new(name, settings);
        Profile { name: new.name, settings: new.settings, ..BuiltIn::profile() }
    }

    fn known(devices: &[Device], groups: &[(&str, &str)]) -> Known {
        let wifi = serde_json::json!([
            {"ssid": "Yard", "security": "wpa2-aes", "passphrase": "12345678", "band": "5 GHz"}
        ]);
        let fixed = serde_json::json!({"addressing": "static", "address": "10.0.0.2", "prefix": 24});
        let profiles = [
            BuiltIn::profile(),
            profile("quiet", serde_json::json!({"led": "off"})),
            profile("yard", serde_json::json!({"wifi": wifi})),
            profile("fixed", serde_json::json!({"network": fixed})),
        ];
        let profiles = profiles.into_iter().map(|profile| (profile.name.to_string(), profile)).collect();
        let groups = groups.iter().map(|(group, name)| ((*group).to_owned(), name.parse().unwrap())).collect();
        Known { devices: devices.to_vec(), profiles, groups }
    }

    fn give(group: &str, name: &str, known: &Known) -> Result<GroupAssigned, ProfileRefused> {
        assign_group(group, name, known, &models(), "uid 0".into()).map(|(facts, assigned)| {
            assert_eq!(facts.len(), 1);
            assigned
        })
    }

    #[test]
    fn a_label_gives_its_profile_to_those_that_carry_it_and_have_none_of_their_own() {
        let devices = [
            labelled(1, "NEW", "default", &["night"]),
            labelled(2, "NEW", "yard", &["night"]),
            labelled(3, "NEW", "default", &["day"]),
            Device { state: longshore_model::DeviceState::Retired, ..labelled(4, "OLD", "default", &["night"]) },
        ];
        assert_eq!(give("night", "quiet", &known(&devices, &[])).unwrap().devices, [devices[0].id]);
        let given = || known(&devices, &[("night", "quiet")]);
        assert!(matches!(give("night", "quiet", &given()), Err(ProfileRefused::GroupAlready { .. })));
        assert_eq!(give("night", "default", &given()).unwrap().devices, [devices[0].id]);
        assert!(matches!(give("night", "default", &known(&devices, &[])), Err(ProfileRefused::GroupAlready { .. })));
        assert!(matches!(give("night", "none", &given()), Err(ProfileRefused::UnknownProfile { .. })));
        assert_eq!(give("nobody has it yet", "quiet", &given()).unwrap().devices, []);
    }

    #[test]
    fn what_one_of_them_cannot_do_or_two_may_not_share_is_refused() {
        let devices = [labelled(1, "NEW", "default", &["night"]), labelled(2, "OLD", "default", &["night"])];
        let refused = give("night", "yard", &known(&devices, &[])).unwrap_err();
        assert!(refused.to_string().starts_with("OLD S-2 cannot do what yard sets"), "{refused}");
        assert!(give("night", "yard", &known(&devices[..1], &[])).is_ok());
        assert!(matches!(give("night", "fixed", &known(&devices, &[])), Err(ProfileRefused::SharedAddress { .. })));
        assert!(give("night", "fixed", &known(&devices[..1], &[])).is_ok());
    }

    #[test]
    fn a_device_gets_no_label_whose_profile_it_cannot_have() {
        let devices = [labelled(1, "OLD", "default", &[]), labelled(2, "NEW", "fixed", &[])];
        let known = known(&devices, &[("night", "yard"), ("one", "fixed")]);
        let may = |groups: &[&str], own: &str| may_carry(&known, &labelled(1, "OLD", own, groups), &models());
        assert!(matches!(may(&["night"], "default"), Err(ProfileRefused::Unsuited { .. })));
        assert!(matches!(may(&["one"], "default"), Err(ProfileRefused::SharedAddress { .. })));
        assert!(may(&["night"], "quiet").is_ok() && may(&["day"], "default").is_ok());
    }

    #[test]
    fn of_two_labels_the_first_by_name_counts_and_a_warning_says_so() {
        let devices = [labelled(1, "NEW", "default", &["a", "b"])];
        let assigned = give("b", "yard", &known(&devices, &[("a", "quiet")])).unwrap();
        assert_eq!(assigned.devices, []);
        let warning = &assigned.warnings[0];
        assert!(warning.key == "group" && warning.what.contains("(b); that of a counts"), "{warning}");
        assert!(give("b", "quiet", &known(&devices, &[("a", "quiet")])).unwrap().warnings.is_empty());
    }
}
