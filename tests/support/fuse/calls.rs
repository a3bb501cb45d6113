//! What the kernel asks of the share.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::time::{Duration, SystemTime};

use fuser::{
    BsdFileFlags, Errno, FileAttr, FileHandle, Filesystem, FopenFlags, Generation, INodeNo, LockOwner, OpenFlags,
    RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs,
    ReplyWrite, Request, TimeOrNow, WriteFlags,
};

use super::nodes::{Answer, PassThrough, attributes};

/// The kernel asks again each time: what is done beside the mount is seen at once.
const NO_TIME: Duration = Duration::ZERO;

/// Answers with what came out, or with its error.
macro_rules! answer {
    ($reply:ident, $work:expr, |$value:ident| $send:expr) => {
        let work = || -> Answer<_> { $work };
        match work() {
            Ok($value) => $send,
            Err(error) => $reply.error(error),
        }
    };
}

impl Filesystem for PassThrough {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        answer!(reply, self.note(self.child(parent, name)?), |found| reply.entry(&NO_TIME, &found, Generation(0)));
    }

    fn getattr(&self, _: &Request, ino: INodeNo, handle: Option<FileHandle>, reply: ReplyAttr) {
        answer!(reply, self.attributes_of(ino, handle), |found| reply.attr(&NO_TIME, &found));
    }

    fn setattr(
        &self,
        _: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<SystemTime>,
        handle: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let work = || -> Answer<FileAttr> {
            if let Some(size) = size {
                match handle {
                    Some(handle) => self.file(handle)?.set_len(size)?,
                    None => OpenOptions::new().write(true).open(self.path(ino)?)?.set_len(size)?,
                }
            }
            if let Some(mode) = mode {
                fs::set_permissions(self.path(ino)?, Permissions::from_mode(mode))?;
            }
            if uid.is_some() || gid.is_some() {
                std::os::unix::fs::chown(self.path(ino)?, uid, gid)?;
            }
            self.attributes_of(ino, handle)
        };
        answer!(reply, work(), |found| reply.attr(&NO_TIME, &found));
    }

    fn mkdir(&self, _: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, reply: ReplyEntry) {
        let work = || {
            let path = self.child(parent, name)?;
            DirBuilder::new().mode(mode & !umask).create(&path)?;
            self.note(path)
        };
        answer!(reply, work(), |found| reply.entry(&NO_TIME, &found, Generation(0)));
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let work = || {
            let path = self.child(parent, name)?;
            self.forget_last(&path);
            Ok(fs::remove_file(path)?)
        };
        answer!(reply, work(), |_done| reply.ok());
    }

    fn rmdir(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let work = || {
            let path = self.child(parent, name)?;
            fs::read_dir(&path)?.next().is_none().then(|| self.forget_last(&path));
            Ok(fs::remove_dir(path)?)
        };
        answer!(reply, work(), |_done| reply.ok());
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let work = || {
            if !flags.is_empty() {
                return Err(Errno::EINVAL);
            }
            let to = self.child(new_parent, new_name)?;
            let from = self.child(parent, name)?;
            from.symlink_metadata()?;
            self.forget_last(&to);
            fs::rename(from, &to)?;
            self.note(to)
        };
        answer!(reply, work(), |_done| reply.ok());
    }

    fn link(&self, _: &Request, ino: INodeNo, new_parent: INodeNo, new_name: &OsStr, reply: ReplyEntry) {
        let work = || {
            if self.refuses_links {
                return Err(Errno::EPERM);
            }
            let to = self.child(new_parent, new_name)?;
            fs::hard_link(self.path(ino)?, &to)?;
            self.note(to)
        };
        answer!(reply, work(), |found| reply.entry(&NO_TIME, &found, Generation(0)));
    }

    fn open(&self, _: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let work = || self.open_file(&self.path(ino)?, flags.0, OpenOptions::new().write(true));
        answer!(reply, work(), |handle| reply.opened(handle, FopenFlags::empty()));
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let work = || {
            let path = self.child(parent, name)?;
            let handle =
                self.open_file(&path, flags, OpenOptions::new().write(true).create_new(true).mode(mode & !umask))?;
            Ok((self.note(path)?, handle))
        };
        answer!(reply, work(), |made| reply.created(&NO_TIME, &made.0, Generation(0), made.1, FopenFlags::empty()));
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let work = || {
            let (file, mut bytes) = (self.file(handle)?, vec![0; size as usize]);
            let mut filled = 0;
            while filled < bytes.len() {
                match file.read_at(&mut bytes[filled..], offset + filled as u64)? {
                    0 => break,
                    read => filled += read,
                }
            }
            bytes.truncate(filled);
            self.read_wrong(&mut bytes, offset);
            Ok(bytes)
        };
        answer!(reply, work(), |bytes| reply.data(&bytes));
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let written = u32::try_from(data.len()).unwrap();
        answer!(reply, Ok(self.file(handle)?.write_all_at(data, offset)?), |_done| reply.written(written));
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn release(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        self.state().open.remove(&handle.0);
        reply.ok();
    }

    fn fsync(&self, _: &Request, _: INodeNo, handle: FileHandle, _: bool, reply: ReplyEmpty) {
        answer!(reply, Ok(self.file(handle)?.sync_all()?), |_done| reply.ok());
    }

    fn readdir(&self, _: &Request, ino: INodeNo, _: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        let work = || {
            let entries = fs::read_dir(self.path(ino)?)?.map(|entry| {
                let entry = entry?;
                let found = entry.metadata()?;
                Ok((found.ino(), attributes(&found).kind, entry.file_name()))
            });
            let mut entries = entries.collect::<io::Result<Vec<_>>>()?;
            entries.sort_by(|a, b| a.2.cmp(&b.2));
            Ok(entries)
        };
        answer!(reply, work(), |entries| {
            let start = usize::try_from(offset).unwrap();
            for (n, (ino, kind, name)) in entries.into_iter().enumerate().skip(start) {
                if reply.add(INodeNo(ino), n as u64 + 1, kind, name) {
                    break;
                }
            }
            reply.ok();
        });
    }

    fn fsyncdir(&self, _: &Request, ino: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        answer!(reply, Ok(File::open(self.path(ino)?)?.sync_all()?), |_done| reply.ok());
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        let work = || Ok(rustix::fs::statvfs(self.path(INodeNo(1))?).map_err(io::Error::from)?);
        answer!(reply, work(), |found| reply.statfs(
            found.f_blocks,
            found.f_bfree,
            found.f_bavail,
            found.f_files,
            found.f_ffree,
            4096,
            255,
            u32::try_from(found.f_frsize).unwrap(),
        ));
    }
}
