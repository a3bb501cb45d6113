use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What stands in place of a secret that is not shown. No passphrase is as short, so it is never taken for one.
const MASK: &str = "***";

/// A password. It goes to devices and into the journal; people are shown `***`, and so is the log.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Secret(String);

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
