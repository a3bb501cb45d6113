//! A TOML file as settings, each with its place. What a value may be is not decided here, only that it is one value.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::load::{Mistake, Setting, Source, nearest};

/// A file's text on its way to settings.
struct Reading<'a> {
    path: &'a Path,
    text: &'a str,
    known: &'a BTreeSet<String>,
    settings: Vec<Setting>,
    mistakes: Vec<Mistake>,
}

/// The settings in a text, and what is wrong with its form and its keys.
pub(super) fn read(path: &Path, text: &str, known: &BTreeSet<String>) -> (Vec<Setting>, Vec<Mistake>) {
    let mut reading = Reading { path, text, known, settings: Vec::new(), mistakes: Vec::new() };
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        reading.table("", table.get_ref());
    }
    for error in errors {
        let source = reading.place(error.span().unwrap_or_default());
        reading.mistakes.push(Mistake { source, key: None, what: format!("this is not TOML: {}", error.message()) });
    }
    (reading.settings, reading.mistakes)
}

impl Reading<'_> {
    fn table(&mut self, prefix: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let key = format!("{prefix}{}", name.get_ref());
            let section = format!("{key}.");
            let is_section = self.known.iter().any(|known| known.starts_with(&section));
            match value.get_ref() {
                DeValue::Table(inner) if is_section => self.table(&section, inner),
                _ if is_section => self.refuse(&key, name.span(), "is a section, not a value".to_owned()),
                _ if !self.known.contains(&key) => {
                    let sections: BTreeSet<_> = self.known.iter().filter_map(|key| key.split_once('.')).collect();
                    let sections = sections.into_iter().map(|(section, _)| section);
                    let meant = match value.get_ref() {
                        DeValue::Table(_) => nearest(&key, sections).map(|section| format!("[{section}]")),
                        _ => nearest(&key, self.known.iter().map(String::as_str)).map(str::to_owned),
                    };
                    let meant = meant.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
                    self.refuse(&key, name.span(), format!("there is no such key{meant}"));
                }
                other => match text_of(other) {
                    Some(text) => {
                        let source = self.place(value.span());
                        self.settings.push(Setting { key, text, source });
                    }
                    None => self.refuse(&key, value.span(), format!("is one value, not {}", other.type_str())),
                },
            }
        }
    }

    fn refuse(&mut self, key: &str, at: Range<usize>, what: String) {
        let source = self.place(at);
        self.mistakes.push(Mistake { source, key: Some(key.to_owned()), what });
    }

    fn place(&self, at: Range<usize>) -> Source {
        Source::place(self.path, self.text, at.start)
    }
}

/// A number or a truth value as it is written: whether it is right, the setting itself says.
fn text_of(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.clone().into_owned()),
        DeValue::Integer(number) if number.radix() == 10 => Some(number.as_str().to_owned()),
        DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix()).ok().map(|n| n.to_string()),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Boolean(value) => Some(value.to_string()),
        DeValue::Datetime(time) => Some(time.to_string()),
        DeValue::Array(_) | DeValue::Table(_) => None,
    }
}
