//! The disk as it is: a folder of the operating system, held open.

mod check;

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use longshore_model::StorageId;
use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use super::blocks::Unbuffered;
use super::platform::{self, Name, Renamed, Walk};
use super::rename::{Steps as _, rename_new};
use super::store_id::Claim;
use super::{Entry, File, Files, RenameMode, Space, Standing, parent};
pub use check::Checked;

/// Folders that nobody but the server looks into.
const PRIVATE_FOLDER: Mode = Mode::from_raw_mode(0o700);

/// Who may read what the server stores. Folders whose name begins with a dot stay the server's alone, and so does what is
/// in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskOptions {
    /// Mode of recordings and manifests, whatever the umask.
    pub file_mode: u32,
    /// Mode of folders, likewise.
    pub folder_mode: u32,
    /// User id that files and folders are given to; needs root, or the capabilities `CAP_CHOWN` and `CAP_DAC_OVERRIDE`.
    pub owner: Option<u32>,
    /// Group id that they are given to; the server's account must be a member.
    pub group: Option<u32>,
}

impl Default for DiskOptions {
    /// Written by the server, read by its group.
    fn default() -> Self {
        Self { file_mode: 0o640, folder_mode: 0o750, owner: None, group: None }
    }
}

/// What a file system can do, as the start-up probe found it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abilities {
    /// How files get new names.
    pub rename: RenameMode,
    /// Whether it keeps the modes of files; many shares take them from the mount's options instead.
    pub modes: bool,
    /// Whether files can be read and written past the page cache (`O_DIRECT`).
    pub direct: bool,
}

impl Default for Abilities {
    /// Of a local disk.
    fn default() -> Self {
        Self { rename: RenameMode::Exclusive, modes: true, direct: true }
    }
}

/// A folder of the operating system, held open: when another file system is mounted over its path, or the one below is
/// taken away, nothing lands elsewhere.
///
/// Every call goes through the handle that was opened once, so what is written lands on that file system or nowhere. While
/// [`Disk::check`] finds something else at the path, nothing new is made; a call that had begun before ends on the old file
/// system. It is put back into use when the storage that this handle was opened on stands at the path again.
#[derive(Debug, Clone)]
pub struct Disk {
    shared: Arc<Shared>,
    /// Set in a handle that stays with one mount.
    pinned: Option<Arc<Root>>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    options: DiskOptions,
    abilities: Abilities,
    walk: Walk,
    /// `None`: any folder at the path is another one.
    id: Option<StorageId>,
    /// Of the root; `None` while it is read-only.
    claim: Mutex<Option<Claim>>,
    root: RwLock<Arc<Root>>,
    standing: RwLock<Standing>,
    /// Between a placeholder and the rename over it, nobody else may take the empty file for his own.
    one_at_a_time: Mutex<()>,
}

#[derive(Debug)]
struct Root {
    folder: OwnedFd,
    /// Another mount has taken its place.
    retired: AtomicBool,
}

impl Disk {
    /// Opens an existing folder of a local disk.
    ///
    /// # Errors
    /// The operating system's.
    pub fn open(path: &Path, options: DiskOptions) -> io::Result<Self> {
        Self::with_abilities(path, options, Abilities::default())
    }

    /// Opens an existing folder of which it is known what its file system can do.
    ///
    /// # Errors
    /// The operating system's.
    pub fn with_abilities(path: &Path, options: DiskOptions, abilities: Abilities) -> io::Result<Self> {
        Self::over(platform::open_folder(path)?, path, options, abilities, None)
    }

    pub(super) fn over(
        folder: OwnedFd,
        path: &Path,
        options: DiskOptions,
        abilities: Abilities,
        marked: Option<(StorageId, Claim)>,
    ) -> io::Result<Self> {
        let walk = Walk::detect(&folder)?;
        let root = RwLock::new(Arc::new(Root { folder, retired: AtomicBool::new(false) }));
        let path = path.to_owned();
        let (standing, one_at_a_time) = (RwLock::default(), Mutex::default());
        let (id, claim) = marked.unzip();
        let claim = Mutex::new(claim);
        let shared = Shared { path, options, abilities, walk, id, claim, root, standing, one_at_a_time };
        Ok(Self { shared: Arc::new(shared), pinned: None })
    }

    fn root(&self) -> Arc<Root> {
        match &self.pinned {
            Some(root) => Arc::clone(root),
            None => Arc::clone(&self.shared.root.read().unwrap_or_else(PoisonError::into_inner)),
        }
    }

    /// The root, to make something new below it.
    fn root_to_make(&self) -> io::Result<Arc<Root>> {
        self.standing().may_make()?;
        let root = self.root();
        if root.retired.load(Ordering::SeqCst) {
            let why = "the storage was mounted anew, and this work began before";
            return Err(io::Error::new(io::ErrorKind::NotConnected, why));
        }
        Ok(root)
    }

    fn at(&self, root: &Root, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
        let mode = if flags.contains(OFlags::CREATE) { platform::PRIVATE_FILE } else { Mode::empty() };
        self.shared.walk.open(&root.folder, path, flags, mode)
    }

    fn folder(&self, root: &Root, path: &str) -> io::Result<OwnedFd> {
        self.at(root, path, OFlags::DIRECTORY)
    }

    pub(super) fn dress_root(&self) -> io::Result<()> {
        self.dress(&self.root().folder, self.shared.options.folder_mode)
    }

    /// Gives a new file or folder to those whom it is for.
    fn dress(&self, new: &OwnedFd, mode: u32) -> io::Result<()> {
        let DiskOptions { owner, group, .. } = self.shared.options;
        if owner.is_some() || group.is_some() {
            rustix::fs::fchown(new, owner.map(Uid::from_raw), group.map(Gid::from_raw))?;
        }
        if self.shared.abilities.modes {
            let found = Mode::from_raw_mode(rustix::fs::fstat(new)?.st_mode);
            // A folder hands its group on to what is made in it, if the share is set up so.
            let wanted = Mode::from_raw_mode(mode) | (found & Mode::SGID);
            if found != wanted {
                rustix::fs::fchmod(new, wanted)?;
            }
        }
        Ok(())
    }
}

/// The last part of a path; the others are checked where they are walked.
fn name(path: &str) -> io::Result<&OsStr> {
    match path.rsplit('/').next().unwrap_or_default() {
        "" | "." | ".." => Err(io::Error::new(io::ErrorKind::InvalidInput, "no name below the folder")),
        name => Ok(OsStr::from_bytes(name.as_bytes())),
    }
}

fn is_empty(folder: &OwnedFd) -> io::Result<bool> {
    for entry in Dir::read_from(folder)? {
        if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
            return Ok(false);
        }
    }
    Ok(true)
}

impl Files for Disk {
    fn create(&self, path: &str) -> io::Result<Arc<dyn File>> {
        let root = self.root_to_make()?;
        let fd = self.at(&root, path, OFlags::CREATE | OFlags::EXCL | OFlags::RDWR)?;
        self.dress(&fd, self.shared.options.file_mode)?;
        Ok(Arc::new(fs::File::from(fd)))
    }

    fn open(&self, path: &str) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(fs::File::from(self.at(&self.root(), path, OFlags::RDWR)?)))
    }

    fn open_direct(&self, path: &str) -> io::Result<Arc<dyn File>> {
        let direct = self.shared.abilities.direct;
        let flags = if direct { OFlags::RDWR | OFlags::DIRECT } else { OFlags::RDWR };
        let file = fs::File::from(self.at(&self.root(), path, flags)?);
        Ok(Arc::new(Unbuffered { file, direct }))
    }

    fn create_folder(&self, path: &str) -> io::Result<()> {
        let root = self.root_to_make()?;
        let above = self.folder(&root, parent(path))?;
        let private = path.starts_with('.');
        let mode = if private { PRIVATE_FOLDER } else { Mode::from_raw_mode(self.shared.options.folder_mode) };
        let made = rustix::fs::mkdirat(&above, name(path)?, mode);
        match made {
            Ok(()) | Err(Errno::EXIST) if !private => {
                let folder = self.folder(&root, path)?;
                // Whoever made an empty one may not have come to this. The mode of others is their owner's business.
                if made.is_ok() || is_empty(&folder)? {
                    self.dress(&folder, self.shared.options.folder_mode)?;
                }
            }
            _ => {}
        }
        Ok(made?)
    }

    fn list(&self, path: &str) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        let folder = self.folder(&self.root(), path)?;
        for entry in Dir::read_from(&folder)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            if name == "." || name == ".." {
                continue;
            }
            let mut kind = entry.file_type();
            if kind == FileType::Unknown {
                let stat = rustix::fs::statat(&folder, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)?;
                kind = FileType::from_raw_mode(stat.st_mode);
            }
            entries.push(Entry { name: name.to_owned(), folder: kind == FileType::Directory });
        }
        entries.sort();
        Ok(entries)
    }

    fn exists(&self, path: &str) -> io::Result<bool> {
        if path.is_empty() {
            return Ok(true);
        }
        let folder = match self.folder(&self.root(), parent(path)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            other => other?,
        };
        match rustix::fs::statat(folder, name(path)?, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn rename_new(&self, from: &str, to: &str) -> io::Result<()> {
        let (root, mode) = (self.root(), self.shared.abilities.rename);
        let (source, target) = (self.folder(&root, parent(from))?, self.folder(&root, parent(to))?);
        let _alone = (mode == RenameMode::Placeholder)
            .then(|| self.shared.one_at_a_time.lock().unwrap_or_else(PoisonError::into_inner));
        let from = Name { folder: source.as_fd(), name: name(from)? };
        rename_new(mode, &mut Renamed { from, to: Name { folder: target.as_fd(), name: name(to)? } })
    }

    fn rename_over(&self, from: &str, to: &str) -> io::Result<()> {
        let root = self.root();
        let (source, target) = (self.folder(&root, parent(from))?, self.folder(&root, parent(to))?);
        let from = Name { folder: source.as_fd(), name: name(from)? };
        Renamed { from, to: Name { folder: target.as_fd(), name: name(to)? } }.rename_over()
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let folder = self.folder(&self.root(), parent(path))?;
        Ok(Name { folder: folder.as_fd(), name: name(path)? }.unlink()?)
    }

    fn remove_folder(&self, path: &str) -> io::Result<()> {
        let folder = self.folder(&self.root(), parent(path))?;
        Ok(rustix::fs::unlinkat(folder, name(path)?, AtFlags::REMOVEDIR)?)
    }

    fn sync_folder(&self, path: &str) -> io::Result<()> {
        Ok(rustix::fs::fsync(self.folder(&self.root(), path)?.as_fd())?)
    }

    fn space(&self) -> io::Result<Space> {
        platform::space(&self.root().folder)
    }

    fn standing(&self) -> Standing {
        self.shared.standing.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn pin(&self) -> Arc<dyn Files> {
        Arc::new(Self { shared: Arc::clone(&self.shared), pinned: Some(self.root()) })
    }
}

impl File for fs::File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match FileExt::read_at(self, &mut buffer[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        fs::File::set_len(self, len)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}
