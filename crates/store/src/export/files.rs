//! `files.sha256`: the checksum of each file, in the form of `sha256sum`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use longshore_model::Sha256;

/// The list's text. Names made by a server hold no line break.
pub(super) fn to_text(files: &BTreeMap<String, Sha256>) -> String {
    files.iter().fold(String::new(), |mut text, (path, sha256)| {
        let _infallible = writeln!(text, "{sha256}  {path}");
        text
    })
}

/// Reads it; `None`: it is not exactly what [`to_text`] writes.
pub(super) fn parse(text: &str) -> Option<BTreeMap<String, Sha256>> {
    let files: BTreeMap<String, Sha256> = text
        .lines()
        .map(|line| {
            let (sha256, path) = line.split_once("  ")?;
            Some((path.to_owned(), sha256.parse().ok()?))
        })
        .collect::<Option<_>>()?;
    (to_text(&files) == text).then_some(files)
}
