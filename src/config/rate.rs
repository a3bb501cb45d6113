//! The rate of one transfer.

use std::fmt;

use longshore_model::Timetable;
use serde::{Deserialize, Serialize};

/// Rate of one transfer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum StreamRate {
    /// What `config/models.toml` says of the device's model.
    #[default]
    ByModel,
    /// The same for all.
    Same(Timetable),
}

impl TryFrom<String> for StreamRate {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text == "by model" {
            return Ok(Self::ByModel);
        }
        Timetable::try_from(text).map(Self::Same).map_err(|why| format!("{why}; or write \"by model\""))
    }
}

impl fmt::Display for StreamRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ByModel => f.write_str("by model"),
            Self::Same(timetable) => timetable.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: TryFrom<String, Error = String> + fmt::Display>(text: &str) -> Result<String, String> {
        T::try_from(text.to_owned()).map(|value| value.to_string())
    }

    #[test]
    fn the_rate_of_a_transfer_may_follow_from_the_model() {
        assert_eq!(read::<StreamRate>("by model").as_deref(), Ok("by model"));
        assert_eq!(read::<StreamRate>("10 Mbit/s").as_deref(), Ok("10 Mbit/s"));
        assert!(read::<StreamRate>("by size").is_err_and(|why| why.contains("by model")));
    }
}
