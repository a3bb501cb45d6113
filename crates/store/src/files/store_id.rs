//! `.longshore-store`: tells the storage's file system from the empty folder that is left when it is not mounted.

use std::ffi::OsStr;
use std::fs::TryLockError;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt as _;

use chrono::{DateTime, Utc};
use longshore_model::StorageId;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::{Files, replace};

/// In the storage's root; its dot keeps it out of sight on the share.
pub(super) const FILE: &str = ".longshore-store";
/// Names the form of the file; another form gets another name.
const FORM: &str = "longshore storage 1";
/// Largest file that is read, in bytes; written ones stay below 200.
const MAX_BYTES: usize = 4096;

#[derive(Serialize, Deserialize)]
struct StoreFile {
    form: String,
    id: StorageId,
    made_at: DateTime<Utc>,
}

/// Reads it, given the opened root; `None`: there is no such file.
pub(super) fn read(root: impl AsFd) -> io::Result<Option<StorageId>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = match rustix::fs::openat(root, OsStr::new(FILE), flags, Mode::empty()) {
        Ok(file) => std::fs::File::from(file),
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut bytes = vec![0; MAX_BYTES];
    let mut filled = 0;
    while filled < MAX_BYTES {
        match file.read_at(&mut bytes[filled..], filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, format!("{FILE} is damaged"));
    let found: StoreFile = serde_json::from_slice(&bytes[..filled]).map_err(|_| damaged())?;
    if found.form == FORM { Ok(Some(found.id)) } else { Err(damaged()) }
}

/// Keeps other servers off the storage, as long as it lives. A kill frees it.
#[derive(Debug)]
pub(super) struct Claim {
    /// Locked, unless the file system has no locks.
    file: std::fs::File,
}

impl Drop for Claim {
    /// Closing the file is not enough: a child that another thread is just starting has a duplicate of it until it runs
    /// its program.
    fn drop(&mut self) {
        let _without_locks_or_gone = self.file.unlock();
    }
}

/// Claims the storage, given the opened root; `None`: another server has it.
pub(super) fn claim(root: impl AsFd) -> io::Result<Option<Claim>> {
    let open = |access| -> io::Result<std::fs::File> {
        let flags = access | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(&root, OsStr::new(FILE), flags, Mode::empty())?.into())
    };
    // A file that is open for writing would keep people from remounting the storage read-only.
    let mut file = open(OFlags::RDONLY)?;
    let mut locked = file.try_lock();
    if matches!(&locked, Err(TryLockError::Error(error)) if error.raw_os_error() == Some(Errno::BADF.raw_os_error())) {
        // NFS locks only what is open for writing.
        file = open(OFlags::RDWR)?;
        locked = file.try_lock();
    }
    match locked {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => {
            tracing::warn!(%error, "the storage's file system has no locks: let no second server use it");
        }
    }
    Ok(Some(Claim { file }))
}

/// Makes it, durably.
pub(super) fn make(files: &dyn Files, now: DateTime<Utc>) -> io::Result<StorageId> {
    let id = StorageId::random().map_err(io::Error::other)?;
    let text = serde_json::to_string(&StoreFile { form: FORM.to_owned(), id, made_at: now })?;
    replace(files, FILE, format!("{text}\n").as_bytes())?;
    Ok(id)
}
