//! Config profiles: what a device is to record, how it is to behave, and which networks it may use.

mod check;
mod drift;
mod groups;
mod secret;
mod settings;

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::DeviceModel;

pub use check::Suits;
pub use drift::Drift;
pub use groups::{GroupProfiles, HasProfile};
pub use secret::Secret;
pub use settings::{
    Addresses, Event, Led, Retention, Security, Settings, Sound, Trigger, Upload, Uploads, Video, WifiNetwork,
};

/// Characters of a profile's name.
const NAME_CHARS: usize = 64;

/// Name of a profile: 1 to 64 letters, digits, `_` and `-`, so that it can be the name of a file and part of a URL.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProfileName(String);

impl ProfileName {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ProfileName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let right = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if name.is_empty() || name.len() > NAME_CHARS || !name.chars().all(right) {
            return Err(format!("{name:?} is no name of a profile: 1 to {NAME_CHARS} letters, digits, _ and -"));
        }
        Ok(Self(name))
    }
}

impl FromStr for ProfileName {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::try_from(name.to_owned())
    }
}

impl From<ProfileName> for String {
    fn from(name: ProfileName) -> Self {
        name.0
    }
}

impl fmt::Display for ProfileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One version of a profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Profile {
    /// Its name.
    pub name: ProfileName,
    /// Counts from 1.
    pub version: u32,
    /// What it is for, in a person's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// What it sets.
    pub settings: Settings,
    /// Who made this version; nobody, if every server has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When; not of what every server has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<DateTime<Utc>>,
}

/// The profile that every server has.
#[derive(Debug, Clone, Copy)]
pub struct BuiltIn;

impl BuiltIn {
    /// Its name.
    pub const NAME: &'static str = "default";

    /// Its first version. It sets nothing, so every model can do it: a device does what its maker thought right.
    pub fn profile() -> Profile {
        Profile {
            name: ProfileName(Self::NAME.to_owned()),
            version: 1,
            note: Some("What the device's maker thought right".to_owned()),
            settings: Settings::default(),
            by: None,
            at: None,
        }
    }
}

/// What a device is to be set to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceProfile {
    /// Name of the profile.
    pub id: String,
    /// Its version.
    pub version: u32,
    /// What it sets; what is left out, the device decides itself.
    pub settings: Settings,
}

impl Profile {
    /// What a device of this model is to be set to: what the profile leaves out is as is usual for the model, if that is known.
    #[must_use]
    pub fn for_device(self, model: Option<&DeviceModel>) -> DeviceProfile {
        let Self { name, version, mut settings, .. } = self;
        if let Some(model) = model {
            let video = &mut settings.video;
            video.resolution = video.resolution.or(model.resolution.and_then(|bounds| bounds.default));
            video.frame_rate = video.frame_rate.or(model.frame_rate.and_then(|bounds| bounds.default));
            video.bitrate_kbps = video.bitrate_kbps.or(model.bitrate_kbps.and_then(|bounds| bounds.default));
        }
        DeviceProfile { id: name.0, version, settings }
    }

    /// The same without its secrets, for people.
    #[must_use]
    pub fn masked(self) -> Self {
        Self { settings: self.settings.masked(), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bounds, Resolution};

    #[test]
    fn a_name_is_letters_digits_and_two_signs() {
        for right in ["default", "night-shift_2", "A", &"x".repeat(64)] {
            assert_eq!(right.parse::<ProfileName>().unwrap().as_str(), right);
        }
        for wrong in ["", "a b", "../etc", "ü", "a.b", &"x".repeat(65)] {
            assert!(wrong.parse::<ProfileName>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_a_profile_leaves_out_is_as_is_usual_for_the_model() {
        let bounds = Bounds { least: None, most: Some(Resolution::P1080), default: Some(Resolution::P720) };
        let model = DeviceModel { resolution: Some(bounds), ..DeviceModel::default() };
        let set = |profile: Profile| profile.for_device(Some(&model)).settings.video.resolution;
        assert_eq!(set(BuiltIn::profile()), Some(Resolution::P720));
        let mut own = BuiltIn::profile();
        own.settings.video.resolution = Some(Resolution::P1080);
        assert_eq!(set(own), Some(Resolution::P1080));
        assert_eq!(BuiltIn::profile().for_device(None).settings, Settings::default());
    }
}
