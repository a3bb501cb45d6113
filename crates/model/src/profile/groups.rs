//! Profiles that devices have by their labels.

use std::collections::BTreeMap;

use super::{BuiltIn, ProfileName};
use crate::Device;

/// Which profile each label gives to the devices that carry it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupProfiles(BTreeMap<String, ProfileName>);

/// Which profile a device has, and by what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HasProfile<'a> {
    /// Its name.
    pub name: &'a str,
    /// The label that gives it; `None`: it is the device's own, or what every device has.
    pub group: Option<&'a str>,
    /// Other labels of the device that would give it another one.
    pub overruled: Vec<&'a str>,
}

impl GroupProfiles {
    /// The profile that counts for a device: its own; else that of its labels, of several the first by name; else the
    /// default. Who is given the default has none of its own.
    pub fn of<'a>(&'a self, device: &'a Device) -> HasProfile<'a> {
        if device.profile != BuiltIn::NAME {
            return HasProfile { name: &device.profile, group: None, overruled: Vec::new() };
        }
        let mut given = device.groups.iter().filter_map(|group| Some((group.as_str(), self.get(group)?)));
        let Some((group, name)) = given.next() else {
            return HasProfile { name: BuiltIn::NAME, group: None, overruled: Vec::new() };
        };
        let overruled = given.filter(|(_, other)| *other != name).map(|(group, _)| group).collect();
        HasProfile { name: name.as_str(), group: Some(group), overruled }
    }

    /// The profile that a label gives.
    pub fn get(&self, group: &str) -> Option<&ProfileName> {
        self.0.get(group)
    }

    /// Lets the label give this profile from now on; the default is none.
    pub fn set(&mut self, group: String, profile: ProfileName) {
        if profile.as_str() == BuiltIn::NAME {
            self.0.remove(&group);
        } else {
            self.0.insert(group, profile);
        }
    }

    /// The labels that give this profile.
    pub fn giving<'a>(&'a self, profile: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(_, name)| name.as_str() == profile).map(|(group, _)| group.as_str())
    }
}

impl FromIterator<(String, ProfileName)> for GroupProfiles {
    fn from_iter<T: IntoIterator<Item = (String, ProfileName)>>(rows: T) -> Self {
        Self(rows.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(profile: &str, groups: &[&str]) -> Device {
        let json = serde_json::json!({
            "id": "00000000000000000000000000000001", "serial": "S-1", "model": "BC4", "state": "active",
            "assignments": [], "profile": profile, "groups": groups, "approved_at": "2026-11-21T15:00:00Z",
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_devices_own_profile_counts_before_those_of_its_labels_and_of_these_the_first_by_name() {
        let mut groups = GroupProfiles::default();
        for (group, profile) in [("night", "dark"), ("traffic", "fast"), ("zone", "dark")] {
            groups.set(group.to_owned(), profile.parse().unwrap());
        }
        for (own, labels, name, group, overruled) in [
            ("default", vec!["day"], "default", None, vec![]),
            ("default", vec!["traffic", "day"], "fast", Some("traffic"), vec![]),
            ("default", vec!["zone", "traffic", "night"], "dark", Some("night"), vec!["traffic"]),
            ("patrol", vec!["traffic", "night"], "patrol", None, vec![]),
        ] {
            assert_eq!(groups.of(&device(own, &labels)), HasProfile { name, group, overruled }, "{own} {labels:?}");
        }
        assert_eq!(groups.giving("dark").collect::<Vec<_>>(), ["night", "zone"]);
        groups.set("traffic".to_owned(), "default".parse().unwrap());
        assert_eq!(groups.of(&device("default", &["traffic"])).group, None);
    }
}
