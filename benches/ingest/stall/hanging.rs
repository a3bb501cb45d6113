//! What the kernel asks of it: two files, of which one hangs.

use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, LockOwner,
    OpenFlags, ReplyAttr, ReplyData, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyWrite, Request, TimeOrNow, WriteFlags,
};

/// How long each write takes.
const HANGS: Duration = Duration::from_secs(5);
const ROOT: INodeNo = INodeNo(1);
const DATA: INodeNo = INodeNo(2);
const STATE: INodeNo = INodeNo(3);
const NO_TIME: Duration = Duration::ZERO;

/// An upload's folder.
pub(super) struct Hanging {
    data: File,
    state: File,
    release: Arc<Release>,
}

/// Ends all waiting.
#[derive(Default)]
pub(super) struct Release {
    released: Mutex<bool>,
    changed: Condvar,
}

impl Release {
    pub(super) fn now(&self) {
        *self.released.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    fn wait(&self) {
        let released = self.released.lock().unwrap_or_else(PoisonError::into_inner);
        let _waited = self.changed.wait_timeout_while(released, HANGS, |released| !*released);
    }
}

impl Hanging {
    pub(super) fn new(data: File, state: File, release: Arc<Release>) -> Self {
        Self { data, state, release }
    }

    fn file(&self, ino: INodeNo) -> Result<&File, Errno> {
        match ino {
            DATA => Ok(&self.data),
            STATE => Ok(&self.state),
            _ => Err(Errno::ENOENT),
        }
    }

    fn attributes(&self, ino: INodeNo) -> Result<FileAttr, Errno> {
        let found = self.file(if ino == ROOT { STATE } else { ino })?.metadata()?;
        Ok(attributes(ino, &found))
    }
}

impl Filesystem for Hanging {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let node = match name.as_encoded_bytes() {
            b"data" => Ok(DATA),
            b"state" => Ok(STATE),
            _ => Err(Errno::ENOENT),
        };
        match node.and_then(|node| self.attributes(node)) {
            Ok(found) => reply.entry(&NO_TIME, &found, Generation(0)),
            Err(error) => reply.error(error),
        }
    }

    fn getattr(&self, _: &Request, ino: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.attributes(ino) {
            Ok(found) => reply.attr(&NO_TIME, &found),
            Err(error) => reply.error(error),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        _: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let cut = size.map_or(Ok(()), |size| Ok(self.file(ino)?.set_len(size)?));
        match cut.and_then(|()| self.attributes(ino)) {
            Ok(found) => reply.attr(&NO_TIME, &found),
            Err(error) => reply.error(error),
        }
    }

    fn open(&self, _: &Request, _: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::empty());
    }

    fn read(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let mut bytes = vec![0; size as usize];
        match self.file(ino).and_then(|file| Ok(file.read_at(&mut bytes, offset)?)) {
            Ok(read) => reply.data(&bytes[..read]),
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _: &Request,
        ino: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        if ino == DATA {
            self.release.wait();
        }
        match self.file(ino).and_then(|file| Ok(file.write_all_at(data, offset)?)) {
            Ok(()) => reply.written(data.len() as u32),
            Err(error) => reply.error(error),
        }
    }

    fn fsync(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        match self.file(ino).and_then(|file| Ok(file.sync_all()?)) {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(error),
        }
    }
}

fn attributes(ino: INodeNo, found: &Metadata) -> FileAttr {
    let is_root = ino == ROOT;
    FileAttr {
        ino,
        size: found.len(),
        blocks: found.blocks(),
        atime: SystemTime::UNIX_EPOCH,
        mtime: SystemTime::UNIX_EPOCH,
        ctime: SystemTime::UNIX_EPOCH,
        crtime: SystemTime::UNIX_EPOCH,
        kind: if is_root { FileType::Directory } else { FileType::RegularFile },
        perm: if is_root { 0o755 } else { 0o644 },
        nlink: 1,
        uid: found.uid(),
        gid: found.gid(),
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}
