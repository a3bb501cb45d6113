use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, RenameFlags, ResolveFlags};
use rustix::io::Errno;

use super::{Entry, File, Files, parent};

/// Files: written by the server, read by the group of the share.
const FILE_MODE: Mode = Mode::from_raw_mode(0o640);
/// Folders likewise.
const FOLDER_MODE: Mode = Mode::from_raw_mode(0o750);

/// A folder of the operating system, held open: when another file system is mounted over its path, or the one below is
/// taken away, nothing lands elsewhere.
#[derive(Debug)]
pub struct Disk {
    root: OwnedFd,
}

impl Disk {
    /// Opens an existing folder.
    ///
    /// # Errors
    /// The operating system's.
    pub fn open(folder: &Path) -> io::Result<Self> {
        let root = rustix::fs::openat(CWD, folder, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self { root })
    }

    fn at(&self, path: &str, flags: OFlags) -> io::Result<OwnedFd> {
        let path = if path.is_empty() { "." } else { path };
        let mode = if flags.contains(OFlags::CREATE) { FILE_MODE } else { Mode::empty() };
        // The kernel asks to be called again when a rename elsewhere raced with the walk (openat2(2), EAGAIN).
        loop {
            match rustix::fs::openat2(
                &self.root,
                path,
                flags | OFlags::CLOEXEC,
                mode,
                ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS,
            ) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                other => return Ok(other?),
            }
        }
    }

    fn folder(&self, path: &str) -> io::Result<OwnedFd> {
        self.at(path, OFlags::DIRECTORY)
    }
}

fn name(path: &str) -> &OsStr {
    OsStr::from_bytes(path.rsplit('/').next().unwrap_or_default().as_bytes())
}

impl Files for Disk {
    fn create(&self, path: &str) -> io::Result<Arc<dyn File>> {
        let fd = self.at(path, OFlags::CREATE | OFlags::EXCL | OFlags::RDWR)?;
        Ok(Arc::new(fs::File::from(fd)))
    }

    fn open(&self, path: &str) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(fs::File::from(self.at(path, OFlags::RDWR)?)))
    }

    fn create_folder(&self, path: &str) -> io::Result<()> {
        Ok(rustix::fs::mkdirat(self.folder(parent(path))?, name(path), FOLDER_MODE)?)
    }

    fn list(&self, path: &str) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        let folder = self.folder(path)?;
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
        let folder = match self.folder(parent(path)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            other => other?,
        };
        match rustix::fs::statat(folder, name(path), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let (source, target) = (self.folder(parent(from))?, self.folder(parent(to))?);
        Ok(rustix::fs::renameat_with(source, name(from), target, name(to), RenameFlags::NOREPLACE)?)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(self.folder(parent(path))?, name(path), AtFlags::empty())?)
    }

    fn remove_folder(&self, path: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(self.folder(parent(path))?, name(path), AtFlags::REMOVEDIR)?)
    }

    fn sync_folder(&self, path: &str) -> io::Result<()> {
        Ok(rustix::fs::fsync(self.folder(path)?.as_fd())?)
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
