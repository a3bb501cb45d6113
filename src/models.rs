//! What is known of the models of devices.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;

use crate::config::rate::{BytesPerSecond, Rate};

/// `config/models.toml`.
const TABLE: &str = include_str!("../config/models.toml");

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Model {
    #[serde(default)]
    stream_rate: Rate,
}

fn parse() -> Result<HashMap<String, Model>, toml::de::Error> {
    toml::from_str(TABLE)
}

/// What a device of this model can send in one transfer; `None`: nothing is known that would bound it.
pub(crate) fn stream_rate(model: &str) -> Option<BytesPerSecond> {
    // Read by a test, and the same in every build.
    static MODELS: LazyLock<HashMap<String, Model>> = LazyLock::new(|| parse().unwrap_or_default());
    MODELS.get(model.trim())?.stream_rate.bytes_per_second()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_camera_has_64_megabits_and_an_unknown_model_no_bound() {
        parse().unwrap();
        assert_eq!(stream_rate("BC4"), Some(8_000_000));
        assert_eq!(stream_rate("DVR-906"), None);
        assert_eq!(stream_rate("something new"), None);
    }
}
