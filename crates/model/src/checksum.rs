use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::Digest;
use sha2::digest::common::hazmat::SerializableState;

/// A SHA-256 checksum; written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sha256([u8; 32]);

impl Sha256 {
    /// The checksum with exactly these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The checksum of `data`.
    pub fn of(data: &[u8]) -> Self {
        Self(sha2::Sha256::digest(data).into())
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Sha256 {
    type Err = hex::FromHexError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes)?;
        Ok(Self(bytes))
    }
}

impl Serialize for Sha256 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(feature = "openapi")]
impl utoipa::PartialSchema for Sha256 {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        crate::schema::digits(64)
    }
}

#[cfg(feature = "openapi")]
impl utoipa::ToSchema for Sha256 {}

impl<'de> Deserialize<'de> for Sha256 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|_| de::Error::custom("a SHA-256 is 64 hexadecimal digits"))
    }
}

/// A SHA-256 in the making, whose state can be kept and taken up again: a resumed transfer reads nothing twice.
#[derive(Clone, Default)]
pub struct RunningHash(sha2::Sha256);

/// The state of a [`RunningHash`] after some bytes.
pub type HashState = [u8; 104];

/// Bytes that are no state of a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the kept state of the checksum is damaged")]
pub struct DamagedHashState;

impl RunningHash {
    /// Takes in the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The state now.
    pub fn state(&self) -> HashState {
        self.0.serialize().into()
    }

    /// Goes on from a kept state.
    ///
    /// # Errors
    /// [`DamagedHashState`] if it is none.
    pub fn resume(state: &HashState) -> Result<Self, DamagedHashState> {
        sha2::Sha256::deserialize(&(*state).into()).map(Self).map_err(|_| DamagedHashState)
    }

    /// The checksum of all that was taken in.
    pub fn finish(self) -> Sha256 {
        Sha256(self.0.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_goes_on_from_its_kept_state_at_every_length() {
        let data: Vec<u8> = (0..300_u16).map(|n| n.to_le_bytes()[0]).collect();
        for cut in 0..data.len() {
            let mut hash = RunningHash::default();
            hash.update(&data[..cut]);
            let mut resumed = RunningHash::resume(&hash.state()).unwrap();
            resumed.update(&data[cut..]);
            assert_eq!(resumed.finish(), Sha256::of(&data));
        }
    }
}
