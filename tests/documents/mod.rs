//! The documents: what they name is there, what they show is what happens.

mod backup;
mod command_lines;
mod links;
mod markdown;
mod messages;
mod names;
mod protocol;

use std::fs;
use std::path::{Path, PathBuf};

use markdown::Document;

/// Folders of our own sources, in which names and messages are looked up.
const SOURCES: [&str; 3] = ["src", "actors", "crates"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A document of ours, by its path below the root.
fn document(path: &str) -> Document {
    Document::read(path, &read(path))
}

/// Every document: those at the top, and all below `docs`.
fn documents() -> Vec<Document> {
    let top = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    let mut paths: Vec<PathBuf> = top.chain(crate::support::files_below(&root().join("docs"))).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "md"));
    paths.sort();
    assert!(paths.len() > 10, "{paths:?}");
    paths.iter().map(|path| document(path.strip_prefix(root()).unwrap().to_str().unwrap())).collect()
}

/// The text of all our Rust sources.
fn sources() -> String {
    let files = SOURCES.iter().flat_map(|folder| crate::support::files_below(&root().join(folder)));
    let rust = files.filter(|path| path.extension().is_some_and(|ending| ending == "rs"));
    rust.map(|path| fs::read_to_string(path).unwrap()).collect()
}

/// Fails with all of them, if there are any.
fn none_of(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
