//! The settings of `longshore-agent run`: one TOML file, `config/longshore-agent.toml`, which explains every key.

use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use toml::de::DeTable;

use crate::backoff::Pace;
use crate::offload::Options;
use crate::scan::{Classifier, DEFAULT_EVENTS};
use crate::watch::Watch;

/// Every key.
const KEYS: [&str; 7] = ["state", "folders", "mounts", "events", "keep", "look_every_s", "rest_s"];
/// A word that is at least this similar (Jaro-Winkler, 0 to 1) to what was written was probably meant.
const SIMILAR: f64 = 0.7;
/// Shortest and longest time between two looks, in seconds: a look reads every folder, and a person waits for it.
const LOOKS_S: Range<u64> = 5..3_601;
/// Shortest and longest rest of a file, in seconds: FAT dates files to 2 s, and a shift ends within the hour.
const RESTS_S: Range<u64> = 4..3_601;

/// What an operator may set.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The state folder.
    pub state: PathBuf,
    /// Folders to unload, by their whole paths.
    pub folders: Vec<PathBuf>,
    /// Patterns of mount points to unload.
    pub mounts: Vec<String>,
    /// Which recordings are events.
    pub events: Vec<String>,
    /// Delete nothing.
    pub keep: bool,
    /// Seconds from one look to the next.
    pub look_every_s: u64,
    /// Seconds that a file has to rest.
    pub rest_s: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            state: "/var/lib/longshore-agent".into(),
            folders: Vec::new(),
            mounts: Vec::new(),
            events: DEFAULT_EVENTS.map(str::to_owned).to_vec(),
            keep: false,
            look_every_s: 30,
            rest_s: 60,
        }
    }
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{file}: {error}; --config names another file")]
    Unreadable {
        /// Which file.
        file: String,
        /// Why.
        error: io::Error,
    },
    /// Something in it is wrong.
    #[error("{file}, line {line}: {what}")]
    Wrong {
        /// Which file.
        file: String,
        /// Line, from 1.
        line: usize,
        /// What is wrong, and what would be right.
        what: String,
    },
}

impl Config {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// [`ConfigError`], with file and line.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let file = path.display().to_string();
        match fs::read_to_string(path) {
            Ok(text) => {
                Self::parse(&text).map_err(|(at, what)| ConfigError::Wrong { file, line: line(&text, at), what })
            }
            Err(error) => Err(ConfigError::Unreadable { file, error }),
        }
    }

    /// Reads `text`; an error comes with its position.
    fn parse(text: &str) -> Result<Self, (usize, String)> {
        let told = |error: toml::de::Error| (error.span().map_or(0, |span| span.start), error.message().to_owned());
        let table = DeTable::parse(text).map_err(told)?.into_inner();
        for key in table.keys() {
            if !KEYS.contains(&key.get_ref().as_ref()) {
                return Err((key.span().start, unknown(key.get_ref())));
            }
        }
        let config: Self = toml::from_str(text).map_err(told)?;
        let at = |key: &str| table.get(key).map_or(0, |value| value.span().start);
        config.check().map(|()| config).map_err(|(key, what)| (at(key), format!("{key}: {what}")))
    }

    /// Whether the values make sense; an error comes with its key.
    fn check(&self) -> Result<(), (&'static str, String)> {
        let mut paths = self.folders.iter().map(|path| ("folders", path)).chain([("state", &self.state)]);
        if let Some((key, path)) = paths.find(|(_, path)| !path.is_absolute()) {
            return Err((key, format!("{:?} must be a whole path, which begins with /", path.display().to_string())));
        }
        if let Some(pattern) = self.mounts.iter().find(|pattern| !pattern.starts_with('/')) {
            return Err(("mounts", format!("{pattern:?} must be a whole path, which begins with /")));
        }
        if self.folders.is_empty() && self.mounts.is_empty() {
            let what = "nothing is watched; name a folder here, or the mount points of cards with mounts";
            return Err(("folders", what.to_owned()));
        }
        if self.events.is_empty() {
            return Err(("events", "nothing would be an event; leave the key out to have the defaults".to_owned()));
        }
        Watch::new(Vec::new(), &self.mounts).map_err(|error| ("mounts", error.to_string()))?;
        Classifier::new(&self.events).map_err(|error| ("events", error.to_string()))?;
        for (key, value, range) in [("look_every_s", self.look_every_s, LOOKS_S), ("rest_s", self.rest_s, RESTS_S)] {
            if !range.contains(&value) {
                return Err((key, format!("must be {} to {} seconds", range.start, range.end - 1)));
            }
        }
        Ok(())
    }

    /// What to offload, and how.
    ///
    /// # Errors
    /// [`crate::scan::PatternError`]; not for settings that were read from a file.
    pub fn options(&self) -> Result<Options, crate::scan::PatternError> {
        let watch = Watch::new(self.folders.clone(), &self.mounts)?;
        Ok(Options { watch, once: false, keep: self.keep, events: self.events.clone() })
    }

    /// The waits.
    pub fn pace(&self) -> Pace {
        Pace {
            rescan: Duration::from_secs(self.look_every_s),
            rest: Duration::from_secs(self.rest_s),
            ..Pace::default()
        }
    }
}

fn unknown(key: &str) -> String {
    let similarity = |known: &str| strsim::jaro_winkler(known, key);
    let nearest = KEYS.into_iter().max_by(|a, b| similarity(a).total_cmp(&similarity(b)));
    match nearest.filter(|known| similarity(known) >= SIMILAR) {
        Some(known) => format!("there is no key {key:?}; did you mean {known:?}?"),
        None => format!("there is no key {key:?}; the keys are {}", KEYS.join(", ")),
    }
}

/// The line, from 1, of the byte `at`.
fn line(text: &str, at: usize) -> usize {
    text.bytes().take(at).filter(|byte| *byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPLAINED: &str = include_str!("../../../config/longshore-agent.toml");

    fn refused(text: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.toml");
        fs::write(&path, text).unwrap();
        let error = Config::read(&path).unwrap_err().to_string();
        error.strip_prefix(&path.display().to_string()).unwrap().to_owned()
    }

    #[test]
    fn the_explained_file_has_every_key_with_its_default() {
        assert_eq!(toml::from_str::<Config>(EXPLAINED).unwrap(), Config::default());
        let table = DeTable::parse(EXPLAINED).unwrap().into_inner();
        let mut keys: Vec<_> = table.keys().map(|key| key.get_ref().to_string()).collect();
        keys.sort_by_key(|key| KEYS.iter().position(|known| known == key));
        assert_eq!(keys, KEYS);
        // Each is set on a line of its own, right below its explanation.
        let lines: Vec<_> = EXPLAINED.lines().collect();
        for pair in lines.windows(2).filter(|pair| pair[1].contains(" = ") && !pair[1].starts_with('#')) {
            assert!(pair[0].starts_with("# "), "{} is not explained", pair[1]);
        }
        assert!(refused(EXPLAINED).contains("nothing is watched"));
    }

    #[test]
    fn the_explained_file_needs_only_something_to_watch() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.toml");
        fs::write(&path, EXPLAINED.replace("mounts = []", "mounts = [\"/media/*\"]")).unwrap();
        let expected = Config { mounts: vec!["/media/*".into()], ..Config::default() };
        assert_eq!(Config::read(&path).unwrap(), expected);
        assert_eq!(expected.pace().rest, Duration::from_secs(60));
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line_and_the_nearest_known_one() {
        let what = refused("# mine\nfolders = [\"/card\"]\nlook_evry_s = 30\n");
        assert_eq!(what, ", line 3: there is no key \"look_evry_s\"; did you mean \"look_every_s\"?");
        let what = refused("[watch]\nfolders = []\n");
        assert!(what.contains("line 1: there is no key \"watch\"; the keys are state, folders,"), "{what}");
    }

    #[test]
    fn a_value_that_makes_no_sense_is_refused_with_its_line() {
        for (text, what) in [
            ("folders = [\"card\"]", "line 1: folders: \"card\" must be a whole path"),
            ("\nmounts = [\"media/*\"]", "line 2: mounts: \"media/*\" must be a whole path"),
            ("mounts = [\"/media/[\"]", "line 1: mounts: the pattern \"/media/[\" cannot be read"),
            ("folders = [\"/a\"]\nevents = [\"a/b\"]", "line 2: events: the pattern \"a/b\" must be one file name"),
            ("folders = [\"/a\"]\nevents = []", "line 2: events: nothing would be an event"),
            ("folders = [\"/a\"]\n\nlook_every_s = 1", "line 3: look_every_s: must be 5 to 3600 seconds"),
            ("folders = [\"/a\"]\nrest_s = 0", "line 2: rest_s: must be 4 to 3600 seconds"),
            ("folders = [\"/a\"]\nkeep = \"yes\"", "line 2: invalid type: string \"yes\", expected a boolean"),
            ("folders = [\"/a\"]\nrest_s = -1", "line 2: invalid value"),
            ("folders = [\"/a\"]\nfolders = []", "line 2: duplicate key"),
            ("keep = false\nfolders =", "line 2: "),
        ] {
            let refused = refused(text);
            assert!(refused.starts_with(&format!(", {what}")), "{text:?}: {refused}");
        }
    }

    #[test]
    fn a_file_that_is_missing_is_named() {
        let error = Config::read(Path::new("/nowhere/agent.toml")).unwrap_err().to_string();
        assert!(error.starts_with("/nowhere/agent.toml: ") && error.contains("--config"), "{error}");
    }
}
