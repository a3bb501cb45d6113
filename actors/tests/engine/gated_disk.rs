//! A disk that hangs, or gives other bytes than were written, when it is told to.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use longshore_store::files::{Entry, File, Files, SimulatedDisk, Space, Standing};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Gate {
    Open,
    ClosedForRenames,
    ClosedForReads,
    Closed,
}

/// Calls that change the disk, or read it, wait at the gate.
#[derive(Clone)]
pub(crate) struct GatedDisk {
    disk: SimulatedDisk,
    gate: Arc<(Mutex<Gate>, Condvar)>,
    damaged: Arc<AtomicU32>,
}

struct GatedFile {
    file: Arc<dyn File>,
    disk: GatedDisk,
}

impl GatedDisk {
    pub(crate) fn over(disk: SimulatedDisk) -> Self {
        Self { disk, gate: Arc::new((Mutex::new(Gate::Open), Condvar::new())), damaged: Arc::default() }
    }

    pub(crate) fn open(&self) {
        self.set(Gate::Open);
    }

    pub(crate) fn close(&self) {
        self.set(Gate::Closed);
    }

    pub(crate) fn close_for_renames(&self) {
        self.set(Gate::ClosedForRenames);
    }

    pub(crate) fn close_for_reads(&self) {
        self.set(Gate::ClosedForReads);
    }

    /// In what the next `reads` give, a bit is wrong.
    pub(crate) fn damage(&self, reads: u32) {
        self.damaged.store(reads, Ordering::SeqCst);
    }

    fn set(&self, gate: Gate) {
        *self.gate.0.lock().unwrap() = gate;
        self.gate.1.notify_all();
    }

    fn pass(&self, rename: bool) {
        self.wait(|gate| gate == Gate::Closed || (rename && gate == Gate::ClosedForRenames));
    }

    fn wait(&self, shut: impl Fn(Gate) -> bool) {
        drop(self.gate.1.wait_while(self.gate.0.lock().unwrap(), |gate| shut(*gate)).unwrap());
    }

    fn wrap(&self, file: Arc<dyn File>) -> Arc<dyn File> {
        Arc::new(GatedFile { file, disk: self.clone() })
    }
}

impl Files for GatedDisk {
    fn create(&self, path: &str) -> io::Result<Arc<dyn File>> {
        self.pass(false);
        Ok(self.wrap(self.disk.create(path)?))
    }

    fn open(&self, path: &str) -> io::Result<Arc<dyn File>> {
        Ok(self.wrap(self.disk.open(path)?))
    }

    fn open_direct(&self, path: &str) -> io::Result<Arc<dyn File>> {
        Ok(self.wrap(self.disk.open_direct(path)?))
    }

    fn create_folder(&self, path: &str) -> io::Result<()> {
        self.pass(false);
        self.disk.create_folder(path)
    }

    fn list(&self, path: &str) -> io::Result<Vec<Entry>> {
        self.disk.list(path)
    }

    fn exists(&self, path: &str) -> io::Result<bool> {
        self.disk.exists(path)
    }

    fn rename_new(&self, from: &str, to: &str) -> io::Result<()> {
        self.pass(true);
        self.disk.rename_new(from, to)
    }

    fn rename_over(&self, from: &str, to: &str) -> io::Result<()> {
        self.pass(true);
        self.disk.rename_over(from, to)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.pass(false);
        self.disk.remove(path)
    }

    fn remove_folder(&self, path: &str) -> io::Result<()> {
        self.pass(false);
        self.disk.remove_folder(path)
    }

    fn sync_folder(&self, path: &str) -> io::Result<()> {
        self.pass(false);
        self.disk.sync_folder(path)
    }

    fn space(&self) -> io::Result<Space> {
        self.disk.space()
    }

    fn standing(&self) -> Standing {
        self.disk.standing()
    }

    fn pin(&self) -> Arc<dyn Files> {
        Arc::new(self.clone())
    }
}

impl File for GatedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.disk.wait(|gate| gate == Gate::ClosedForReads);
        let read = self.file.read_at(buffer, offset)?;
        let one_less = |left: u32| left.checked_sub(1);
        if read > 0 && self.disk.damaged.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok() {
            buffer[read - 1] ^= 0x10;
        }
        Ok(read)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.disk.pass(false);
        self.file.write_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.pass(false);
        self.file.sync()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.pass(false);
        self.file.set_len(len)
    }

    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }
}
