use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A text that is not an id: an id is 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id is 32 hexadecimal digits")]
pub struct InvalidId;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; 16]);

        impl $name {
            /// The id with exactly these 128 bits.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The 128 bits.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }

            /// A new id from the operating system's random source.
            ///
            /// # Errors
            /// When the operating system has no randomness to give.
            pub fn random() -> Result<Self, getrandom::Error> {
                let mut bytes = [0; 16];
                getrandom::fill(&mut bytes)?;
                Ok(Self(bytes))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), hex::encode(self.0))
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let mut bytes = [0; 16];
                hex::decode_to_slice(text, &mut bytes).map_err(|_| InvalidId)?;
                Ok(Self(bytes))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        #[cfg(feature = "openapi")]
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                crate::schema::digits(32)
            }
        }

        #[cfg(feature = "openapi")]
        impl utoipa::ToSchema for $name {}

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }
    };
}

id!(
    /// A device as the server knows it; given at enrolment, kept across keys and docks.
    DeviceId
);
id!(
    /// A recording, named by the device when it starts to record; never reused.
    RecordingId
);
id!(
    /// One transfer of one recording.
    UploadId
);
id!(
    /// A pending or decided request of a device to be known.
    EnrolmentId
);
id!(
    /// A storage folder; tells it from the folder that is left when its disk is not mounted.
    StorageId
);
id!(
    /// An enrolment token; its secret is not part of it.
    TokenId
);
id!(
    /// A request for footage; those of one server sort by when they were made.
    RequestId
);
id!(
    /// Something that a device is to do once.
    CommandId
);
id!(
    /// A message in the outbox.
    MailId
);
id!(
    /// A health event, named by the device that reports it; never reused.
    HealthEventId
);
id!(
    /// Recordings that were given out together.
    ExportId
);

impl RequestId {
    /// A new id, whose first 48 bits are the milliseconds since 1970, as in a UUID of version 7 (RFC 9562 §5.7).
    ///
    /// # Errors
    /// When the operating system has no randomness to give.
    pub fn new(now: DateTime<Utc>) -> Result<Self, getrandom::Error> {
        let Self(mut bytes) = Self::random()?;
        let [_, _, millis @ ..] = now.timestamp_millis().to_be_bytes();
        if let Some(first) = bytes.first_chunk_mut() {
            *first = millis;
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_as_it_was_printed() {
        let id = RecordingId::random().unwrap();
        assert_eq!(id.to_string().parse(), Ok(id));
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(serde_json::from_str::<RecordingId>(&json).unwrap(), id);
    }

    #[test]
    fn a_later_request_has_a_later_id() {
        let at = |text: &str| RequestId::new(text.parse().unwrap()).unwrap();
        assert!(at("2026-11-21T14:00:00.000Z") < at("2026-11-21T14:00:00.001Z"));
        assert!(at("2026-11-21T14:00:00Z").to_string().starts_with("01a1fe682300"));
    }

    #[test]
    fn what_is_not_32_hexadecimal_digits_is_no_id() {
        for text in [
            "",
            "00",
            "zz000000000000000000000000000000",
            "../../../../../../../../etc/pass",
            "000000000000000000000000000000000",
        ] {
            assert_eq!(text.parse::<UploadId>(), Err(InvalidId), "{text}");
        }
    }
}
