use longshore_model::{DeviceId, ProfileName, Settings};
use serde::{Deserialize, Serialize};

/// Something that happened to config profiles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum ProfileFact {
    /// There is a new version of a profile.
    Applied {
        /// Which profile.
        name: ProfileName,
        /// Its number.
        version: u32,
        /// What it is for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
        /// What it sets, with its secrets: devices are given them from here.
        settings: Box<Settings>,
        /// Who did it.
        by: String,
    },
    /// A label gives another profile to the devices that carry it.
    GroupAssigned {
        /// Which label.
        group: String,
        /// Which profile; the default is none.
        profile: ProfileName,
        /// Who did it.
        by: String,
    },
    /// A device got another profile.
    Assigned {
        /// Which device.
        device: DeviceId,
        /// Which profile.
        profile: ProfileName,
        /// Who did it.
        by: String,
    },
}
