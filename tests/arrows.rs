//! Which room may know which: checked in the manifests, so that a shortcut cannot creep in.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::files_below;

/// What each of our packages may depend on, of our own and of what would tie it to a layer.
const ARROWS: [(&str, &[&str]); 7] = [
    ("longshore-model", &[]),
    ("longshore-protocol", &["longshore-model"]),
    ("longshore-store", &["longshore-model", "sled"]),
    ("longshore-actors", &["longshore-model", "longshore-store", "actix", "actix-rt"]),
    ("longshore-agent", &["longshore-model", "longshore-protocol", "reqwest"]),
    (
        "longshore",
        &[
            "longshore-actors",
            "longshore-agent",
            "longshore-model",
            "longshore-protocol",
            "longshore-store",
            "actix-http",
            "actix-rt",
            "actix-service",
            "actix-tls",
            "actix-web",
            "reqwest",
        ],
    ),
    ("xtask", &[]),
];

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn ties(name: &str) -> bool {
    name.starts_with("longshore") || name.starts_with("actix") || ["sled", "reqwest", "xtask"].contains(&name)
}

#[test]
fn every_room_knows_only_what_its_arrows_allow() {
    let metadata = metadata();
    let members: BTreeSet<&str> =
        metadata["workspace_members"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
    let mut seen = BTreeMap::new();
    for package in metadata["packages"].as_array().unwrap() {
        if !members.contains(package["id"].as_str().unwrap()) {
            continue;
        }
        let dependencies = package["dependencies"].as_array().unwrap().iter();
        let known: BTreeSet<&str> = dependencies
            .filter(|dependency| dependency["kind"].is_null())
            .map(|dependency| dependency["name"].as_str().unwrap())
            .filter(|name| ties(name))
            .collect();
        seen.insert(package["name"].as_str().unwrap(), known);
    }
    let allowed: BTreeMap<&str, BTreeSet<&str>> =
        ARROWS.iter().map(|(name, known)| (*name, known.iter().copied().collect())).collect();
    assert_eq!(seen, allowed);
}

#[test]
fn only_the_demo_knows_the_agent() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (demo, rest): (Vec<PathBuf>, Vec<PathBuf>) =
        files_below(&root).into_iter().partition(|path| path.starts_with(root.join("cli/demo")));
    let knows = |path: &PathBuf| String::from_utf8_lossy(&fs::read(path).unwrap()).contains("longshore_agent");
    assert!(demo.iter().any(knows));
    assert_eq!(rest.into_iter().find(knows), None);
}

#[test]
fn the_agent_links_neither_actix_nor_sled() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--package", "longshore-agent", "--edges", "normal", "--prefix", "none"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let tree = String::from_utf8(output.stdout).unwrap();
    assert!(tree.contains("longshore-protocol"), "{tree}");
    assert!(!tree.lines().any(|line| line.starts_with("actix") || line.starts_with("sled")), "{tree}");
}
