use std::collections::BTreeSet;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::secret::Secret;
use crate::{Addressing, Band, Complaint, Resolution};

/// What a profile sets. What is left out, the device decides itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// What is recorded.
    #[serde(skip_serializing_if = "is_default")]
    pub video: Video,
    /// What becomes an event, and how much of the time around it.
    #[serde(skip_serializing_if = "is_default")]
    pub event: Event,
    /// What the device lets people hear.
    #[serde(skip_serializing_if = "is_default")]
    pub sound: Sound,
    /// What its light does while it records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub led: Option<Led>,
    /// How long recordings stay on the device.
    #[serde(skip_serializing_if = "is_default")]
    pub retention: Retention,
    /// What is sent over which network.
    #[serde(skip_serializing_if = "is_default")]
    pub upload: Upload,
    /// How it gets its address.
    #[serde(skip_serializing_if = "is_default")]
    pub network: Addresses,
    /// Wi-Fi networks that it may use, the preferred one first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub wifi: Vec<WifiNetwork>,
}

/// What is recorded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Video {
    /// Lines of the picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolution: Option<Resolution>,
    /// Pictures a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 240))]
    pub frame_rate: Option<u32>,
    /// Bits of video a second and camera, in thousands.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 64, max = 100_000))]
    pub bitrate_kbps: Option<u32>,
}

/// What becomes an event, and how much of the time around it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Event {
    /// Seconds before the trigger that belong to the event.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 600))]
    pub pre_s: Option<u32>,
    /// Seconds after its end that belong to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 3600))]
    pub post_s: Option<u32>,
    /// What begins an event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub triggers: Option<BTreeSet<Trigger>>,
    /// For the trigger `speed`: km/h above which an event begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 400))]
    pub speed_kmh: Option<u32>,
}

/// What begins an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// Somebody presses the record button.
    Button,
    /// The emergency lights.
    Lights,
    /// The siren.
    Siren,
    /// A blow, as of an accident.
    Impact,
    /// The vehicle drives faster than `speed_kmh`.
    Speed,
    /// A door is opened.
    Door,
    /// The wireless microphone is switched on.
    Microphone,
    /// Another input of the device.
    Input,
}

/// What the device lets people hear.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Sound {
    /// How loud its own tones are, in percent; 0 is silent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 100))]
    pub volume_percent: Option<u32>,
}

/// What the device's light does while it records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Led {
    /// It shows that the device records.
    On,
    /// The same, faintly.
    Dim,
    /// Nothing shows.
    Off,
}

/// How long recordings stay on the device.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Retention {
    /// Hours for which the device keeps its copy of what the server has, after the receipt; 0 deletes at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 8760))]
    pub uploaded_h: Option<u32>,
    /// Hours after which it deletes what is no event and nobody asked for; without it, it overwrites the oldest when it is
    /// full.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 8760))]
    pub unrequested_h: Option<u32>,
}

/// What is sent over which network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Upload {
    /// In a dock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dock: Option<Uploads>,
    /// Over Wi-Fi.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wifi: Option<Uploads>,
    /// Over 4G.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cellular: Option<Uploads>,
}

/// Which recordings are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Uploads {
    /// Events, and what somebody asked for.
    Events,
    /// Only what somebody asked for.
    Requested,
    /// None.
    Nothing,
}

/// How the device gets its address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Addresses {
    /// From the network, or from the following.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub addressing: Option<Addressing>,
    /// Its own address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// How many leading bits of it name the network, such as 24.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 128))]
    pub prefix: Option<u32>,
    /// Through which it reaches other networks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// Whom it asks for names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<IpAddr>,
}

/// A Wi-Fi network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WifiNetwork {
    /// Its name: 1 to 32 letters, digits, `_` and `-`.
    #[schemars(regex(pattern = "^[A-Za-z0-9_-]{1,32}$"))]
    pub ssid: String,
    /// How it is protected. Open networks are refused.
    pub security: Security,
    /// Its password: 8 to 63 letters, digits and special characters, but no `;`. `***` keeps the one that there is.
    pub passphrase: Secret,
    /// Of WPA2-Enterprise: by which name the device is known there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// Where it sends; left out, in any band.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub band: Option<Band>,
}

/// How a Wi-Fi network is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Security {
    /// WPA with TKIP.
    WpaTkip,
    /// WPA with AES.
    WpaAes,
    /// WPA2 with TKIP.
    Wpa2Tkip,
    /// WPA2 with AES.
    Wpa2Aes,
    /// WPA2 with a name and a password for each device.
    Wpa2Enterprise,
    /// Not at all: it is read, so that it is refused with its reason.
    #[schemars(skip)]
    Open,
}

impl Settings {
    /// The same without secrets, for people.
    #[must_use]
    pub fn masked(mut self) -> Self {
        for network in &mut self.wifi {
            network.passphrase = Secret::masked();
        }
        self
    }

    /// The same for a device whose address another has now: it asks the network for one.
    #[must_use]
    pub fn without_static_address(self) -> Self {
        match self.network.addressing {
            Some(Addressing::Static) => {
                let network = Addresses { addressing: Some(Addressing::Dhcp), ..Addresses::default() };
                Self { network, ..self }
            }
            _ => self,
        }
    }

    /// Puts the secrets of an earlier version in where somebody left what they were shown.
    ///
    /// # Errors
    /// A complaint for each secret that there was not.
    pub fn with_secrets_of(mut self, before: Option<&Self>) -> Result<Self, Vec<Complaint>> {
        let mut unknown = Vec::new();
        for (n, network) in self.wifi.iter_mut().enumerate().filter(|(_, network)| network.passphrase.is_mask()) {
            let earlier = before.and_then(|before| before.wifi.iter().find(|known| known.ssid == network.ssid));
            match earlier {
                Some(earlier) => network.passphrase = earlier.passphrase.clone(),
                None => unknown.push(Complaint::new(
                    format!("wifi[{n}].passphrase"),
                    format!("*** keeps a passphrase, and the server has none for {}; write it", network.ssid),
                )),
            }
        }
        if unknown.is_empty() { Ok(self) } else { Err(unknown) }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(ssid: &str, passphrase: &str) -> WifiNetwork {
        WifiNetwork {
            ssid: ssid.into(),
            security: Security::Wpa2Aes,
            passphrase: passphrase.into(),
            identity: None,
            band: None,
        }
    }

    #[test]
    fn a_secret_is_shown_to_devices_alone_and_kept_by_whoever_gives_back_what_they_were_shown() {
        let settings = Settings { wifi: vec![network("Yard", "correct horse")], ..Settings::default() };
        assert!(!format!("{settings:?}").contains("horse"));
        let shown = settings.clone().masked();
        assert!(!serde_json::to_string(&shown).unwrap().contains("horse"));
        assert!(serde_json::to_string(&settings).unwrap().contains("correct horse"));
        assert_eq!(shown.clone().with_secrets_of(Some(&settings)), Ok(settings));
        let unknown = shown.with_secrets_of(None).unwrap_err();
        assert_eq!(unknown[0].key, "wifi[0].passphrase");
    }

    #[test]
    fn settings_that_set_nothing_are_written_as_nothing() {
        assert_eq!(serde_json::to_string(&Settings::default()).unwrap(), "{}");
        assert_eq!(serde_json::from_str::<Settings>("{}").unwrap(), Settings::default());
    }
}
