//! What only Linux can do, and what is done where a file system, an old kernel or a sandbox refuses it.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags, ResolveFlags, Stat, StatVfsMountFlags, StatxFlags};
use rustix::io::Errno;

use super::blocks::{BLOCK, Blocks};
use super::rename::Steps;
use super::{RenameMode, Space};

/// Who makes a file decides later who reads it.
pub(super) const PRIVATE_FILE: Mode = Mode::from_raw_mode(0o600);

/// How a path is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Walk {
    /// The kernel keeps it below the root (openat2, Linux 5.6).
    Openat2,
    /// One part at a time, none of them a symbolic link.
    PartByPart,
}

impl Walk {
    /// Asks the kernel once: `ENOSYS` is an old one, `EPERM` a seccomp filter that does not know the call.
    pub(super) fn detect(root: impl AsFd) -> io::Result<Self> {
        match Self::Openat2.open(root, "", OFlags::DIRECTORY, Mode::empty()) {
            Ok(_) => Ok(Self::Openat2),
            Err(error) if matches!(Errno::from_io_error(&error), Some(Errno::NOSYS | Errno::PERM)) => {
                Ok(Self::PartByPart)
            }
            Err(error) => Err(error),
        }
    }

    /// Opens what stands below `root`; `""` is the root itself.
    pub(super) fn open(self, root: impl AsFd, path: &str, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        // `..` could not leave either, but then one path would have two meanings.
        if !path.is_empty() && path.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "no path below the folder"));
        }
        let flags = flags | OFlags::CLOEXEC;
        match self {
            Self::Openat2 => openat2(root.as_fd(), path, flags, mode),
            Self::PartByPart => part_by_part(root.as_fd(), path, flags | OFlags::NOFOLLOW, mode),
        }
    }
}

fn openat2(root: BorrowedFd<'_>, path: &str, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
    let path = if path.is_empty() { "." } else { path };
    let below = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    // The kernel asks to be called again when a rename elsewhere raced with the walk (openat2(2), EAGAIN).
    loop {
        match rustix::fs::openat2(root, path, flags, mode, below) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
}

fn part_by_part(root: BorrowedFd<'_>, path: &str, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
    if path.is_empty() {
        return again(|| rustix::fs::openat(root, ".", flags, mode));
    }
    let folder = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut reached: Option<OwnedFd> = None;
    let mut parts = path.split('/').peekable();
    while let Some(part) = parts.next() {
        let from = reached.as_ref().map_or(root, AsFd::as_fd);
        let (flags, mode) = if parts.peek().is_some() { (folder, Mode::empty()) } else { (flags, mode) };
        let next = again(|| rustix::fs::openat(from, part, flags, mode))?;
        reached = Some(next);
    }
    reached.ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

fn again<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            other => return Ok(other?),
        }
    }
}

/// A name in an open folder.
#[derive(Clone, Copy)]
pub(super) struct Name<'a> {
    pub(super) folder: BorrowedFd<'a>,
    pub(super) name: &'a OsStr,
}

impl Name<'_> {
    pub(super) fn stat(self) -> rustix::io::Result<Stat> {
        rustix::fs::statat(self.folder, self.name, AtFlags::SYMLINK_NOFOLLOW)
    }

    pub(super) fn unlink(self) -> rustix::io::Result<()> {
        rustix::fs::unlinkat(self.folder, self.name, AtFlags::empty())
    }

    fn make(self) -> io::Result<()> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::openat(self.folder, self.name, flags, PRIVATE_FILE).map(drop)?)
    }
}

/// A file with its old and its new name.
pub(super) struct Renamed<'a> {
    pub(super) from: Name<'a>,
    pub(super) to: Name<'a>,
}

impl Steps for Renamed<'_> {
    fn rename_exclusively(&mut self) -> io::Result<()> {
        let Self { from, to } = self;
        Ok(rustix::fs::renameat_with(from.folder, from.name, to.folder, to.name, RenameFlags::NOREPLACE)?)
    }

    fn rename_over(&mut self) -> io::Result<()> {
        let Self { from, to } = self;
        Ok(rustix::fs::renameat(from.folder, from.name, to.folder, to.name)?)
    }

    fn link(&mut self) -> io::Result<()> {
        let Self { from, to } = self;
        Ok(rustix::fs::linkat(from.folder, from.name, to.folder, to.name, AtFlags::empty())?)
    }

    fn are_one_file(&mut self) -> io::Result<bool> {
        let (one, other) = (self.from.stat()?, self.to.stat()?);
        Ok((one.st_dev, one.st_ino) == (other.st_dev, other.st_ino))
    }

    fn find_old(&mut self) -> io::Result<()> {
        Ok(self.from.stat().map(drop)?)
    }

    fn remove_old(&mut self) -> io::Result<()> {
        Ok(self.from.unlink()?)
    }

    fn make_placeholder(&mut self) -> io::Result<()> {
        self.to.make()
    }

    fn new_is_empty(&mut self) -> io::Result<bool> {
        Ok(self.to.stat()?.st_size == 0)
    }

    fn sync_old_folder(&mut self) -> io::Result<()> {
        Ok(rustix::fs::fsync(self.from.folder)?)
    }

    fn sync_new_folder(&mut self) -> io::Result<()> {
        Ok(rustix::fs::fsync(self.to.folder)?)
    }
}

/// Whether this error says that the file system, kernel or sandbox does not know the call, or does not grant it.
pub(super) fn is_not_offered(error: &io::Error) -> bool {
    use Errno as E;
    matches!(Errno::from_io_error(error), Some(E::INVAL | E::NOSYS | E::OPNOTSUPP | E::PERM | E::ACCESS | E::MLINK))
}

/// The surest way to give new names that this folder offers, tried with files of these names, which are left behind.
pub(super) fn find_rename_mode(folder: BorrowedFd<'_>, names: [&str; 3]) -> io::Result<RenameMode> {
    let [one, two, taken] = names.map(|name| Name { folder, name: OsStr::new(name) });
    one.make()?;
    taken.make()?;
    let rename = |from, to| Renamed { from, to };
    match rename(one, two).rename_exclusively() {
        // One that ignores the flag would let a recording fall onto another.
        Ok(()) => match rename(two, taken).rename_exclusively() {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(RenameMode::Exclusive),
            Ok(()) => two.make()?,
            Err(error) if is_not_offered(&error) => {}
            Err(error) => return Err(error),
        },
        Err(error) if is_not_offered(&error) => rename(one, two).rename_over()?,
        Err(error) => return Err(error),
    }
    match rename(two, one).link() {
        // After an interruption, the number of the file is how its two names are known to be one.
        Ok(()) if rename(two, one).are_one_file()? => Ok(RenameMode::Link),
        Ok(()) => Ok(RenameMode::Placeholder),
        Err(error) if is_not_offered(&error) => Ok(RenameMode::Placeholder),
        Err(error) => Err(error),
    }
}

/// Whether files here can be written and read past the page cache; tried with a new file of this name, which is left
/// behind.
pub(super) fn is_direct(folder: BorrowedFd<'_>, name: &str) -> io::Result<bool> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC | OFlags::DIRECT;
    let file = match again(|| rustix::fs::openat(folder, name, flags, PRIVATE_FILE)) {
        Ok(file) => file,
        Err(error) if is_not_offered(&error) => return Ok(false),
        Err(error) => return Err(error),
    };
    let mut block = Blocks::new(BLOCK);
    let tried = again(|| rustix::io::pwrite(&file, &block, 0)).and_then(|written| {
        let read = again(|| rustix::io::pread(&file, &mut *block, 0))?;
        Ok(written == BLOCK && read == BLOCK)
    });
    match tried {
        Ok(whole) => Ok(whole),
        // A full disk says nothing about it.
        Err(error) if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => Ok(true),
        Err(error) if is_not_offered(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Bytes of the file system, and those that we may still write.
pub(super) fn space(folder: impl AsFd) -> io::Result<Space> {
    let stat = again(|| rustix::fs::fstatvfs(&folder))?;
    Ok(Space { total: stat.f_blocks.saturating_mul(stat.f_frsize), free: stat.f_bavail.saturating_mul(stat.f_frsize) })
}

/// Whether the file system, or its mount here, is read-only now.
pub(super) fn is_read_only(folder: impl AsFd) -> io::Result<bool> {
    Ok(again(|| rustix::fs::fstatvfs(&folder))?.f_flag.contains(StatVfsMountFlags::RDONLY))
}

/// What an open folder is: device, inode, mount (0 where the kernel does not tell it).
pub(super) fn identity(folder: impl AsFd) -> io::Result<(u64, u64, u64)> {
    let stat = rustix::fs::fstat(&folder)?;
    let mount = rustix::fs::statx(&folder, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)
        .ok()
        .filter(|found| found.stx_mask & StatxFlags::MNT_ID.bits() != 0);
    Ok((stat.st_dev, stat.st_ino, mount.map_or(0, |found| found.stx_mnt_id)))
}

/// Opens a folder by its path.
pub(super) fn open_folder(path: &std::path::Path) -> io::Result<OwnedFd> {
    again(|| rustix::fs::openat(CWD, path, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()))
}

/// Name of the file system, and whether it is a share (statfs(2), linux/magic.h, and the file systems' own sources).
pub(super) fn file_system(folder: impl AsFd) -> io::Result<(String, bool)> {
    const SHARE: bool = true;
    const LOCAL: bool = false;
    let kind = again(|| rustix::fs::fstatfs(&folder))?.f_type;
    let (name, share) = match u64::try_from(kind).unwrap_or_default() & 0xFFFF_FFFF {
        0xEF53 => ("ext4", LOCAL),
        0x5846_5342 => ("xfs", LOCAL),
        0x9123_683E => ("btrfs", LOCAL),
        0x2FC1_2FC1 => ("zfs", LOCAL),
        0xF2F5_2010 => ("f2fs", LOCAL),
        0x0102_1994 => ("tmpfs", LOCAL),
        0x794C_7630 => ("overlay", LOCAL),
        0x4D44 => ("vfat", LOCAL),
        0x2011_BAB0 => ("exfat", LOCAL),
        0x7366_746E | 0x5346_544E => ("ntfs", LOCAL),
        0x6969 => ("nfs", SHARE),
        0xFE53_4D42 => ("smb2", SHARE),
        0xFF53_4D42 => ("cifs", SHARE),
        0x517B => ("smb", SHARE),
        0x6573_5546 => ("fuse", SHARE),
        0x0102_1997 => ("9p", SHARE),
        0x00C3_6400 => ("ceph", SHARE),
        0x5346_414F | 0x6B41_4653 => ("afs", SHARE),
        0x0116_1970 => ("gfs2", SHARE),
        0x7461_636F => ("ocfs2", SHARE),
        0x0BD0_0BD0 => ("lustre", SHARE),
        0x786F_4256 => ("vboxsf", SHARE),
        other => return Ok((format!("{other:#x}"), LOCAL)),
    };
    Ok((name.to_owned(), share))
}

/// Whether the disk below has heads that seek; `None` where the kernel does not tell, as for shares.
pub(super) fn is_rotating(folder: impl AsFd) -> Option<bool> {
    let device = rustix::fs::fstat(folder).ok()?.st_dev;
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let device = fs::canonicalize(format!("/sys/dev/block/{major}:{minor}")).ok()?;
    // A partition has no queue of its own; its disk is the folder above.
    let queue = |device: &std::path::Path| fs::read_to_string(device.join("queue/rotational")).ok();
    device.ancestors().take(2).find_map(queue).map(|text| text.trim() == "1")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::super::rename::rename_new;
    use super::*;

    #[test]
    fn no_walk_leaves_the_folder() {
        let outside = tempfile::tempdir().unwrap();
        let root = outside.path().join("root");
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(root.join("a/b/file"), b"inside").unwrap();
        fs::write(outside.path().join("secret"), b"outside").unwrap();
        symlink("../../secret", root.join("a/link")).unwrap();
        symlink(outside.path(), root.join("a/up")).unwrap();
        symlink("b", root.join("a/sideways")).unwrap();
        let folder = open_folder(&root).unwrap();
        for walk in [Walk::Openat2, Walk::PartByPart] {
            let open = |path: &str| walk.open(&folder, path, OFlags::RDONLY, Mode::empty());
            let create = |path: &str| walk.open(&folder, path, OFlags::CREATE | OFlags::RDWR, PRIVATE_FILE);
            let inside = fs::File::from(open("a/b/file").unwrap());
            assert_eq!(io::read_to_string(inside).unwrap(), "inside");
            assert!(walk.open(&folder, "", OFlags::DIRECTORY, Mode::empty()).is_ok());
            for path in [
                "..",
                "a/../../secret",
                "a/b/..",
                "/etc/passwd",
                "a//b",
                "a/./b",
                "a/link",
                "a/up/secret",
                "a/sideways/file",
            ] {
                assert!(open(path).is_err(), "{walk:?}: {path}");
                assert!(create(path).is_err(), "{walk:?}: {path}");
            }
            assert_eq!(open("a/none/file").unwrap_err().kind(), io::ErrorKind::NotFound);
        }
        assert_eq!(fs::read(outside.path().join("secret")).unwrap(), b"outside");
    }

    #[test]
    fn an_interrupted_rename_is_completed_and_never_replaces_a_file() {
        for mode in [RenameMode::Exclusive, RenameMode::Link, RenameMode::Placeholder] {
            let temporary = tempfile::tempdir().unwrap();
            let path = |name: &str| temporary.path().join(name);
            let folder = open_folder(temporary.path()).unwrap();
            let rename = || {
                let [from, to] = ["from", "to"].map(|name| Name { folder: folder.as_fd(), name: OsStr::new(name) });
                rename_new(mode, &mut Renamed { from, to }).map_err(|error| error.kind())
            };
            assert_eq!(rename(), Err(io::ErrorKind::NotFound), "{mode:?}");
            assert!(!path("to").exists(), "{mode:?}: a missing file left a placeholder");
            fs::write(path("from"), b"video").unwrap();
            fs::write(path("to"), b"other").unwrap();
            assert_eq!(rename(), Err(io::ErrorKind::AlreadyExists), "{mode:?}");
            assert_eq!(fs::read(path("to")).unwrap(), b"other");
            fs::remove_file(path("to")).unwrap();
            match mode {
                RenameMode::Exclusive => {}
                RenameMode::Link => fs::hard_link(path("from"), path("to")).unwrap(),
                RenameMode::Placeholder => fs::write(path("to"), b"").unwrap(),
            }
            assert_eq!(rename(), Ok(()), "{mode:?}");
            assert_eq!((fs::read(path("to")).unwrap(), path("from").exists()), (b"video".to_vec(), false));
        }
    }

    #[test]
    fn a_local_folder_offers_everything() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = open_folder(temporary.path()).unwrap();
        assert_eq!(find_rename_mode(folder.as_fd(), ["a", "b", "c"]).unwrap(), RenameMode::Exclusive);
        assert_eq!(Walk::detect(&folder).unwrap(), Walk::Openat2);
    }
}
