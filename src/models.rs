//! The table of device models: `config/models.toml`, and the operator's own file over it.

use std::fs;
use std::path::Path;

use longshore_model::DeviceModels;

use crate::config::{Devices, Mistake, Mistakes, Source, typed};

/// `config/models.toml`.
const TABLE: &str = include_str!("../config/models.toml");

/// All models that count.
///
/// # Errors
/// Every mistake in the operator's file.
pub(crate) fn load(config: &Devices) -> Result<DeviceModels, Mistakes> {
    let ours = read(Path::new("config/models.toml"), TABLE)?;
    let Some(path) = &config.models else { return Ok(ours) };
    let text = fs::read_to_string(path).map_err(|error| {
        let what = format!("the models of devices cannot be read: {error}");
        Mistakes(vec![Mistake::of_whole(Source::WholeFile(path.clone()), what)])
    })?;
    Ok(ours.with(read(path, &text)?))
}

fn read(path: &Path, text: &str) -> Result<DeviceModels, Mistakes> {
    let written = typed::read::<DeviceModels>(path, text).map_err(Mistakes)?;
    let wrong: Vec<_> =
        written.value.contradictions().into_iter().map(|complaint| written.mistake(complaint)).collect();
    if wrong.is_empty() { Ok(written.value) } else { Err(Mistakes(wrong)) }
}

#[cfg(test)]
mod tests {
    use longshore_model::{Addressing, Band};

    use super::*;

    fn ours() -> DeviceModels {
        load(&Devices::default()).unwrap()
    }

    #[test]
    fn a_body_camera_has_64_megabits_and_an_unknown_model_no_bound() {
        let rate = |name: &str| ours().get(name).and_then(|model| model.stream_rate.bytes_per_second());
        assert_eq!(rate("BC4"), Some(8_000_000));
        assert_eq!(rate("DVR-906"), None);
        assert_eq!(rate("something new"), None);
    }

    /// What the makers' guides say, sentence by sentence, and nothing that they do not.
    #[test]
    fn the_table_says_of_each_model_what_is_known() {
        let models = ours();
        let names: Vec<_> = models.iter().map(|(name, _)| name).collect();
        let all =
            ["BC4", "DR-200v1", "DR-200v2", "DVR-808", "DVR-906", "DVR-908 Ranger", "PD-1800", "PD-1900", "PD-1902"];
        assert_eq!(names, all);
        let of = |name: &str| models.get(name).unwrap().clone();
        let that = |say: &dyn Fn(&str) -> bool| all.into_iter().filter(|name| say(name)).collect::<Vec<_>>();
        assert_eq!(that(&|name| of(name).wpa2_enterprise == Some(true)), ["DR-200v2", "PD-1900", "PD-1902"]);
        assert_eq!(that(&|name| of(name).health == Some(false)), ["DR-200v1", "DVR-808"]);
        assert_eq!(that(&|name| of(name).health == Some(true)), ["BC4", "DR-200v2", "DVR-906", "DVR-908 Ranger"]);
        assert_eq!(that(&|name| of(name).plain_http == Some(true)), ["DR-200v1", "PD-1800"]);
        let only_low = |name: &str| of(name).wifi.is_some_and(|wifi| wifi.bands == [Band::Ghz2]);
        assert_eq!(that(&only_low), ["DR-200v1", "DVR-808"]);
        assert_eq!(of("BC4").addressing, Some(vec![Addressing::Dhcp]));
        assert!(of("PD-1900").wifi.is_none() && of("PD-1900").health.is_none() && of("PD-1900").kind.is_none());
    }

    #[test]
    fn a_file_of_the_operator_counts_before_ours_and_its_mistakes_have_places() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let config = Devices { models: Some(file.path().to_owned()) };
        fs::write(file.path(), "[BC4]\nlive = false\n[X-1]\ncameras = 4\n").unwrap();
        let models = load(&config).unwrap();
        assert_eq!(models.get("X-1").unwrap().cameras, Some(4));
        assert_eq!(models.get("BC4").unwrap().health, None);
        assert!(models.get("DVR-906").is_some());

        fs::write(file.path(), "[X-1]\nliv = true\n[X-2]\nwifi = { bands = [\"5GHz\"] }\n[X-3]\ncameras = 0\n")
            .unwrap();
        let Mistakes(told) = load(&config).unwrap_err();
        let told: Vec<_> = told
            .iter()
            .map(|mistake| mistake.to_string().replace(&format!("{}:", file.path().display()), ""))
            .collect();
        assert_eq!(
            told,
            [
                "2:1: X-1.liv: there is no such key; did you mean live?",
                "4:19: X-2.wifi.bands[0]: \"5GHz\" is none of 2.4 GHz, 5 GHz; did you mean \"5 GHz\"?",
            ]
        );
        fs::write(file.path(), "[X-3]\ncameras = 0\n").unwrap();
        assert!(load(&config).unwrap_err().to_string().contains(":2:11: X-3.cameras: a device has at least one"));
        fs::remove_file(file.path()).unwrap();
        assert!(load(&config).unwrap_err().to_string().contains("the models of devices cannot be read"));
    }
}
