//! Deleting a file so that the server hears of it, whatever happens in between.
//!
//! The intent, with the receipt, is on the disk before the file is unlinked, and stays there until the server has
//! recorded the deletion. So a crash leaves either the file, or a deletion that is reported later; never neither.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, FixedOffset};
use longshore_model::{RecordingId, Sha256};
use rustix::fs::{StatVfsMountFlags, statvfs};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::disk;
use crate::place::Place;
use crate::receipt::Expected;
use crate::recording::Recording;
use crate::source::{self, FileState, HashError, MountId};

/// A deletion that was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// Which recording.
    pub rid: RecordingId,
    /// The file.
    pub path: PathBuf,
    /// The file as it was when it was hashed.
    pub state: FileState,
    /// Its checksum, as in the receipt.
    pub sha256: Sha256,
    /// Where it was hashed.
    #[serde(rename = "sitting")]
    pub mount: MountId,
    /// Where it was when its deletion was begun.
    #[serde(flatten)]
    pub place: Place,
    /// The receipt that allows it.
    pub receipt: String,
    /// When the file was unlinked; absent while it may still be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_at: Option<DateTime<FixedOffset>>,
}

impl Intent {
    /// The intent to delete `recording` on `receipt`.
    ///
    /// # Errors
    /// What the operating system says of the file. One that is missing is deleted by somebody else, or on a card that
    /// was pulled out; either way its deletion is not this agent's to report.
    pub fn new(recording: &Recording, receipt: String) -> io::Result<Self> {
        // Through the file itself: the folder may be that of the next card already.
        let (file, _) = source::open(&recording.path)?;
        Ok(Self {
            rid: recording.rid,
            path: recording.path.clone(),
            state: recording.state,
            sha256: recording.sha256,
            mount: recording.mount.clone(),
            place: Place::of(&file)?,
            receipt,
            deleted_at: None,
        })
    }

    /// What the receipt must say.
    pub fn expected(&self) -> Expected {
        Expected { rid: self.rid, size: self.state.size, sha256: self.sha256 }
    }
}

/// How a deletion went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Carried {
    /// The file is gone; the intent, now with the time, is to be reported.
    Deleted(Box<Intent>),
    /// The file is not the one that the receipt is for; it is kept, and the intent is withdrawn.
    Kept(&'static str),
    /// The card is not there: neither the file nor its absence can be seen. The intent stays.
    OutOfSight,
}

/// The folder of intents.
#[derive(Debug, Clone)]
pub struct Journal {
    folder: PathBuf,
}

impl Journal {
    /// Opens the folder, and makes it if it is missing.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn open(folder: PathBuf) -> io::Result<Self> {
        disk::make_private_folder(&folder)?;
        Ok(Self { folder })
    }

    /// Where the intents are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// All intents, and the entries that cannot be read.
    ///
    /// # Errors
    /// What the operating system says of the folder.
    pub fn entries(&self) -> io::Result<(Vec<Intent>, Vec<PathBuf>)> {
        let (mut intents, mut damaged) = (Vec::new(), Vec::new());
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if path.extension().is_none_or(|ending| ending != "json") {
                continue;
            }
            match serde_json::from_slice(&fs::read(&path)?) {
                Ok(intent) => intents.push(intent),
                Err(_) => damaged.push(path),
            }
        }
        Ok((intents, damaged))
    }

    /// Makes the intent, or its new state, durable.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn put(&self, intent: &Intent) -> io::Result<()> {
        disk::write_durably(&self.entry(intent.rid), &serde_json::to_vec_pretty(intent)?)
    }

    /// Forgets an intent: the server has recorded the deletion, or there was none.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn close(&self, rid: RecordingId) -> io::Result<()> {
        disk::remove_durably(&self.entry(rid))
    }

    /// Writes the intent down, then carries it out. Blocks, and may read the whole file.
    ///
    /// # Errors
    /// What the operating system says; the intent then stays, and is continued at the next look.
    pub fn delete(&self, intent: Intent, now: DateTime<FixedOffset>) -> io::Result<Carried> {
        // A card that lets nothing be deleted is tried for as long as it is in; the agent's own disk must not wear out.
        if self.is_written(&intent) {
            disk::sync_folder(&self.folder)?;
        } else {
            self.put(&intent)?;
        }
        self.carry_out(intent, now)
    }

    /// Goes on with an intent of an earlier run, or of a card that was out, as [`Self::carry_out`] does.
    ///
    /// # Errors
    /// The same; `ReadOnlyFilesystem` without a look at the file while nothing can be deleted there.
    pub fn resume(&self, intent: Intent, now: DateTime<FixedOffset>) -> io::Result<Carried> {
        // It is tried at every look; reading gigabytes each time for a deletion that cannot be would wear the card out.
        if intent.deleted_at.is_none() && intent.path.symlink_metadata().is_ok() && is_read_only(&intent.path) {
            return Err(Errno::ROFS.into());
        }
        self.carry_out(intent, now)
    }

    /// Carries out an intent that is written down: at once, or after a crash at any point. Blocks, and may read the
    /// whole file.
    ///
    /// # Errors
    /// What the operating system says; the intent then stays, and is continued at the next look.
    pub fn carry_out(&self, mut intent: Intent, now: DateTime<FixedOffset>) -> io::Result<Carried> {
        if intent.deleted_at.is_some() {
            return Ok(Carried::Deleted(Box::new(intent)));
        }
        match is_same_file(&intent) {
            Ok(true) => disk::remove_durably(&intent.path)?,
            Ok(false) => {
                self.close(intent.rid)?;
                return Ok(Carried::Kept("it changed after it was sent"));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // An empty mount point looks like a folder whose files are deleted, and so does another card. Only where
                // the file was can its absence mean that it was deleted.
                if !is_where_it_was(&intent) {
                    return Ok(Carried::OutOfSight);
                }
                // The unlinking may not have been made durable before the crash.
                intent.path.parent().map_or(Ok(()), disk::sync_folder)?;
            }
            Err(error) => return Err(error),
        }
        intent.deleted_at = Some(now);
        self.put(&intent)?;
        Ok(Carried::Deleted(Box::new(intent)))
    }

    fn is_written(&self, intent: &Intent) -> bool {
        let written = fs::read(self.entry(intent.rid)).ok();
        written.and_then(|json| serde_json::from_slice::<Intent>(&json).ok()).as_ref() == Some(intent)
    }

    fn entry(&self, rid: RecordingId) -> PathBuf {
        self.folder.join(format!("{rid}.json"))
    }
}

/// Whether the folder that held the file is still the one on its card.
fn is_where_it_was(intent: &Intent) -> bool {
    let folder = intent.path.parent().unwrap_or(&intent.path);
    File::open(folder).and_then(|folder| Place::of(&folder)).is_ok_and(|now| intent.place.is(&now))
}

/// Whether the file system that `path` is in takes no changes now. Where that cannot be told, the unlinking will tell.
fn is_read_only(path: &Path) -> bool {
    let folder = path.parent().unwrap_or(path);
    statvfs(folder).is_ok_and(|system| system.f_flag.contains(StatVfsMountFlags::RDONLY))
}

/// Whether the file still has the bytes that the receipt is for. Outside the mount in which it was hashed, its state
/// proves nothing when it is equal (two cards of cameras whose clocks were never set look alike). And wherever it is not
/// equal, it proves nothing either (inodes of FAT are made up anew, a changed mode moves the ctime): the bytes decide.
fn is_same_file(intent: &Intent) -> io::Result<bool> {
    let (file, state) = source::open(&intent.path)?;
    if state == intent.state && MountId::of(&file)? == intent.mount {
        return Ok(true);
    }
    match source::hash(&intent.path, |_| true) {
        Ok(content) => Ok(content.sha256 == intent.sha256 && FileState::at(&intent.path)? == content.state),
        Err(HashError::Io(error)) => Err(error),
        Err(HashError::Changed | HashError::Interrupted) => Ok(false),
    }
}

#[cfg(test)]
mod tests;
