//! The catalogue made anew: the index from the whole journal, and lost journal entries of recordings from the manifests
//! beside the videos.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use longshore_model::ReceiptVerifier;

use crate::catalogue::OpenError;
use crate::facts::Fact;
use crate::files::Files;
use crate::index::{Applying, Index, IndexPlace};
use crate::journal::{Journal, Torn};
use crate::layout::MANIFEST_SUFFIX;
use crate::manifest::Manifest;
use crate::shelf::{Shelf, read_small};

/// Manifests that share one sync of the journal.
const BATCH: usize = 256;

/// What happens, for whoever watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// One more fact was read from the journal.
    Fact,
    /// So many files of the storage will be looked at.
    Files(u64),
    /// One of them was.
    File,
}

/// Where manifests are to be found, and what is needed to believe them.
pub struct Manifests<'a> {
    /// The storage folder.
    pub storage: &'a Path,
    /// Knows this server's receipts.
    pub verifier: &'a ReceiptVerifier,
    /// When facts are recorded that are made from them.
    pub now: DateTime<Utc>,
}

/// What came of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// Facts in the journal, before any were added.
    pub facts: u64,
    /// What was put aside of the journal's end.
    pub torn: Option<Torn>,
    /// Recordings that the journal lacked and that it holds again.
    pub recovered: u64,
    /// Manifests that the journal holds already.
    pub known: u64,
    /// Manifests that could not be taken, as paths, and why.
    pub left: Vec<(String, String)>,
}

/// Makes the index anew from the whole journal in `files`, whose chain is checked, then records what the manifests tell
/// that it lacks. The old index stays until the new one is whole; whatever interrupts this, it can be done again.
///
/// # Errors
/// [`OpenError`]; the old index is as it was then.
pub fn rebuild(
    files: Arc<dyn Files>,
    place: &IndexPlace,
    manifests: Option<&Manifests<'_>>,
    watch: &mut dyn FnMut(Step),
) -> Result<Rebuilt, OpenError> {
    let beside = IndexPlace { folder: place.folder.with_extension("new"), ..place.clone() };
    let made = make(files, &beside, manifests, watch).and_then(|(index, rebuilt)| {
        index.move_to(place)?;
        Ok(rebuilt)
    });
    if made.is_err() {
        // Of no use to anyone; the next rebuild removes what cannot be removed now.
        let _goes_then = fs::remove_dir_all(&beside.folder);
    }
    made
}

fn make(
    files: Arc<dyn Files>,
    beside: &IndexPlace,
    manifests: Option<&Manifests<'_>>,
    watch: &mut dyn FnMut(Step),
) -> Result<(Index, Rebuilt), OpenError> {
    let index = Index::create(beside)?;
    let mut applying = Applying::to(&index);
    let (mut journal, torn) = Journal::open(files, None, |entry, mark| {
        watch(Step::Fact);
        applying.take(entry, mark)
    })?;
    let mut rebuilt = Rebuilt { facts: applying.finish()?, torn, ..Rebuilt::default() };
    if let Some(manifests) = manifests {
        manifests.record(&mut journal, &index, &mut rebuilt, watch)?;
    }
    Ok((index, rebuilt))
}

impl Manifests<'_> {
    fn record(
        &self,
        journal: &mut Journal,
        index: &Index,
        rebuilt: &mut Rebuilt,
        watch: &mut dyn FnMut(Step),
    ) -> Result<(), OpenError> {
        let shelf = Shelf::walk(self.storage);
        for (path, error) in shelf.closed {
            rebuilt.left.push((path, format!("it cannot be read: {error}")));
        }
        watch(Step::Files(shelf.files.len() as u64));
        let mut facts = Vec::new();
        for path in &shelf.files {
            watch(Step::File);
            match self.look_at(path, index) {
                Look::NoManifest => {}
                Look::Known => rebuilt.known += 1,
                Look::Lacking(manifest) => facts.push(Fact::Stored { manifest }),
                Look::Left(why) => rebuilt.left.push((path.clone(), why)),
            }
            if facts.len() == BATCH {
                self.append(journal, index, &mut facts, rebuilt)?;
            }
        }
        self.append(journal, index, &mut facts, rebuilt)
    }

    fn append(
        &self,
        journal: &mut Journal,
        index: &Index,
        facts: &mut Vec<Fact>,
        rebuilt: &mut Rebuilt,
    ) -> Result<(), OpenError> {
        if facts.is_empty() {
            return Ok(());
        }
        let entries = journal.append(self.now, std::mem::take(facts))?;
        if let Some(mark) = journal.mark() {
            index.apply(&entries, &mark)?;
        }
        rebuilt.recovered += entries.len() as u64;
        Ok(())
    }

    fn look_at(&self, path: &str, index: &Index) -> Look {
        let Some(video) = path.strip_suffix(MANIFEST_SUFFIX) else { return Look::NoManifest };
        let text = match read_small(&self.storage.join(path)) {
            Ok(text) => text,
            Err(error) => return Look::Left(format!("it cannot be read: {error}")),
        };
        let Ok(manifest) = Manifest::parse(&text) else { return Look::NoManifest };
        let recording = &manifest.recording;
        match index.manifest_of(recording) {
            Ok(Some(known)) if known == text => return Look::Known,
            Ok(Some(_)) => return Look::Left("the catalogue holds another manifest for the same recording".to_owned()),
            Ok(None) => {}
            Err(error) => return Look::Left(error.to_string()),
        }
        if let Err(untrue) = manifest.check(self.verifier) {
            return Look::Left(untrue.to_string());
        }
        if recording.path != video {
            return Look::Left(format!("it belongs to {}; move it and its video back there", recording.path));
        }
        match fs::symlink_metadata(self.storage.join(video)) {
            Ok(there) if there.is_file() && there.len() == recording.size => {}
            Ok(there) => {
                let (has, lacks) = (there.len(), recording.size);
                return Look::Left(format!("its video has {has} bytes instead of {lacks}"));
            }
            Err(error) => return Look::Left(format!("its video is not there: {error}")),
        }
        match String::from_utf8(text) {
            Ok(text) => Look::Lacking(text),
            Err(_) => Look::Left("it is no text".to_owned()),
        }
    }
}

enum Look {
    NoManifest,
    Known,
    Lacking(String),
    Left(String),
}
