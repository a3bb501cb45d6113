//! Storage that hangs under some uploads while it is well under all others, as a share does whose server is not there: a
//! FUSE file system over the folder of each. The server's calls then really hang in the kernel; nothing slows it down
//! elsewhere, as a tracer would, and no other program is measured than the one that is installed, as with fail-points.

mod hanging;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use fuser::{BackgroundSession, Config};
use rustix::fs::{Mode, OFlags};

use self::hanging::{Hanging, Release};

/// A folder whose files take writes only after a long time.
pub(crate) struct Stall {
    folder: PathBuf,
    release: Arc<Release>,
    _session: BackgroundSession,
}

impl Stall {
    /// Whether this process may mount.
    pub(crate) fn is_possible() -> anyhow::Result<()> {
        let may = Path::new("/dev/fuse").exists() && rustix::process::geteuid().is_root();
        ensure!(may, "writes that hang need /dev/fuse and root");
        Ok(())
    }

    /// Mounts one over the folder of `upload`, which no request must have touched yet.
    pub(crate) fn over(server: &Path, upload: &str) -> anyhow::Result<Self> {
        let id = upload.rsplit('/').next().unwrap_or(upload);
        let folder = server.join("data/storage/.incoming").join(id);
        // By this, what is below the mount stays within reach.
        let below = rustix::fs::open(&folder, OFlags::DIRECTORY | OFlags::RDONLY, Mode::empty())?;
        let open = |name: &str| {
            let file = rustix::fs::openat(&below, name, OFlags::RDWR, Mode::empty())?;
            Ok::<_, rustix::io::Errno>(File::from(file))
        };
        let release = Arc::new(Release::default());
        let files = Hanging::new(open("data")?, open("state")?, Arc::clone(&release));
        let session = fuser::spawn_mount(files, &folder, &Config::default()).context("cannot mount")?;
        fs::metadata(folder.join("data")).context("the mount does not answer")?;
        Ok(Self { folder, release, _session: session })
    }
}

impl Drop for Stall {
    fn drop(&mut self) {
        // Whoever still hangs in it goes on.
        self.release.now();
        // The server may have its files open as long as it lives.
        let _left_to_the_next_boot = Command::new("umount").arg("--lazy").arg(&self.folder).status();
    }
}
