//! What a sync of this disk takes while the server works on it: nobody can acknowledge faster.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use rustix::fs::OFlags;

/// Between two syncs.
const PAUSE: Duration = Duration::from_millis(50);
/// Bytes written before each.
const WRITE: usize = 1024 * 1024;
const ALIGN: usize = 4096;

/// Writes and syncs from a thread of its own.
pub(crate) struct Probe {
    enough: Arc<AtomicBool>,
    probing: Option<JoinHandle<io::Result<Vec<f64>>>>,
}

impl Probe {
    pub(crate) fn begin(folder: &Path) -> io::Result<Self> {
        let path = folder.join("probe");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        let direct = OFlags::DIRECT.bits().cast_signed();
        let file = options.clone().custom_flags(direct).open(&path).or_else(|_| options.open(&path))?;
        // It is open: nobody else needs its name.
        fs::remove_file(path)?;
        let enough = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&enough);
        let probing = thread::spawn(move || syncs(&file, &until));
        Ok(Self { enough, probing: Some(probing) })
    }

    /// What each sync took, in milliseconds.
    pub(crate) fn end(mut self) -> anyhow::Result<Vec<f64>> {
        self.enough.store(true, Ordering::Relaxed);
        let probed = self.probing.take().map(JoinHandle::join).ok_or_else(|| anyhow!("asked twice"))?;
        Ok(probed.map_err(|_| anyhow!("the probing thread panicked"))??)
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.enough.store(true, Ordering::Relaxed);
    }
}

fn syncs(file: &File, until: &AtomicBool) -> io::Result<Vec<f64>> {
    let memory = vec![7; WRITE + ALIGN];
    let start = memory.as_ptr().align_offset(ALIGN);
    let (mut took, mut offset) = (Vec::new(), 0);
    while !until.load(Ordering::Relaxed) {
        file.write_all_at(&memory[start..start + WRITE], offset)?;
        offset += WRITE as u64;
        let began = Instant::now();
        file.sync_data()?;
        took.push(began.elapsed().as_secs_f64() * 1000.0);
        thread::park_timeout(PAUSE);
    }
    Ok(took)
}
