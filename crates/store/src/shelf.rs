//! The storage as it is found, for looking only: it may be large, written to meanwhile, and hold what is not ours.

use std::collections::HashSet;
use std::fs::{self, File};
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Read as _};
use std::ops::ControlFlow;
use std::path::Path;

use longshore_model::{RunningHash, Sha256, UploadId};
use rustix::fs::{Advice, Mode, OFlags, fadvise};

use crate::incoming::{self, record_path, state_path};
use crate::manifest::{self, Manifest};
use crate::slots::Slot;

/// One read; large enough that the disk reads on.
const READ_BYTES: usize = 1024 * 1024;

/// Whether the path of a file is worth its memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    Yes,
    No,
}

/// Files below the storage folder, as paths from there, those behind a dot left out.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    /// In the order of their names.
    pub(crate) files: Vec<String>,
    /// What is no plain file or has a name that is no text: never ours.
    pub(crate) strange: Vec<String>,
    /// Folders that cannot be read, and why.
    pub(crate) closed: Vec<(String, io::Error)>,
}

impl Shelf {
    /// Walks the storage.
    pub(crate) fn walk(root: &Path) -> Self {
        let mut shelf = Self::default();
        let _never_ended = shelf.walk_but(root, &mut |_| ControlFlow::Continue(Keep::Yes));
        shelf
    }

    /// Likewise, and keeps of the files those that `meet` wants, which is asked at each and may end it: there may be millions.
    pub(crate) fn walk_but(
        &mut self,
        root: &Path,
        meet: &mut dyn FnMut(&str) -> ControlFlow<(), Keep>,
    ) -> ControlFlow<()> {
        self.walk_folder(root, "", meet)?;
        self.files.sort_unstable();
        ControlFlow::Continue(())
    }

    fn walk_folder(
        &mut self,
        root: &Path,
        folder: &str,
        meet: &mut dyn FnMut(&str) -> ControlFlow<(), Keep>,
    ) -> ControlFlow<()> {
        let entries = match fs::read_dir(root.join(folder)) {
            Ok(entries) => entries,
            Err(error) => {
                self.closed.push((folder.to_owned(), error));
                return ControlFlow::Continue(());
            }
        };
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    self.closed.push((folder.to_owned(), error));
                    break;
                }
            };
            let name = entry.file_name();
            if name.as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let path = if folder.is_empty() {
                name.to_string_lossy().into_owned()
            } else {
                format!("{folder}/{}", name.to_string_lossy())
            };
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && name.to_str().is_some() => self.walk_folder(root, &path, meet)?,
                Ok(kind) if kind.is_file() && name.to_str().is_some() => {
                    if meet(&path)? == Keep::Yes {
                        self.files.push(path);
                    }
                }
                Ok(_) => self.strange.push(path),
                Err(error) => self.closed.push((path, error)),
            }
        }
        ControlFlow::Continue(())
    }
}

/// The uploads on their way, with the bytes that arrived.
pub(crate) fn on_their_way(root: &Path) -> Vec<(UploadId, u64)> {
    let Ok(entries) = fs::read_dir(root.join(incoming::FOLDER)) else { return Vec::new() };
    let uploads = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    // A folder may be removed while this looks. The file's length says nothing: its last block may be padded.
    let bytes = |upload| {
        let slot = read_small(&root.join(state_path(upload))).ok().and_then(|state| Slot::newest(&state));
        slot.map_or(0, |slot| slot.committed.offset)
    };
    uploads.map(|upload| (upload, bytes(upload))).collect()
}

/// The path at which this upload is being placed.
pub(crate) fn being_placed(root: &Path, upload: UploadId) -> Option<String> {
    let text = read_small(&root.join(record_path(upload))).ok()?;
    Some(Manifest::parse(&text).ok()?.recording.path)
}

/// Opens a plain file. Anything else may stand in its place, such as a pipe that nobody writes to, for which an opening waits.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no file any more")) }
}

/// The bytes of a file that may be a manifest.
pub(crate) fn read_small(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = open(path)?.take(manifest::MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if read as u64 > manifest::MAX_BYTES { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
}

/// The checksum of a file as it is on the disk; `read` is told of each piece, and may end it with an error.
pub(crate) fn checksum(path: &Path, read: &mut dyn FnMut(u64) -> io::Result<()>) -> io::Result<Sha256> {
    let mut file = open(path)?;
    // Memory may hold what the disk has lost meanwhile.
    let _only_advice = fadvise(&file, 0, None, Advice::DontNeed);
    let mut hash = RunningHash::default();
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let count = match file.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            count => count?,
        };
        if count == 0 {
            break;
        }
        hash.update(&buffer[..count]);
        read(count as u64)?;
    }
    // What is read once must not push out what the server needs.
    let _only_advice = fadvise(&file, 0, None, Advice::DontNeed);
    Ok(hash.finish())
}

/// Paths, each as a number: millions of them are to fit into memory. Two have the same one as good as never.
#[derive(Default)]
pub(crate) struct Paths {
    random: RandomState,
    numbers: HashSet<u64>,
}

impl Paths {
    pub(crate) fn insert(&mut self, path: &str) {
        self.numbers.insert(self.random.hash_one(path));
    }

    pub(crate) fn contains(&self, path: &str) -> bool {
        self.numbers.contains(&self.random.hash_one(path))
    }
}

impl<'a> FromIterator<&'a str> for Paths {
    fn from_iter<I: IntoIterator<Item = &'a str>>(paths: I) -> Self {
        let mut known = Self::default();
        paths.into_iter().for_each(|path| known.insert(path));
        known
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_no_file_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("plain"), "abc").unwrap();
        std::os::unix::fs::symlink(at("plain"), at("link")).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, at("pipe"), rustix::fs::FileType::Fifo, Mode::RWXU, 0).unwrap();
        assert_eq!(read_small(&at("plain")).unwrap(), b"abc");
        assert_eq!(checksum(&at("plain"), &mut |_| Ok(())).unwrap(), Sha256::of(b"abc"));
        for name in ["pipe", "link", "."] {
            let (path, (done, ended)) = (at(name), mpsc::sync_channel(1));
            thread::spawn(move || done.send((read_small(&path).is_err(), checksum(&path, &mut |_| Ok(())).is_err())));
            assert_eq!(ended.recv_timeout(Duration::from_secs(30)), Ok((true, true)), "{name}");
        }
    }
}
