//! A share that refuses what a local disk offers, or a card that reads wrong once: a folder passed through FUSE.

mod calls;
mod nodes;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use fuser::{BackgroundSession, Config};
use tempfile::TempDir;

use super::skip;
use nodes::{PassThrough, State};

/// A mounted share; unmounted when it is dropped.
pub(crate) struct Share {
    session: Option<BackgroundSession>,
    state: Arc<Mutex<State>>,
    folder: TempDir,
}

impl Share {
    /// Mounts a share that refuses `O_DIRECT` and exclusive renames. `None`, with the reason printed, where FUSE cannot be
    /// mounted.
    pub(crate) fn with_links() -> Option<Self> {
        Self::mount(false)
    }

    /// The same, which refuses links too.
    pub(crate) fn without_links() -> Option<Self> {
        Self::mount(true)
    }

    fn mount(refuses_links: bool) -> Option<Self> {
        if !Path::new("/dev/fuse").exists() || !rustix::process::geteuid().is_root() {
            skip("a FUSE mount needs /dev/fuse and root");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let (below, point) = (folder.path().join("below"), folder.path().join("point"));
        fs::create_dir(&below).unwrap();
        fs::create_dir(&point).unwrap();
        let files = PassThrough::new(below, refuses_links);
        let state = files.shared();
        let session = fuser::spawn_mount(files, &point, &Config::default()).unwrap();
        Some(Self { session: Some(session), state, folder })
    }

    pub(crate) fn point(&self) -> PathBuf {
        self.folder.path().join("point")
    }

    /// The `nth` read from now that covers this byte of a file gets a wrong bit. The kernel keeps nothing from one opening of
    /// a file to the next.
    pub(crate) fn read_wrong(&self, byte: u64, nth: u32) {
        self.state.lock().unwrap().wrong = Some((byte, nth));
    }

    /// The same folder, not through FUSE.
    pub(crate) fn below(&self) -> PathBuf {
        self.folder.path().join("below")
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let ended = self.session.take().map(BackgroundSession::umount_and_join);
        if let Some(Err(error)) = ended {
            eprintln!("the share was not unmounted: {error}");
        }
    }
}
