//! Where settings come from, in this order: command line, environment, file, default. Each is checked where it stands,
//! also when something else overrides it, and all mistakes are told at once.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use longshore_model::Complaint;
use serde_json::{Map, Value};
use strsim::normalized_damerau_levenshtein;

use super::{Config, file};

/// Names the file, where `--config` does not.
const FILE_VARIABLE: &str = "LONGSHORE_CONFIG";
/// Begins the name of every variable that is a setting: `LONGSHORE__SERVER__LISTEN` is `server.listen`.
const PREFIX: &str = "LONGSHORE__";
/// Ends the name of a variable whose setting stands in a file, as container secrets do.
const FILE_SUFFIX: &str = "_FILE";
/// Where the file is looked for when nobody names one; the first that is there counts.
const PLACES: [&str; 2] = ["longshore.toml", "/etc/longshore/longshore.toml"];
/// Names that are less alike (share of letters that an edit leaves, 1 is equal) are no typing errors.
const ALIKE: f64 = 0.6;

/// Everything that a configuration is made from, but for the files themselves.
#[derive(Debug, Clone)]
pub struct Inputs {
    /// The file that must be there.
    file: Option<PathBuf>,
    /// Files of which one may be there.
    places: Vec<PathBuf>,
    environment: Vec<(OsString, OsString)>,
    command_line: Vec<Setting>,
}

/// A configuration, and where it comes from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// The file that was read, if there is one.
    pub file: Option<PathBuf>,
    sources: BTreeMap<String, Source>,
    inputs: Inputs,
}

/// A setting as somebody wrote it.
#[derive(Debug, Clone)]
pub(super) struct Setting {
    pub(super) key: String,
    pub(super) text: String,
    pub(super) source: Source,
}

/// Where a setting stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nobody set it.
    Default,
    /// A place in the file.
    File {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// In characters, from 1.
        column: usize,
    },
    /// The file as a whole.
    WholeFile(PathBuf),
    /// An environment variable.
    Variable(String),
    /// A file that an environment variable names.
    VariableFile(String, PathBuf),
    /// An option.
    CommandLine(&'static str),
}

/// Something that is wrong with one setting.
#[derive(Debug)]
pub struct Mistake {
    pub(super) source: Source,
    pub(super) key: Option<String>,
    pub(super) what: String,
}

/// Everything that is wrong; there is at least one.
#[derive(Debug)]
pub struct Mistakes(pub Vec<Mistake>);

impl Inputs {
    /// What this process was given, but for options that are settings.
    pub fn of_process(config_option: Option<PathBuf>) -> Self {
        // Set to nothing is how a unit or a container file leaves a variable out.
        let variable = env::var_os(FILE_VARIABLE).filter(|path| !path.is_empty());
        let file = config_option.or_else(|| variable.map(PathBuf::from));
        let places = PLACES.map(PathBuf::from).to_vec();
        Self { file, places, environment: env::vars_os().collect(), command_line: Vec::new() }
    }

    /// Adds an option that is a setting.
    #[must_use]
    pub fn with_option(mut self, option: &'static str, key: &str, text: Option<String>) -> Self {
        let source = Source::CommandLine(option);
        self.command_line.extend(text.map(|text| Setting { key: key.to_owned(), text, source }));
        self
    }

    /// Puts the configuration together.
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn load(self) -> Result<Loaded, Mistakes> {
        let known: BTreeSet<String> = Config::default().values().into_keys().collect();
        let (file, text) = self.read_file().map_err(|mistake| Mistakes(vec![mistake]))?.unzip();
        let (mut settings, mut mistakes) = match (&file, &text) {
            (Some(path), Some(text)) => file::read(path, text, &known),
            _ => Default::default(),
        };
        for (name, value) in &self.environment {
            let (Some(name), value) = (name.to_str().filter(|name| name.starts_with(PREFIX)), value) else { continue };
            match variable(name, value, &known) {
                Ok(setting) => settings.push(setting),
                Err(mistake) => mistakes.push(mistake),
            }
        }
        mistakes.extend(contradictions(&settings));
        settings.extend(self.command_line.iter().cloned());

        let (mut tree, mut sources) = (Map::new(), BTreeMap::new());
        for Setting { key, text, source } in settings {
            let mut alone = Map::new();
            put(&mut alone, &key, text.clone());
            match serde_json::from_value::<Config>(Value::Object(alone)) {
                Ok(_) => {
                    put(&mut tree, &key, text);
                    sources.insert(key, source);
                }
                Err(error) => mistakes.push(Mistake { source, key: Some(key), what: error.to_string() }),
            }
        }
        if !mistakes.is_empty() {
            mistakes.sort_by_key(|mistake| match mistake.source {
                Source::File { line, column, .. } => (line, column),
                _ => (usize::MAX, 0),
            });
            return Err(Mistakes(mistakes));
        }
        match serde_json::from_value::<Config>(Value::Object(tree)) {
            Ok(config) => {
                let mistakes: Vec<_> = config
                    .mail
                    .contradictions()
                    .into_iter()
                    .map(|Complaint { key, what }| {
                        let source = sources.get(&key).cloned().unwrap_or(Source::Default);
                        Mistake { source, key: Some(key), what }
                    })
                    .collect();
                if mistakes.is_empty() {
                    Ok(Loaded { config, file, sources, inputs: self })
                } else {
                    Err(Mistakes(mistakes))
                }
            }
            Err(error) => Err(Mistakes(vec![Mistake { source: Source::Default, key: None, what: error.to_string() }])),
        }
    }

    fn read_file(&self) -> Result<Option<(PathBuf, String)>, Mistake> {
        let named = self.file.is_some();
        for path in self.file.iter().chain(self.places.iter().filter(|_| !named)) {
            match fs::read_to_string(path) {
                Ok(text) => return Ok(Some((path.clone(), text))),
                Err(error) if error.kind() == io::ErrorKind::NotFound && !named => {}
                Err(error) => {
                    let what = format!("the configuration cannot be read: {error}");
                    return Err(Mistake { source: Source::WholeFile(path.clone()), key: None, what });
                }
            }
        }
        Ok(None)
    }
}

impl Loaded {
    /// The same again, from the same file: what was changed in it since counts.
    ///
    /// # Errors
    /// Every mistake.
    pub fn again(&self) -> Result<Self, Mistakes> {
        // A file that was there must still be there: without it, everything would silently be as by default.
        let file = self.file.clone().or_else(|| self.inputs.file.clone());
        Inputs { file, ..self.inputs.clone() }.load()
    }

    /// Where a key's value comes from.
    pub fn source(&self, key: &str) -> &Source {
        self.sources.get(key).unwrap_or(&Source::Default)
    }

    /// What is allowed and probably not meant.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = self.config.warnings();
        // By default, or by an option, whoever types a command knows the folder in which they stand.
        let source = self.source("data");
        if self.config.data.is_relative() && !matches!(source, Source::Default | Source::CommandLine(_)) {
            let data = self.config.data.display();
            warnings.push(format!(
                "data: {data} is looked for in the folder in which a command is started; write the whole path"
            ));
        }
        warnings
    }
}

/// The known name that was probably meant: the one whose last part is most like the name's, then whose section is.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let (section, last) = name.rsplit_once('.').unwrap_or(("", name));
    let likeness = |key: &str| {
        let (key_section, key_last) = key.rsplit_once('.').unwrap_or(("", key));
        (normalized_damerau_levenshtein(last, key_last), normalized_damerau_levenshtein(section, key_section))
    };
    let candidates = known.map(|key| (likeness(key), key)).filter(|((last, _), _)| *last >= ALIKE);
    let order = |((last, section), _): &((f64, f64), _)| last + section / 2.0;
    candidates.max_by(|a, b| order(a).total_cmp(&order(b))).map(|(_, key)| key)
}

fn variable_of(key: &str) -> String {
    format!("{PREFIX}{}", key.to_ascii_uppercase().replace('.', "__"))
}

fn variable(name: &str, value: &OsString, known: &BTreeSet<String>) -> Result<Setting, Mistake> {
    let key_of = |name: &str| known.iter().find(|key| variable_of(key) == name).cloned();
    let mistake = |key: Option<String>, what| Mistake { source: Source::Variable(name.to_owned()), key, what };
    let utf8 = |key: &str| {
        let text = value.to_str().map(str::to_owned);
        text.ok_or_else(|| mistake(Some(key.to_owned()), "its value is not UTF-8".to_owned()))
    };
    if let Some(key) = key_of(name) {
        let text = utf8(&key)?;
        return Ok(Setting { key, text, source: Source::Variable(name.to_owned()) });
    }
    if let Some(key) = name.strip_suffix(FILE_SUFFIX).and_then(key_of) {
        let path = PathBuf::from(value);
        let text = fs::read_to_string(&path)
            .map_err(|error| mistake(Some(key.clone()), format!("{} cannot be read: {error}", path.display())))?;
        return Ok(Setting { key, text: text.trim().to_owned(), source: Source::VariableFile(name.to_owned(), path) });
    }
    let suffix = if name.ends_with(FILE_SUFFIX) { FILE_SUFFIX } else { "" };
    let stem = name.strip_suffix(FILE_SUFFIX).unwrap_or(name).strip_prefix(PREFIX).unwrap_or_default();
    let key = stem.to_ascii_lowercase().replace("__", ".");
    let meant = nearest(&key, known.iter().map(String::as_str)).map(variable_of);
    let meant = meant.map(|meant| format!("; did you mean {meant}{suffix}?")).unwrap_or_default();
    Err(mistake(None, format!("there is no such key{meant}")))
}

/// A variable and its `_FILE` for the same key: nothing says which was meant.
fn contradictions(settings: &[Setting]) -> Vec<Mistake> {
    let mut variables = BTreeMap::<&str, &Source>::new();
    let mut mistakes = Vec::new();
    for Setting { key, source, .. } in settings {
        if !matches!(source, Source::Variable(_) | Source::VariableFile(..)) {
            continue;
        }
        if let Some(other) = variables.insert(key, source) {
            let what = format!("{other} sets the same key; keep one of them");
            mistakes.push(Mistake { source: source.clone(), key: Some(key.clone()), what });
        }
    }
    mistakes
}

fn put(tree: &mut Map<String, Value>, key: &str, text: String) {
    match key.split_once('.') {
        None => drop(tree.insert(key.to_owned(), Value::String(text))),
        Some((section, rest)) => {
            let inner = tree.entry(section).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(inner) = inner {
                put(inner, rest, text);
            }
        }
    }
}

impl Source {
    /// The place in a file at this byte of its text.
    pub(super) fn place(path: &Path, text: &str, at: usize) -> Self {
        let before = text.get(..at).unwrap_or(text);
        let (line, start) = (before.matches('\n').count() + 1, before.rfind('\n').map_or(0, |end| end + 1));
        let column = before[start..].chars().count() + 1;
        Self::File { path: path.to_owned(), line, column }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line, column } => write!(f, "{}:{line}:{column}", path.display()),
            Self::WholeFile(path) => path.display().fmt(f),
            Self::Variable(name) => f.write_str(name),
            Self::VariableFile(name, path) => write!(f, "{name} ({})", path.display()),
            Self::CommandLine(option) => f.write_str(option),
        }
    }
}

impl Mistake {
    /// Something that is wrong with all of it.
    pub(crate) fn of_whole(source: Source, what: String) -> Self {
        Self { source, key: None, what }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.source)?;
        if let Some(key) = &self.key {
            write!(f, "{key}: ")?;
        }
        f.write_str(&self.what)
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(mistakes) = self;
        if let [only] = &mistakes[..] {
            return only.fmt(f);
        }
        write!(f, "the configuration has {} mistakes", mistakes.len())?;
        mistakes.iter().try_for_each(|mistake| write!(f, "\n  {mistake}"))
    }
}

impl std::error::Error for Mistakes {}

#[cfg(test)]
pub(super) mod tests;
