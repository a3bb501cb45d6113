//! What is found out about the storage before the server serves, and how it is taken.

use std::fmt;
use std::fs::DirBuilder;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use longshore_model::StorageId;
use rustix::fs::{AtFlags, Dir, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use super::disk::{Abilities, Disk, DiskOptions};
use super::platform::{self, Walk};
use super::store_id::{self, Claim};
use super::{RenameMode, Space};

/// Everything that the probe makes is in this folder of the storage.
const FOLDER: &str = ".longshore-probe";
/// Bytes that are written and read back: one block of any file system.
const BLOCK: usize = 4096;
/// Syncs that are timed; the shortest counts, since something else may keep the disk busy.
const TIMED_SYNCS: usize = 4;
/// For people: bytes in one GiB.
const GIB: f64 = (1_u64 << 30) as f64;

/// What the storage is, and what it can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Kind of file system, as Linux calls it.
    pub file_system: String,
    /// Whether it comes over a network, or from a program (FUSE).
    pub share: bool,
    /// Whether its disk has heads that seek; `None` where the kernel does not tell.
    pub rotating: Option<bool>,
    /// How long it takes until a small write is on the medium; `None` when the disk is full.
    pub sync_time: Option<Duration>,
    /// Room.
    pub space: Space,
    /// How files get new names, whether modes are kept, and files written past the page cache.
    pub abilities: Abilities,
    /// Whether the kernel resolves paths below a folder (openat2).
    pub openat2: bool,
}

impl fmt::Display for Probe {
    #[expect(clippy::cast_precision_loss, reason = "one digit after the point is shown")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file_system, share, rotating, sync_time, space, abilities, openat2 } = self;
        let yes = |yes: bool| if yes { "yes" } else { "no" };
        let (free, total) = (space.free as f64 / GIB, space.total as f64 / GIB);
        write!(f, "{file_system}, {free:.1} GiB free of {total:.1} GiB, share: {}, ", yes(*share))?;
        write!(f, "rotating: {}, ", rotating.map_or("unknown", yes))?;
        if let Some(sync_time) = sync_time {
            write!(f, "sync: {:.1} ms, ", sync_time.as_secs_f64() * 1000.0)?;
        }
        let rename = match abilities.rename {
            RenameMode::Exclusive => "exclusive",
            RenameMode::Link => "by link",
            RenameMode::Placeholder => "over a placeholder",
        };
        write!(f, "rename: {rename}, modes kept: {}, ", yes(abilities.modes))?;
        write!(f, "openat2: {}, O_DIRECT: {}", yes(*openat2), yes(abilities.direct))
    }
}

/// Why the storage cannot be used, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The folder of a storage that was used before is not there.
    #[error("the storage {0} is not there, though this server has used it; is the disk mounted?")]
    Missing(PathBuf),
    /// Two servers would complete each other's recordings.
    #[error("another Longshore, with another data folder, is using the storage {0}; stop it, or choose another folder")]
    InUse(PathBuf),
    /// The folder is there, and what was stored is not.
    #[error(
        "the storage {0} holds no .longshore-store, though this server has used it; is the disk mounted? If it was replaced by \
         an empty one, remove storage.json from the data folder"
    )]
    Empty(PathBuf),
    /// Another storage is there.
    #[error("{0} is another storage (id {1}) than this server has used (id {2}); mount the right disk")]
    Other(PathBuf, StorageId, StorageId),
    /// The folder cannot be made.
    #[error("the storage {0} does not exist and cannot be made: {1}; make the folder, or mount its disk")]
    NotMade(PathBuf, io::Error),
    /// Something else has its name.
    #[error("{0} is in the way: the storage must be a folder; move it away, or choose another folder")]
    NoFolder(PathBuf),
    /// It cannot be written.
    #[error("the storage {0} is read-only; mount it for writing, and look at the kernel's log for errors of its disk")]
    ReadOnly(PathBuf),
    /// The account may not.
    #[error(
        "the server's account (uid {uid}, gid {gid}) has no permission to {doing} in the storage {path}; \
         `chown {uid}:{gid} '{path}'` gives the folder to it"
    )]
    NotPermitted {
        /// The storage.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// Effective user id of this process.
        uid: u32,
        /// Its effective group id.
        gid: u32,
    },
    /// Files cannot be given to whom they should belong.
    #[error(
        "files in the storage {path} cannot be given to {to}: {error}; a group must be one of the server's account, \
         another owner needs root, and the file system must keep owners"
    )]
    Ownership {
        /// The storage.
        path: PathBuf,
        /// User, group or both.
        to: String,
        /// The operating system's answer.
        error: io::Error,
    },
    /// Not even an empty file has room.
    #[error("the storage {0} is full; make room, then start again")]
    Full(PathBuf),
    /// What was written is not what was read.
    #[error("the storage {0} gives back other bytes than were written; check its disk, or its share's server")]
    Unfaithful(PathBuf),
    /// Anything else.
    #[error("cannot {doing} in the storage {path}: {error}")]
    Io {
        /// The storage.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// The operating system's answer.
        error: io::Error,
    },
}

/// A storage that can be used.
#[derive(Debug)]
pub struct Taken {
    /// It.
    pub disk: Disk,
    /// What it can do.
    pub probe: Probe,
    /// What it is known by; the data folder keeps it.
    pub id: StorageId,
}

/// Takes the folder as the storage: the one that is `known`, or for a server without one this folder, which is made and
/// marked if need be. Nothing is written before it is known to be the right one; what the probe made is removed again.
///
/// # Errors
/// [`Refused`].
pub fn take(path: &Path, options: DiskOptions, known: Option<StorageId>, now: DateTime<Utc>) -> Result<Taken, Refused> {
    let (root, made) = match (platform::open_folder(path), known) {
        (Ok(root), _) => (root, false),
        (Err(error), None) if error.kind() == io::ErrorKind::NotFound => (make_folder(path, &options)?, true),
        (Err(error), Some(_)) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Refused::Missing(path.to_owned()));
        }
        (Err(error), _) => return Err(refused(path, "open it", error)),
    };
    let found = found(path, &root, known)?;
    // Before anything is tried in it.
    let claimed = found.map(|_| claim(path, &root)).transpose()?;
    let probe = probe(path, &root, &options)?;
    let failed = |error| refused(path, "make .longshore-store", error);
    let second = root.try_clone().map_err(failed)?;
    let id = match found {
        Some(id) => id,
        None => {
            let disk = Disk::over(second, path, options.clone(), probe.abilities, None).map_err(failed)?;
            if made {
                disk.dress_root().map_err(failed)?;
            }
            store_id::make(&disk, now).map_err(failed)?
        }
    };
    let claim = claimed.map_or_else(|| claim(path, &root), Ok)?;
    let disk = Disk::over(root, path, options, probe.abilities, Some((id, claim))).map_err(failed)?;
    Ok(Taken { disk, probe, id })
}

/// Makes sure that this folder is the `known` storage, for programs that only read it.
///
/// # Errors
/// [`Refused`].
pub fn expect(path: &Path, known: StorageId) -> Result<(), Refused> {
    let root = platform::open_folder(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Refused::Missing(path.to_owned()),
        _ => refused(path, "open it", error),
    })?;
    found(path, &root, Some(known)).map(drop)
}

/// What the folder is marked with, which is what is `known` if anything is.
fn found(path: &Path, root: &OwnedFd, known: Option<StorageId>) -> Result<Option<StorageId>, Refused> {
    let found = store_id::read(root).map_err(|error| refused(path, "read .longshore-store", error))?;
    match (known, found) {
        (Some(_), None) => Err(Refused::Empty(path.to_owned())),
        (Some(known), Some(found)) if known != found => Err(Refused::Other(path.to_owned(), found, known)),
        _ => Ok(found),
    }
}

fn claim(path: &Path, root: &OwnedFd) -> Result<Claim, Refused> {
    let claimed = store_id::claim(root).map_err(|error| refused(path, "lock .longshore-store", error))?;
    claimed.ok_or_else(|| Refused::InUse(path.to_owned()))
}

fn make_folder(path: &Path, options: &DiskOptions) -> Result<OwnedFd, Refused> {
    let make = || {
        DirBuilder::new().recursive(true).mode(options.folder_mode).create(path)?;
        if let Some(above) = path.parent() {
            rustix::fs::fsync(platform::open_folder(above)?)?;
        }
        platform::open_folder(path)
    };
    make().map_err(|error| match error.kind() {
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => Refused::NoFolder(path.to_owned()),
        _ => Refused::NotMade(path.to_owned(), error),
    })
}

fn refused(path: &Path, doing: &'static str, error: io::Error) -> Refused {
    let path = path.to_owned();
    match error.kind() {
        io::ErrorKind::NotADirectory => Refused::NoFolder(path),
        io::ErrorKind::ReadOnlyFilesystem => Refused::ReadOnly(path),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Refused::Full(path),
        io::ErrorKind::PermissionDenied => {
            let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
            Refused::NotPermitted { path, doing, uid, gid }
        }
        _ => Refused::Io { path, doing, error },
    }
}

/// Tries everything that will be done in this folder.
fn probe(path: &Path, root: &OwnedFd, options: &DiskOptions) -> Result<Probe, Refused> {
    let failed = |doing| move |error: io::Error| refused(path, doing, error);
    if platform::is_read_only(root).map_err(failed("look"))? {
        return Err(Refused::ReadOnly(path.to_owned()));
    }
    let folder = ProbeFolder::make(root).map_err(failed("make a folder"))?;
    let at = folder.folder.as_fd();
    let written = write_and_read(at).map_err(failed("write and read a file"))?;
    if !written.faithful {
        return Err(Refused::Unfaithful(path.to_owned()));
    }
    let rename = platform::find_rename_mode(at, ["one", "two", "three"]).map_err(failed("give a file another name"))?;
    let direct = platform::is_direct(at, "direct").map_err(failed("write a file past the page cache"))?;
    let modes = keeps_modes(&written.file, options.file_mode).map_err(failed("set the mode of a file"))?;
    give_away(&written.file, options).map_err(|(to, error)| Refused::Ownership {
        path: path.to_owned(),
        to,
        error: error.into(),
    })?;
    folder.remove().map_err(failed("remove a file"))?;
    let (file_system, share) = platform::file_system(root).map_err(failed("look"))?;
    Ok(Probe {
        file_system,
        share,
        rotating: platform::is_rotating(root),
        sync_time: written.sync_time,
        space: platform::space(root).map_err(failed("look"))?,
        abilities: Abilities { rename, modes, direct },
        openat2: Walk::detect(root).map_err(failed("look"))? == Walk::Openat2,
    })
}

/// The folder that the probe works in; whatever is in it goes with it.
struct ProbeFolder<'a> {
    root: BorrowedFd<'a>,
    folder: OwnedFd,
}

impl<'a> ProbeFolder<'a> {
    fn make(root: &'a OwnedFd) -> io::Result<Self> {
        match rustix::fs::mkdirat(root, FOLDER, Mode::RWXU) {
            // A probe that was killed left it.
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = rustix::fs::openat(root, FOLDER, flags, Mode::empty())?;
        let made = Self { root: root.as_fd(), folder };
        made.clear()?;
        Ok(made)
    }

    fn clear(&self) -> io::Result<()> {
        for entry in Dir::read_from(&self.folder)? {
            let entry = entry?;
            if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                rustix::fs::unlinkat(&self.folder, entry.file_name(), AtFlags::empty())?;
            }
        }
        Ok(())
    }

    fn remove(&self) -> io::Result<()> {
        self.clear()?;
        Ok(rustix::fs::unlinkat(self.root, FOLDER, AtFlags::REMOVEDIR)?)
    }
}

impl Drop for ProbeFolder<'_> {
    fn drop(&mut self) {
        let _removed_before_or_at_the_next_start = self.remove();
    }
}

struct Written {
    file: OwnedFd,
    sync_time: Option<Duration>,
    faithful: bool,
}

fn write_and_read(folder: BorrowedFd<'_>) -> io::Result<Written> {
    const NAME: &str = "written";
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
    let file = std::fs::File::from(rustix::fs::openat(folder, NAME, flags, platform::PRIVATE_FILE)?);
    let block = [0x5A; BLOCK];
    let write_and_sync = || {
        file.write_all_at(&block, 0)?;
        let began = Instant::now();
        file.sync_data()?;
        Ok(began.elapsed())
    };
    let (written, sync_time) = match (0..TIMED_SYNCS).map(|_| write_and_sync()).collect::<io::Result<Vec<_>>>() {
        Ok(times) => (BLOCK, times.into_iter().min()),
        // A full disk is told to those who bring something; what is stored can still be served.
        Err(error) if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => (0, None),
        Err(error) => return Err(error),
    };
    rustix::fs::fsync(folder)?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let again = std::fs::File::from(rustix::fs::openat(folder, NAME, flags, Mode::empty())?);
    let mut read = vec![0; written];
    again.read_exact_at(&mut read, 0)?;
    Ok(Written { faithful: read == block[..written], sync_time, file: file.into() })
}

fn keeps_modes(file: &OwnedFd, mode: u32) -> io::Result<bool> {
    let wanted = Mode::from_raw_mode(mode);
    match rustix::fs::fchmod(file, wanted).map_err(io::Error::from) {
        Ok(()) => Ok(Mode::from_raw_mode(rustix::fs::fstat(file)?.st_mode) == wanted),
        Err(error) if platform::is_not_offered(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

fn give_away(file: &OwnedFd, options: &DiskOptions) -> Result<(), (String, Errno)> {
    let DiskOptions { owner, group, .. } = *options;
    let to = match (owner, group) {
        (None, None) => return Ok(()),
        (Some(owner), None) => format!("the user id {owner}"),
        (None, Some(group)) => format!("the group id {group}"),
        (Some(owner), Some(group)) => format!("the user id {owner} and the group id {group}"),
    };
    rustix::fs::fchown(file, owner.map(Uid::from_raw), group.map(Gid::from_raw)).map_err(|error| (to, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_account_and_what_to_do() {
        let told = |errno: Errno| refused(Path::new("/srv/video"), "make a folder", errno.into()).to_string();
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        assert!(told(Errno::ACCESS).contains(&format!("(uid {uid}, gid {gid}) has no permission to make a folder")));
        assert!(told(Errno::ACCESS).contains(&format!("`chown {uid}:{gid} '/srv/video'`")));
        assert!(told(Errno::ROFS).contains("is read-only"));
        assert!(told(Errno::NOSPC).contains("is full"));
        assert!(told(Errno::NOTDIR).contains("is in the way"));
        assert!(told(Errno::IO).contains("cannot make a folder"));
    }
}
