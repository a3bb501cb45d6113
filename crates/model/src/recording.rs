use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, FixedOffset, Utc};
use serde::{Deserialize, Serialize};

use crate::{DeviceClock, DeviceId, RecordingId, RequestId, Sha256, Span, UploadId};

/// Why a recording exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Something triggered it; always transferred.
    Event,
    /// Recorded all the time; transferred on request.
    Continuous,
    /// A still picture.
    Snapshot,
}

/// A text that names no kind of recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a kind is event, continuous or snapshot")]
pub struct UnknownKind;

impl Kind {
    /// The word for it, on the wire and in file names.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Continuous => "continuous",
            Self::Snapshot => "snapshot",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        [Self::Event, Self::Continuous, Self::Snapshot]
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or(UnknownKind)
    }
}

/// What a device says that it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declared {
    /// The device's name for the recording.
    pub rid: RecordingId,
    /// Which of the device's cameras; empty if it has but one.
    pub camera: String,
    /// Why it was recorded.
    pub kind: Kind,
    /// What triggered it, in the device's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    /// When it starts, by the device's clock and in its zone.
    pub start: DateTime<FixedOffset>,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<DateTime<FixedOffset>>,
    /// Names the boot of the device in which it was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<String>,
    /// When the device will overwrite it, by its own clock and guess.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overwrite_at: Option<DateTime<FixedOffset>>,
    /// For which request the device offers it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestId>,
    /// Bytes; `None` if a client that offers nothing did not know them yet when it began to send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Checksum of the file on the device, once the device has computed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Sha256>,
    /// Name of the file on the device's card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// The device's clock was unset, or more than a day off, when it declared this: `start` is not to be believed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub clock_unset: bool,
    /// All that a client that offers nothing said of it, as it said it (`Upload-Metadata` of tus 1.0.0).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<String>,
    /// Uploads of which the server joins it, in this order; empty if it comes as a whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<UploadId>,
}

impl Declared {
    /// True times of its start and its end, where `clock` tells them.
    pub fn true_times(&self, clock: &DeviceClock) -> (Option<DateTime<Utc>>, Option<DateTime<Utc>>) {
        let truly = |wall| clock.to_true(wall, self.boot.as_deref());
        (truly(self.start), self.end.and_then(truly))
    }

    /// When the device overwrites it, in true time; where `clock` does not tell, as the device says.
    pub fn overwrites(&self, clock: &DeviceClock) -> Option<DateTime<Utc>> {
        let at = self.overwrite_at?;
        Some(clock.to_true(at, None).unwrap_or_else(|| at.to_utc()))
    }

    /// Where it lies in true time; where `clock` does not tell, as the device says. `None`: nobody knows.
    pub fn span(&self, clock: &DeviceClock) -> Option<Span> {
        let (start, end) = self.true_times(clock);
        let said = (!self.clock_unset).then(|| self.start.to_utc());
        Some(match start {
            Some(start) => Span::of(start, end),
            None => Span::of(said?, self.end.map(|end| end.to_utc())),
        })
    }
}

/// A recording that is in the store: verified, receipted, under its final name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Recording {
    /// The device that made it.
    pub device: DeviceId,
    /// The device's name for it.
    pub rid: RecordingId,
    /// 1 for the first content stored under this `rid`.
    pub revision: u32,
    /// Serial of the device.
    pub serial: String,
    /// Model of the device.
    pub model: String,
    /// Who had the device when the recording started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignee: Option<String>,
    /// Which camera.
    pub camera: String,
    /// Why it was recorded.
    pub kind: Kind,
    /// What triggered it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    /// When it starts, by the device's clock.
    pub start: DateTime<FixedOffset>,
    /// When it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<DateTime<FixedOffset>>,
    /// `start` is not to be believed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub clock_unset: bool,
    /// When it really started, where the device's clock was compared with the server's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub true_start: Option<DateTime<Utc>>,
    /// When it really ended, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub true_end: Option<DateTime<Utc>>,
    /// Bytes.
    pub size: u64,
    /// Checksum of the stored file.
    pub sha256: Sha256,
    /// The device declared the same checksum before the transfer; without it the checksum is the server's word alone.
    pub attested: bool,
    /// The device was suspended when it handed the recording over, and got no receipt for it then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub held: bool,
    /// Name of the file on the device's card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original_name: Option<String>,
    /// When all its bytes were here and durable; those that were stored before this was noted have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received_at: Option<DateTime<Utc>>,
    /// When the stored copy was verified.
    pub verified_at: DateTime<Utc>,
    /// The transfer that brought it.
    pub upload: UploadId,
    /// Where it lies, below the storage folder.
    pub path: String,
}

impl Recording {
    /// When it began and ended in true time, as well as that is known; `None`: nobody knows.
    pub fn when(&self) -> Option<(DateTime<Utc>, Option<DateTime<Utc>>)> {
        let said = (!self.clock_unset).then(|| (self.start.to_utc(), self.end.map(|end| end.to_utc())));
        self.true_start.map(|start| (start, self.true_end)).or(said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_reads_back_as_it_was_printed() {
        for kind in [Kind::Event, Kind::Continuous, Kind::Snapshot] {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        assert_eq!("Event".parse::<Kind>(), Err(UnknownKind));
    }
}
