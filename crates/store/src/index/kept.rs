//! Whether an index that is there may be gone on with.
//!
//! sled's `flush` makes no fsync: after a power cut an index can open well and lack old rows. So it is used only if it
//! was synced here at the last stop, or if the kernel has not been started since: what it was handed is in its page
//! cache then. `state.json` says so, and is missing or wrong whenever that is not certain.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::tables::Tables;
use super::{Index, IndexError, IndexPlace};
use crate::journal::Mark;

/// Form of the rows; one that is written by another form of this program is made again.
const FORM: u32 = 5;
/// sled's own folder.
const ROWS: &str = "rows";
const STATE: &str = "state.json";
/// A new one with every start of the kernel (proc(5)).
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
/// What sled leaves half-written when it is killed while it opens; it then refuses to open.
const HALF_WRITTEN: &str = "generating";

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    form: u32,
    /// The kernel under which it was opened last.
    boot: String,
    /// The folder that was opened then, as device and inode number: a copy that was made while a server ran, as a backup
    /// does, is no index to go on with.
    at: (u64, u64),
    /// Everything was synced, and nothing was changed since.
    clean: bool,
}

impl Index {
    /// Opens the index that is there, with the place in the journal up to which it goes. `None`: there is none that
    /// can be trusted; [`Self::create`] makes one.
    ///
    /// # Errors
    /// [`IndexError::Io`] if its folder cannot be written.
    pub fn open(place: &IndexPlace) -> Result<Option<(Self, Mark)>, IndexError> {
        let folder = &place.folder;
        if !trusted(folder) {
            return Ok(None);
        }
        // From here on it is good only as long as this kernel runs.
        write_state(folder, false)?;
        let opened = remove_half_written(&folder.join(ROWS)).map_err(IndexError::from).and_then(|()| open_rows(place));
        let found = opened.and_then(|index| Ok(index.applied()?.map(|mark| (index, mark))));
        Ok(found.unwrap_or_else(|error| {
            tracing::warn!(%error, "the index cannot be opened");
            None
        }))
    }

    /// Makes an empty index, in place of whatever is there.
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn create(place: &IndexPlace) -> Result<Self, IndexError> {
        let folder = &place.folder;
        remove(folder)?;
        fs::create_dir_all(folder)?;
        let index = open_rows(place)?;
        write_state(folder, false)?;
        Ok(index)
    }

    /// Syncs everything and marks the index as whole, so that it outlives a power cut. Nothing may be applied to it
    /// afterwards.
    ///
    /// # Errors
    /// [`IndexError`]; it is then made again at the next start of the machine.
    pub fn close(&self) -> Result<(), IndexError> {
        self.db.flush()?;
        sync_below(&self.folder.join(ROWS))?;
        Ok(write_state(&self.folder, true)?)
    }

    /// Puts this index, closed, in the place of another, which is removed. Wherever this is interrupted, one of the two
    /// is there, or none, and then the next start makes it.
    ///
    /// # Errors
    /// The disk's.
    pub fn move_to(self, place: &IndexPlace) -> Result<(), IndexError> {
        self.close()?;
        let own = self.folder.clone();
        drop(self);
        remove(&place.folder)?;
        fs::rename(own, &place.folder)?;
        Ok(place.folder.parent().map_or(Ok(()), sync)?)
    }

    /// Has the index made again at the next start.
    ///
    /// # Errors
    /// The disk's.
    pub fn distrust(&self) -> io::Result<()> {
        distrust(&self.folder)
    }
}

fn open_rows(place: &IndexPlace) -> Result<Index, IndexError> {
    // sled's own thread would sync every half second, and might still write after the mark of a clean stop. Rows that
    // wait in its buffer are in the journal.
    let config =
        sled::Config::new().path(place.folder.join(ROWS)).cache_capacity(place.cache_bytes).flush_every_ms(None);
    // sled panics rather than errs over some of what a disk can hold.
    let opened = catch_unwind(AssertUnwindSafe(|| {
        let db = config.open()?;
        Ok(Index { folder: place.folder.clone(), tables: Tables::open(&db)?, db })
    }));
    opened.map_err(|_| IndexError::Panicked)?
}

/// Whether what is in `folder` may be gone on with, as far as can be told without opening it.
fn trusted(folder: &Path) -> bool {
    let state = fs::read(folder.join(STATE)).ok().and_then(|text| serde_json::from_slice::<State>(&text).ok());
    let runs_on = |state: &State| Some(&state.boot) == boot_id().as_ref() && Some(state.at) == identity(folder).ok();
    state.is_some_and(|state| state.form == FORM && (state.clean || runs_on(&state)))
}

fn identity(folder: &Path) -> io::Result<(u64, u64)> {
    let folder = fs::metadata(folder)?;
    Ok((folder.dev(), folder.ino()))
}

fn boot_id() -> Option<String> {
    let id = fs::read_to_string(BOOT_ID).ok()?;
    Some(id.trim().to_owned()).filter(|id| !id.is_empty())
}

/// Durable when it returns. Whatever interrupts it leaves the old state or none.
fn write_state(folder: &Path, clean: bool) -> io::Result<()> {
    let state = State { form: FORM, boot: boot_id().unwrap_or_default(), at: identity(folder)?, clean };
    let beside = folder.join("state.new");
    let mut file = File::create(&beside)?;
    file.write_all(&serde_json::to_vec(&state)?)?;
    file.sync_all()?;
    fs::rename(&beside, folder.join(STATE))?;
    sync(folder)
}

fn distrust(folder: &Path) -> io::Result<()> {
    match fs::remove_file(folder.join(STATE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.and_then(|()| sync(folder)),
    }
}

fn remove(folder: &Path) -> io::Result<()> {
    distrust(folder)?;
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn remove_half_written(rows: &Path) -> io::Result<()> {
    for entry in fs::read_dir(rows)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == HALF_WRITTEN) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Syncs all files and folders below `folder`, and its own name.
fn sync_below(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_below(&entry.path())?;
        } else {
            sync(&entry.path())?;
        }
    }
    sync(folder)
}

fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
