//! The only way to the disk: paths below one kept folder handle, and nothing beside it.
//!
//! [`Disk`] is the operating system; [`SimulatedDisk`] is memory that forgets, at a power cut, what was not synced.
//! The store's tests run over both.

mod disk;
mod simulated;

use std::io;
use std::sync::Arc;

pub use disk::Disk;
pub use simulated::{Fault, SimulatedDisk};

/// One entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Its name; names that are not UTF-8 are never ours and are left out of listings.
    pub name: String,
    /// Whether it is a folder.
    pub folder: bool,
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
    /// Makes one folder. An existing one is an error.
    fn create_folder(&self, path: &str) -> io::Result<()>;
    /// What is in a folder, by name.
    fn list(&self, path: &str) -> io::Result<Vec<Entry>>;
    /// Whether something stands under this name.
    fn exists(&self, path: &str) -> io::Result<bool>;
    /// Gives a file another name, in one step. An existing target is an error.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &str) -> io::Result<()>;
    /// Removes an empty folder.
    fn remove_folder(&self, path: &str) -> io::Result<()>;
    /// Makes the names in a folder durable.
    fn sync_folder(&self, path: &str) -> io::Result<()>;
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

/// Puts `bytes` under `path` so that after a power cut either all of them are there or nothing of this call: written
/// beside, synced, renamed, the folder synced. What stood there before is gone.
///
/// # Errors
/// The disk's.
pub fn replace(files: &dyn Files, path: &str, bytes: &[u8]) -> io::Result<()> {
    let beside = format!("{path}.new");
    remove_if_there(files, &beside)?;
    let file = files.create(&beside)?;
    file.write_at(bytes, 0)?;
    file.sync()?;
    remove_if_there(files, path)?;
    files.rename(&beside, path)?;
    files.sync_folder(parent(path))
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
