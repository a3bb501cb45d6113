//! What is known of models of devices. A table, not code: ours is a file, and an operator may have another.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Complaint, Rate};

/// What is known of one model. What nobody has said is `None`: it is neither promised nor refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(default, deny_unknown_fields)]
pub struct DeviceModel {
    /// What it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<DeviceKind>,
    /// How many cameras it has at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cameras: Option<u32>,
    /// Whether it hands over what is no event, if somebody asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<bool>,
    /// Whether it reports its health.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<bool>,
    /// Whether it sends live video.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub live: Option<bool>,
    /// Whether it is much faster without TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plain_http: Option<bool>,
    /// Whether it can use Wi-Fi networks with WPA2-Enterprise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wpa2_enterprise: Option<bool>,
    /// Its Wi-Fi.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wifi: Option<WifiRadio>,
    /// How it may get its address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub addressing: Option<Vec<Addressing>>,
    /// Pictures that it can record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolution: Option<Bounds<Resolution>>,
    /// Pictures a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frame_rate: Option<Bounds<u32>>,
    /// Bits of video a second and camera, in thousands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bitrate_kbps: Option<Bounds<u32>>,
    /// What one transfer of such a device is read with at most, unless the configuration says otherwise.
    pub stream_rate: Rate,
    /// Whose firmware fits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub firmware_family: Option<String>,
}

/// What a device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum DeviceKind {
    /// Worn by a person, unloaded in a dock.
    BodyCamera,
    /// Built into a vehicle.
    VehicleRecorder,
}

/// A Wi-Fi radio.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct WifiRadio {
    /// Where it can send.
    pub bands: Vec<Band>,
    /// Which IEEE 802.11 it speaks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standard: Option<WifiStandard>,
    /// What it reaches at best.
    #[serde(default)]
    pub rate: Rate,
}

/// A Wi-Fi band.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Band {
    /// 2.4 GHz.
    #[serde(rename = "2.4 GHz")]
    Ghz2,
    /// 5 GHz.
    #[serde(rename = "5 GHz")]
    Ghz5,
}

/// A standard of Wi-Fi.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum WifiStandard {
    /// Wi-Fi 4.
    #[serde(rename = "802.11n")]
    N,
    /// Wi-Fi 5.
    #[serde(rename = "802.11ac")]
    Ac,
    /// Wi-Fi 6.
    #[serde(rename = "802.11ax")]
    Ax,
}

/// How a device gets its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Addressing {
    /// From the network.
    Dhcp,
    /// From its settings.
    Static,
}

/// Lines of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Resolution {
    /// 848 x 480 or 720 x 480.
    #[serde(rename = "480p")]
    P480,
    /// 1280 x 720.
    #[serde(rename = "720p")]
    P720,
    /// 1920 x 1080.
    #[serde(rename = "1080p")]
    P1080,
    /// 2560 x 1440.
    #[serde(rename = "1440p")]
    P1440,
    /// 3840 x 2160.
    #[serde(rename = "2160p")]
    P2160,
}

/// Between what a value may be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Bounds<T> {
    /// No less.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub least: Option<T>,
    /// No more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub most: Option<T>,
    /// What it is unless the device is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<T>,
}

impl<T: PartialOrd> Bounds<T> {
    /// Whether a device can do this, as far as is known.
    pub fn hold(&self, value: &T) -> bool {
        self.least.as_ref().is_none_or(|least| value >= least) && self.most.as_ref().is_none_or(|most| value <= most)
    }

    fn contradiction(&self) -> Option<&'static str> {
        if self.least.as_ref().zip(self.most.as_ref()).is_some_and(|(least, most)| least > most) {
            return Some("least is more than most");
        }
        let outside = self.default.as_ref().is_some_and(|default| !self.hold(default));
        outside.then_some("default is not between least and most")
    }
}

impl<T: fmt::Display> fmt::Display for Bounds<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.least, &self.most) {
            (Some(least), Some(most)) => write!(f, "{least} to {most}"),
            (Some(least), None) => write!(f, "at least {least}"),
            (None, Some(most)) => write!(f, "at most {most}"),
            (None, None) => f.write_str("anything"),
        }
    }
}

macro_rules! as_written {
    ($($type:ty)*) => {$(
        impl fmt::Display for $type {
            /// As it is written in files.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.serialize(f)
            }
        }
    )*};
}
as_written!(DeviceKind Band WifiStandard Addressing Resolution);

impl DeviceModel {
    /// What of it contradicts itself, by key.
    pub fn contradictions(&self) -> Vec<Complaint> {
        let mut wrong = Vec::new();
        let mut complain = |key: &str, what: &str| wrong.push(Complaint::new(key, what));
        if self.cameras == Some(0) {
            complain("cameras", "a device has at least one; leave it out if the number is not known");
        }
        if self.addressing.as_ref().is_some_and(Vec::is_empty) {
            complain("addressing", "name dhcp, static or both; leave it out if it is not known");
        }
        if self.wifi.as_ref().is_some_and(|wifi| wifi.bands.is_empty()) {
            complain("wifi.bands", "name at least one; leave [wifi] out if the bands are not known");
        }
        let bounds = [
            ("resolution", self.resolution.and_then(|bounds| bounds.contradiction())),
            ("frame_rate", self.frame_rate.and_then(|bounds| bounds.contradiction())),
            ("bitrate_kbps", self.bitrate_kbps.and_then(|bounds| bounds.contradiction())),
        ];
        for (key, what) in bounds {
            if let Some(what) = what {
                complain(key, what);
            }
        }
        wrong
    }
}

/// All models that are known, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(transparent)]
pub struct DeviceModels(BTreeMap<String, DeviceModel>);

impl DeviceModels {
    /// The model of this name, if it is known.
    pub fn get(&self, name: &str) -> Option<&DeviceModel> {
        self.0.get(name.trim())
    }

    /// All, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &DeviceModel)> {
        self.0.iter().map(|(name, model)| (name.as_str(), model))
    }

    /// With these too; one of theirs takes the place of ours of the same name.
    #[must_use]
    pub fn with(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        self
    }

    /// What of them contradicts itself, by the model's name and the key.
    pub fn contradictions(&self) -> Vec<Complaint> {
        self.iter().flat_map(|(name, model)| model.contradictions().into_iter().map(move |it| it.below(name))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(model: &str) -> Vec<String> {
        let model: DeviceModel = serde_json::from_str(model).unwrap();
        model.contradictions().into_iter().map(|complaint| complaint.key).collect()
    }

    #[test]
    fn a_model_of_which_nothing_is_known_contradicts_nothing_and_is_not_bounded() {
        let nothing = DeviceModel::default();
        assert!(nothing.contradictions().is_empty());
        assert_eq!(nothing.stream_rate.bytes_per_second(), None);
    }

    #[test]
    fn what_contradicts_itself_is_named_by_its_key() {
        for (model, key) in [
            (r#"{"cameras": 0}"#, "cameras"),
            (r#"{"addressing": []}"#, "addressing"),
            (r#"{"wifi": {"bands": []}}"#, "wifi.bands"),
            (r#"{"resolution": {"most": "720p", "default": "1080p"}}"#, "resolution"),
            (r#"{"frame_rate": {"most": 30, "default": 60}}"#, "frame_rate"),
            (r#"{"bitrate_kbps": {"least": 4000, "most": 1000}}"#, "bitrate_kbps"),
        ] {
            assert_eq!(wrong(model), [key], "{model}");
        }
    }

    #[test]
    fn a_model_of_the_operator_takes_the_place_of_ours() {
        let read = |text: &str| serde_json::from_str::<DeviceModels>(text).unwrap();
        let both = read(r#"{"A": {"live": true, "health": true}, "B": {}}"#).with(read(r#"{"A": {"live": false}}"#));
        assert_eq!(both, read(r#"{"A": {"live": false}, "B": {}}"#));
        assert_eq!(both.get(" A ").and_then(|model| model.health), None);
    }

    #[test]
    fn words_are_shown_as_they_are_written() {
        assert_eq!(
            format!("{} {} {}", Band::Ghz2, Resolution::P720, DeviceKind::BodyCamera),
            "2.4 GHz 720p body_camera"
        );
    }
}
