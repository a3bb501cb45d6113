//! Config profiles: every version of each, and which one a device has.

use chrono::{DateTime, Utc};
use longshore_model::{BuiltIn, Device, GroupProfiles, Profile, ProfileName, Settings};

use super::apply::{Applied, Rows, change, put};
use super::tables::Table;
use super::{Index, IndexError, get, values};
use crate::facts::ProfileFact;

impl Rows {
    pub(super) fn apply_profile(&self, fact: &ProfileFact, at: DateTime<Utc>) -> Applied<()> {
        match fact {
            ProfileFact::Applied { name, version, note, settings, by } => {
                let profile = Profile {
                    name: name.clone(),
                    version: *version,
                    note: note.clone(),
                    settings: Settings::clone(settings),
                    by: Some(by.clone()),
                    at: Some(at),
                };
                put(&self.tables[Table::Profiles], &key(name.as_str(), *version), &profile)
            }
            ProfileFact::GroupAssigned { group, profile, .. } => {
                let (table, key) = (&self.tables[Table::GroupProfiles], group.as_bytes());
                if profile.as_str() == BuiltIn::NAME {
                    table.remove(key)?;
                    return Ok(());
                }
                put(table, key, &(group, profile))
            }
            ProfileFact::Assigned { device, profile, .. } => {
                change(&self.tables[Table::Devices], device.as_bytes(), |device: &mut Device| {
                    device.profile = profile.as_str().to_owned();
                })
            }
        }
    }
}

impl Index {
    /// The newest version of the profile with this name.
    ///
    /// # Errors
    /// [`IndexError`]; so for all that follow.
    pub fn profile(&self, name: &str) -> Result<Option<Profile>, IndexError> {
        let newest = self.tables[Table::Profiles].scan_prefix(prefix(name)).next_back().transpose()?;
        match newest {
            Some((_, row)) => super::read(&row).map(Some),
            None => Ok(built_in(name)),
        }
    }

    /// One version of it.
    pub fn profile_version(&self, name: &str, version: u32) -> Result<Option<Profile>, IndexError> {
        let kept = get(&self.tables[Table::Profiles], &key(name, version))?;
        Ok(kept.or_else(|| built_in(name).filter(|profile| profile.version == version)))
    }

    /// All its versions, oldest first.
    pub fn profile_versions(&self, name: &str) -> Result<Vec<Profile>, IndexError> {
        let kept = values(self.tables[Table::Profiles].scan_prefix(prefix(name)))?;
        Ok(built_in(name).into_iter().chain(kept).collect())
    }

    /// The newest version of each profile, by name.
    pub fn profiles(&self) -> Result<Vec<Profile>, IndexError> {
        let mut newest: Vec<Profile> = built_in(BuiltIn::NAME).into_iter().collect();
        for profile in values::<Profile>(self.tables[Table::Profiles].iter())? {
            // Rows come by name and version.
            newest.retain(|known| known.name != profile.name);
            newest.push(profile);
        }
        newest.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(newest)
    }

    /// Which profiles labels give.
    pub fn group_profiles(&self) -> Result<GroupProfiles, IndexError> {
        Ok(values::<(String, ProfileName)>(self.tables[Table::GroupProfiles].iter())?.into_iter().collect())
    }

    /// Devices that are set to this profile, by themselves or by their labels, by serial.
    pub fn devices_with_profile(&self, name: &str) -> Result<Vec<Device>, IndexError> {
        let (mut devices, groups) = (self.devices()?, self.group_profiles()?);
        devices.retain(|device| groups.of(device).name == name);
        Ok(devices)
    }
}

fn built_in(name: &str) -> Option<Profile> {
    (name == BuiltIn::NAME).then(BuiltIn::profile)
}

/// A name has no control characters, so none is the beginning of another's key.
fn prefix(name: &str) -> Vec<u8> {
    [name.as_bytes(), &[0]].concat()
}

fn key(name: &str, version: u32) -> Vec<u8> {
    [prefix(name).as_slice(), &version.to_be_bytes()].concat()
}
