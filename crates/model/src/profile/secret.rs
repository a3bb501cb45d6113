use std::fmt;

use schemars::JsonSchema;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// What stands in place of a secret that is not shown. No passphrase is as short, so it is never taken for one.
const MASK: &str = "***";

/// A password. It goes to devices and into the journal; people are shown `***`, and so is the log.
#[derive(Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Secret(String);

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Text)
    }
}

/// Takes a text, and tells of what is none without repeating it: serde's own errors say what they found.
struct Text;

impl Visitor<'_> for Text {
    type Value = Secret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text in quotes")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Secret, E> {
        Ok(text.into())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Secret, E> {
        Err(no_text())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Secret, E> {
        Err(no_text())
    }

    fn visit_i128<E: Error>(self, _: i128) -> Result<Secret, E> {
        Err(no_text())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Secret, E> {
        Err(no_text())
    }

    fn visit_u128<E: Error>(self, _: u128) -> Result<Secret, E> {
        Err(no_text())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Secret, E> {
        Err(no_text())
    }
}

fn no_text<E: Error>() -> E {
    E::custom("has to be a text, in quotes")
}

impl Secret {
    /// The password itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What people are shown.
    pub(super) fn masked() -> Self {
        Self(MASK.to_owned())
    }

    /// Whether somebody gave back what they were shown.
    pub(super) fn is_mask(&self) -> bool {
        self.0 == MASK
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_text_is_refused_without_being_repeated() {
        for written in
            ["12345678", "-12345678", "1234567.8", "12345678901234567890123", "[12345678]", "{\"12345678\":1}"]
        {
            let refused = serde_json::from_str::<Secret>(written).unwrap_err().to_string();
            assert!(!refused.contains("1234567") && refused.contains("text"), "{written}: {refused}");
        }
        assert_eq!(serde_json::from_str::<Secret>("\"12345678\"").unwrap().reveal(), "12345678");
        assert_eq!(serde_json::from_str::<Secret>("\"a\\u0062c\"").unwrap().reveal(), "abc");
    }
}
