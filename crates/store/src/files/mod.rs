//! The only way to the disk: paths below one kept folder handle, and nothing beside it.
//!
//! [`Disk`] is the operating system; [`SimulatedDisk`] is memory that forgets, at a power cut, what was not synced.
//! The store's tests run over both.

mod blocks;
mod disk;
mod platform;
mod probe;
mod proof;
mod rename;
mod simulated;
mod standing;
mod store_id;

use std::io;
use std::sync::Arc;

use crate::fail_point::sync;
pub use blocks::{BLOCK, Blocks};
pub use disk::{Abilities, Checked, Disk, DiskOptions};
pub use probe::{Probe, Refused, Taken, expect, take};
pub use proof::prove;
pub use simulated::{Fault, SimulatedDisk};
pub use standing::Standing;

/// One entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Its name; names that are not UTF-8 are never ours and are left out of listings.
    pub name: String,
    /// Whether it is a folder.
    pub folder: bool,
}

/// How a file gets a name that nobody has, and what an interruption leaves; whoever calls [`Files::rename_new`] must be
/// ready for each of them. Trying again completes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RenameMode {
    /// In one step (renameat2 with `RENAME_NOREPLACE`): the old name or the new one.
    #[default]
    Exclusive,
    /// A second name, then the first one is removed: both names of one file. Durable when it returns.
    Link,
    /// An empty file takes the name, then the file is renamed over it: an empty file under the new name. Within one server
    /// nobody comes in between; a file that somebody else puts there at that moment is lost.
    Placeholder,
}

/// Room on a file system, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// All of it.
    pub total: u64,
    /// What this process may still write.
    pub free: u64,
}

/// A folder on a disk and everything below it.
///
/// Paths are relative, their parts divided by `/`; `""` is the folder itself. Nothing leaves the folder, whatever the
/// path says or symbolic links point to.
///
/// # Errors
/// Every call gives the operating system's error unchanged.
pub trait Files: Send + Sync + 'static {
    /// Makes a new file, to read and write. An existing one is an error.
    fn create(&self, path: &str) -> io::Result<Arc<dyn File>>;
    /// Opens an existing file, to read and write.
    fn open(&self, path: &str) -> io::Result<Arc<dyn File>>;
    /// Opens an existing file, to read and write past the page cache. What is read and written begins at a multiple of
    /// [`BLOCK`], is as many bytes as a multiple of it, and lies in [`Blocks`].
    fn open_direct(&self, path: &str) -> io::Result<Arc<dyn File>>;
    /// Makes one folder. An existing one is an error.
    fn create_folder(&self, path: &str) -> io::Result<()>;
    /// What is in a folder, by name.
    fn list(&self, path: &str) -> io::Result<Vec<Entry>>;
    /// Whether something stands under this name.
    fn exists(&self, path: &str) -> io::Result<bool>;
    /// Gives a file a name that nobody has; an existing target is an error. It is as durable as the target's folder.
    /// An interruption leaves what [`RenameMode`] says.
    fn rename_new(&self, from: &str, to: &str) -> io::Result<()>;
    /// Gives a file another name, in one step; what stood there is gone.
    fn rename_over(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &str) -> io::Result<()>;
    /// Removes an empty folder.
    fn remove_folder(&self, path: &str) -> io::Result<()>;
    /// Makes the names in a folder durable.
    fn sync_folder(&self, path: &str) -> io::Result<()>;
    /// Room on the file system.
    fn space(&self) -> io::Result<Space>;
    /// Whether the storage is there; asks no disk.
    fn standing(&self) -> Standing;
    /// The folder as it is now: what begins on one file system also ends there, though another may take its place. Then
    /// nothing new is made through it any more.
    fn pin(&self) -> Arc<dyn Files>;
}

/// An open file.
///
/// # Errors
/// Every call gives the operating system's error unchanged.
pub trait File: Send + Sync + 'static {
    /// Fills `buffer` from `offset` on; fewer bytes only at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of `bytes` at `offset`.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Makes the bytes, and the length, durable.
    fn sync(&self) -> io::Result<()>;
    /// Cuts or extends the file.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Bytes in the file.
    fn size(&self) -> io::Result<u64>;
}

/// Reads a whole file of at most `limit` bytes.
///
/// # Errors
/// Besides the disk's: a longer file is [`io::ErrorKind::FileTooLarge`].
pub fn read_all(files: &dyn Files, path: &str, limit: u64) -> io::Result<Vec<u8>> {
    let file = files.open(path)?;
    let len = file.size()?;
    if len > limit {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut bytes = vec![0; usize::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?];
    let read = file.read_at(&mut bytes, 0)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Puts `bytes` under `path` so that after a power cut either all of them are there or what stood there before: written
/// beside, synced, renamed, the folder synced.
///
/// # Errors
/// The disk's.
pub fn replace(files: &dyn Files, path: &str, bytes: &[u8]) -> io::Result<()> {
    let beside = format!("{path}.new");
    remove_if_there(files, &beside)?;
    let file = files.create(&beside)?;
    file.write_at(bytes, 0)?;
    sync!("sync-placing", file.sync())?;
    files.rename_over(&beside, path)?;
    sync!("sync-placing", files.sync_folder(parent(path)))
}

/// Removes a file that may be gone already.
///
/// # Errors
/// The disk's, but for a missing file.
pub fn remove_if_there(files: &dyn Files, path: &str) -> io::Result<()> {
    match files.remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Makes `path` and the folders above it, as far as they are missing, and makes their names durable: also those that
/// were there, since whoever made them may not have come to the sync yet.
///
/// # Errors
/// The disk's.
pub fn create_folders(files: &dyn Files, path: &str) -> io::Result<()> {
    let mut end = 0;
    for part in path.split('/') {
        end += part.len();
        let folder = &path[..end];
        match files.create_folder(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => files.sync_folder(parent(folder))?,
        }
        end += 1;
    }
    Ok(())
}

/// The folder of a path; `""` for a name in the root.
pub fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}
