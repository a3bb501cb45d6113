//! A disk that is as small as a test wants it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::skip;

/// Bytes of a file system with room; nothing of it is used before it is written.
const ROOM: u64 = 4 << 30;

/// A file system in memory, gone with this value.
pub(crate) struct Tmpfs(PathBuf);

impl Tmpfs {
    /// `None` where this process may not mount.
    pub(crate) fn mount(at: &Path) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let output =
            Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={ROOM}"), "tmpfs"]).arg(at).output();
        let output = output.unwrap();
        if output.status.success() {
            return Some(Self(at.to_owned()));
        }
        skip(&format!("no tmpfs can be mounted: {}", String::from_utf8_lossy(&output.stderr).trim()));
        None
    }

    fn resize(&self, bytes: u64) {
        let status =
            Command::new("mount").args(["-o", &format!("remount,size={bytes}")]).arg(&self.0).status().unwrap();
        assert!(status.success());
    }

    /// Leaves this many bytes free.
    pub(crate) fn leave(&self, bytes: u64) {
        let stat = rustix::fs::statvfs(&self.0).unwrap();
        self.resize((stat.f_blocks - stat.f_bfree) * stat.f_frsize + bytes);
    }

    pub(crate) fn make_room(&self) {
        self.resize(ROOM);
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _left_to_the_next_boot = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}
