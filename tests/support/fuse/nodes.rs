//! Which node of the mount is which file below.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{File, Metadata, OpenOptions};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use fuser::{Errno, FileAttr, FileHandle, FileType, INodeNo};
use rustix::fs::OFlags;

/// A folder, with the nodes of it that the kernel knows.
pub(super) struct PassThrough {
    pub(super) refuses_links: bool,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
pub(super) struct State {
    /// Names of each node that the kernel has heard of; 1 is the root.
    paths: HashMap<u64, Vec<PathBuf>>,
    /// The node of each inode below. The disk gives a deleted file's number to the next one, and the kernel must not take
    /// that for the same.
    nodes: HashMap<u64, u64>,
    pub(super) open: HashMap<u64, Arc<File>>,
    /// A byte that is read wrong, and in how many reads from now.
    pub(super) wrong: Option<(u64, u32)>,
    last: u64,
}

pub(super) type Answer<T> = Result<T, Errno>;

impl PassThrough {
    pub(super) fn new(below: PathBuf, refuses_links: bool) -> Self {
        let state = State {
            nodes: HashMap::from([(below.metadata().unwrap().ino(), 1)]),
            paths: HashMap::from([(1, vec![below])]),
            last: 1,
            ..State::default()
        };
        Self { refuses_links, state: Arc::new(Mutex::new(state)) }
    }

    pub(super) fn shared(&self) -> Arc<Mutex<State>> {
        Arc::clone(&self.state)
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(super) fn path(&self, ino: INodeNo) -> Answer<PathBuf> {
        let state = self.state();
        let mut paths = state.paths.get(&ino.0).into_iter().flatten();
        let is_it =
            |path: &&PathBuf| path.symlink_metadata().is_ok_and(|found| state.nodes.get(&found.ino()) == Some(&ino.0));
        paths.find(is_it).cloned().ok_or(Errno::ENOENT)
    }

    pub(super) fn child(&self, parent: INodeNo, name: &OsStr) -> Answer<PathBuf> {
        Ok(self.path(parent)?.join(name))
    }

    /// Looks at a path and notes its node.
    pub(super) fn note(&self, path: PathBuf) -> Answer<FileAttr> {
        let found = path.symlink_metadata()?;
        let mut state = self.state();
        let State { paths, nodes, last, .. } = &mut *state;
        let node = *nodes.entry(found.ino()).or_insert_with(|| {
            *last += 1;
            *last
        });
        let paths = paths.entry(node).or_default();
        if !paths.contains(&path) {
            paths.push(path);
        }
        Ok(FileAttr { ino: INodeNo(node), ..attributes(&found) })
    }

    /// Before the last name of a file, or a folder, goes.
    pub(super) fn forget_last(&self, path: &Path) {
        if let Ok(found) = path.symlink_metadata()
            && (found.is_dir() || found.nlink() == 1)
        {
            self.state().nodes.remove(&found.ino());
        }
    }

    pub(super) fn keep(&self, file: File) -> FileHandle {
        let mut state = self.state();
        state.last += 1;
        let number = state.last;
        state.open.insert(number, Arc::new(file));
        FileHandle(number)
    }

    /// What a disk makes of the bytes from `offset` on that does not always read the same.
    pub(super) fn read_wrong(&self, bytes: &mut [u8], offset: u64) {
        let mut state = self.state();
        let Some((at, left)) = &mut state.wrong else { return };
        let byte = at.checked_sub(offset).and_then(|index| bytes.get_mut(usize::try_from(index).unwrap()));
        let Some(byte) = byte else { return };
        *left -= 1;
        if *left == 0 {
            *byte ^= 1;
            state.wrong = None;
        }
    }

    pub(super) fn file(&self, handle: FileHandle) -> Answer<Arc<File>> {
        self.state().open.get(&handle.0).cloned().ok_or(Errno::EBADF)
    }

    pub(super) fn attributes_of(&self, ino: INodeNo, handle: Option<FileHandle>) -> Answer<FileAttr> {
        let found = match handle {
            Some(handle) => self.file(handle)?.metadata()?,
            None => self.path(ino)?.symlink_metadata()?,
        };
        Ok(FileAttr { ino, ..attributes(&found) })
    }

    pub(super) fn open_file(&self, path: &Path, flags: i32, options: &mut OpenOptions) -> Answer<FileHandle> {
        if flags & OFlags::DIRECT.bits().cast_signed() != 0 {
            return Err(Errno::EINVAL);
        }
        Ok(self.keep(options.read(true).open(path)?))
    }
}

pub(super) fn attributes(found: &Metadata) -> FileAttr {
    let kind = if found.is_dir() { FileType::Directory } else { FileType::RegularFile };
    FileAttr {
        ino: INodeNo(found.ino()),
        size: found.len(),
        blocks: found.blocks(),
        atime: SystemTime::UNIX_EPOCH,
        mtime: found.modified().unwrap(),
        ctime: found.modified().unwrap(),
        crtime: SystemTime::UNIX_EPOCH,
        kind,
        perm: u16::try_from(found.mode() & 0o7777).unwrap(),
        nlink: u32::try_from(found.nlink()).unwrap(),
        uid: found.uid(),
        gid: found.gid(),
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}
