use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use longshore_agent::recording::Recording;
use longshore_agent::scan::Found;
use longshore_agent::source;
use longshore_model::{Kind, RunningHash, Sha256};
use serde_json::Value;

use super::Chance;
use crate::support::bytes;

const BLOCK: usize = 1024 * 1024;

/// A file that was put on the card. Its content follows from the seed, so what is true needs no copy.
pub(super) struct Made {
    pub(super) path: PathBuf,
    pub(super) size: u64,
    pub(super) sha256: Sha256,
    /// As the agent offers it.
    pub(super) offer: Value,
}

/// A card, and the ledger of everything that ever was on it; neither dies with what is killed.
pub(super) struct Card {
    folder: PathBuf,
    seed: u64,
    start: SystemTime,
    /// By the name that the agent offers.
    pub(super) made: BTreeMap<String, Made>,
}

impl Card {
    pub(super) fn new(folder: &Path, seed: u64) -> Self {
        fs::create_dir_all(folder.join("EVENT")).unwrap();
        Self { folder: folder.to_owned(), seed, start: a_day_ago(), made: BTreeMap::new() }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the files lie.
    pub(super) fn events(&self) -> PathBuf {
        self.folder.join("EVENT")
    }

    /// Puts a file of this size on the card; files are one second younger than the one before.
    pub(super) fn add(&mut self, size: u64) {
        let number = self.made.len() as u64;
        let name = format!("EVENT/{number:06}.mp4");
        let path = self.folder.join(&name);
        let mut hash = RunningHash::default();
        let mut file = BufWriter::new(File::create_new(&path).unwrap());
        let mut left = size;
        while left > 0 {
            let block = bytes(self.seed ^ number << 20 ^ left, BLOCK.min(usize::try_from(left).unwrap()));
            hash.update(&block);
            file.write_all(&block).unwrap();
            left -= block.len() as u64;
        }
        let file = file.into_inner().unwrap();
        file.set_modified(self.start + Duration::from_secs(number)).unwrap();
        drop(file);
        let (sha256, content) = (hash.finish(), source::hash(&path, |_| true).unwrap());
        let found = Found { name: name.clone(), path: path.clone(), kind: Kind::Event, state: content.state };
        let offer = serde_json::to_value(Recording::new("USB-1", &found, &content).offer(None)).unwrap();
        self.made.insert(name, Made { path, size, sha256, offer });
    }

    /// Adds files until they are `bytes` in all, of mixed sizes: empty ones, a few kB, whole films.
    pub(super) fn fill(&mut self, bytes: u64, largest: u64, chance: &mut Chance) {
        let mut left = bytes;
        while left > 0 {
            let size = size(largest, chance).min(left);
            self.add(size);
            left -= size;
        }
    }

    /// What is still on it, oldest first.
    pub(super) fn present(&self) -> Vec<(&str, &Made)> {
        self.made.iter().filter(|(_, made)| made.path.exists()).map(|(name, made)| (name.as_str(), made)).collect()
    }
}

fn size(largest: u64, chance: &mut Chance) -> u64 {
    let below = match chance.below(100) {
        0..3 => return 0,
        3..10 => 4096,
        10..30 => 64 * 1024,
        30..65 => largest / 64,
        65..90 => largest / 8,
        _ => largest,
    };
    1 + chance.below(below)
}

#[expect(clippy::disallowed_methods, reason = "files are dated by the operating system's clock")]
fn a_day_ago() -> SystemTime {
    SystemTime::now() - Duration::from_hours(24)
}
