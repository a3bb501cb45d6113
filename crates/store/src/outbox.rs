//! The texts of messages to people, each under its checksum in the data folder. The journal keeps everything for ever, and
//! a row of the index is small; a text is neither, and one digest goes to many.

use std::collections::HashSet;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use longshore_model::Sha256;

use crate::files::{self, Files};

/// Below the data folder.
const FOLDER: &str = "outbox";
/// Longest text, in bytes: mail servers refuse much more, and people do not read it.
pub const CONTENT_BYTES: u64 = 1024 * 1024;

/// Why a text cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// It is not there, or not what it was.
    #[error("its text is missing or damaged in the data folder's `outbox`; restore that from a backup")]
    Damaged,
    /// The disk.
    #[error("its text cannot be read: {0}")]
    Io(#[from] io::Error),
}

/// The folder of the texts.
#[derive(Clone)]
pub struct Contents {
    files: Arc<dyn Files>,
    /// What this process has synced: of another one's it is not known.
    durable: Arc<Mutex<HashSet<Sha256>>>,
}

impl Contents {
    /// Makes the folder in the data folder, if need be.
    ///
    /// # Errors
    /// The disk's.
    pub fn open(data: Arc<dyn Files>) -> io::Result<Self> {
        files::create_folders(&*data, FOLDER)?;
        Ok(Self { files: data, durable: Arc::default() })
    }

    /// Keeps a text; it is durable when this returns.
    ///
    /// # Errors
    /// The disk's; a text that is too long is [`io::ErrorKind::FileTooLarge`].
    pub fn put(&self, text: &[u8]) -> io::Result<Sha256> {
        if text.len() as u64 > CONTENT_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let sha256 = Sha256::of(text);
        // Locked until it is there: it could be removed and be taken for durable.
        let mut durable = self.durable();
        if !durable.contains(&sha256) {
            files::replace(&*self.files, &path(sha256), text)?;
            durable.insert(sha256);
        }
        Ok(sha256)
    }

    fn durable(&self) -> MutexGuard<'_, HashSet<Sha256>> {
        self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The text with this checksum.
    ///
    /// # Errors
    /// [`ContentError`].
    pub fn get(&self, sha256: Sha256) -> Result<Vec<u8>, ContentError> {
        let text = match files::read_all(&*self.files, &path(sha256), CONTENT_BYTES) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::FileTooLarge) => {
                return Err(ContentError::Damaged);
            }
            text => text?,
        };
        if Sha256::of(&text) == sha256 { Ok(text) } else { Err(ContentError::Damaged) }
    }

    /// Removes everything but these; how much that was. What somebody put and did not tell of yet goes too.
    ///
    /// # Errors
    /// The disk's.
    pub fn keep_only(&self, kept: &HashSet<Sha256>) -> io::Result<usize> {
        let mut durable = self.durable();
        durable.retain(|sha256| kept.contains(sha256));
        let kept: HashSet<String> = kept.iter().map(ToString::to_string).collect();
        let mut removed = 0;
        for entry in self.files.list(FOLDER)?.into_iter().filter(|entry| !entry.folder && !kept.contains(&entry.name)) {
            files::remove_if_there(&*self.files, &format!("{FOLDER}/{}", entry.name))?;
            removed += 1;
        }
        Ok(removed)
    }
}

fn path(sha256: Sha256) -> String {
    format!("{FOLDER}/{sha256}")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::files::SimulatedDisk;

    #[test]
    fn a_text_that_is_kept_survives_a_power_cut_and_goes_when_nobody_needs_it() {
        let disk = SimulatedDisk::new();
        let contents = Contents::open(Arc::new(disk.clone())).unwrap();
        let (kept, gone) = (contents.put(b"kept").unwrap(), contents.put(b"gone").unwrap());
        assert_eq!(contents.put(b"kept").unwrap(), kept, "the same again is the same");
        let after = Contents::open(Arc::new(disk.after_power_cut(1))).unwrap();
        assert_eq!(after.get(kept).unwrap(), b"kept");
        assert_eq!(contents.keep_only(&HashSet::from([kept])).unwrap(), 1);
        assert!(matches!(contents.get(gone), Err(ContentError::Damaged)));
        assert_eq!(contents.get(kept).unwrap(), b"kept");
    }

    #[test]
    fn a_text_that_is_not_what_it_was_is_not_sent() {
        let contents = Contents::open(Arc::new(SimulatedDisk::new())).unwrap();
        let sha256 = contents.put(b"right").unwrap();
        files::replace(&*contents.files, &path(sha256), b"wrong").unwrap();
        assert!(matches!(contents.get(sha256), Err(ContentError::Damaged)));
    }

    #[test]
    fn what_is_put_while_others_are_removed_is_not_taken_for_durable_when_it_is_gone() {
        let disk = SimulatedDisk::new();
        let contents = Contents::open(Arc::new(disk.clone())).unwrap();
        let is_done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_done.load(Ordering::Relaxed) {
                    contents.keep_only(&HashSet::new()).unwrap();
                }
            });
            for _ in 0..20_000 {
                // The disk has a name for each text that counts as durable, whoever is at it.
                let sha256 = contents.put(b"text").unwrap();
                let durable = contents.durable();
                if durable.contains(&sha256) && !disk.exists(&path(sha256)).unwrap() {
                    is_done.store(true, Ordering::Relaxed);
                    panic!("a text is gone, and counts as durable");
                }
            }
            is_done.store(true, Ordering::Relaxed);
        });
    }

    #[test]
    fn a_text_that_is_too_long_is_refused() {
        let contents = Contents::open(Arc::new(SimulatedDisk::new())).unwrap();
        let long = vec![b'a'; usize::try_from(CONTENT_BYTES).unwrap() + 1];
        assert_eq!(contents.put(&long).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }
}
