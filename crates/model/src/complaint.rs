use std::fmt;

use serde::{Deserialize, Serialize};

/// Something that is wrong with one value that a person wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Complaint {
    /// Which value: names with dots between them, elements of lists by their number from 0, such as `wifi[0].ssid`.
    pub key: String,
    /// What is wrong with it, and what would be right.
    pub what: String,
}

impl Complaint {
    pub(crate) fn new(key: impl Into<String>, what: impl Into<String>) -> Self {
        Self { key: key.into(), what: what.into() }
    }

    /// The same, where the value stands below this name.
    pub(crate) fn below(self, name: &str) -> Self {
        Self { key: format!("{name}.{}", self.key), ..self }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.what)
    }
}
