//! The table of types of health events: `config/health.toml`, and the operator's own file over it.

use std::fs;
use std::path::Path;

use longshore_model::HealthTypes;

use crate::config::{Health, Mistake, Mistakes, Source, typed};

/// `config/health.toml`.
const TABLE: &str = include_str!("../config/health.toml");

/// All types that count.
///
/// # Errors
/// Every mistake in the operator's file.
pub(crate) fn load(config: &Health) -> Result<HealthTypes, Mistakes> {
    let ours = read(Path::new("config/health.toml"), TABLE, HealthTypes::default())?;
    let Some(path) = &config.types else { return Ok(ours) };
    let text = fs::read_to_string(path).map_err(|error| {
        let what = format!("the types of health events cannot be read: {error}");
        Mistakes(vec![Mistake::of_whole(Source::WholeFile(path.clone()), what)])
    })?;
    read(path, &text, ours)
}

/// What a file says, over what was said before it.
fn read(path: &Path, text: &str, before: HealthTypes) -> Result<HealthTypes, Mistakes> {
    let written = typed::read::<HealthTypes>(path, text).map_err(Mistakes)?;
    let types = before.with(written.value.clone());
    let wrong: Vec<_> = types.contradictions().into_iter().map(|complaint| written.mistake(complaint)).collect();
    if wrong.is_empty() { Ok(types) } else { Err(Mistakes(wrong)) }
}

#[cfg(test)]
mod tests {
    use longshore_model::{Severity, health_type};

    use super::*;

    fn ours() -> HealthTypes {
        load(&Health::default()).unwrap()
    }

    #[test]
    fn every_type_that_the_server_reports_is_in_the_table() {
        for name in health_type::ALL {
            assert!(ours().get(name).is_some(), "{name}");
        }
    }

    /// Those of which whoever raises them also tells when they are over. The others need a time after which they end by themselves.
    const TOLD_WHEN_OVER: [&str; 15] = [
        health_type::LINK_OFFLINE,
        health_type::CLOCK_UNSET,
        health_type::CLOCK_DRIFT,
        health_type::OVERWRITE_NEAR,
        health_type::RECORDING_LOST,
        health_type::MODEL_UNRECOGNISED,
        health_type::DISK_LOW,
        health_type::DISK_OFFLINE,
        health_type::DISK_WRITE_FAILED,
        health_type::STORE_DAMAGED,
        health_type::STORE_UNCHECKED,
        health_type::WEBHOOK_FAILED,
        health_type::CERTIFICATE_ENDING,
        health_type::STORAGE_MISSING,
        health_type::STORAGE_FILE_SYSTEM_ERROR,
    ];

    #[test]
    fn every_type_that_the_server_reports_ends_by_its_word_or_by_itself() {
        for name in health_type::ALL {
            let ends_by_itself = ours().get(name).unwrap().auto_close().is_some();
            assert!(ends_by_itself || TOLD_WHEN_OVER.contains(&name), "{name} never ends");
        }
    }

    /// What the makers' guides name, and what the server notices by itself.
    #[test]
    fn every_type_says_what_to_do_in_words_of_its_own() {
        let types = ours();
        assert_eq!(types.iter().count(), 50);
        let mut texts = std::collections::BTreeSet::new();
        for (name, kind) in types.iter() {
            let (text, steps) = (kind.text.as_deref().unwrap(), kind.steps.as_deref().unwrap());
            assert!(text.ends_with('.') && kind.title.as_ref().unwrap().chars().count() <= 40, "{name}");
            assert!(
                steps.len() >= 2 && steps.iter().all(|step| step.ends_with(['.', '?']) && step.len() >= 20),
                "{name}"
            );
            for line in steps.iter().map(String::as_str).chain([text]) {
                assert!(texts.insert(line.to_owned()), "{name}: {line:?} is told twice");
            }
        }
    }

    #[test]
    fn a_file_of_the_operator_counts_key_by_key_and_its_mistakes_have_places() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let config = Health { types: Some(file.path().to_owned()), ..Health::default() };
        let whole = "severity = 'notice'\ntitle = 'T'\ntext = 'X.'\nsteps = ['Look.']\n";
        fs::write(file.path(), format!("[gps_lost]\nseverity = 'critical'\n[radio_lost]\n{whole}")).unwrap();
        let types = load(&config).unwrap();
        assert_eq!(types.severity("gps_lost", None), Severity::Critical);
        assert_eq!(types.get("gps_lost").unwrap().steps, ours().get("gps_lost").unwrap().steps);
        assert_eq!(types.severity("radio_lost", None), Severity::Notice);

        let told = |text: &str| {
            fs::write(file.path(), text).unwrap();
            let Mistakes(told) = load(&config).unwrap_err();
            let path = format!("{}:", file.path().display());
            told.iter().map(|mistake| mistake.to_string().replace(&path, "")).collect::<Vec<_>>()
        };
        assert_eq!(
            told("[gps_lost]\nseverty = 'notice'\n[storage_full]\nseverity = 'crit'\n"),
            [
                "2:1: gps_lost.severty: there is no such key; did you mean severity?",
                "4:12: storage_full.severity: \"crit\" is none of notice, warning, critical",
            ]
        );
        let wrong = told("[gps_lost]\nparent = 'gps'\n[radio_lost]\ntitle = 'T'\n");
        assert!(wrong[0].starts_with("2:10: gps_lost.parent: there is no type gps"), "{wrong:?}");
        assert!(wrong[1].starts_with("3:2: radio_lost.severity: a type needs"), "{wrong:?}");
        fs::remove_file(file.path()).unwrap();
        assert!(load(&config).unwrap_err().to_string().contains("the types of health events cannot be read"));
    }
}
