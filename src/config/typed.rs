//! A TOML file as a value of a type that is more than single settings, with the place of everything in it. All mistakes are
//! told at once: what is wrong is left out, and the rest is read again.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use longshore_model::Complaint;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue, Deserializer, Error};

use super::load::{Mistake, Source, nearest};

/// What a file says, and where.
#[derive(Debug)]
pub struct Written<T> {
    /// What it says.
    pub value: T,
    places: Places,
}

/// Where everything in a file stands.
#[derive(Debug)]
struct Places {
    path: PathBuf,
    text: String,
    entries: Vec<Entry>,
}

/// One key of a table, or one element of a list.
#[derive(Debug, Clone)]
struct Entry {
    /// Names with dots between them, elements by their number: `wifi[0].ssid`.
    key: String,
    /// Where its name stands; of an element, where it stands itself.
    name: Range<usize>,
    /// Where its value stands; of a table with a head, that.
    value: Range<usize>,
}

/// Reads a text.
///
/// # Errors
/// Every mistake in it.
pub fn read<T: DeserializeOwned>(path: &Path, text: &str) -> Result<Written<T>, Vec<Mistake>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut places = Places { path: path.to_owned(), text: text.to_owned(), entries: Vec::new() };
    if !errors.is_empty() {
        let not_toml = |error: Error| {
            places.mistake_at(error.span().unwrap_or_default(), None, format!("this is not TOML: {}", error.message()))
        };
        return Err(errors.into_iter().map(not_toml).collect());
    }
    places.note_table("", table.get_ref());

    let mut left = table;
    let mut mistakes = BTreeMap::<String, Mistake>::new();
    loop {
        let error = match T::deserialize(Deserializer::from(left.clone())) {
            Ok(value) if mistakes.is_empty() => return Ok(Written { value, places }),
            Ok(_) => return Err(mistakes.into_values().collect()),
            Err(error) => error,
        };
        let span = error.span().unwrap_or_default();
        let Some(entry) = places.smallest_around(&span).cloned() else {
            // Of the whole file, or nothing that could be left out.
            let whole = places.mistake_at(span, None, in_words(error.message()));
            return Err(mistakes.into_values().chain([whole]).collect());
        };
        // What is wrong in a table leaves it incomplete, which is no mistake of its own.
        let below = |key: &String| {
            key.strip_prefix(&entry.key).is_some_and(|rest| rest.starts_with(['.', '['])) || *key == entry.key
        };
        if !mistakes.keys().any(below) {
            let mistake = places.mistake_at(span, Some(entry.key.clone()), in_words(error.message()));
            mistakes.insert(entry.key.clone(), mistake);
        }
        if !remove_from_table(left.get_mut(), &entry) {
            return Err(mistakes.into_values().collect());
        }
    }
}

impl<T> Written<T> {
    /// What is wrong with a value of it, with its place: its own, or of what it should stand in.
    pub fn mistake(&self, complaint: Complaint) -> Mistake {
        let Complaint { key, what } = complaint;
        let mut of = key.as_str();
        loop {
            if let Some(entry) = self.places.entries.iter().find(|entry| entry.key == of) {
                // The name of what lacks something, the value that is wrong.
                let at = if of == key { &entry.value } else { &entry.name };
                return self.places.mistake_at(at.clone(), Some(key), what);
            }
            match of.rfind(['.', '[']) {
                Some(end) => of = &of[..end],
                None => return self.places.mistake_at(0..0, Some(key), what),
            }
        }
    }
}

impl Places {
    fn note_table(&mut self, prefix: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let key = format!("{prefix}{}", name.get_ref());
            self.note(&key, name.span(), value);
        }
    }

    fn note(&mut self, key: &str, name: Range<usize>, value: &Spanned<DeValue<'_>>) {
        self.entries.push(Entry { key: key.to_owned(), name, value: value.span() });
        match value.get_ref() {
            DeValue::Table(table) => self.note_table(&format!("{key}."), table),
            DeValue::Array(elements) => {
                for (number, element) in elements.iter().enumerate() {
                    self.note(&format!("{key}[{number}]"), element.span(), element);
                }
            }
            _ => {}
        }
    }

    /// The deepest entry whose name or value holds this place.
    fn smallest_around(&self, span: &Range<usize>) -> Option<&Entry> {
        let holds = |of: &Range<usize>| of.start <= span.start && span.end <= of.end && !of.is_empty();
        let size =
            |entry: &Entry| [&entry.name, &entry.value].into_iter().filter(|of| holds(of)).map(|of| of.len()).min();
        let around = self.entries.iter().filter_map(|entry| Some((size(entry)?, entry)));
        // Of those of one size, such as a list and its only element, the deeper one.
        around.rev().min_by_key(|(size, _)| *size).map(|(_, entry)| entry)
    }

    fn mistake_at(&self, at: Range<usize>, key: Option<String>, what: String) -> Mistake {
        let (path, text) = (&self.path, self.text.as_str());
        Mistake { source: Source::place(path, text, at.start), key, what }
    }
}

/// What serde says, with what was probably meant.
fn in_words(message: &str) -> String {
    let mut quoted = message.split('`').skip(1).step_by(2);
    let Some(given) = quoted.next() else { return message.to_owned() };
    let known: Vec<&str> = quoted.collect();
    let meant = nearest(given, known.iter().copied());
    if message.starts_with("unknown field") {
        return match meant {
            Some(meant) => format!("there is no such key; did you mean {meant}?"),
            None => format!("there is no such key; there are {}", known.join(", ")),
        };
    }
    if message.starts_with("unknown variant") {
        let meant = meant.map(|meant| format!("; did you mean {meant:?}?")).unwrap_or_default();
        return format!("{given:?} is none of {}{meant}", known.join(", "));
    }
    message.to_owned()
}

fn remove_from_table(table: &mut DeTable<'_>, entry: &Entry) -> bool {
    let before = table.len();
    let kept = table.iter().filter(|(name, value)| name.span() != entry.name || value.span() != entry.value);
    *table = kept.map(|(name, value)| (name.clone(), value.clone())).collect();
    let mut removed = table.len() < before;
    for (_, value) in table.iter_mut() {
        removed = removed || remove_from(value, entry);
    }
    removed
}

fn remove_from(value: &mut Spanned<DeValue<'_>>, entry: &Entry) -> bool {
    match value.get_mut() {
        DeValue::Table(table) => remove_from_table(table, entry),
        DeValue::Array(elements) => {
            let before = elements.len();
            let kept = elements.iter().filter(|element| element.span() != entry.value).cloned();
            *elements = kept.collect::<DeArray<'_>>();
            elements.len() < before || elements.iter_mut().any(|element| remove_from(element, entry))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Whole {
        size: Option<u32>,
        lists: Vec<Part>,
        part: Option<Part>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Part {
        name: String,
        #[expect(dead_code, reason = "it is only read")]
        color: Option<Color>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Color {
        Red,
        Green,
    }

    fn mistakes(text: &str) -> Vec<String> {
        let mistakes = read::<Whole>(Path::new("f"), text).unwrap_err();
        mistakes.iter().map(|mistake| mistake.to_string().replacen("f:", "", 1)).collect()
    }

    #[test]
    fn a_mistake_names_its_place_its_key_and_what_would_be_right() {
        for (text, expected) in [
            ("siz = 1", "1:1: siz: there is no such key; did you mean size?"),
            ("xyzzy = 1", "1:1: xyzzy: there is no such key; there are size, lists, part"),
            ("size = 'a'", "1:8: size: invalid type: string \"a\", expected u32"),
            ("size = -1", "1:8: size: invalid value: integer `-1`, expected u32"),
            (
                "[part]\nname = 'a'\ncolor = 'gren'",
                "3:9: part.color: \"gren\" is none of red, green; did you mean \"green\"?",
            ),
            (
                "[[lists]]\nname = 'a'\n[[lists]]\nnam = 'b'",
                "4:1: lists[1].nam: there is no such key; did you mean name?",
            ),
            ("[[lists]]\n", "1:1: lists[0]: missing field `name`"),
            ("size = ", "1:8: this is not TOML: string values must be quoted, expected literal string"),
        ] {
            assert_eq!(mistakes(text), [expected], "{text}");
        }
    }

    #[test]
    fn all_mistakes_are_told_and_none_that_follows_from_another() {
        let text = "siz = 1\n[[lists]]\nname = 1\ncolor = 'blue'\n[[lists]]\nname = 'right'\n[[lists]]\nnam = 'c'\n";
        let told = mistakes(text);
        let keys: Vec<_> = told.iter().map(|line| line.split(": ").nth(1).unwrap()).collect();
        assert_eq!(keys, ["lists[0].color", "lists[0].name", "lists[2].nam", "siz"], "{told:?}");
    }

    #[test]
    fn what_is_wrong_beyond_its_form_has_a_place_too() {
        let written = read::<Whole>(Path::new("f"), "[[lists]]\nname = 'a'\n").unwrap();
        assert_eq!(written.value.lists[0].name, "a");
        let at = |key: &str| written.mistake(Complaint { key: key.into(), what: "x".into() }).to_string();
        assert_eq!(at("lists[0].name"), "f:2:8: lists[0].name: x");
        assert_eq!(at("lists[0].color"), "f:1:1: lists[0].color: x");
        assert_eq!(at("size"), "f:1:1: size: x");
    }
}
