//! Files as they lie on the card: what tells one state of a file from another, and its checksum.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use longshore_model::Sha256;
use rustix::fs::{AtFlags, OFlags, StatxFlags, statx};
use serde::{Deserialize, Serialize};
use sha2::Digest;

use crate::clip::Clip;
use crate::device_clock::boot_id;

/// Bytes that are read and hashed at a time; large enough to make the cost of a call vanish.
const READ_BYTES: usize = 1024 * 1024;

/// What is equal as long as nobody touched a file.
///
/// Only within one mount ([`MountId`]), and even there FAT and exFAT make an inode up again once the kernel forgot the file. So
/// a state that is not equal proves no change: whoever needs to know reads the file, or asks
/// [`FileState::looks_like`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FileState {
    /// Bytes.
    pub size: u64,
    /// Time of the last change, in nanoseconds since 1970.
    pub mtime_ns: i64,
    /// Time of the last change of the bytes or of what is known of them, in nanoseconds since 1970. Unlike the time
    /// above, no writer can set it back. What was written down without it is equal to no file.
    #[serde(default)]
    pub ctime_ns: i64,
    /// Number of the file in its file system.
    pub inode: u64,
}

impl FileState {
    /// The state that `metadata` tells.
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            size: metadata.len(),
            mtime_ns: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            ctime_ns: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino(),
        }
    }

    /// Whether size and time of the last change are those of `other`: good enough to offer and to send the file, since
    /// the server compares the bytes, and never to delete it.
    pub fn looks_like(&self, other: &Self) -> bool {
        (self.size, self.mtime_ns) == (other.size, other.mtime_ns)
    }

    /// The state of the file at `path`.
    ///
    /// # Errors
    /// What the operating system says; `InvalidInput` if it is no regular file.
    pub fn at(path: &Path) -> io::Result<Self> {
        Self::regular(&path.symlink_metadata()?)
    }

    fn regular(metadata: &Metadata) -> io::Result<Self> {
        if metadata.is_file() {
            Ok(Self::of(metadata))
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no longer a regular file"))
        }
    }
}

fn nanoseconds(seconds: i64, nanoseconds: i64) -> i64 {
    seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds)
}

/// Names a mount: one stay of a file system at its place. Another card at the same mount point is another mount, and so is
/// the same card put in again: FAT and FUSE make their inodes up at every mount, so only within one mount does an equal
/// [`FileState`] prove that nobody touched the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountId(String);

/// `STATX_MNT_ID_UNIQUE`: a number of the mount that no other mount of this boot has or had (Linux 6.8; older kernels
/// pass over the flag and answer a number that is given again when a mount has gone).
const UNIQUE_MOUNT: StatxFlags = StatxFlags::from_bits_retain(0x4000);

impl MountId {
    /// The mount in which `file`, a file or a folder, is open.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn of(file: &File) -> io::Result<Self> {
        let boot = boot_id()?;
        let mount = statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID | UNIQUE_MOUNT)?;
        Ok(Self(format!("{}/{}:{}/{}", boot, mount.stx_dev_major, mount.stx_dev_minor, mount.stx_mnt_id)))
    }

    /// Which start of the computer it is of.
    pub fn boot(&self) -> &str {
        self.0.split('/').next().unwrap_or_default()
    }

    /// The mount of the folder at `path`.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn at(path: &Path) -> io::Result<Self> {
        Self::of(&File::open(path)?)
    }
}

/// What was found in a file when all of it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// The file's state all the while.
    #[serde(flatten)]
    pub state: FileState,
    /// Where it was read.
    #[serde(rename = "sitting")]
    pub mount: MountId,
    /// Checksum of its bytes.
    pub sha256: Sha256,
    /// The times in its head.
    #[serde(default)]
    pub clip: Clip,
}

/// Opens a regular file to read; a symbolic link that took its place is refused.
///
/// # Errors
/// What the operating system says; `InvalidInput` if it is no regular file.
pub fn open(path: &Path) -> io::Result<(File, FileState)> {
    #[expect(clippy::cast_possible_wrap, reason = "O_NOFOLLOW is a small number")]
    let no_follow = OFlags::NOFOLLOW.bits() as i32;
    let file = OpenOptions::new().read(true).custom_flags(no_follow).open(path)?;
    let state = FileState::regular(&file.metadata()?)?;
    Ok((file, state))
}

/// Why a file has no checksum.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// It cannot be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It was written to while it was read.
    #[error("it changes while it is read")]
    Changed,
    /// The caller wanted no more.
    #[error("interrupted")]
    Interrupted,
}

/// Reads the whole file at `path`, and returns what is in it if nobody wrote to it meanwhile.
///
/// `on_read` is shown the bytes that were read just now; when it answers `false`, the reading ends.
///
/// # Errors
/// [`HashError`], by what came between.
pub fn hash(path: &Path, mut on_read: impl FnMut(&[u8]) -> bool) -> Result<Content, HashError> {
    let (mut file, state) = open(path)?;
    let mount = MountId::of(&file)?;
    let mut hasher = sha2::Sha256::new();
    let mut buffer = vec![0; READ_BYTES];
    let mut total = 0_u64;
    loop {
        let read = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        let bytes = buffer.get(..read).unwrap_or_default();
        hasher.update(bytes);
        total = total.saturating_add(read as u64);
        if !on_read(bytes) {
            return Err(HashError::Interrupted);
        }
    }
    let clip = Clip::read(&path.to_string_lossy(), &mut file)?;
    if FileState::of(&file.metadata()?) != state || total != state.size {
        return Err(HashError::Changed);
    }
    Ok(Content { state, mount, sha256: Sha256::from_bytes(hasher.finalize().into()), clip })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;

    #[test]
    fn a_checksum_is_that_of_all_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.mp4");
        let content: Vec<u8> = (0..2_500_000_u32).flat_map(u32::to_le_bytes).take(2_500_001).collect();
        fs::write(&path, &content).unwrap();
        let mut seen = 0;
        let found = hash(&path, |bytes| {
            seen += bytes.len();
            true
        })
        .unwrap();
        assert_eq!((found.sha256, seen), (Sha256::of(&content), content.len()));
        assert_eq!(found.state, FileState::at(&path).unwrap());
        assert_eq!(found.mount, MountId::at(folder.path()).unwrap());
    }

    #[test]
    fn a_file_that_grows_while_it_is_read_has_no_checksum() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.mp4");
        fs::write(&path, vec![1; READ_BYTES + 1]).unwrap();
        let mut appended = false;
        let result = hash(&path, |_| {
            if !appended {
                let mut writer = OpenOptions::new().append(true).open(&path).unwrap();
                writer.write_all(b"more").unwrap();
                appended = true;
            }
            true
        });
        assert!(matches!(result, Err(HashError::Changed)));
    }

    #[test]
    fn a_link_in_place_of_the_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("a.mp4"), folder.path().join("b.mp4"));
        fs::write(&target, b"x").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert!(open(&link).is_err());
        assert!(FileState::at(&link).is_err());
    }

    #[test]
    fn a_reader_that_wants_no_more_ends_the_reading() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.mp4");
        fs::write(&path, b"x").unwrap();
        assert!(matches!(hash(&path, |_| false), Err(HashError::Interrupted)));
    }
}
