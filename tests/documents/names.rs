//! Files, actors and identifiers that the documents name are there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::markdown::codes;
use super::{document, documents, none_of, root, sources};
use crate::support::{World, files_below, recording};

const ARCHITECTURE: &str = "docs/ARCHITECTURE.md";
/// The heading of the tree of folders, and of the table of actors.
const TREE: &str = "The tree";
const ACTORS: &str = "Who is who in the engine";
const PANICS: &str = "If an actor panics";
/// Where cargo builds.
const BUILD: &str = "target";
/// Endings by which a folder at the top is known as ours: whoever tries the programs here leaves recordings and keys.
const OURS: [&str; 3] = ["rs", "md", "toml"];
/// Parts of a folder's path that the tree tells of; what lies deeper belongs to it.
const DEPTH: usize = 4;

/// Folders below `folder`, each by its path below the root.
fn folders(folder: &Path) -> Vec<String> {
    let below = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let ours = below.filter(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        let is_at_the_top = folder == root();
        !name.starts_with('.') && !(is_at_the_top && (name == BUILD || !holds_ours(path)))
    });
    let with_theirs = |path: PathBuf| {
        let own = format!("{}/", path.strip_prefix(root()).unwrap().display());
        let theirs = folders(&path);
        [own].into_iter().chain(theirs)
    };
    ours.flat_map(with_theirs).collect()
}

fn holds_ours(folder: &Path) -> bool {
    let endings = files_below(folder).into_iter().filter_map(|path| path.extension().map(ToOwned::to_owned));
    endings.into_iter().any(|ending| OURS.iter().any(|ours| ending == *ours))
}

fn is_path(code: &str) -> bool {
    let plain = |part: &str| part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
    code.contains('/') && code.trim_end_matches('/').split('/').all(|part| !part.is_empty() && plain(part))
}

#[test]
fn every_file_of_ours_that_is_named_exists() {
    let tops: Vec<String> = folders(root()).into_iter().filter(|path| path.matches('/').count() == 1).collect();
    let (mut wrong, mut checked) = (Vec::new(), 0);
    for document in documents() {
        for (line, code) in &document.codes {
            let of_ours = is_path(code) && tops.iter().any(|top| code.starts_with(top.as_str()));
            // In the architecture every source is told by its whole path.
            let of_ours = of_ours || (document.path == ARCHITECTURE && code.ends_with(".rs"));
            checked += usize::from(of_ours);
            if of_ours && !root().join(code).exists() {
                wrong.push(format!("{}: there is no {code}", document.at(*line)));
            }
        }
    }
    none_of(&wrong);
    assert!(checked > 20, "{checked} files");
}

#[test]
fn the_tree_has_every_folder_and_no_other() {
    let document = document(ARCHITECTURE);
    let tree = document.blocks.iter().find(|block| block.comment.as_deref() == Some("tree"));
    let tree = tree.unwrap_or_else(|| panic!("no block after <!-- tree --> below {TREE:?}"));
    let told: BTreeSet<String> =
        tree.text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect();
    let known = folders(root()).into_iter().filter(|path| path.matches('/').count() <= DEPTH);
    assert_eq!(told, known.collect());
    for line in tree.text.lines() {
        assert!(line.split_whitespace().nth(1).is_some(), "{line} says nothing");
    }
}

#[test]
fn every_actor_is_told_of_and_no_other() {
    let mut actors = BTreeSet::new();
    for path in files_below(&root().join("actors/src")) {
        let text = fs::read_to_string(path).unwrap();
        let product = text.split("#[cfg(test)]").next().unwrap();
        let names = product.split("impl Actor for ").skip(1).filter_map(|rest| rest.split([' ', '<']).next());
        actors.extend(names.map(str::to_owned));
    }
    let document = document(ARCHITECTURE);
    for section in [ACTORS, PANICS] {
        let rows = document.rows_of(section);
        let told: BTreeSet<String> = rows.iter().map(|row| codes(&row.cells[0])[0].to_owned()).collect();
        assert_eq!(told, actors, "{section}");
    }
}

#[test]
fn what_the_list_of_actors_shows_is_explained() {
    let world = World::new();
    let camera = world.camera("B4-1", "J. Smith");
    let upload = camera.upload_of(&recording(1, b"two halves"));
    assert_eq!(camera.patch(&upload, 0, b"two ").status, 204);
    let listed = world.cli_json(&["actors"]);
    let document = document(ARCHITECTURE);
    let explained: BTreeSet<&str> =
        document.rows_of(PANICS).iter().flat_map(|row| codes(&row.cells[1])).chain(["catalogue"]).collect();
    let shown = listed.as_array().unwrap().iter().map(|actor| actor["name"].as_str().unwrap());
    let shown: BTreeSet<&str> = shown.map(|name| name.split(' ').next().unwrap()).collect();
    assert_eq!(shown, explained);
}

#[test]
fn every_identifier_in_the_architecture_is_in_the_sources() {
    let is_identifier = |code: &str| {
        let of_words = code.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | ':'));
        of_words && code.starts_with(|c: char| c.is_ascii_alphabetic()) && code.contains(['_', ':'])
            || of_words && code.starts_with(|c: char| c.is_ascii_uppercase()) && code.contains(char::is_lowercase)
    };
    let sources = sources();
    let words: BTreeSet<&str> = sources.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    let document = document(ARCHITECTURE);
    let (mut wrong, mut checked) = (Vec::new(), 0);
    for (line, code) in document.codes.iter().filter(|(_, code)| is_identifier(code)) {
        checked += 1;
        if let Some(unknown) = code.split("::").find(|word| !words.contains(word)) {
            wrong.push(format!("{}: nothing is called {unknown}", document.at(*line)));
        }
    }
    none_of(&wrong);
    assert!(checked > 30, "{checked} identifiers");
}
