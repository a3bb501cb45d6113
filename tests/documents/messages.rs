//! What a document says that a program says is what it says.

use super::markdown::codes;
use super::{document, none_of, sources};

/// Tables of `docs/OPERATIONS.md` whose first cells are messages.
const TABLES: [&str; 4] =
    ["When the start refuses", "When a command refuses, or the log complains", "Mail", "What the agent says"];
/// Words of the operating system in them.
const OF_THE_SYSTEM: [&str; 2] = ["Input/output error", "Read-only file system"];

/// The parts of a message that do not change: between `…` and numbers, of more than a word.
fn fixed_parts(message: &str) -> Vec<String> {
    let is_number = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    let words = message.split(' ').map(|word| if is_number(word) { "…" } else { word });
    let text = words.collect::<Vec<_>>().join(" ").replace([':', ';'], "…");
    text.split('…').map(str::trim).filter(|part| part.contains(' ')).map(str::to_owned).collect()
}

/// The texts of the programs, with the strings that go over several lines joined.
fn joined(sources: &str) -> String {
    let mut parts = sources.split("\\\n");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.trim_start())
}

#[test]
fn every_message_in_the_operations_document_is_one_of_ours() {
    let (sources, document) = (joined(&sources()), document("docs/OPERATIONS.md"));
    let (mut wrong, mut checked) = (Vec::new(), 0);
    for row in TABLES.iter().flat_map(|section| document.rows_of(section)) {
        let messages = codes(&row.cells[0]);
        if messages.is_empty() {
            wrong.push(format!("{}: the row quotes no message", document.at(row.line)));
        }
        for part in messages.into_iter().flat_map(fixed_parts).filter(|part| !OF_THE_SYSTEM.contains(&part.as_str())) {
            checked += 1;
            if !sources.contains(&part) {
                wrong.push(format!("{}: no program says {part:?}", document.at(row.line)));
            }
        }
    }
    none_of(&wrong);
    assert!(checked > 20, "{checked} messages");
}

#[test]
fn a_message_counts_without_what_changes_in_it() {
    assert_eq!(fixed_parts("kept …: it could not be deleted: Read-only file system").len(), 2);
    assert_eq!(fixed_parts("the configuration has … mistakes"), ["the configuration has"]);
    assert_eq!(fixed_parts("waiting: 37 not requested"), ["not requested"]);
    assert_eq!(joined("a \\\n      b\\\n c"), "a bc");
}
