use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use longshore_model::Sha256;

use super::camera::bytes;
use super::process::{Process, offload};
use super::world::{World, checksum};

/// An enrolled agent with a card.
pub(crate) struct Bay {
    pub(crate) card: PathBuf,
    pub(crate) state: PathBuf,
    log: PathBuf,
    /// What was put on the card.
    pub(crate) checksums: BTreeMap<String, Sha256>,
}

impl Bay {
    /// An agent that is enrolled under this serial and belongs to somebody; its card is empty.
    pub(crate) fn new(world: &World, serial: &str, assignee: &str) -> Self {
        let folder = world.path().join(serial);
        let bay = Self {
            card: folder.join("card"),
            state: folder.join("state"),
            log: folder.join("log"),
            checksums: BTreeMap::new(),
        };
        fs::create_dir_all(&bay.card).unwrap();
        world.enrol_agent(&bay.state, serial, assignee);
        bay
    }

    /// Puts an event recording on the card, whose bytes follow from its name.
    pub(crate) fn put(&mut self, name: &str, size: usize) {
        let path = self.card.join("EVENT").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let seed = Sha256::of(path.to_str().unwrap().as_bytes());
        fs::write(&path, bytes(u64::from_le_bytes(seed.as_bytes()[..8].try_into().unwrap()), size)).unwrap();
        self.checksums.insert(name.to_owned(), checksum(&path));
    }

    /// Starts the agent; it ends when everything is sent.
    pub(crate) fn offload(&self) -> Process {
        offload(&self.card, &self.state, &self.log)
    }

    /// Whether all that was put on the card is in the store and gone from the card.
    pub(crate) fn is_home(&self, world: &World) -> bool {
        let stored = world.stored();
        let there = self.checksums.values().all(|sha256| stored.values().filter(|there| *there == sha256).count() == 1);
        there && self.checksums.keys().all(|name| !self.card.join("EVENT").join(name).exists())
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}
